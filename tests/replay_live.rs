//! What `replay` says of a recording is what the daemon decided on it, to the last digit.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const COLUMNS: &str = "alert_id, state, at, rule, subject, severity, condition, value, threshold, n, window, active_since, fired_at, \
                       labels, annotations";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    fs::copy(from.join("executions.jsonl"), folder.path().join("executions.jsonl")).expect("copied");
    let mut config = String::from(
        "rules: [default.yaml]\nclock: records\nlisten: off\nsources:\n- {name: fleet, path: executions.jsonl}\n",
    );
    config += "state_dir: state\n";
    fs::write(folder.path().join("evenkeel.yaml"), config).expect("written");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/claude-force.yaml"), folder.path().join("default.yaml"))
        .expect("copied");
    folder
}

fn evenkeel(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    let output = command.current_dir(folder).args(arguments).output().expect("it runs");
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "{arguments:?}: {code:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A number as it is, whatever wrote it: its bits.
fn bits(value: Option<f64>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| format!("{:016x}", value.to_bits()))
}

#[test]
fn replay_decides_as_the_daemon_did() {
    decides_alike("15s");
}

#[test]
fn replay_decides_as_a_daemon_that_evaluates_at_once() {
    decides_alike("1ms");
}

fn decides_alike(interval: &str) {
    let folder = folder();
    let config = folder.path().join("evenkeel.yaml");
    let text = fs::read_to_string(&config).expect("read");
    fs::write(&config, format!("{text}evaluation_interval: {interval}\n")).expect("written");
    evenkeel(folder.path(), &["run", "--once", "--config", "evenkeel.yaml"]);
    let replayed = evenkeel(folder.path(), &["replay", "--config", "evenkeel.yaml", "--json"]);
    let mut end = String::new();
    let mut said = BTreeSet::new();
    for line in String::from_utf8(replayed).expect("UTF-8").lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if line["type"] == "summary" {
            end = line["at"].as_str().expect("a time").to_owned();
        }
        if line["type"] != "alert" {
            continue;
        }
        let text = |name: &str| line[name].as_str().unwrap_or("null").to_owned();
        let json = |name: &str| line[name].to_string();
        // The history has the reason among the annotations.
        let mut annotations = line["annotations"].clone();
        if line["reason"].is_string() {
            annotations["reason"] = line["reason"].clone();
        }
        let row = [
            text("id"),
            text("state"),
            text("at"),
            text("rule"),
            json("subject"),
            text("severity"),
            text("condition"),
            bits(line["value"].as_f64()),
            bits(line["threshold"].as_f64()),
            json("n"),
            text("window"),
            text("active_since"),
            text("fired_at"),
            json("labels"),
            annotations.to_string(),
        ];
        said.insert(row.join("\t"));
    }
    let mut file = fs::read_dir(folder.path().join("state")).expect("a folder").flatten().map(|e| e.path());
    let file = file.find(|p| p.extension().is_some_and(|e| e == "db" || e == "sqlite" || e == "sqlite3"));
    let database = rusqlite::Connection::open(file.expect("a database")).expect("opened");
    let mut query = database.prepare(&format!("SELECT {COLUMNS} FROM alerts")).expect("the columns are there");
    let rows = query.query_map([], |row| {
        let text = |i: usize| row.get::<_, Option<String>>(i).map(|text| text.unwrap_or_else(|| "null".to_owned()));
        let mut columns = Vec::new();
        for i in 0..15 {
            columns.push(match i {
                7 | 8 => bits(row.get::<_, Option<f64>>(i)?),
                9 => row.get::<_, i64>(i)?.to_string(),
                _ => text(i)?,
            });
        }
        Ok((columns[2].clone(), columns.join("\t")))
    });
    let rows: Vec<(String, String)> = rows.expect("rows").map(|row| row.expect("a row")).collect();
    // The recording's clock goes on in the daemon for the moment that it takes to end.
    let kept: BTreeSet<String> = rows.into_iter().filter(|(at, _)| *at <= end).map(|(_, row)| row).collect();
    assert!(kept.len() > 100, "{} transitions", kept.len());
    let (only_live, only_replay): (Vec<_>, Vec<_>) =
        (kept.difference(&said).take(3).collect(), said.difference(&kept).take(3).collect());
    assert!(only_live.is_empty() && only_replay.is_empty(), "live only: {only_live:#?}\nreplay only: {only_replay:#?}");
}

