//! What is said about faulty rule files: every file of `tests/rules/` with the text beside it.
//! `UPDATE_GENERATED=1` rewrites the texts.

use std::fmt::Write;
use std::path::Path;

use evenkeel::diagnostic::{Level, SourceFile, has_errors};
use evenkeel::model::Span;
use evenkeel::rule::load::load;

fn report(name: &str, text: &str) -> String {
    let (rules, diagnostics) = load(&[SourceFile::new(name, text)], Span::seconds(15));
    let mut report = String::new();
    for diagnostic in &diagnostics {
        assert!(text.get(diagnostic.bytes.clone()).is_some(), "{name}: {diagnostic} lies outside of the text");
        let _ = writeln!(report, "{diagnostic}\n");
    }
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    let _ = writeln!(report, "loaded: {}", names.join(" "));
    report
}

#[test]
fn every_fault_has_its_text() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 60, "only {} files", files.len());
    let mut stale = Vec::new();
    for file in files {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("readable");
        let found = report(&name, &text);
        let beside = file.with_extension("txt");
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&beside, &found).expect("writable");
        }
        if std::fs::read_to_string(&beside).unwrap_or_default() != found {
            stale.push(format!("--- {name}\n{found}"));
        }
    }
    assert!(stale.is_empty(), "differs from the text beside it:\n{}", stale.join("\n"));
}

#[test]
fn hostile_texts_end_in_one_clear_fault() {
    let bomb: String =
        (0..9).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","))).collect();
    let bomb = bomb.replace("*a-1", "lol");
    for (text, part) in [
        (bomb, "more than 200000 values"),
        (format!("alerts: {}", "[".repeat(20_000)), "deeper than the limit of 32"),
        (format!("alerts:\n{}", "- ".repeat(20_000)), "deeper than the limit of 32"),
        (format!("alerts: [{{name: a, condition: \"{}\"}}]", "(".repeat(5_000)), "the limit is 4096"),
        (format!("alerts: [{{name: a, condition: \"{}\"}}]", "(".repeat(4_000)), "deeper than the limit of 32"),
        (format!("alerts: [{{name: a, condition: \"{}1\"}}]", "1+".repeat(2_000)), "more than 100 names and numbers"),
        (format!("# {}", "x".repeat(1 << 20)), "the limit is 1048576"),
        (format!("alerts: [{{name: {}, condition: cost > $1}}]", "n".repeat(1 << 19)), "more than 200 bytes"),
    ] {
        let (rules, diagnostics) = load(&[SourceFile::new("t.yaml", text.as_str())], Span::seconds(15));
        assert!(rules.is_empty());
        assert_eq!(diagnostics.len(), 1, "{part}");
        assert!(has_errors(&diagnostics) && diagnostics[0].message.contains(part), "{}", diagnostics[0]);
        assert!(diagnostics[0].to_string().len() < 2_000, "a long line is not repeated whole");
    }
}

#[test]
fn a_fault_per_line_of_a_large_file_is_told_up_to_a_limit() {
    let many: String = (0..60_000).map(|i| format!("- {{name: r{i}}}\n")).collect();
    let (rules, diagnostics) = load(&[SourceFile::new("t.yaml", format!("alerts:\n{many}"))], Span::seconds(15));
    assert!(rules.is_empty());
    assert_eq!(diagnostics.len(), 1_001);
    assert_eq!(diagnostics[1_000].message, "there are 59000 more faults");
}

#[test]
fn five_thousand_rules_load() {
    let rule = |i: usize| {
        format!("  - name: rule_{i}\n    condition: error_rate > {}% and p95_latency > baseline * 2\n", i % 90 + 1)
    };
    let text: String = (0..5_000).map(rule).collect();
    let (rules, diagnostics) = load(&[SourceFile::new("t.yaml", format!("alerts:\n{text}"))], Span::seconds(15));
    assert_eq!((rules.len(), diagnostics.len()), (5_000, 0));
}

#[test]
fn a_fault_in_every_rule_is_found() {
    let rule = |i: usize| format!("  - name: rule_{i}\n    condition: erorr_rate > {i}%\n");
    let text: String = (1..=500).map(rule).collect();
    let (rules, diagnostics) = load(&[SourceFile::new("t.yaml", format!("alerts:\n{text}"))], Span::seconds(15));
    assert!(rules.is_empty());
    assert_eq!(diagnostics.iter().filter(|d| d.level == Level::Error).count(), 500);
}

/// The rules of claude-force's analysis as they stand there: they load with warnings for the two metrics
/// that nothing measures here, and the shipped pack says the same.
#[test]
fn the_rules_of_the_analysis_load_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/source");
    let texts = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let texts = texts.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    let Some(text) = texts.into_iter().find(|text| text.contains("# Recommended alerting rules")) else {
        println!("skipped: {} is not there", folder.display());
        return;
    };
    let (_, rest) = text.split_once("# Recommended alerting rules\n").expect("found above");
    let (appendix, _) = rest.split_once("\nF. ").expect("another appendix follows");
    // The text lost its indentation on its way out of a PDF.
    let indented = |line: &str| {
        let outer = line.starts_with("alerts:") || line.starts_with("- ") || line.starts_with('#');
        format!("{}{line}\n", if outer { "" } else { "  " })
    };
    let appendix: String = appendix.lines().map(indented).collect();
    let (rules, diagnostics) = load(&[SourceFile::new("appendix-e.yaml", appendix.as_str())], Span::seconds(15));
    let found: Vec<_> = diagnostics.iter().map(|d| (d.level, &appendix[d.bytes.clone()])).collect();
    assert_eq!(found, [(Level::Warning, "semantic_selection_time"), (Level::Warning, "cache_miss_rate")]);
    let shipped = SourceFile::new("claude-force.yaml", evenkeel::rule::shipped::CLAUDE_FORCE);
    let (pack, _) = load(&[shipped], Span::seconds(15));
    let said = |rules: &[evenkeel::rule::Rule]| -> Vec<_> {
        rules.iter().map(|r| (r.name.clone(), r.condition.clone(), r.window, r.severity)).collect()
    };
    assert_eq!((rules.len(), said(&rules)), (6, said(&pack)));
}
