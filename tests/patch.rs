//! Changes to real files: exact bytes, documents that real tools apply, crashes, rivals and hostile places.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use evenkeel::engine::event::{Change, ChangeId, ChangeResult, Decision, Recommendation};
use evenkeel::model::{Span, Timestamp};
use evenkeel::settings::{Guard, Mode, Parameter, ParameterKind, Settings, Target, TargetFormat};
use evenkeel::shell::ledger::{self, Status};
use evenkeel::shell::patch::{Patcher, Restored, read_target};
use evenkeel::wire::target::{Template, parse, read, set};
use rusqlite::Connection;
use serde_json::Value;

fn parameter(path: &str, unit_ms: f64, as_string: bool) -> Parameter {
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
struct Fleet {
    dir: tempfile::TempDir,
    settings: Settings,
}

impl Fleet {
    fn new(file: &str, text: impl AsRef<[u8]>, mode: Mode, parameter: Parameter) -> Fleet {
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

    fn target(&self) -> &Target {
        &self.settings.tune.targets[0]
    }

    fn file(&self) -> &Path {
        &self.target().file
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).expect("read")
    }

    fn ledger(&self) -> Connection {
        Connection::open(self.settings.state_dir.join("evenkeel.db")).expect("opened")
    }

    fn patcher(&self) -> Patcher {
        Patcher::new(&self.settings, self.ledger()).expect("a patcher")
    }

    fn status(&self, id: &str) -> Option<Status> {
        ledger::get(&self.ledger(), id).expect("read").map(|entry| entry.status)
    }

    fn document(&self, id: &str, ending: &str) -> PathBuf {
        self.settings.tune.patch_dir.join(format!("{id}.{ending}"))
    }

    fn json(&self, id: &str, ending: &str) -> Value {
        serde_json::from_slice(&fs::read(self.document(id, ending)).expect("read")).expect("JSON")
    }
}

/// A change of a timeout, in milliseconds.
fn change(id: &str, agent: &str, current: f64, proposed: f64) -> Change {
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

fn check_refused(result: ChangeResult, part: &str) {
    match result {
        ChangeResult::Refused { reason } => assert!(reason.contains(part), "{reason}"),
        other => panic!("{other:?}, expected a refusal with {part:?}"),
    }
}

/// Says that a part of a test cannot run here; with `CI=true` a missing tool is a failure.
fn left_out(what: &str, reason: &str) {
    // Not a print macro: the harness swallows those of tests that pass.
    let _ = writeln!(std::io::stderr(), "left out: {what}: {reason}");
}

fn tool_missing(what: &str, tool: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{tool} is not there; `make tools` fetches it");
    left_out(what, &format!("{tool} is not there"));
}

const YAML: &str = "# fleet\nresearcher:\n  timeout: 600   # s\nwriter:\n  timeout: 300\n";
const PATH: &str = "{agent}.timeout";

fn yaml_fleet(mode: Mode) -> Fleet {
    Fleet::new("agents.yaml", YAML, mode, parameter(PATH, 1_000.0, false))
}

#[test]
fn a_suggestion_is_four_documents_and_an_untouched_file() {
    let fleet = yaml_fleet(Mode::Suggest);
    let result = fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 95_700.0));
    assert_eq!(result, ChangeResult::Suggested);
    assert_eq!(fleet.text(), YAML);
    assert_eq!(
        fs::read_to_string(fleet.document("c1", "diff")).expect("read"),
        "--- a/agents.yaml\n+++ b/agents.yaml\n@@ -1,5 +1,5 @@\n # fleet\n researcher:\n-  timeout: 600   # s\n\
         +  timeout: 96   # s\n writer:\n   timeout: 300\n"
    );
    let provenance = fleet.json("c1", "provenance.json");
    for (pointer, expected) in [
        ("/old", "600"),
        ("/new", "96"),
        ("/path", "\"researcher.timeout\""),
        ("/mode", "\"suggest\""),
        ("/recommendation/n", "240"),
        ("/recommendation/censored", "7"),
        ("/recommendation/proposed", "95700.0"),
        ("/recommendation/reason", "\"the cheapest limit for 240 runs\""),
        ("/guard/ceiling", "3600000.0"),
        ("/inner_units_per_file_unit", "1000.0"),
    ] {
        assert_eq!(provenance.pointer(pointer).map(Value::to_string).as_deref(), Some(expected), "{pointer}");
    }
    let entry = ledger::get(&fleet.ledger(), "c1").expect("read").expect("there");
    assert_eq!(
        (entry.status, entry.old.as_deref(), entry.new.as_deref()),
        (Status::Suggested, Some("600"), Some("96"))
    );
    assert_eq!((entry.n, entry.lower), (240, Some(95_700.0 * 0.9)));
}

