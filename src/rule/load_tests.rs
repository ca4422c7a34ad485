//! Tests of loading: what a file means. What is said about wrong files is in `tests/rules/`.

use super::*;
use crate::diagnostic::has_errors;
use crate::model::Severity;
use proptest::prelude::*;

fn one(fields: &str) -> Rule {
    let text = format!("alerts:\n  - name: a\n    condition: cost > $1\n{fields}");
    let (rules, diagnostics) = load(&[SourceFile::new("t.yaml", text)], Span::seconds(15));
    assert_eq!(diagnostics, [], "{fields}");
    rules.into_iter().next().expect("no diagnostics, so it loads")
}

#[test]
fn defaults_are_filled_in() {
    let rule = one("");
    assert_eq!((rule.window, rule.hold, rule.keep_firing_for), (Span::minutes(5), Span::ZERO, Span::ZERO));
    assert_eq!((rule.by, rule.filter, rule.min_samples), (vec![Dimension::Agent], vec![], 1));
    assert_eq!((rule.severity, rule.place.as_str()), (Severity::Warning, "t.yaml:2"));
    let text = "rules:\n  - {name: a, condition: error_rate > 1%}\n";
    let (rules, _) = load(&[SourceFile::new("t.yaml", text)], Span::seconds(15));
    assert_eq!(rules[0].min_samples, RATIO_MIN_SAMPLES);
}

#[test]
fn fields_are_read() {
    let rule = one(
        "    for: 90 seconds\n    keep_firing_for: 1h30m\n    min_samples: 1_000\n    severity: medium\n    labels: {team: core}\n",
    );
    assert_eq!((rule.hold, rule.keep_firing_for), (Span::seconds(90), Span::minutes(90)));
    assert_eq!((rule.min_samples, rule.severity), (1_000, Severity::Warning));
    assert_eq!(rule.labels.get("team").map(String::as_str), Some("core"));
    for (by, expected) in [
        ("fleet", vec![]),
        ("model", vec![Dimension::Model]),
        ("[agent, task_type]", vec![Dimension::Agent, Dimension::TaskType]),
    ] {
        assert_eq!(one(&format!("    by: {by}\n")).by, expected, "{by}");
    }
}

#[test]
fn selections_become_matchers() {
    let rule = one("    where:\n      agent: [rev*, '!test-*', writer]\n      model: \"claude-*\"\n      workflow:\n");
    let matcher = |dimension, patterns: &[&str], negated| Matcher {
        dimension,
        patterns: patterns.iter().map(|p| (*p).to_owned()).collect(),
        negated,
    };
    let expected = [
        matcher(Dimension::Agent, &["rev*", "writer"], false),
        matcher(Dimension::Agent, &["test-*"], true),
        matcher(Dimension::Model, &["claude-*"], false),
        matcher(Dimension::Workflow, &[""], false),
    ];
    assert_eq!(rule.filter, expected);
}

#[test]
fn a_faulty_rule_is_left_out_and_the_others_load() {
    let first = "alerts:\n  - name: a\n    condition: erorr_rate > 1%\n  - name: b\n    condition: cost > $1\n";
    let second = "alerts:\n  - name: b\n    condition: cost > $2\n  - name: c\n    condition: cost > $3\n";
    let files = [SourceFile::new("1.yaml", first), SourceFile::new("2.yaml", second), SourceFile::new("3.yaml", "")];
    let (rules, diagnostics) = load(&files, Span::seconds(15));
    let names: Vec<_> = rules.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["b", "c"]);
    let places: Vec<_> = diagnostics.iter().map(|d| format!("{}:{}:{}", d.file, d.line, d.column)).collect();
    assert_eq!(places, ["1.yaml:3:16", "2.yaml:2:11"]);
    assert!(diagnostics[1].message.contains("1.yaml:4"), "{}", diagnostics[1]);
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,80}") {
        load(&[SourceFile::new("t.yaml", text)], Span::seconds(15));
    }

    #[test]
    fn values_of_any_kind_never_panic(
        field in prop::sample::select(vec!["name", "condition", "window", "by", "where", "for", "min_samples", "severity", "labels", "annotations", "x"]),
        value in "\\PC{0,30}|\\[.{0,9}\\]|\\{.{0,5}: .{0,5}\\}|'[^']{0,20}'",
    ) {
        let text = format!("alerts:\n  - name: a\n    condition: cost > $1\n    {field}: {value}\n");
        let (rules, diagnostics) = load(&[SourceFile::new("t.yaml", text.as_str())], Span::seconds(15));
        prop_assert!(!rules.is_empty() || has_errors(&diagnostics) || diagnostics.len() == 1);
        for diagnostic in diagnostics {
            prop_assert!(text.get(diagnostic.bytes.clone()).is_some());
            prop_assert!(!diagnostic.to_string().is_empty());
        }
    }
}
