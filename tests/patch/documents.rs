//! What a change is written down as, and files of every shape.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::fleet::{Fleet, PATH, YAML, change, check_refused, left_out, parameter, yaml_fleet};
use evenkeel::engine::event::ChangeResult;
use evenkeel::settings::Mode;
use evenkeel::shell::ledger::{self, Status};
use evenkeel::shell::patch::{Patcher, read_target};
use evenkeel::wire::target::set;
use rusqlite::Connection;
use serde_json::Value;

fn tool_missing(what: &str, tool: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{tool} is not there; `make tools` fetches it");
    left_out(what, &format!("{tool} is not there"));
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
fn rounding_stays_within_the_bounds() {
    let mut parameter = parameter(PATH, 1_000.0, false);
    parameter.guard.ceiling = 95_700.0;
    let fleet = Fleet::new("agents.yaml", YAML, Mode::Apply, parameter);
    assert_eq!(fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 95_700.0)), ChangeResult::Applied);
    assert_eq!(fleet.text(), YAML.replace("600", "95"));
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
