//! `replay --fixture`: an alert that fired in a recording becomes a test that `evenkeel test` passes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn evenkeel(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel")).current_dir(folder).args(arguments).output();
    let output = output.expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The ids of alerts that fired, with their rule, in the order in which they did.
fn fired(folder: &Path, recording: &str, rules: &str) -> Vec<(String, String)> {
    let (code, text, fault) = evenkeel(folder, &["replay", recording, "--rules", rules, "--json"]);
    assert_eq!(code, Some(1), "{fault}");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let firing = lines.filter(|line| line["type"] == "alert" && line["state"] == "firing");
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    firing.map(|line| (word(&line["id"]), word(&line["rule"]))).collect()
}

/// Makes a test of each of `alerts` and plays it; the files.
fn round_trip(folder: &Path, recording: &str, rules: &str, alerts: &[(String, String)]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (id, rule) in alerts {
        let name = format!("tests/{rule}-{}.test.yaml", &id[..8]);
        let (code, said, fault) =
            evenkeel(folder, &["replay", recording, "--rules", rules, "--fixture", &id[..12], "--to", &name]);
        assert_eq!(code, Some(0), "{rule} {id}: {fault}");
        assert!(said.contains("it passes: evenkeel test tests/"), "{said}");
        let (code, text, fault) = evenkeel(folder, &["test", &name, "--json"]);
        assert_eq!(code, Some(0), "{rule} {id}: {text}{fault}");
        let summary: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&summary["passed"], &summary["failed"]), (&1.into(), &0.into()));
        files.push(folder.join(&name));
    }
    files
}

#[test]
fn a_generated_recording_goes_round() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::create_dir(folder.join("tests")).expect("made");
    fs::copy(home().join("examples/quickstart/executions.jsonl"), folder.join("runs.jsonl")).expect("copied");
    fs::copy(home().join("rules/default.yaml"), folder.join("mine.yaml")).expect("copied");
    let fired = fired(folder, "runs.jsonl", "mine.yaml");
    let mut chosen: Vec<(String, String)> = Vec::new();
    for rule in ["error_burst", "success_drop", "cost_jump", "p95_shift"] {
        chosen.extend(fired.iter().find(|(_, name)| name == rule).cloned());
    }
    assert!(chosen.len() >= 2, "{fired:?}");
    let files = round_trip(folder, "runs.jsonl", "mine.yaml", &chosen);
    // A test that passes whatever the rule says would prove nothing.
    let text = fs::read_to_string(folder.join("mine.yaml")).expect("the rules");
    assert!(text.contains("error_rate > 50%"), "the threshold of error_burst");
    fs::write(folder.join("mine.yaml"), text.replace("error_rate > 50%", "error_rate > 95%")).expect("written");
    let (code, text, _) = evenkeel(folder, &["test", &files[0].to_string_lossy()]);
    assert!(code == Some(1) && text.contains("expected  firing at "), "{text}");
    // What cannot be done is said.
    let (id, _) = &chosen[0];
    for (arguments, remedy) in [
        (vec!["replay", "runs.jsonl", "--fixture", id.as_str()], "is a shipped rule"),
        (vec!["replay", "runs.jsonl", "--rules", "mine.yaml", "--fixture", "zzz"], "`evenkeel replay` shows the ids"),
        (vec!["replay", "-", "--rules", "mine.yaml", "--fixture", "zzz"], "not standard input"),
    ] {
        let (code, _, fault) = evenkeel(folder, &arguments);
        assert!(code == Some(64) && fault.contains(remedy), "{arguments:?}: {fault}");
    }
}

