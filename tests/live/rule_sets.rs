//! Every verb loads files of rules in the same way: what one takes, the others take.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Home, free_port, run};
use serde_json::Value;

/// Exit code, standard output and standard error.
fn evenkeel(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    let output = command.current_dir(folder).env_remove("EVENKEEL_CONFIG").args(arguments).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Twenty executions of an agent, so that there is data.
fn day() -> String {
    let line =
        |n: u32| format!("{{\"timestamp\": \"2026-03-05T15:00:{n}Z\", \"agent_name\": \"a\", \"success\": true}}\n");
    (10..30).map(line).collect()
}

/// The same rules under every verb that takes rules.
fn verbs(rules: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["check", rules],
        vec!["check", rules, "--against", "day.jsonl"],
        vec!["rules", rules],
        vec!["rules", "export", rules],
        vec!["replay", "day.jsonl", "--rules", rules],
        vec!["replay", "day.jsonl", "--diff", rules, rules],
        vec!["why", "high_error_rate", "agent=a", "day.jsonl", "--rules", rules],
        vec!["alerts", "--margin", "day.jsonl", "--rules", rules],
    ]
}

#[test]
fn the_shipped_folder_works_with_every_verb() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("day.jsonl"), day()).expect("written");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let rules = shipped.to_str().expect("UTF-8");
    for arguments in verbs(rules) {
        let (code, text, fault) = evenkeel(dir.path(), &arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}{fault}");
        let said = format!("{text}{fault}");
        let left =
            said.matches("the rule `budget_daily` is left out: no configuration was read that has a budget `daily`");
        // A comparison loads two sets.
        assert_eq!(left.count(), 1 + usize::from(arguments.contains(&"--diff")), "{arguments:?}: {said}");
    }
    let (_, text, _) = evenkeel(dir.path(), &["rules", rules]);
    assert!(text.ends_with("24 rules, 1 left out\n"), "{text}");
    let (_, text, _) = evenkeel(dir.path(), &["rules", rules, "--json"]);
    let listed: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(listed["left_out"][0]["rule"], "budget_daily", "{listed:#}");
    assert_eq!(evenkeel(dir.path(), &["test", rules, "--run", "each share of a budget"]).0, Some(0));
    // A configuration with that budget leaves nothing out.
    fs::write(dir.path().join("my.yaml"), "budgets: [{name: daily, amount: $5, period: day}]\n").expect("written");
    let (code, text, fault) = evenkeel(dir.path(), &["rules", rules, "--config", "my.yaml"]);
    assert!(code == Some(0) && text.ends_with("25 rules\n") && fault.is_empty(), "{text}{fault}");
}

#[test]
fn a_missing_budget_costs_its_rule_alone_and_a_slip_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let rule = |name: &str, budget: &str| format!("- {{name: {name}, budget: {budget}, condition: budget > 80%}}\n");
    let rules = format!("alerts:\n- {{name: fails, condition: error_rate > 10%}}\n{}", rule("spent", "monthly"));
    let config = "budgets: [{name: daily, amount: $5, period: day}]\n".to_owned();
    let slip = format!("alerts:\n{}", rule("slip", "dialy"));
    for (name, text) in [("day.jsonl", &day()), ("r.yaml", &rules), ("slip.yaml", &slip), ("fleet.yaml", &config)] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    let replay = ["replay", "day.jsonl", "--rules", "r.yaml", "--config", "fleet.yaml"];
    let (code, text, fault) = evenkeel(dir.path(), &replay);
    assert_eq!(code, Some(0), "{text}{fault}");
    assert_eq!(fault, "warning: r.yaml:3: the rule `spent` is left out: fleet.yaml has no budget `monthly`\n");
    assert!(text.contains("fails") && text.ends_with("1 rule left out for want of what they read\n"), "{text}");
    let (_, text, _) = evenkeel(dir.path(), &[&replay[..], &["--json"]].concat());
    let summary: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(summary["left_out"][0]["why"], "fleet.yaml has no budget `monthly`", "{summary:#}");
    let (code, text, _) = evenkeel(dir.path(), &["check", "slip.yaml", "--config", "fleet.yaml"]);
    assert!(code == Some(78) && text.contains("there is no budget `dialy`"), "{text}");
    assert!(text.contains("did you mean `daily`?"), "{text}");
    // A test of such a rule says what it wants.
    let test = "tests:\n- name: it is told\n  rule: spent\n  series: [{agent: a, runs: 1/min, steps: [{for: 5m}]}]\n  expect: [{at: 5m, agent: a, state: inactive}]\n";
    fs::write(dir.path().join("r.test.yaml"), test).expect("written");
    let (code, _, fault) = evenkeel(dir.path(), &["test", "r.test.yaml"]);
    assert_eq!(code, Some(78), "{fault}");
    assert!(fault.contains("the rule `spent` is left out: r.test.yaml has no budget `monthly`"), "{fault}");
    assert!(fault.contains("below `settings:`"), "{fault}");
}