/// What a suggestion's documents lead to must be what `apply` writes, whoever applies them.
fn check_documents(fleet: &Fleet, id: &str) {
    let folder = fleet.file().parent().expect("a folder");
    let (old, name) = (fs::read(fleet.file()).expect("read"), fleet.file().file_name().expect("a name"));
    let applied = {
        let mut settings = fleet.settings.clone();
        settings.tune.targets[0].mode = Mode::Apply;
        settings.tune.patch_dir = fleet.dir.path().join("other-patches");
        settings.state_dir = fleet.dir.path().join("other-state");
        fs::create_dir_all(&settings.state_dir).expect("made");
        let reading = read_target(fleet.target()).expect("read");
        let value = &reading.values[0];
        let patcher = Patcher::new(&settings, Connection::open_in_memory().expect("opened")).expect("a patcher");
        let result = patcher.carry_out(&change(id, &value.agent, value.inner, value.inner * 0.5));
        assert_eq!(result, ChangeResult::Applied);
        patcher.revert(id).map(drop).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(fs::read(fleet.file()).expect("read"), old, "a revert restores every byte");
        assert_eq!(
            patcher.carry_out(&change(id, &value.agent, value.inner, value.inner * 0.5)),
            ChangeResult::Refused { reason: "it was applied and then taken back by hand".into() }
        );
        assert_eq!(
            patcher.carry_out(&change("again", &value.agent, value.inner, value.inner * 0.5)),
            ChangeResult::Applied
        );
        let applied = fs::read(fleet.file()).expect("read");
        fs::write(fleet.file(), &old).expect("written");
        applied
    };
    assert_ne!(applied, old);

    let diff = fleet.document(id, "diff");
    let tools: [(&str, &[&str]); 2] = [("patch", &["--binary", "-p1", "-i"]), ("git", &["apply"])];
    for (program, arguments) in tools {
        if Command::new(program).arg("--version").output().is_err() {
            tool_missing("what the diff leads to", program);
            continue;
        }
        let copy = tempfile::tempdir().expect("a folder");
        fs::write(copy.path().join(name), &old).expect("written");
        let output = Command::new(program).args(arguments).arg(&diff).current_dir(copy.path()).output().expect("ran");
        assert!(output.status.success(), "{program} {folder:?}: {output:?}");
        assert_eq!(fs::read(copy.path().join(name)).expect("read"), applied, "{program} {folder:?}");
    }

    let format = fleet.target().format;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let view = |bytes: &[u8]| evenkeel::wire::target::view(&text(bytes), format).expect("a document");
    let patch: json_patch::Patch = serde_json::from_value(fleet.json(id, "json-patch.json")).expect("RFC 6902");
    let mut patched = view(&old);
    json_patch::patch(&mut patched, &patch).expect("applies");
    assert_eq!(patched, view(&applied));
    json_patch::patch(&mut patched, &patch).expect_err("the test of the old value fails on the new one");
    let mut merged = view(&old);
    json_patch::merge(&mut merged, &fleet.json(id, "merge-patch.json"));
    assert_eq!(merged, view(&applied));
}