#[test]
fn curves_and_differences_come_from_one_recording() {
    let folder = folder();
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&evenkeel(folder.path(), arguments)).expect("JSON")
    };
    let curve = json(&[
        "replay",
        "executions.jsonl",
        "--rules",
        "default.yaml",
        "--curve",
        "success_rate_drop",
        "--json",
        "--per-week",
        "60",
    ]);
    let points = curve["points"].as_array().expect("points");
    let now = points.iter().find(|point| point["factor"] == 1.0).expect("the present threshold");
    let text = evenkeel(folder.path(), &["replay", "executions.jsonl", "--rules", "default.yaml", "--json"]);
    let text = String::from_utf8(text).expect("UTF-8");
    let summary: serde_json::Value = serde_json::from_str(text.lines().last().expect("a summary")).expect("JSON");
    let rule = &summary["rules"]["success_rate_drop"];
    assert_eq!((&now["fired"], &now["subjects"]), (&rule["fired"], &rule["subjects"]));
    let of_subjects: u64 =
        rule["by_subject"].as_object().expect("subjects").values().filter_map(|s| s["fired"].as_u64()).sum();
    assert_eq!(Some(of_subjects), rule["fired"].as_u64());
    assert!(curve["suggestion"]["per_week"].as_f64().is_some_and(|n| n <= 60.0), "{curve:#}");
    assert!(curve["suggestion"]["healthy"].as_f64() >= curve["suggestion"]["threshold"].as_f64(), "{curve:#}");
    // Of a threshold that is no plain number factors are shown, and what they multiply.
    let curve = ["replay", "executions.jsonl", "--rules", "default.yaml", "--curve", "cost_spike"];
    let shown = String::from_utf8(evenkeel(folder.path(), &curve)).expect("UTF-8");
    assert!(shown.contains("x2: what its value is compared with, times two") && shown.contains("x1 (now)"), "{shown}");
    let same = json(&["replay", "executions.jsonl", "--diff", "default.yaml", "default.yaml", "--json"]);
    assert_eq!(same, serde_json::json!([]));
    let text = fs::read_to_string(folder.path().join("default.yaml")).expect("the rules");
    fs::write(folder.path().join("wide.yaml"), text.replace("error_rate > 10%", "error_rate > 90%")).expect("written");
    let lost = json(&["replay", "executions.jsonl", "--diff", "default.yaml", "wide.yaml", "--json"]);
    let lost = lost.as_array().expect("changes");
    assert!(lost.iter().all(|change| change["rule"] == "high_error_rate"), "{lost:#?}");
    let reviewer = lost.iter().find(|change| change["subject"] == "agent=code-reviewer").expect("it fired before");
    assert_eq!((reviewer["old"].as_u64(), reviewer["new"].as_u64()), (Some(1), Some(0)));
}

#[test]
fn why_reads_what_the_engine_decided_on() {
    let folder = folder();
    let text = evenkeel(folder.path(), &["replay", "executions.jsonl", "--rules", "default.yaml", "--json"]);
    let lines = String::from_utf8(text).expect("UTF-8");
    let lines: Vec<serde_json::Value> = lines.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    for rule in ["high_error_rate", "api_latency_p95_high", "cost_spike"] {
        let fired = lines.iter().rfind(|l| l["rule"] == rule && l["state"] == "firing").expect("it fired");
        let (at, agent) =
            (fired["at"].as_str().expect("a time"), fired["subject"]["agent"].as_str().expect("an agent"));
        let subject = format!("agent={agent}");
        let arguments = ["why", rule, &subject, "executions.jsonl", "--rules", "default.yaml", "--at", at, "--json"];
        let why: serde_json::Value = serde_json::from_slice(&evenkeel(folder.path(), &arguments)).expect("JSON");
        assert_eq!((&why["holds"], &why["at"]), (&serde_json::json!(true), &fired["at"]), "{why:#}");
        for name in ["id", "value", "threshold", "n", "active_since", "fired_at"] {
            assert_eq!(why["alert"][name], fired[name], "{name}: {why:#}");
        }
        assert_eq!(why["inputs"][0]["value"], fired["value"], "{why:#}");
        assert_eq!(why["nodes"][0]["shown"], "true");
    }
}

#[test]
fn a_firing_that_gets_graver_is_one_firing() {
    let folder = folder();
    let rules = "alerts:\n- name: failing\n  window: 10m\n  keep_firing_for: 5m\n  levels:\n    warning: error_rate > 10%\n    critical: error_rate > 60%\n";
    fs::write(folder.path().join("levels.yaml"), rules).expect("written");
    let (mut lines, failing) = (String::new(), |minute: u32| (20..30).contains(&minute) || (30..40).contains(&minute));
    for minute in 0..120_u32 {
        // Every fourth fails for ten minutes, then all, then none.
        for second in [0, 15, 30, 45] {
            let fails = failing(minute) && (second == 0 || minute >= 30);
            lines += &format!(
                "{{\"timestamp\": \"2026-03-05T{:02}:{:02}:{second:02}Z\", \"agent_name\": \"a\", \"success\": {}}}\n",
                minute / 60,
                minute % 60,
                !fails
            );
        }
    }
    fs::write(folder.path().join("graver.jsonl"), lines).expect("written");
    let text = evenkeel(folder.path(), &["replay", "graver.jsonl", "--rules", "levels.yaml", "--json"]);
    let text = String::from_utf8(text).expect("UTF-8");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let firing: Vec<&str> =
        lines.iter().filter(|l| l["state"] == "firing").filter_map(|l| l["severity"].as_str()).collect();
    assert_eq!(firing, ["warning", "critical"]);
    let rule = &lines.last().expect("a summary")["rules"]["failing"];
    assert_eq!((&rule["fired"], &rule["still_firing"]), (&1.into(), &0.into()), "{rule:#}");
}