#[test]
fn a_real_recording_goes_round() {
    let recording = home().join("../shared/data/autogpt/executions.jsonl");
    if !recording.exists() {
        println!("left out: there is no {}", recording.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::create_dir(folder.join("tests")).expect("made");
    fs::copy(home().join("rules/claude-force.yaml"), folder.join("s1.yaml")).expect("copied");
    fs::copy(&recording, folder.join("runs.jsonl")).expect("copied");
    let fired = fired(folder, "runs.jsonl", "s1.yaml");
    let mut rules: Vec<&String> = fired.iter().map(|(_, rule)| rule).collect();
    rules.sort();
    rules.dedup();
    assert!(!rules.is_empty());
    // Of every rule that fired the first and the last alert.
    let of = |rule: &&String| {
        let mut own: Vec<(String, String)> = fired.iter().filter(|(_, name)| name == *rule).cloned().collect();
        own.dedup();
        if own.len() > 2 {
            own.drain(1..own.len() - 1);
        }
        own
    };
    let chosen: Vec<(String, String)> = rules.iter().flat_map(of).collect();
    let files = round_trip(folder, "runs.jsonl", "s1.yaml", &chosen);
    println!("{} of {} alerts of {} rules went round", files.len(), fired.len(), rules.len());
}

#[test]
fn labels_of_ones_own_go_round() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::create_dir(folder.join("tests")).expect("made");
    let config = "sources: [{name: s, path: runs.jsonl, labels: {region: zone, squad: team}}]\nrules: [mine.yaml]\nevaluation_interval: 5s\n";
    fs::write(folder.join("evenkeel.yaml"), config).expect("written");
    let rules = "alerts:\n- {name: squads, condition: error_rate > 10%, window: 1m, for: 30s, min_samples: 3, by: squad, where: {region: eu}}\n";
    fs::write(folder.join("mine.yaml"), rules).expect("written");
    // Two squads in two regions; red in the eu fails from the third minute to the fifth.
    let runs = (0..600).map(|second: u32| {
        let (team, zone) = ([("red", "eu"), ("blue", "eu"), ("red", "us")])[second as usize % 3];
        let fails = zone == "us" || (team == "red" && (180..300).contains(&second));
        let at = format!("2026-03-05T10:{:02}:{:02}Z", second / 60, second % 60);
        format!("{{\"timestamp\":\"{at}\",\"agent_name\":\"a\",\"success\":{},\"execution_time_ms\":100,\"team\":\"{team}\",\"zone\":\"{zone}\"}}\n", !fails)
    });
    fs::write(folder.join("runs.jsonl"), runs.collect::<String>()).expect("written");
    let (code, text, fault) = evenkeel(folder, &["replay", "--config", "evenkeel.yaml", "--json"]);
    assert_eq!(code, Some(1), "{fault}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let firing: Vec<&Value> = lines.iter().filter(|l| l["type"] == "alert" && l["state"] == "firing").collect();
    assert_eq!((firing.len(), &firing[0]["subject"]["squad"]), (1, &"red".into()), "{firing:?}");
    let id = firing[0]["id"].as_str().expect("an id");
    let (code, _, fault) =
        evenkeel(folder, &["replay", "--config", "evenkeel.yaml", "--fixture", id, "--to", "tests/squads.test.yaml"]);
    assert_eq!(code, Some(0), "{fault}");
    let text = fs::read_to_string(folder.join("tests/squads.test.yaml")).expect("written");
    assert!(text.contains("squad: red") && text.contains("state: resolved") && !text.contains("blue"), "{text}");
    let (code, said, fault) = evenkeel(folder, &["test", "tests"]);
    assert_eq!(code, Some(0), "{said}{fault}");
}

#[test]
fn an_alert_of_silence_goes_round_from_the_last_run_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::create_dir(folder.join("tests")).expect("made");
    let rules = "alerts:\n- {name: quiet, condition: silence > 20m}\n- {name: gone, condition: silence > 30h}\n";
    fs::write(folder.join("mine.yaml"), rules).expect("written");
    // One agent stops at 10:10, another goes on for two days and keeps the clock going.
    let line = |agent: &str, minute: u32| {
        let (day, hour) = (5 + minute / 1440, minute / 60 % 24);
        let at = format!("2026-03-{day:02}T{hour:02}:{:02}:00Z", minute % 60);
        format!("{{\"timestamp\":\"{at}\",\"agent_name\":\"{agent}\",\"success\":true}}\n")
    };
    let runs = (600..3480).map(|minute| {
        let own = if minute <= 610 { line("batch", minute) } else { String::new() };
        own + &line("steady", minute)
    });
    fs::write(folder.join("runs.jsonl"), runs.collect::<String>()).expect("written");
    let fired = fired(folder, "runs.jsonl", "mine.yaml");
    let of = |name: &str| fired.iter().filter(|(_, rule)| rule == name).cloned().collect::<Vec<_>>();
    let files = round_trip(folder, "runs.jsonl", "mine.yaml", &of("quiet"));
    let text = fs::read_to_string(&files[0]).expect("written");
    assert!(text.contains("batch") && text.contains("state: firing") && !text.contains("steady"), "{text}");
    let (id, _) = &of("gone")[0];
    let arguments = ["replay", "runs.jsonl", "--rules", "mine.yaml", "--fixture", id];
    let (code, _, fault) = evenkeel(folder, &arguments);
    assert!(code == Some(64) && fault.contains("after the last run, and a test goes on for 1d at most"), "{fault}");
}
