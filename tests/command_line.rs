//! The frame of the command line: exit codes, streams, colour, closed pipes.

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn evenkeel(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn exit_codes_tell_what_happened() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, code) in [
        (&["--version"][..], 0),
        (&["--help"], 0),
        (&["help"], 0),
        (&["help", "check"], 0),
        (&["help", "no-such-verb"], 64),
        (&[], 64),
        (&["no-such-verb"], 64),
        (&["check"], 2),
        (&["profiles", "show", "x", "--complexity", "NaN"], 64),
        (&["profiles", "list"], 0),
        (&["profiles", "list", "--config", "none.yaml"], 78),
        (&["check", "none.yaml"], 78),
        (&["init", "none"], 64),
        (&["init"], 0),
        (&["init"], 1),
        (&["check", "."], 0),
        (&["check"], 0),
        (&["check", "evenkeel.yaml", "--json"], 0),
    ] {
        let output = evenkeel(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn help_is_a_verb_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = |arguments: &[&str]| text(&evenkeel(folder.path(), arguments).stdout);
    assert_eq!(said(&["help"]), said(&["--help"]));
    assert_eq!(said(&["help", "check"]), said(&["check", "--help"]));
    assert_eq!(said(&["help", "silence", "add"]), said(&["silence", "add", "--help"]));
}

#[test]
fn answers_go_to_standard_output_and_reasons_to_standard_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = evenkeel(folder.path(), &["profiles", "show", "claude-sonnet", "--complexity", "0.5", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&good.stdout).expect("JSON");
    assert_eq!((&answer["scaled_time_s"], &answer["timeout_s"]), (&87.0.into(), &95.7.into()));
    assert_eq!(text(&good.stderr), "");
    let bad = evenkeel(folder.path(), &["profiles", "list", "--config", "none.yaml"]);
    assert_eq!(text(&bad.stdout), "");
    assert!(text(&bad.stderr).contains("cannot read none.yaml"));
}

#[test]
fn the_configuration_of_the_folder_holds_where_none_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("r.yaml", "alerts: [{name: failing, condition: error_rate > 50%, window: 5m, min_samples: 1}]\n");
    let run = r#"{"timestamp": "2026-03-05T15:00:30Z", "agent_name": "a", "success": false}"#;
    write("fleet.jsonl", &format!("{run}\n"));
    write(
        "evenkeel.yaml",
        "rules: [r.yaml]\nsources: [{name: fleet, path: fleet.jsonl}]\nreceivers: [{name: ops, webhook: {url: \"http://127.0.0.1:1\"}}]\n",
    );
    for arguments in [&["replay"][..], &["report"], &["agents"], &["replay", "fleet.jsonl"]] {
        let output = evenkeel(folder.path(), arguments);
        let (said, why) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.code().is_some_and(|code| code < 3), "{arguments:?}: {why}");
        assert!(why.starts_with("under evenkeel.yaml; --config names another"), "{arguments:?}: {why}");
        assert!(said.contains("failing") || arguments[0] != "replay", "{arguments:?}: {said}");
    }
    let named = evenkeel(folder.path(), &["replay", "fleet.jsonl", "--config", "evenkeel.yaml"]);
    assert!(!text(&named.stderr).contains("under evenkeel.yaml"), "{}", text(&named.stderr));
    let bad = evenkeel(folder.path(), &["check"]);
    assert!(text(&bad.stdout).contains("1 configuration, 1 rule file"), "{}", text(&bad.stdout));
    std::fs::remove_file(folder.path().join("evenkeel.yaml")).expect("removed");
    let none = evenkeel(folder.path(), &["replay", "fleet.jsonl"]);
    assert_eq!(text(&none.stderr), "");
}