/// Hostile but valid files of `tests/targets`: name, template, unit in ms, text or number, agents.
const CORPUS: [(&str, &str, f64, bool, &[&str]); 12] = [
    ("crlf.yaml", "agents.{agent}.timeout", 1e3, false, &["researcher", "writer"]),
    ("bom.yaml", "agents.{agent}.timeout", 1e3, false, &["researcher"]),
    ("zero_indent.yaml", "agents[name={agent}].timeout", 1e3, false, &["researcher", "writer"]),
    ("flow.yaml", "limits.{agent}.timeout", 1e3, false, &["researcher"]),
    ("flow.yaml", "limits.writer.{agent}.concurrency", 1e3, false, &["x"]),
    ("comments.yaml", "agents.{agent}.timeout", 1e3, false, &["researcher", "writer"]),
    ("unicode.yaml", "agents.{agent}.timeout", 1e3, true, &["gpt-4.1", "Übersetzer 日本"]),
    ("settings.jsonc", "env.{agent}_TIMEOUT_MS", 1.0, true, &["researcher", "writer"]),
    ("minified.json", "model_list[model_name={agent}].litellm_params.timeout", 1e3, false, &["researcher", "writer"]),
    ("config.toml", "agents.{agent}.timeout", 1e3, false, &["researcher", "writer", "gpt-4.1"]),
    ("config.toml", "lists[name={agent}].timeout", 1e3, false, &["researcher"]),
    ("inline.toml", "agents.{agent}.timeout", 1e3, false, &["researcher", "writer"]),
];

