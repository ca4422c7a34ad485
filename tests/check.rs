//! `evenkeel check`: places that an editor can use, and rules held against a recording.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn check(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.current_dir(folder).arg("check").args(arguments).output().expect("it runs")
}

fn faults(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = check(folder, &[arguments, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

/// Start and end of a fault in the text of its file.
fn bytes(fault: &Value) -> (usize, usize) {
    let offset = |end: &str| fault["bytes"][end].as_u64().unwrap_or_else(|| panic!("no {end}: {fault:#}")) as usize;
    (offset("start"), offset("end"))
}

/// Every fault of every faulty rule file of `tests/rules` has bytes that its line and column agree with.
#[test]
fn every_fault_has_bytes_for_an_editor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut placed = 0;
    for entry in fs::read_dir(root.join("tests/rules")).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let name = path.to_string_lossy().into_owned();
        let text = fs::read(&path).expect("readable");
        for fault in faults(root, &[&name]) {
            if fault["line"] == 0 {
                // The file as a whole: its kind, or that it is no text.
                assert_eq!(bytes(&fault), (0, 0), "{fault:#}");
                continue;
            }
            let (start, end) = bytes(&fault);
            assert!(start <= end && end <= text.len(), "{name}: {fault:#}");
            let before = std::str::from_utf8(&text[..start]).expect("a boundary of characters");
            std::str::from_utf8(&text[start..end]).expect("a boundary of characters");
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            assert_eq!(
                (&fault["line"], &fault["column"]),
                (&Value::from(line), &Value::from(column)),
                "{name}: {fault:#}"
            );
            placed += 1;
        }
    }
    assert!(placed >= 150, "{placed} faults with a place");
}

const CONFIG: &str = "\
rules: [r.yaml]
sources: [{name: runs, path: day.jsonl}]
receivers: [{name: ops, webhook: {url: \"http://localhost:1\"}}]
routes:
- {matchers: [\"agent=reviwer\"], receivers: [ops]}
- {receivers: [ops]}
";

const RULES: &str = "\
alerts:
- {name: fires, condition: error_rate > 10%, window: 10m}
- {name: quiet, condition: error_rate > 90%, window: 10m}
- {name: short, condition: error_rate > 10%, window: 10m, for: 6h}
- name: levels
  window: 10m
  levels: {warning: error_rate > 10%, critical: error_rate > 95%}
- {name: model, condition: error_rate > 10%, where: {model: gtp-4o}}
- {name: both, condition: error_rate > 10%, where: {model: gpt-4o, agent: planner}}
- {name: cost, condition: hourly_cost > $1}
- {name: field, condition: field.cache_misses > 3}
- {name: tenant, condition: error_rate > 10%, by: tenant, window: 10m}
- name: override
  condition: error_rate > 10%
  overrides: [{where: {agent: \"batch-*\"}, condition: error_rate > 40%}]
- {name: deliveries, by: receiver, condition: error_rate > 50%}
";

/// An hour of two agents, the reviewer failing half of the time.
fn day() -> String {
    let mut lines = String::new();
    for second in (0..3_600).step_by(20) {
        let time = format!("2025-01-06T08:{:02}:{:02}Z", second / 60, second % 60);
        for (agent, model, ok) in [("reviewer", "gpt-4o", second % 40 == 0), ("planner", "claude", true)] {
            let _ = writeln!(
                lines,
                "{{\"timestamp\": \"{time}\", \"agent_name\": \"{agent}\", \"model\": \"{model}\", \"success\": {ok}, \"execution_time_ms\": 900}}"
            );
        }
    }
    lines
}

#[test]
fn rules_are_held_against_a_recording() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in [("evenkeel.yaml", CONFIG), ("r.yaml", RULES), ("day.jsonl", &day())] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    assert_eq!(faults(dir.path(), &["evenkeel.yaml"]), [] as [Value; 0], "without a recording there is nothing to say");
    let found: Vec<String> = faults(dir.path(), &["evenkeel.yaml", "--against", "day.jsonl"])
        .iter()
        .map(|fault| {
            let text = if fault["file"] == "r.yaml" { RULES } else { CONFIG };
            let (start, end) = bytes(fault);
            let word = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
            format!("{}: {} | {} | {}", word("level"), &text[start..end], word("message"), word("help"))
        })
        .collect();
    let curve = |rule: &str| format!("`evenkeel replay --curve {rule} FILE` shows at which threshold it would");
    let expected = [
        format!("error_rate > 90% | `quiet` never fired in this recording | {}", curve("quiet")),
        "error_rate > 10% | `short` held in this recording, but never for 6h | shorten `for`, if it should have fired".into(),
        format!("error_rate > 95% | `levels` never reached its level `critical` in this recording | {}", curve("levels")),
        "gtp-4o | no `model` of the recording matches `gtp-4o` | did you mean `gpt-4o`?".into(),
        "{model: gpt-4o, agent: planner} | no execution of the recording matches all of `where` | each label alone has matches: look at them together".into(),
        "hourly_cost > $1 | no record of the recording has a known cost: `hourly_cost` has no data | map the field in `sources`, or delete the rule".into(),
        "field.cache_misses > 3 | no record of the recording has a numeric field `cache_misses`: `mean(cache_misses)` has no data | map the field in `sources`, or delete the rule".into(),
        "tenant | no record of the recording says its `tenant`: all are one subject | map the field in `sources`, or leave the label out".into(),
        "\"batch-*\" | no `agent` of the recording matches `batch-*` | it has `planner`, `reviewer`".into(),
        "\"agent=reviwer\" | no `agent` of the recording matches `reviwer` | did you mean `reviewer`?".into(),
    ];
    assert_eq!(found, expected.map(|line| format!("warning: {line}")));

    let output = check(dir.path(), &["r.yaml", "--against", "day.jsonl"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(shown.contains("held against 360 records") && shown.contains("`quiet` never fired"), "{shown}");
    fs::write(dir.path().join("empty.jsonl"), "{}\n").expect("written");
    let output = check(dir.path(), &["r.yaml", "--against", "empty.jsonl"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no record could be read: empty.jsonl:1:"), "{output:?}");
    let both = check(dir.path(), &["evenkeel.yaml", ".", "--against", "none.jsonl"]);
    assert_eq!(both.status.code(), Some(64), "{both:?}");
}

/// What is said of each fault, without its place.
fn messages(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let text = |fault: &Value| format!("{}: {}", fault["level"], fault["message"]).replace('"', "");
    faults(folder, arguments).iter().map(text).collect()
}

#[test]
fn what_has_faults_may_still_be_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = "rules: [r.yaml]
sources: [{name: runs, labels: {squad: squad_name}}]
budgets:
- {name: daily, amount: 50, period: day}
- {name: weekly, amount: $50, period: fortnight, by: squad}
receivers:
- {name: ops, webhook: {url: nowhere}}
- {name: mail, email: {from: a@b.c, to: [d@e.f, g@h.i]}}
routes: [{receivers: [ops, mail]}]
digests: [{name: day, receivers: [ops]}]
";
    let rules = "alerts:
- {name: a, budget: daily, condition: budget > 80%}
- {name: b, budget: weekly, condition: budget > 80%, annotations: {summary: \"{{ squad }}\"}}
- {name: c, condition: error_rate > 10%, by: squad}
";
    for (name, text) in [("evenkeel.yaml", config), ("r.yaml", rules)] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    let expected = [
        "error: a source has no `path`",
        "error: `amount` is `50`, which is no amount",
        "error: `period` is `fortnight`, which is no period",
        "error: `url` begins with neither http:// nor https://",
        "error: email has no `smtp`",
    ];
    assert_eq!(messages(dir.path(), &["evenkeel.yaml"]), expected);
}

#[test]
fn a_mail_receiver_with_a_fault_may_be_named_by_address() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = |email: &str| {
        format!(
            "receivers: [{{name: mail, email: {{{email}}}}}]
routes: [{{matchers: [\"severity=high\"], receivers: [mail/a@b.c]}}, {{receivers: [mail]}}]
digests: [{{name: day, receivers: [mail/a@b.c]}}]
"
        )
    };
    for (email, fault) in [
        ("from: x@y.z, to: [a@b.c, d@e.f]", "error: email has no `smtp`"),
        ("smtp: {host: a}, from: x@y.z, to: [a@b.c, d@e.f]", "error: `smtp` is a single value, not a mapping"),
        ("smtp: localhost, from: x@y.z, to: [a@b.c, d@]", "error: `to` is `d@`, not a mail address"),
        ("smtp: localhost, from: x@y.z, to: {a: b}", "error: `to` is a single value, not a mapping"),
        ("smtp: localhost, to: a@b.c", "error: email has no `from`"),
        ("smtp: localhost, from: x@y.z, to: d@e.f", "error: there is no receiver `mail/a@b.c`"),
    ] {
        fs::write(dir.path().join("evenkeel.yaml"), config(email)).expect("written");
        let mut found = messages(dir.path(), &["evenkeel.yaml"]);
        found.dedup();
        assert_eq!(found, [fault], "{email}");
    }
    for to in ["[a@b.c, d@e.f]", "a@b.c"] {
        let email = format!("smtp: localhost, from: x@y.z, to: {to}");
        fs::write(dir.path().join("evenkeel.yaml"), config(&email)).expect("written");
        assert_eq!(messages(dir.path(), &["evenkeel.yaml"]), [""; 0], "{to}");
    }
}

#[test]
fn a_rule_file_alone_may_name_what_only_a_configuration_has() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(dir.path().join("etc")).expect("a folder");
    let rules = "alerts:
- name: spent
  budget: daily
  levels: {warning: budget > 80%, critical: budget > 100%}
  annotations: {summary: \"{{ agent }} used {{ value }}\"}
- {name: squads, condition: error_rate > 10%, by: squad, annotations: {summary: \"{{ squad }}\"}}
";
    let config = "sources: [{name: runs, path: day.jsonl, labels: {squad: team}}]\nbudgets: [{name: weekly, amount: $5, period: week}]\n";
    let typo = "alerts: [{name: a, condition: error_rate > 10%, by: agnet}]\n";
    for (name, text) in [("r.yaml", rules), ("typo.yaml", typo), ("etc/evenkeel.yaml", config), ("day.jsonl", &day())] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    let alone = [
        "warning: the rule `spent` is left out: no configuration was read that has a budget `daily`",
        "warning: the rule `squads` is left out: no configuration was read that has a label `squad`",
    ];
    assert_eq!(messages(dir.path(), &["r.yaml"]), alone);
    assert_eq!(check(dir.path(), &["r.yaml"]).status.code(), Some(0));
    assert_eq!(messages(dir.path(), &["typo.yaml"]), ["error: `agnet` is not a label of executions"]);
    let known = ["warning: the rule `spent` is left out: etc/evenkeel.yaml has no budget `daily`"];
    assert_eq!(messages(dir.path(), &["r.yaml", "--config", "etc/evenkeel.yaml"]), known);
    fs::write(dir.path().join("evenkeel.yaml"), config.replace("weekly", "daily").replace("week}", "week, by: agent}"))
        .expect("written");
    assert_eq!(messages(dir.path(), &["r.yaml"]), [""; 0], "that of this folder holds");
    let said = |arguments: &[&str]| String::from_utf8_lossy(&check(dir.path(), arguments).stderr).into_owned();
    assert_eq!(said(&["r.yaml"]), "under evenkeel.yaml; --config names another configuration\n");
    assert_eq!(said(&["r.yaml", "evenkeel.yaml"]), "");
    assert_eq!(messages(dir.path(), &["r.yaml", "--config", "etc/evenkeel.yaml"]), known);
}

#[test]
fn maintenance_that_is_over_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = "rules: [r.yaml]
maintenance:
- {name: past, hours: \"2020-05-04T22:00:00Z/2020-05-05T06:00:00Z\"}
- {name: both, hours: [\"2020-05-04T22:00:00Z/2020-05-05T06:00:00Z\", \"sun 02:00-04:00\"]}
- {name: now, hours: \"2020-05-04T22:00:00Z/2098-05-05T06:00:00Z\"}
- {name: future, hours: \"2098-05-04T22:00:00Z/2098-05-05T06:00:00Z\"}
";
    for (name, text) in [("evenkeel.yaml", config), ("r.yaml", "alerts: [{name: a, condition: error_rate > 10%}]\n")] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    let expected = ["warning: the maintenance `past` is over and does not come again"];
    assert_eq!(messages(dir.path(), &["evenkeel.yaml"]), expected);
}

#[test]
fn what_is_no_regular_file_is_refused_by_every_verb() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = Command::new("mkfifo").arg(dir.path().join("fifo.yaml")).status().expect("it runs");
    assert!(made.success());
    fs::create_dir(dir.path().join("rules")).expect("a folder");
    fs::rename(dir.path().join("fifo.yaml"), dir.path().join("rules/fifo.yaml")).expect("moved");
    for (name, text) in [
        ("evenkeel.yaml", "rules: [rules]\n"),
        ("r.test.yaml", "rules: [rules/fifo.yaml]\ntests: [{name: a, rule: a, series: []}]\n"),
        ("day.jsonl", &day()),
    ] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    for arguments in [
        "check rules/fifo.yaml",
        "check /dev/zero",
        "check evenkeel.yaml",
        "check r.test.yaml",
        "check --config rules/fifo.yaml",
        "rules rules/fifo.yaml",
        "test rules/fifo.yaml",
        "test r.test.yaml",
        "replay day.jsonl --rules rules/fifo.yaml",
        "replay day.jsonl --config rules/fifo.yaml",
        "run --once --config evenkeel.yaml",
        "run --once --config rules/fifo.yaml",
        "alerts --config rules/fifo.yaml",
    ] {
        let mut command = Command::new("timeout");
        command.current_dir(dir.path()).env_remove("EVENKEEL_CONFIG");
        command.args(["30", env!("CARGO_BIN_EXE_evenkeel")]).args(arguments.split(' '));
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert!(said.contains("it is a pipe, a socket or a device, not a file"), "{arguments}: {output:?} {said}");
        assert!(said.contains("write the text to a file and name that"), "{arguments}: {said}");
        assert!(!matches!(output.status.code(), None | Some(0 | 124)), "{arguments}: {output:?}");
    }
    // Found in a folder beside others it is passed over as theirs.
    let output = check(&dir.path().join("rules"), &[]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("(fifo.yaml)"), "{output:?}");
}

#[test]
fn the_shipped_packs_are_right_by_themselves() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = check(root, &["rules"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_configuration_is_named_as_other_verbs_have_it() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(dir.path().join("etc")).expect("a folder");
    for (name, text) in [("etc/my.yaml", CONFIG), ("etc/r.yaml", RULES), ("day.jsonl", &day())] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    let shown = |arguments: &[&str]| {
        let output = check(dir.path(), arguments);
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (exit, text) = shown(&["--config", "etc/my.yaml", "--against", "day.jsonl"]);
    assert_eq!(exit, Some(0), "{text}");
    for line in ["ok: 1 configuration, 1 rule file\n", "held against 360 records\n", "matches `reviwer`"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let (exit, text) = shown(&["--against", "day.jsonl", "etc/my.yaml"]);
    assert_eq!(exit, Some(64), "{text}");
    let expected = "--against takes recordings of executions, and etc/my.yaml is YAML: name a configuration with `--config etc/my.yaml`";
    assert!(text.contains(expected), "{text}");
    let (exit, text) = shown(&["--config", "none.yaml"]);
    assert_eq!(exit, Some(78), "{text}");
    assert!(text.contains("cannot read none.yaml"), "{text}");
}

#[test]
fn the_configuration_of_the_environment_is_checked() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(dir.path().join("etc")).expect("a folder");
    let config = "rules: [r.yaml]\nbudgets: [{name: daily, amount: $5, period: day}]\n";
    let loose = "alerts: [{name: spent, budget: daily, condition: budget > 80%}]\n";
    for (name, text) in [("etc/my.yaml", config), ("etc/r.yaml", RULES), ("loose.yaml", loose)] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    let shown = |config: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
        command.current_dir(dir.path()).env("EVENKEEL_CONFIG", config).arg("check").args(arguments);
        let output = command.output().expect("it runs");
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let under = "under etc/my.yaml; --config names another configuration\n";
    assert_eq!(shown("etc/my.yaml", &[]), (Some(0), format!("ok: 1 configuration, 1 rule file\n{under}")));
    let both = format!("ok: 1 configuration, 2 rule files\n{under}");
    assert_eq!(shown("etc/my.yaml", &["loose.yaml"]), (Some(0), both));
    let (exit, text) = shown("etc/none.yaml", &[]);
    assert!(exit == Some(78) && text.contains("cannot read etc/none.yaml"), "{exit:?} {text}");
    // `--config` wins, and an empty name is none.
    assert_eq!(shown("etc/none.yaml", &["--config", "etc/my.yaml"]).0, Some(0));
    let (exit, text) = shown("", &[]);
    assert!(exit == Some(0) && text.contains("ok: 1 configuration, 2 rule files"), "{exit:?} {text}");
}

#[test]
fn a_file_that_misses_its_mark_is_told_with_its_place_among_many_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let prometheus = "groups:\n- name: g\n  rules:\n  - alert: a\n    expr: up == 0\n";
    for (name, text) in [
        ("r.yaml", RULES),
        ("slip.yaml", "alert:\n- {name: b, condition: error_rate > 1%}\n"),
        ("one.yaml", "name: c\ncondition: error_rate > 1%\n"),
        ("prometheus.yml", prometheus),
    ] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    (0..9).for_each(|n| fs::write(dir.path().join(format!("{n}.yaml")), "limits: {cpu: 1}\n").expect("written"));
    let output = check(dir.path(), &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for place in ["slip.yaml:1:1", "one.yaml:1:1", "prometheus.yml:5:5"] {
        assert!(text.contains(&format!(" --> {place}\n")), "{place}: {text}");
    }
    assert!(text.contains("0 errors, 3 warnings") && text.contains("passed over 9 files "), "{text}");
    assert_eq!(
        messages(dir.path(), &["prometheus.yml"]),
        ["error: this is a rule of Prometheus: it has an `expr`, in PromQL"]
    );
    assert_eq!(messages(dir.path(), &["slip.yaml"]), ["error: `alert` is none of evenkeel's keys"]);
}

#[test]
fn files_of_other_programs_in_a_folder_are_passed_over_and_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let large = format!("{{\"packages\": \"{}\"}}", "x".repeat(1 << 20));
    for (name, text) in [
        ("limits.yaml", "apiVersion: v1\nlimits: {cpu: 500m}\n"),
        ("quota.yml", "limits: {cpu: 500m}\n"),
        ("litellm.yaml", "model_list: []\nlimits: {rpm: 60}\n"),
        ("agent.json", "{\"model\": \"gpt-4o\", \"temperature\": 0}"),
        ("package-lock.json", &large),
        ("r.yaml", RULES),
        ("wrong.yaml", "alerts: [{name: a, condition: erorr_rate > 1%}]\n"),
    ] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    fs::write(dir.path().join("latin.yaml"), b"owner: J\xf6rg\n").expect("written");
    let output = check(dir.path(), &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(
        text.contains("no metric `erorr_rate`\n --> wrong.yaml:1:31\n") && text.contains("1 error, 0 warnings"),
        "{text}"
    );
    let counted = "passed over 6 files not recognisably evenkeel's (agent.json, latin.yaml, limits.yaml, 3 more); \
                   a file that is named is checked\n";
    assert!(text.contains("checked 2 rule files\n") && text.ends_with(counted), "{text}");
    // What the configuration names is checked and not passed over; nothing to check is no success.
    fs::create_dir(dir.path().join("rules")).expect("a folder");
    fs::write(dir.path().join("rules/slip.yaml"), "alert: []\n").expect("written");
    let output = check(dir.path(), &["rules"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    let slip = "warning: passed over: `alert` is none of evenkeel's keys\n --> rules/slip.yaml:1:1\n";
    assert!(text.starts_with(slip) && text.contains("did you mean `alerts`?"), "{text}");
    fs::write(dir.path().join("evenkeel.yaml"), "rules: [rules]\n").expect("written");
    let output = check(dir.path(), &["evenkeel.yaml", "rules"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("did you mean `alerts`") && !text.contains("passed over"), "{text}");
    // What is named is checked, whatever it is.
    assert_eq!(messages(dir.path(), &["quota.yml"]), ["error: limits has no field `cpu`"]);
    assert_eq!(messages(dir.path(), &["agent.json"]), ["error: a profile has no field `temperature`"]);
}

/// What a shell pipes in is checked like a file: under `-`, and under the descriptor of `<(...)`.
#[test]
fn what_a_program_writes_is_checked_without_a_file() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("rules.yaml"), "alerts: [{name: a, condition: error_rate > 10%, min_samples: 20}]\n")
        .expect("written");
    let shell = |script: &str| {
        let mut command = Command::new("bash");
        let output = command.args(["-c", script]).arg(env!("CARGO_BIN_EXE_evenkeel")).current_dir(dir.path()).output();
        let output = output.expect("bash runs");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), text)
    };
    let rule = |metric: &str| format!("alerts: [{{name: b, condition: {metric} > 10%, min_samples: 20}}]");
    let (code, said) = shell(&format!(
        "\"$0\" check <(echo '{}') <(echo '{}')",
        rule("error_rate"),
        rule("timeout_rate").replace("b,", "c,")
    ));
    assert_eq!((code, said.as_str()), (Some(0), "ok: 2 rule files\n"));
    let (code, said) = shell(&format!("echo '{}' | \"$0\" check -", rule("eror_rate")));
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("--> <stdin>:1:31") && said.contains("did you mean `error_rate`?"), "{said}");
    // A configuration names its files from the working folder.
    let (code, said) = shell("\"$0\" check <(echo 'rules: [rules.yaml]')");
    assert_eq!((code, said.as_str()), (Some(0), "ok: 1 configuration, 1 rule file\n"));
    for script in ["head -c 1048577 /dev/zero | tr '\\0' '#' | \"$0\" check -", "yes '#' | \"$0\" check /dev/stdin"] {
        let (code, said) = shell(script);
        assert!(code == Some(78) && said.contains("it has more bytes than the limit of 1048576"), "{code:?} {said}");
    }
    let (code, said) = shell(&format!("\"$0\" check <(echo '{}') --against day.jsonl", rule("error_rate")));
    assert!(code == Some(64) && said.contains("is a pipe: write it to a file"), "{code:?} {said}");
}