#[test]
fn the_first_steps_lead_to_the_next_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("ops")).expect("a folder");
    let said = |arguments: &[&str]| text(&evenkeel(folder.path(), arguments).stdout);
    let here = said(&["init"]);
    assert!(here.starts_with("wrote evenkeel.yaml\n"), "{here}");
    assert!(here.ends_with("next: evenkeel check && evenkeel run\n"), "{here}");
    let there = said(&["init", "ops"]);
    let next = "next: evenkeel check ops/evenkeel.yaml && evenkeel run --config ops/evenkeel.yaml\n";
    assert!(there.ends_with(next), "{there}");
    // A project has packages of others in it, with more files than anybody checks.
    let packages = folder.path().join("node_modules/many");
    std::fs::create_dir_all(&packages).expect("a folder");
    for n in 0..1_100 {
        std::fs::write(packages.join(format!("{n}.json")), "{}").expect("written");
    }
    assert_eq!(said(&["check"]), "ok: 2 configurations\n");
}

#[test]
fn nothing_to_look_at_is_said_as_that() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("empty.jsonl", "");
    write("bad.jsonl", "hello\n");
    for arguments in [
        &["agents", "empty.jsonl"][..],
        &["explain", "a", "empty.jsonl"],
        &["replay", "empty.jsonl"],
        &["alerts", "--margin", "empty.jsonl"],
    ] {
        let output = evenkeel(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(text(&output.stdout).starts_with("no executions were read"), "{arguments:?}: {output:?}");
        let output = evenkeel(folder.path(), &[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e}"));
    }
    let output = evenkeel(folder.path(), &["replay", "bad.jsonl"]);
    let said = text(&output.stdout);
    assert!(said.contains("1 line rejected\n  bad.jsonl:1: not a JSON object"), "{said}");
    // Rules that are not there would fire nothing, which looks like health.
    std::fs::create_dir(folder.path().join("none")).expect("a folder");
    let output = evenkeel(folder.path(), &["replay", "empty.jsonl", "--rules", "none"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("there is no rule in none: name files of rules"), "{output:?}");
    let output = evenkeel(folder.path(), &["report", "empty.jsonl", "--source", "x"]);
    let expected = "there is no source `x` in the configuration: it has none; --config names one that has it\n";
    assert!(text(&output.stderr).ends_with(expected), "{output:?}");
}

#[test]
fn who_asks_a_daemon_that_is_not_there_hears_why_and_what_else() {
    let folder = tempfile::tempdir().expect("a folder");
    // Nothing listens on port 1.
    std::fs::write(folder.path().join("evenkeel.yaml"), "listen: 127.0.0.1:1\n").expect("written");
    let asked = |arguments: &[&str]| {
        let output = evenkeel(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(74), "{output:?}");
        text(&output.stderr)
    };
    let refused = "Connection refused (os error 111); is `evenkeel run` up?";
    assert_eq!(
        asked(&["alerts"]),
        format!("error: no daemon answers at http://127.0.0.1:1/api/v1/alerts: {refused}\n")
    );
    let or = "Or name FILEs of a recording\n";
    let margins = format!("error: no daemon answers at http://127.0.0.1:1/api/v1/margins: {refused} {or}");
    assert_eq!(asked(&["alerts", "--margin"]), margins);
}

#[test]
fn a_file_that_is_not_there_is_named_with_who_wants_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("empty.yaml", "\n");
    let parameter = "{parameter: timeout, path: \"{agent}.t\", unit: s}";
    write("my.yaml", &format!("tune: {{targets: [{{name: crew, file: agents.yaml, parameters: [{parameter}]}}]}}\n"));
    let plan = evenkeel(folder.path(), &["tune", "plan", "--config", "my.yaml", "-"]);
    let expected = "the target `crew` cannot be read: agents.yaml does not exist; mend its `file` in my.yaml\n";
    assert!(plan.status.code() == Some(64) && text(&plan.stderr).ends_with(expected), "{plan:?}");
    let empty = evenkeel(folder.path(), &["check", "empty.yaml"]);
    assert!(empty.status.code() == Some(78) && text(&empty.stdout).contains("the file is empty"), "{empty:?}");
    let mut alerts = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    let alerts = alerts.current_dir(folder.path()).env("EVENKEEL_CONFIG", "gone.yaml").arg("alerts").output();
    let said = text(&alerts.expect("it runs").stderr);
    assert!(said.starts_with("error: there is no gone.yaml, which EVENKEEL_CONFIG names; "), "{said}");
}

#[test]
fn where_executions_were_looked_for_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    std::fs::create_dir(folder.path().join("etc")).expect("a folder");
    write("etc/one.yaml", "sources: [{name: runs, path: logs/runs.jsonl}, {name: more, path: \"more/*.jsonl\"}]\n");
    write("etc/none.yaml", "evaluation_interval: 1s\n");
    for verb in ["report", "agents", "replay"] {
        for (config, parts) in [
            (None, ["no evenkeel.yaml in this folder", "name the executions"]),
            (Some("etc/none.yaml"), ["etc/none.yaml has no `sources`", "name the executions"]),
            (
                Some("etc/one.yaml"),
                ["etc/logs/runs.jsonl (source `runs`), etc/more/*.jsonl (source `more`)", "mend `path`"],
            ),
        ] {
            let arguments: Vec<&str> = [verb].into_iter().chain(config.iter().flat_map(|c| ["--config", *c])).collect();
            let output = evenkeel(folder.path(), &arguments);
            let why = text(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{arguments:?}: {why}");
            assert!(parts.iter().all(|part| why.contains(part)), "{arguments:?}: {why}");
        }
    }
}

#[test]
fn every_fault_of_every_file_comes_in_one_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("evenkeel.yaml", "rules: [r.yaml, none.yaml]\nprofiles: m.json\nclok: wall\n");
    write("r.yaml", "alerts:\n- name: a\n  condition: error_rate > 15s\n");
    write("m.json", "{\n\t\"model\": \"m\",\n\t\"colour\": \"red\"\n}\n");
    write("alone.yaml", "prices:\n- models: [m]\n");
    write("package.json", "{\"name\": \"not ours\"}");
    let output = evenkeel(folder.path(), &["check", ".", "--json"]);
    assert_eq!(output.status.code(), Some(78));
    let faults: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut places: Vec<String> =
        faults.iter().map(|f| format!("{}:{}:{}", f["file"].as_str().expect("text"), f["line"], f["column"])).collect();
    places.sort();
    assert_eq!(places, ["alone.yaml:2:3", "evenkeel.yaml:3:1", "m.json:3:2", "none.yaml:0:0", "r.yaml:3:27"]);
    let r = faults.iter().find(|f| f["file"] == "r.yaml").expect("the fault of the rule");
    assert_eq!((&r["bytes"]["start"], &r["bytes"]["end"]), (&44.into(), &47.into()));
}