#[test]
fn hostile_files_change_in_one_value_only() {
    for (name, template, unit_ms, as_string, agents) in CORPUS {
        let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets").join(name)).expect("read");
        let fleet = Fleet::new(name, bytes, Mode::Suggest, parameter(template, unit_ms, as_string));
        let reading = read_target(fleet.target()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let found: Vec<_> = reading.values.iter().map(|v| v.agent.as_str()).collect();
        assert_eq!(found, agents, "{name}: {:?}", reading.untunable);
        let value = &reading.values[0];
        let result = fleet.patcher().carry_out(&change("c", &value.agent, value.inner, value.inner * 0.5));
        assert_eq!(result, ChangeResult::Suggested, "{name}");
        check_documents(&fleet, "c");
    }
}

/// Other people's parsers see one value change and nothing else; Python has one for each format.
#[test]
fn other_readers_see_one_value_change() {
    let script = "
import json, sys
try:
    import tomllib, yaml
except ImportError:
    sys.exit(77)
def load(name, text):
    if name.endswith('.toml'): return tomllib.loads(text.lstrip('\\ufeff'))
    if name.endswith('.json'): return json.loads(text)
    return yaml.safe_load(text)
def leaves(node, at=()):
    if isinstance(node, dict):
        for key, child in node.items(): yield from leaves(child, at + (key,))
    elif isinstance(node, list):
        for key, child in enumerate(node): yield from leaves(child, at + (key,))
    else:
        yield at, node
name, old, new = sys.argv[1], *json.load(sys.stdin)
old, new = dict(leaves(load(name, old))), dict(leaves(load(name, new)))
assert old.keys() == new.keys()
changed = [(old[k], new[k]) for k in old if old[k] != new[k] or type(old[k]) != type(new[k])]
print(json.dumps(changed))
";
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python3");
    for (name, template, unit_ms, as_string, agents) in CORPUS {
        if name.ends_with(".jsonc") {
            continue;
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets").join(name);
        let fleet =
            Fleet::new(name, fs::read(path).expect("read"), Mode::Suggest, parameter(template, unit_ms, as_string));
        let reading = read_target(fleet.target()).expect("read");
        for (value, _) in reading.values.iter().zip(agents) {
            let new = value.scalar.with_number(77.0).expect("a number");
            let edit = set(&fleet.text(), fleet.target().format, &value.path, &value.scalar, &new).expect("edited");
            let child = Command::new(&python)
                .args(["-c", script, name])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            let Ok(mut child) = child else {
                return tool_missing("other_readers_see_one_value_change", "target/venv");
            };
            let texts = serde_json::json!([fleet.text(), edit.text]).to_string();
            child.stdin.take().expect("piped").write_all(texts.as_bytes()).expect("written");
            let output = child.wait_with_output().expect("ended");
            if output.status.code() == Some(77) {
                return tool_missing("other_readers_see_one_value_change", "PyYAML in target/venv");
            }
            let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{name}: {output:?}"));
            assert_eq!(seen, serde_json::json!([[value.scalar.to_json(), new.to_json()]]), "{name}");
        }
    }
}

#[test]
fn an_applied_change_keeps_a_backup_and_comes_back_exactly() {
    let fleet = yaml_fleet(Mode::Apply);
    fs::set_permissions(fleet.file(), fs::Permissions::from_mode(0o640)).expect("set");
    let patcher = fleet.patcher();
    assert_eq!(patcher.carry_out(&change("c1", "researcher", 600_000.0, 95_700.0)), ChangeResult::Applied);
    assert_eq!(fleet.text(), YAML.replace("600", "96"));
    assert_eq!(fs::metadata(fleet.file()).expect("there").permissions().mode() & 0o7777, 0o640);
    let mode = fs::metadata(fleet.document("c1", "diff")).expect("there").permissions().mode() & 0o7777;
    assert_eq!(mode & !0o640, 0, "documents are no more readable than their target");
    let entry = ledger::get(&fleet.ledger(), "c1").expect("read").expect("there");
    assert_eq!(entry.status, Status::Applied);
    assert_eq!(fs::read_to_string(entry.backup.as_deref().expect("a backup")).expect("read"), YAML);

    let (restored, row) = patcher.revert("c1").expect("taken back");
    assert_eq!((restored, row.status, row.change_id.as_str()), (Restored::Bytes, Status::Applied, "c1.revert"));
    assert_eq!(fleet.text(), YAML);
    assert_eq!(fleet.status("c1"), Some(Status::Reverted));
    let error = patcher.revert("c1").expect_err("once is enough");
    assert!(error.contains("reverted, not applied"), "{error}");
    let error = patcher.revert("nope").expect_err("unknown");
    assert!(error.contains("no change `nope`"), "{error}");
}

#[test]
fn a_revert_leaves_the_edits_of_others_alone() {
    let fleet = yaml_fleet(Mode::Apply);
    let patcher = fleet.patcher();
    assert_eq!(patcher.carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)), ChangeResult::Applied);
    fs::write(fleet.file(), fleet.text().replace("300", "240")).expect("written");
    assert_eq!(patcher.revert("c1").expect("taken back").0, Restored::Value);
    assert_eq!(fleet.text(), YAML.replace("300", "240"));

    assert_eq!(patcher.carry_out(&change("c2", "researcher", 600_000.0, 96_000.0)), ChangeResult::Applied);
    fs::write(fleet.file(), fleet.text().replace("96", "120")).expect("written");
    let error = patcher.revert("c2").expect_err("a person's edit wins");
    assert!(error.contains("holds 120, not 96"), "{error}");
    assert!(fleet.text().contains("120"));
    assert_eq!((fleet.status("c2"), fleet.status("c2.revert")), (Some(Status::Applied), Some(Status::Refused)));
}

#[test]
fn a_persons_edit_wins() {
    let fleet = yaml_fleet(Mode::Apply);
    let patcher = fleet.patcher();
    check_refused(patcher.carry_out(&change("c1", "researcher", 500_000.0, 96_000.0)), "holds 600, not 500");
    check_refused(patcher.carry_out(&change("c2", "nobody", 500_000.0, 96_000.0)), "`nobody` has no such value");
    check_refused(patcher.carry_out(&change("c3", "researcher", 600_000.0, 600_100.0)), "already stands there");
    let mut late = change("c4", "researcher", 600_000.0, 96_000.0);
    late.recommendation.target = "gone".into();
    check_refused(patcher.carry_out(&late), "`gone` is no longer configured");
    fs::write(fleet.file(), "researcher: {timeout: 1, timeout: 600}\n").expect("written");
    check_refused(patcher.carry_out(&change("c5", "researcher", 600_000.0, 96_000.0)), "stands twice");
    fs::remove_file(fleet.file()).expect("removed");
    check_refused(patcher.carry_out(&change("c6", "researcher", 600_000.0, 96_000.0)), "does not exist");
    assert_eq!(fleet.status("c1"), Some(Status::Refused));
    assert!(!fleet.document("c1", "diff").exists());
}