#[test]
fn a_name_stands_once_in_a_set_for_every_verb() {
    let dir = tempfile::tempdir().expect("a folder");
    let rules = "alerts:\n- {name: high_error_rate, condition: error_rate > 10%}\n".to_owned();
    fs::create_dir(dir.path().join("both")).expect("a folder");
    for (name, text) in [("day.jsonl", &day()), ("both/a.yaml", &rules), ("both/b.yaml", &rules)] {
        fs::write(dir.path().join(name), text).expect("written");
    }
    for arguments in verbs("both") {
        let (code, text, fault) = evenkeel(dir.path(), &arguments);
        let said = format!("{text}{fault}");
        assert_eq!(code, Some(78), "{arguments:?}: {said}");
        let expected = "error: there is already a rule `high_error_rate`, in both/a.yaml:2\n --> both/b.yaml:2:10\n";
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    // One of them alone is right, and so are rules that cover those of another file.
    assert_eq!(evenkeel(dir.path(), &["check", "both/b.yaml"]).0, Some(0));
    let cover = "alerts:\n- {name: many, covers: [high_error_rate], by: provider, condition: alerting_share > 40%}\n";
    fs::write(dir.path().join("both/b.yaml"), cover).expect("written");
    for arguments in verbs("both") {
        let (code, text, fault) = evenkeel(dir.path(), &arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}{fault}");
    }
}

#[test]
fn a_folder_of_rules_may_hold_the_configuration_and_its_prices() {
    let dir = tempfile::tempdir().expect("a folder");
    let rules = "alerts:\n- {name: high_error_rate, condition: error_rate > 10%}\n";
    let prices = "prices:\n- models: [mine]\n  periods: [{input: 1, output: 2}]\n";
    let config = "sources: [{name: s, path: day.jsonl}]\n";
    for (name, text) in [("day.jsonl", &*day()), ("r.yaml", rules), ("prices.yaml", prices), ("evenkeel.yaml", config)]
    {
        fs::write(dir.path().join(name), text).expect("written");
    }
    for arguments in verbs(".") {
        let (code, text, fault) = evenkeel(dir.path(), &arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}{fault}");
    }
    // What is no rule file and nothing else of evenkeel's is an error: a rule with a slip must not be lost.
    fs::write(dir.path().join("slip.yaml"), "alert: [{name: a, condition: error_rate > 1%}]\n").expect("written");
    let (code, _, fault) = evenkeel(dir.path(), &["rules", "."]);
    assert!(code == Some(78) && fault.contains("a rule file has no field `alert`"), "{fault}");
}

#[test]
fn the_daemon_says_which_rules_it_leaves_out() {
    let port = free_port();
    let config = format!("sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nlisten: 127.0.0.1:{port}\n");
    let rules = "alerts:\n- {name: fails, condition: error_rate > 10%}\n- {name: spent, budget: daily, condition: budget > 80%}\n";
    let mut home = Home::new(&config, rules);
    home.start();
    home.until("the API answers", || run(&home, &["rules"]).0 == Some(0));
    let (_, text, _) = run(&home, &["rules"]);
    let why = "the rule `spent` is left out: evenkeel.yaml has no budget `daily`";
    assert!(
        text.contains("\n1 rule, 1 left out at ") && text.contains(&format!("warns: rules.yaml:3: {why}\n")),
        "{text}"
    );
    let health = home.get("/healthz").expect("an answer");
    assert!(health.contains(why) && health.contains("\"ok\""), "{health}");
    let listed: Value = serde_json::from_str(&run(&home, &["rules", "--json"]).1).expect("JSON");
    assert_eq!((&listed["rules"][0]["rule"], &listed["left_out"][0]["rule"]), (&"fails".into(), &"spent".into()));
    // With the budget it holds.
    fs::write(home.path("evenkeel.yaml"), format!("{config}budgets: [{{name: daily, amount: $5, period: day}}]\n"))
        .expect("written");
    home.until("the rule is there", || run(&home, &["rules"]).1.contains("\n2 rules at "));
}