#[test]
fn colour_is_for_those_who_want_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, expected) in [
        (&["profiles", "list"][..], false),
        (&["profiles", "list", "--color", "never"], false),
        (&["profiles", "list", "--color", "always"], true),
    ] {
        let output = evenkeel(folder.path(), arguments);
        assert_eq!(output.stdout.contains(&0x1b), expected, "{arguments:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_changes_nothing_of_what_was_found() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rules.yaml"), "alerts: [{name: a, condition: erorr_rate > 5%}]\n")
        .expect("written");
    for (arguments, code) in
        [(&["profiles", "list"][..], 0), (&["check", "rules.yaml"], 78), (&["check", "rules.yaml", "--json"], 78)]
    {
        let mut child = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(code), ""), "{arguments:?}");
    }
}

#[test]
fn the_configuration_of_the_environment_holds_for_tuning_too() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("etc")).expect("a folder");
    std::fs::write(folder.path().join("etc/mine.yaml"), "clock: wall\n").expect("written");
    for (arguments, code, said) in [
        (&["tune", "plan"][..], 64, "etc/mine.yaml has no target to tune"),
        (&["tune", "ledger"], 0, ""),
        (&["tune", "plan", "--config", "none.yaml"], 78, "cannot read none.yaml"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.args(arguments).current_dir(folder.path()).env("EVENKEEL_CONFIG", "etc/mine.yaml");
        let output = command.output().expect("the program runs");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {}", text(&output.stderr));
    }
}