#[test]
fn rounding_stays_within_the_bounds() {
    let mut parameter = parameter(PATH, 1_000.0, false);
    parameter.guard.ceiling = 95_700.0;
    let fleet = Fleet::new("agents.yaml", YAML, Mode::Apply, parameter);
    assert_eq!(fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 95_700.0)), ChangeResult::Applied);
    assert_eq!(fleet.text(), YAML.replace("600", "95"));
}

#[test]
fn a_change_is_carried_out_once_whatever_was_killed_when() {
    let c = change("c1", "researcher", 600_000.0, 96_000.0);
    let applying = |fleet: &Fleet| {
        ledger::set_status(&fleet.ledger(), "c1", Status::Applying).expect("set");
    };
    // After the receipt was lost.
    let fleet = yaml_fleet(Mode::Apply);
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    let applied = fleet.text();
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    // Between the rename and the ledger.
    applying(&fleet);
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    assert_eq!((fleet.text(), fleet.status("c1")), (applied.clone(), Some(Status::Applied)));
    // The same, and a person edited something else since.
    applying(&fleet);
    fs::write(fleet.file(), applied.replace("300", "240")).expect("written");
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    assert!(fleet.text().contains("240"));
    // Between the ledger and the rename: the leftover is cleared away, too.
    applying(&fleet);
    fs::write(fleet.file(), YAML).expect("written");
    fs::write(fleet.file().with_file_name(".agents.yaml.evenkeel.tmp"), "half").expect("written");
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    assert_eq!(fleet.text(), applied);
    assert_eq!(fs::read_dir(fleet.file().parent().expect("a folder")).expect("listed").count(), 1);
    // The same, and a person edited the value since.
    applying(&fleet);
    fs::write(fleet.file(), YAML.replace("600", "120")).expect("written");
    check_refused(fleet.patcher().carry_out(&c), "holds 120, not 600");
    // A kill in the middle of taking it back.
    let fleet = yaml_fleet(Mode::Apply);
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    fs::write(fleet.file(), YAML).expect("written");
    assert_eq!(fleet.patcher().revert("c1").expect("found taken back").0, Restored::Bytes);
    assert_eq!((fleet.text().as_str(), fleet.status("c1")), (YAML, Some(Status::Reverted)));
}

/// The test runs itself as a process that applies and takes back changes as fast as it can, and kills it.
#[test]
fn a_kill_at_any_moment_leaves_one_of_two_files() {
    const ROLE: &str = "EVENKEEL_TEST_APPLY_IN";
    let (up, down) = ((600_000.0, 96_000.0), (96_000.0, 600_000.0));
    if let Some(folder) = std::env::var_os(ROLE) {
        let fleet = yaml_fleet(Mode::Apply);
        let mut settings = fleet.settings.clone();
        settings.state_dir = Path::new(&folder).join("state");
        settings.tune.patch_dir = Path::new(&folder).join("patches");
        settings.tune.targets[0].file = Path::new(&folder).join("agents").join("agents.yaml");
        let connection = Connection::open(settings.state_dir.join("evenkeel.db")).expect("opened");
        let patcher = Patcher::new(&settings, connection).expect("a patcher");
        for i in 0_u32.. {
            let value = patcher.current_values(&settings.tune.targets[0]).expect("read")[0].value;
            let (old, new) = if value == up.0 { up } else { down };
            patcher.carry_out(&change(&format!("{}-{i}", std::process::id()), "researcher", old, new));
        }
    }
    let fleet = yaml_fleet(Mode::Apply);
    // The ledger is there however early the first kill comes.
    drop(fleet.patcher());
    let root = fleet.dir.path().canonicalize().expect("resolved");
    let low = YAML.replace("600", "96");
    let mut killed_between = 0;
    for round in 0..25_u64 {
        let mut child = Command::new(std::env::current_exe().expect("known"))
            .args(["--exact", "a_kill_at_any_moment_leaves_one_of_two_files"])
            .env(ROLE, &root)
            // What it leaves behind goes with our own folder.
            .env("TMPDIR", &root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        std::thread::sleep(std::time::Duration::from_millis(60 + round * 7 % 50));
        child.kill().expect("killed");
        child.wait().expect("ended");
        let text = fleet.text();
        assert!(text == YAML || text == low, "round {round}: {text:?}");
        let ledger = ledger::newest(&fleet.ledger(), 1_000).expect("the database survives");
        // At most one change was under way, and carrying it out again finds out how it ended.
        let open: Vec<_> = ledger.iter().filter(|entry| entry.status == Status::Applying).collect();
        assert!(open.len() <= 1, "round {round}: {open:?}");
        for entry in open {
            killed_between += 1;
            let (old, new) = if entry.old.as_deref() == Some("600") { up } else { down };
            let again = fleet.patcher().carry_out(&change(&entry.change_id, "researcher", old, new));
            assert_eq!(again, ChangeResult::Applied, "round {round}");
            let wanted = if new == down.1 { YAML } else { &low };
            assert_eq!(fleet.text(), wanted, "round {round}");
        }
    }
    let _ = writeln!(std::io::stderr(), "killed between intent and outcome: {killed_between} of 25 times");
    let patcher = fleet.patcher();
    let value = patcher.current_values(fleet.target()).expect("read")[0].value;
    let (old, new) = if value == up.0 { up } else { down };
    assert_eq!(patcher.carry_out(&change("last", "researcher", old, new)), ChangeResult::Applied);
    let left: Vec<_> = fs::read_dir(root.join("agents")).expect("listed").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["agents.yaml"], "leftovers are cleared away");
}

