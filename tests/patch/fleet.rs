//! A folder with one target in it, and what a patcher needs.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use evenkeel::engine::event::{Change, ChangeId, ChangeResult, Decision, Recommendation};
use evenkeel::model::{Span, Timestamp};
use evenkeel::settings::{Guard, Mode, Parameter, ParameterKind, Settings, Target, TargetFormat};
use evenkeel::shell::ledger::{self, Status};
use evenkeel::shell::patch::Patcher;
use rusqlite::Connection;
use serde_json::Value;

pub fn parameter(path: &str, unit_ms: f64, as_string: bool) -> Parameter {
    Parameter {
        kind: ParameterKind::Timeout,
        path: path.into(),
        unit_ms,
        as_string,
        guard: Guard {
            floor: 1_000.0,
            ceiling: 3_600_000.0,
            dead_band: 0.1,
            step_up: 2.0,
            step_down: 0.5,
            cooldown: Span::hours(1),
            min_samples: 20,
        },
        task_type: "complex".into(),
    }
}

/// A folder with one target in it, and what a patcher needs.
pub struct Fleet {
    pub dir: tempfile::TempDir,
    pub settings: Settings,
}

impl Fleet {
    pub fn new(file: &str, text: impl AsRef<[u8]>, mode: Mode, parameter: Parameter) -> Fleet {
        let dir = tempfile::tempdir().expect("a folder");
        // The temporary folder itself may lie behind a link, which targets may not.
        let root = dir.path().canonicalize().expect("resolved");
        let format = match file.rsplit('.').next() {
            Some("yaml") => TargetFormat::Yaml,
            Some("toml") => TargetFormat::Toml,
            _ => TargetFormat::Json,
        };
        fs::create_dir(root.join("agents")).expect("made");
        fs::create_dir(root.join("state")).expect("made");
        let mut settings = Settings { state_dir: root.join("state"), ..Settings::default() };
        settings.tune.patch_dir = root.join("patches");
        let file = root.join("agents").join(file);
        fs::write(&file, text).expect("written");
        settings.tune.targets = vec![Target { name: "agents".into(), file, format, mode, parameters: vec![parameter] }];
        Fleet { dir, settings }
    }

    pub fn target(&self) -> &Target {
        &self.settings.tune.targets[0]
    }

    pub fn file(&self) -> &Path {
        &self.target().file
    }

    pub fn text(&self) -> String {
        fs::read_to_string(self.file()).expect("read")
    }

    pub fn ledger(&self) -> Connection {
        Connection::open(self.settings.state_dir.join("evenkeel.db")).expect("opened")
    }

    pub fn patcher(&self) -> Patcher {
        Patcher::new(&self.settings, self.ledger()).expect("a patcher")
    }

    pub fn status(&self, id: &str) -> Option<Status> {
        ledger::get(&self.ledger(), id).expect("read").map(|entry| entry.status)
    }

    pub fn document(&self, id: &str, ending: &str) -> PathBuf {
        self.settings.tune.patch_dir.join(format!("{id}.{ending}"))
    }

    pub fn json(&self, id: &str, ending: &str) -> Value {
        serde_json::from_slice(&fs::read(self.document(id, ending)).expect("read")).expect("JSON")
    }
}

/// A change of a timeout, in milliseconds.
pub fn change(id: &str, agent: &str, current: f64, proposed: f64) -> Change {
    Change {
        id: ChangeId(id.into()),
        at: Timestamp(1_795_000_000_000),
        apply: true,
        recommendation: Recommendation {
            target: "agents".into(),
            parameter_index: 0,
            agent: agent.into(),
            model: Some("claude-sonnet-4.5".into()),
            parameter: ParameterKind::Timeout,
            current: Some(current),
            proposed: Some(proposed),
            lower: Some(proposed * 0.9),
            upper: Some(proposed * 1.2),
            n: 240,
            censored: 7,
            prior_weight: 0.05,
            bound_by: None,
            reason: "the cheapest limit for 240 runs".into(),
            decision: Decision::Change,
        },
    }
}

pub fn check_refused(result: ChangeResult, part: &str) {
    match result {
        ChangeResult::Refused { reason } => assert!(reason.contains(part), "{reason}"),
        other => panic!("{other:?}, expected a refusal with {part:?}"),
    }
}

/// Says that a part of a test cannot run here; with `CI=true` a missing tool is a failure.
pub fn left_out(what: &str, reason: &str) {
    // Not a print macro: the harness swallows those of tests that pass.
    let _ = writeln!(std::io::stderr(), "left out: {what}: {reason}");
}

pub const YAML: &str = "# fleet\nresearcher:\n  timeout: 600   # s\nwriter:\n  timeout: 300\n";

pub const PATH: &str = "{agent}.timeout";

pub fn yaml_fleet(mode: Mode) -> Fleet {
    Fleet::new("agents.yaml", YAML, mode, parameter(PATH, 1_000.0, false))
}
