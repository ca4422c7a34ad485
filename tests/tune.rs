//! The verbs of `evenkeel tune`, as a person types them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use evenkeel::engine::event::{Change, ChangeId, ChangeResult, Decision, Recommendation};
use evenkeel::model::Timestamp;
use evenkeel::settings::ParameterKind;
use evenkeel::shell::patch::Patcher;
use evenkeel::shell::{policy_files, store};
use serde_json::Value;

const AGENTS: &str = "# keep me\nresearcher:\n  timeout: 600   # s\nwriter:\n  timeout: 300\n";

/// A folder with a configuration and one target in mode `apply`.
struct Desk {
    _dir: tempfile::TempDir,
    root: PathBuf,
}

impl Desk {
    fn new() -> Desk {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path().canonicalize().expect("resolved");
        fs::write(root.join("agents.yaml"), AGENTS).expect("written");
        let config = "\
state_dir: state
tune:
  patch_dir: patches
  targets:
    - name: agents
      file: agents.yaml
      mode: apply
      parameters:
        - {parameter: timeout, path: \"{agent}.timeout\", unit: s}
";
        fs::write(root.join("evenkeel.yaml"), config).expect("written");
        Desk { _dir: dir, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn agents(&self) -> String {
        fs::read_to_string(self.path("agents.yaml")).expect("read")
    }

    /// Carries out changes as the daemon does.
    fn apply(&self, id: &str, agent: &str, current: f64, proposed: f64) {
        let loaded = policy_files::load(Some(&self.path("evenkeel.yaml")), &[]).expect("no faults");
        let settings = loaded.policy.settings;
        fs::create_dir_all(&settings.state_dir).expect("made");
        let connection = store::connect(&settings.state_dir).expect("opened");
        let patcher = Patcher::new(&settings, connection).expect("a patcher");
        let change = Change {
            id: ChangeId(id.into()),
            at: Timestamp(1_795_000_000_000),
            apply: true,
            recommendation: Recommendation {
                target: "agents".into(),
                parameter_index: 0,
                agent: agent.into(),
                model: None,
                parameter: ParameterKind::Timeout,
                current: Some(current),
                proposed: Some(proposed),
                lower: None,
                upper: None,
                n: 240,
                censored: 7,
                prior_weight: 0.0,
                bound_by: None,
                reason: "the cheapest limit for 240 runs".into(),
                decision: Decision::Change,
            },
        };
        assert_eq!(patcher.carry_out(&change), ChangeResult::Applied);
    }

    fn evenkeel(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_evenkeel")).args(arguments).current_dir(&self.root).output().expect("ran")
    }

    /// Runs the program in the folder; the exit code must be as expected.
    fn check(&self, arguments: &[&str], code: i32) -> String {
        let output = self.evenkeel(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        let stream = if code > 2 { output.stderr } else { output.stdout };
        String::from_utf8(stream).expect("UTF-8")
    }

    fn json(&self, arguments: &[&str], code: i32) -> Value {
        serde_json::from_str(&self.check(&[arguments, &["--json"]].concat(), code)).expect("JSON")
    }
}

#[test]
fn changes_are_listed_shown_and_taken_back() {
    let desk = Desk::new();
    assert_eq!(desk.json(&["tune", "ledger"], 0), serde_json::json!([]));
    assert!(!Path::new(&desk.path("state")).exists(), "looking makes nothing");
    desk.apply("c1", "researcher", 600_000.0, 96_000.0);
    desk.apply("c2", "writer", 300_000.0, 240_000.0);
    let ledger = desk.json(&["tune", "ledger", "--limit", "1"], 0);
    assert_eq!(ledger.as_array().map(Vec::len), Some(1));
    let entry = &ledger[0];
    assert_eq!((&entry["change_id"], &entry["status"], &entry["new"]), (&"c2".into(), &"applied".into(), &240.into()));
    let text = desk.check(&["tune", "ledger"], 0);
    assert!(text.contains("600 -> 96") && text.contains("researcher"), "{text}");

    let text = desk.check(&["tune", "show", "c1"], 0);
    assert!(
        text.starts_with("c1 applied timeout of researcher: the cheapest limit for 240 runs (n = 240)\n"),
        "{text}"
    );
    assert!(text.contains("\n-  timeout: 600   # s\n+  timeout: 96   # s\n"), "{text}");
    let colored = desk.check(&["tune", "diff", "c1", "--color", "always"], 0);
    assert!(colored.contains("\u{1b}[32m+  timeout: 96   # s\u{1b}[0m\n"), "{colored}");
    assert!(desk.json(&["tune", "show", "c1"], 0)["diff"].as_str().expect("a diff").starts_with("--- a/agents.yaml"));

    // The second change came after the first, so only the value comes back.
    let text = desk.check(&["tune", "revert", "c1"], 0);
    assert!(text.contains("the value only"), "{text}");
    assert_eq!(desk.agents(), AGENTS.replace("300", "240"));
    desk.apply("c3", "researcher", 600_000.0, 120_000.0);
    assert_eq!(desk.json(&["tune", "revert", "c3"], 0)["restored"], "bytes");
    assert_eq!(desk.agents(), AGENTS.replace("300", "240"));
    assert_eq!(desk.json(&["tune", "ledger"], 0)[0]["change_id"], "c3.revert");
}

#[test]
fn what_cannot_be_taken_back_is_said() {
    let desk = Desk::new();
    assert!(desk.check(&["tune", "revert", "c1"], 64).contains("no change `c1`"));
    desk.apply("c1", "researcher", 600_000.0, 96_000.0);
    assert!(desk.check(&["tune", "show", "c9"], 64).contains("no change `c9`"));
    fs::write(desk.path("agents.yaml"), AGENTS.replace("600", "500")).expect("written");
    let outcome = desk.json(&["tune", "revert", "c1"], 1);
    assert_eq!(outcome["restored"], Value::Null);
    assert!(outcome["reason"].as_str().expect("text").contains("holds 500, not 96"), "{outcome}");
    assert!(desk.agents().contains("500"));
    assert!(desk.check(&["tune", "ledger", "--config", "none.yaml"], 78).contains("none.yaml"));
}

/// The example that ships, copied so that anything written would show.
fn quickstart() -> Desk {
    let desk = Desk::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    for name in ["evenkeel.yaml", "agents.yaml", "executions.jsonl", "rules.yaml"] {
        fs::copy(example.join(name), desk.path(name)).expect("copied");
    }
    desk
}

#[test]
fn a_plan_says_what_every_value_should_be_and_why() {
    let desk = quickstart();
    let plan = desk.json(&["tune", "plan"], 0);
    let rows = plan.as_array().expect("an array");
    let row = |agent: &str| rows.iter().find(|r| r["agent"] == agent).unwrap_or_else(|| panic!("{agent}: {plan}"));
    for row in rows {
        for key in [
            "target",
            "agent",
            "model",
            "parameter",
            "current",
            "proposed",
            "lower",
            "upper",
            "n",
            "censored",
            "reason",
            "decision",
        ] {
            assert!(row.get(key).is_some(), "{key}: {row}");
        }
        assert!(!row["reason"].as_str().expect("text").is_empty());
        let (current, proposed) = (row["current"].as_f64().expect("known"), row["proposed"].as_f64().expect("known"));
        assert_eq!(proposed.fract(), 0.0, "whole seconds stay whole: {row}");
        assert_eq!(row["decision"] == "change", current != proposed, "{row}");
        assert_eq!((&row["unit"], &row["parameter"]), (&"s".into(), &"timeout".into()));
    }
    // Ten minutes "to be on the safe side" come down by one step, and two days of two calls prove nothing.
    let (writer, manager) = (row("doc-writer"), row("release-manager"));
    assert_eq!((writer["current"].as_f64(), writer["proposed"].as_f64()), (Some(600.0), Some(300.0)), "{writer}");
    assert_eq!(manager["decision"], "keep");
    assert!(manager["reason"].as_str().expect("text").contains("too few runs: 5 of 20"), "{manager}");
    assert_eq!(desk.json(&["tune", "plan", "executions.jsonl"], 0), plan, "the source's file is the default");
    assert!(!desk.path(".evenkeel").exists() && !desk.path("patches").exists(), "a plan writes nothing");

    let text = desk.check(&["tune", "plan"], 0);
    assert!(text.contains("doc-writer timeout: "), "{text}");
    assert!(text.contains(&format!("of {} values would change", rows.len())), "{text}");
}

#[test]
fn a_plan_without_enough_data_says_so() {
    let desk = quickstart();
    let executions = fs::read_to_string(desk.path("executions.jsonl")).expect("read");
    let few: String = executions.split_inclusive('\n').take(10).collect();
    fs::write(desk.path("few.jsonl"), few).expect("written");
    let plan = desk.json(&["tune", "plan", "few.jsonl"], 2);
    assert!(plan.as_array().expect("an array").iter().all(|row| row["decision"] == "keep"), "{plan}");
    let agents = fs::read_to_string(desk.path("agents.yaml")).expect("read");
    fs::write(desk.path("agents.yaml"), agents.replace("max_execution_time: 600", "max_execution_time: 0"))
        .expect("written");
    let plan = desk.json(&["tune", "plan"], 0);
    let writer = plan.as_array().expect("an array").iter().find(|row| row["agent"] == "doc-writer").expect("listed");
    assert_eq!((&writer["current"], &writer["decision"]), (&Value::Null, &"keep".into()));
    assert!(writer["reason"].as_str().expect("text").contains("switches the limit off"), "{writer}");

    fs::write(desk.path("agents.yaml"), "a: 1\na: 2\n").expect("written");
    assert!(desk.check(&["tune", "plan"], 64).contains("agents.yaml: line 2: the key `a` stands twice"));
    fs::write(desk.path("bare.yaml"), "sources: [{name: s, path: executions.jsonl}]\n").expect("written");
    assert!(desk.check(&["tune", "plan", "--config", "bare.yaml"], 64).contains("no target to tune"));
}