#[test]
fn a_suggestion_is_repeated_once_and_replaced_by_a_newer_one() {
    let fleet = yaml_fleet(Mode::Suggest);
    let patcher = fleet.patcher();
    let first = change("c1", "researcher", 600_000.0, 96_000.0);
    assert_eq!(patcher.carry_out(&first), ChangeResult::Suggested);
    let before = fs::metadata(fleet.document("c1", "diff")).expect("there").modified().expect("known");
    assert_eq!(patcher.carry_out(&first), ChangeResult::Suggested);
    assert_eq!(fs::metadata(fleet.document("c1", "diff")).expect("there").modified().expect("known"), before);
    assert_eq!(patcher.carry_out(&change("c2", "writer", 300_000.0, 96_000.0)), ChangeResult::Suggested);
    assert_eq!(patcher.carry_out(&change("c3", "researcher", 600_000.0, 99_000.0)), ChangeResult::Suggested);
    assert_eq!(fleet.status("c1"), Some(Status::Superseded));
    assert_eq!(fs::read_dir(&fleet.settings.tune.patch_dir).expect("listed").count(), 8);
    check_refused(patcher.carry_out(&first), "a newer suggestion");
    assert_eq!(fleet.status("c1"), Some(Status::Superseded));
    let error = patcher.revert("c3").expect_err("nothing was applied");
    assert!(error.contains("suggested, not applied"), "{error}");
}

#[test]
fn the_mode_of_the_target_has_the_last_word() {
    let fleet = yaml_fleet(Mode::Suggest);
    assert_eq!(
        fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)),
        ChangeResult::Suggested,
        "the change says apply, the reloaded settings do not"
    );
    let fleet = yaml_fleet(Mode::Off);
    check_refused(fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)), "mode: off");
}

#[test]
fn links_to_other_places_are_refused() {
    let c = change("c1", "researcher", 600_000.0, 96_000.0);
    let fleet = yaml_fleet(Mode::Apply);
    let secret = fleet.dir.path().join("secret.yaml");
    fs::rename(fleet.file(), &secret).expect("moved");
    symlink(&secret, fleet.file()).expect("linked");
    check_refused(fleet.patcher().carry_out(&c), "symbolic link");
    assert_eq!(fs::read_to_string(&secret).expect("read"), YAML);
    assert!(fleet.patcher().current_values(fleet.target()).is_err());

    let fleet = yaml_fleet(Mode::Apply);
    let (agents, moved) = (fleet.file().parent().expect("a folder").to_owned(), fleet.dir.path().join("moved"));
    fs::rename(&agents, &moved).expect("moved");
    symlink(&moved, &agents).expect("linked");
    check_refused(fleet.patcher().carry_out(&c), "symbolic link");
    assert_eq!(fs::read_to_string(moved.join("agents.yaml")).expect("read"), YAML);
    // A planted temporary file is removed, not written through.
    let fleet = yaml_fleet(Mode::Apply);
    let victim = fleet.dir.path().join("victim");
    fs::write(&victim, "precious").expect("written");
    symlink(&victim, fleet.file().with_file_name(".agents.yaml.evenkeel.tmp")).expect("linked");
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    assert_eq!(fs::read_to_string(&victim).expect("read"), "precious");
}

#[test]
fn a_folder_that_forbids_writing_leaves_the_file_alone() {
    let mut fleet = yaml_fleet(Mode::Apply);
    let folder = fleet.file().parent().expect("a folder").to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).expect("set");
    let mut reason = "Permission denied";
    let mut disk = None;
    if fs::write(folder.join("probe"), "").is_ok() {
        // Root may write everywhere but to a read-only file system.
        disk = Disk::mount(&fleet.dir.path().canonicalize().expect("resolved").join("small"));
        let Some(disk) = &disk else { return left_out("a read-only folder", "root, and nothing can be mounted here") };
        fleet.settings.tune.targets[0].file = disk.0.join("agents.yaml");
        fs::write(fleet.file(), YAML).expect("written");
        let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&disk.0).status().expect("ran");
        assert!(remount.success());
        reason = "Read-only file system";
    }
    check_refused(fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)), reason);
    assert_eq!(fleet.text(), YAML);
    assert_eq!(fleet.status("c1"), Some(Status::Refused));
    assert!(!fleet.document("c1", "diff").exists(), "what was not applied leaves no documents");
    drop(disk);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("set");
}

/// A small file system of its own, unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Disk> {
        fs::create_dir_all(at).expect("made");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Disk(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_leaves_the_file_alone() {
    let mut fleet = yaml_fleet(Mode::Apply);
    let root = fleet.dir.path().canonicalize().expect("resolved");
    let Some(disk) = Disk::mount(&root.join("small")) else {
        return left_out("a_full_disk_leaves_the_file_alone", "nothing can be mounted here");
    };
    fleet.settings.tune.targets[0].file = disk.0.join("agents.yaml");
    fs::write(fleet.file(), YAML).expect("written");
    let filled = fs::write(disk.0.join("filler"), vec![0_u8; 1 << 20]);
    assert!(filled.is_err(), "the disk is full");
    check_refused(fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)), "No space left");
    assert_eq!(fleet.text(), YAML);
    assert_eq!(fs::read_dir(&disk.0).expect("listed").count(), 2);
    fs::remove_file(disk.0.join("filler")).expect("removed");
    assert_eq!(
        fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)),
        ChangeResult::Applied,
        "with room again the same change goes through"
    );
}

mod generated {
    use super::*;
    use proptest::prelude::*;

    /// A document in pieces: before the value, the value as written, after it; and its template.
    #[derive(Debug, Clone)]
    struct Document {
        format: TargetFormat,
        before: String,
        token: String,
        after: String,
    }

    const NAMES: [&str; 6] = ["a", "gpt-4.1", "日本", "with space", "x_y", "Ünï"];

    fn document() -> impl Strategy<Value = Document> {
        let token = (1_u32..100_000, 0_u8..4).prop_map(|(n, style)| match style {
            0 => n.to_string(),
            1 => format!("{n}.5"),
            2 => format!("\"{n}\""),
            _ => format!("'{n}'"),
        });
        let shape = (0_usize..3, 0_usize..NAMES.len(), any::<[bool; 5]>(), "[ -~é日]{0,12}", 0_usize..4);
        (token, shape).prop_map(|(token, (format, name, [crlf, bom, flow, end, comment], noise, others))| {
            let newline = if crlf { "\r\n" } else { "\n" };
            let key = format!("\"{}\"", NAMES[name]);
            let text = serde_json::Value::String(noise.clone()).to_string();
            let remark = if comment { format!("   # {noise}") } else { String::new() };
            let mark = if bom { "\u{feff}" } else { "" };
            let last = if end { newline } else { "" };
            let (format, before, token, after) = match format {
                0 => {
                    let others: String =
                        (0..others).map(|i| format!("  \"o{i}\": {{\"note\": {text}}},{newline}")).collect();
                    let token = token.replace('\'', "\"");
                    let remark = remark.replace('#', "//");
                    let (before, after) = (
                        format!("{mark}{{{newline}{others}  {key}:{{\"timeout\" :"),
                        format!("}}{remark}{newline}}}{last}"),
                    );
                    (TargetFormat::Json, before, token, after)
                }
                1 => {
                    let others: String = (0..others)
                        .map(|i| format!("o{i}:{newline}  - note: {text}{remark}{newline}  - {i}{newline}"))
                        .collect();
                    let (open, close) = if flow {
                        (" {n: [1, 2], timeout: ".to_owned(), "}")
                    } else {
                        (format!("{newline}  timeout:  "), "")
                    };
                    let (before, after) = (format!("{mark}{others}{key}:{open}"), format!("{close}{remark}{last}"));
                    (TargetFormat::Yaml, before, token, after)
                }
                _ => {
                    let others: String =
                        (0..others).map(|i| format!("[o{i}]{newline}note = {text}{remark}{newline}")).collect();
                    let (open, close) = if flow {
                        (format!("{key} = {{ n = [1], timeout = "), " }")
                    } else {
                        (format!("{others}[{key}]{newline}timeout ="), "")
                    };
                    (TargetFormat::Toml, format!("{mark}{open}"), token, format!("{close}{remark}{last}"))
                }
            };
            Document { format, before, token, after }
        })
    }

    /// Everything that means something in one of the formats.
    const HOSTILE: &str = "[-\\[\\]{}:,\"'#&*!|>%@`?~ \n\r\t\\\\a-c0-9./=<é\u{feff}]{0,80}";

    proptest! {
        #[test]
        fn only_the_bytes_of_the_scalar_differ(document in document(), new in 1_u32..1_000_000) {
            let Document { format, before, token, after } = document;
            let text = [before.as_str(), &token, &after].concat();
            let root = match parse(&text, format) {
                Ok(root) => root,
                Err(error) => return Err(TestCaseError::fail(format!("{text:?}: {error}"))),
            };
            let quoted = token.starts_with(['"', '\'']);
            let mut settings = Fleet::new("x", "", Mode::Suggest, parameter(PATH, 1_000.0, quoted)).settings;
            let mut target = settings.tune.targets.remove(0);
            target.format = format;
            let reading = read(&text, &target).expect("read");
            prop_assert_eq!(reading.values.len(), 1, "{} {:?}", &text, &reading.untunable);
            let value = &reading.values[0];
            prop_assert_eq!(&text[value.path.follow(&root).expect("there").span.clone()], &token);
            let scalar = value.scalar.with_number(f64::from(new)).expect("a number");
            let edit = set(&text, format, &value.path, &value.scalar, &scalar).expect("edited");
            prop_assert!(edit.text.starts_with(&before) && edit.text.ends_with(&after));
            let back = set(&edit.text, format, &value.path, &scalar, &value.scalar).expect("edited back");
            prop_assert_eq!(back.text, text);
        }

        #[test]
        fn nothing_makes_the_readers_panic(text in HOSTILE) {
            let mut settings = Fleet::new("x", "", Mode::Suggest, parameter(PATH, 1_000.0, false)).settings;
            let target = settings.tune.targets.remove(0);
            for format in [TargetFormat::Json, TargetFormat::Yaml, TargetFormat::Toml] {
                let target = Target { format, ..target.clone() };
                if let Ok(reading) = read(&text, &target) {
                    for value in reading.values {
                        let new = value.scalar.with_number(7.0).expect("a number");
                        let _ = set(&text, format, &value.path, &value.scalar, &new);
                    }
                }
            }
            let _ = Template::parse(&text);
        }
    }
}
