//! `evenkeel rules`: what is loaded, of files and of the running daemon, and what Prometheus makes of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Home, execution, free_port, now_ms};
use serde_json::Value;

/// Exit code, standard output and standard error of a verb.
fn run(home: &Home, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = home.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn promtool() -> Option<PathBuf> {
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/promtool");
    let runs = |path: &PathBuf| {
        Command::new(path).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let found = [local, PathBuf::from("promtool")].into_iter().find(runs);
    assert!(found.is_some() || std::env::var("CI").as_deref() != Ok("true"), "no promtool; `make tools` fetches it");
    found
}

const RULES: &str = "alerts:
- name: errors
  levels: {warning: error_rate > 20%, critical: {condition: error_rate > 60%, for: 2m}}
  window: 1m
  min_samples: 3
  labels: {team: core}
  annotations: {summary: \"{{ agent }} fails {{ value }}, {{ duration }} by now\"}
- {name: trial, condition: error_rate > 10%, window: 1m, min_samples: 3, by: [agent, task_type], shadow: true}
- {name: fleet_cost, condition: hourly_cost > $5, window: 1h, by: fleet, severity: high, annotations: {summary: \"{{ value }} an hour, more than {{ threshold }}\"}}
- {name: slow, condition: p95_latency > 30s, window: 5m, for: 1m, annotations: {summary: \"{{ subject }}: {{ value }}\"}}
";

#[test]
fn the_daemon_counts_subjects_by_state_and_prometheus_repeats_it() {
    let port = free_port();
    let config = format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: 127.0.0.1:{port}\n"
    );
    let mut home = Home::new(&config, RULES);
    let (code, text, fault) = run(&home, &["rules", "rules.yaml"]);
    assert_eq!(code, Some(0), "{fault}");
    assert!(text.contains("4 rules") && text.contains("agent,task_type") && text.contains("rules.yaml:"), "{text}");
    let (code, _, fault) = run(&home, &["rules"]);
    assert!(code == Some(74) && fault.contains("Or name PATHs of rule files"), "{fault}");
    let lines: String = (0..5).map(|n| execution(now_ms() + n, "bad", n > 2)).collect();
    home.append("s.jsonl", lines + &execution(now_ms(), "new", true));
    home.start();
    home.until("the rule fires", || run(&home, &["rules"]).1.contains("warning"));
    let states = |name: &str| {
        let (_, text, _) = run(&home, &["rules", "--json"]);
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let rules = answer["rules"].as_array().cloned().unwrap_or_default();
        rules.iter().find(|rule| rule["rule"] == name).map(|rule| rule["subjects"].clone()).unwrap_or_default()
    };
    home.until("it fires", || states("errors")["firing"] == 1);
    let expected = serde_json::json!({"inactive": 0, "pending": 0, "firing": 1, "no_data": 1});
    assert_eq!(states("errors"), expected, "one fires, one has too few samples");
    assert_eq!(states("fleet_cost")["firing"], 0);

    let (code, exported, notes) = run(&home, &["rules", "export", "rules.yaml"]);
    assert_eq!(code, Some(0), "{notes}");
    assert!(notes.contains("errors: annotation `summary` names `{{ duration }}`"), "{notes}");
    assert!(notes.contains("trial: a shadow rule tells nobody; it is left out"), "{notes}");
    assert!(exported.contains("${{ printf \\\"%.2f\\\" $value }} an hour, more than $5"), "{exported}");
    // Without PATHs the files of the configuration are meant.
    assert_eq!(run(&home, &["rules", "export", "--config", "evenkeel.yaml"]).1, exported);

    let Some(promtool) = promtool() else {
        println!("left out: what promtool says of the rules: no promtool; see `make tools`");
        return;
    };
    std::fs::write(home.path("exported.yaml"), &exported).expect("written");
    // The metrics of this daemon at this moment are what the rules are tried on.
    let shown = || scrape(port).contains("evenkeel_alert_value{agent=\"bad\",rule=\"errors\"");
    home.until("the picture that is scraped has it", shown);
    let metrics = scrape(port);
    let series = |name: &str| -> Vec<String> {
        metrics.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    };
    let value =
        series("evenkeel_alert_value{").into_iter().find(|l| l.contains("rule=\"errors\"")).expect("it is active");
    assert!(
        value.contains("agent=\"bad\"") && value.contains("state=\"firing\"") && value.ends_with(" 0.6"),
        "{value}"
    );
    assert!(series("evenkeel_alert_value{").iter().any(|l| l.contains("trial") && l.contains("state=\"muted\"")));
    let (name, number) = value.rsplit_once(' ').expect("a value");
    let test = format!(
        "rule_files: [exported.yaml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n  - series: '{name}'\n    values: '{number}x10'\n  - {{series: evenkeel_healthy, values: '1x10'}}\n  alert_rule_test:\n  - eval_time: 5m\n    alertname: errors\n    exp_alerts:\n    - exp_labels: {{agent: bad, severity: warning, team: core}}\n      exp_annotations: {{summary: 'bad fails 60%, (see evenkeel) by now'}}\n"
    );
    let check = |arguments: &[&str]| {
        let output =
            Command::new(&promtool).args(arguments).current_dir(home.path(".")).output().expect("promtool runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let (good, said) = check(&["check", "rules", "exported.yaml"]);
    assert!(good && said.contains("SUCCESS: 5 rules found"), "{said}");
    std::fs::write(home.path("test.yaml"), &test).expect("written");
    let (good, said) = check(&["test", "rules", "test.yaml"]);
    assert!(good, "{said}");
}

#[test]
fn the_rest_of_a_rule_stands_below_it_and_the_daemon_says_what_is_to_come() {
    const RULES: &str = "alerts:
- name: errors
  condition: error_rate > 20%
  recover: error_rate < 10%
  overrides: [{where: {agent: \"batch-*\"}, condition: error_rate > 90%, severity: info}]
  active_hours: {zone: Europe/Berlin, days: mon-fri, times: \"08:00-18:00\"}
  window: 1m
  min_samples: 1
- {name: quiet, condition: silence > 2h, by: agent, where: {task_type: review}}
";
    let config = format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: 127.0.0.1:{}\n\
         budgets: [{{name: daily, amount: 4 executions, period: day, by: agent}}]\n\
         digests: [{{name: morning, at: \"08:00\", receivers: [ops]}}]\n\
         receivers: [{{name: ops, webhook: {{url: \"http://127.0.0.1:1\"}}}}]\n",
        free_port()
    );
    let mut home = Home::new(&config, RULES);
    let shown = run(&home, &["rules", "rules.yaml"]).1;
    for term in [
        "recover: error_rate < 10%",
        "agent=batch-*: error_rate > 90%",
        "told mon-fri 08:00-18:00 Europe/Berlin",
        "where: task_type=review",
    ] {
        assert!(shown.lines().any(|line| line.trim_start().starts_with(term)), "{term}: {shown}");
    }
    let listed: Value = serde_json::from_str(&run(&home, &["rules", "rules.yaml", "--json"]).1).expect("JSON");
    assert_eq!(listed["rules"][0]["overrides"][0]["subjects"][0], "agent=batch-*");
    assert_eq!(listed["rules"][1]["where"], serde_json::json!(["task_type=review"]));
    assert!(listed["rules"][1].get("window").is_none() && listed["rules"][0]["window"] == "1m", "{listed}");
    assert_eq!(run(&home, &["budgets"]).0, Some(74), "nobody is there to ask");

    let lines: String = (0..5).map(|n| execution(now_ms() + n, "a", true)).collect();
    home.append("s.jsonl", lines);
    home.start();
    let asked = |home: &Home, verb: &str| -> Value {
        serde_json::from_str(&run(home, &[verb, "--json"]).1).unwrap_or_default()
    };
    home.until("the rule was evaluated", || asked(&home, "rules")["rules"][0]["evaluated"].is_string());
    home.until("the budget is used up", || run(&home, &["budgets"]).0 == Some(1));
    let (_, text, _) = run(&home, &["budgets"]);
    assert!(text.contains("daily   agent=a  5 of 4   125%"), "{text}");
    assert_eq!(asked(&home, "budgets")["budgets"][0]["used"], 5.0);
    home.until("history is read", || asked(&home, "alerts")["digests"][0]["next"].is_string());
    let (_, text, _) = run(&home, &["alerts"]);
    assert!(text.contains("digest morning: next at 20") && text.contains(" to ops"), "{text}");
}

/// `/metrics` as a scraper gets it.
fn scrape(port: u16) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connects");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("asks");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("answers");
    text
}

#[test]
fn built_in_rules_say_that_they_are_and_can_be_read() {
    let home = Home::new("budgets: [{name: \"team \\\"a\\\"\", amount: $5, period: day}]\n", "");
    let (code, printed, fault) = run(&home, &["rules", "print"]);
    assert_eq!((code, printed.as_str()), (Some(0), evenkeel::rule::shipped::DEFAULT), "{fault}");
    let (_, of_budgets, _) = run(&home, &["rules", "print", "budgets.yaml"]);
    assert!(of_budgets.contains("  - name: \"budget_team \\\"a\\\"\"\n"), "those of the configuration: {of_budgets}");
    let (code, _, fault) = run(&home, &["rules", "print", "none.yaml"]);
    assert!(code == Some(64) && fault.contains("possible values: default.yaml, claude-force.yaml"), "{fault}");
    home.append("runs.jsonl", execution(now_ms(), "a1", false));
    let (_, why, fault) = run(&home, &["why", "error_burst", "a1", "runs.jsonl", "--json"]);
    let why: Value = serde_json::from_str(&why).unwrap_or_else(|error| panic!("{error}: {fault}"));
    let place = why["place"].as_str().and_then(|place| place.strip_prefix("built-in: default.yaml:")).expect("a place");
    let line = printed.lines().nth(place.parse::<usize>().expect("a line") - 1).expect("is there");
    assert_eq!(line, "  - name: error_burst");
}

const SLOS: &str = "slos:
- {name: succeed, objective: 95%, good: success_rate, by: [agent, task_type]}
- name: in_time
  objective: 99%
  bad: timeout_rate
  by: fleet
  alerts: [{burn: 10, long: 1h, short: 5m, severity: high}]
  annotations: {summary: \"{{ value }} over {{ window }}, not {{ threshold }}\"}
";

#[test]
fn an_exported_objective_says_what_burns_how_fast() {
    let home = Home::new("", SLOS);
    let (code, exported, notes) = run(&home, &["rules", "export", "rules.yaml"]);
    assert!(code == Some(0) && !notes.contains("annotation"), "{notes}");
    for line in [
        "expr: \"max without (rule, state) (evenkeel_alert_value{rule=\\\"succeed\\\", state=\\\"firing\\\", severity=\\\"critical\\\"})\"\n        labels:\n          severity: \"critical\"\n          slo: \"succeed\"",
        "description: \"Objective: 95% over 30d, good: success_rate. Told at a burn rate above 14.4 (72% bad) over 1h and over 5m, with 3 failures at least: the budget lasts 2d2h.\"",
        "above 3 (15% bad) over 1d and over 2h, with 3 failures at least: the budget lasts 10d; or above 1 (5% bad) over 3d and over 6h, with 10 failures at least: the budget lasts 30d.\"",
        "\"summary\": \"{{ $value | humanizePercentage }} over 1h, not 10%\"",
    ] {
        assert!(exported.contains(line), "{line}\n{exported}");
    }
    assert_eq!(exported.matches("- alert: \"succeed\"").count(), 3, "one for each severity: {exported}");

    let Some(promtool) = promtool() else {
        println!("left out: what promtool says of the rules: no promtool; see `make tools`");
        return;
    };
    std::fs::write(home.path("exported.yaml"), &exported).expect("written");
    let labels = "agent=\"a \\\"b\\\"\",task_type=\"review\"";
    let series = |name: &str, more: &str, value: &str| {
        format!("  - {{series: '{name}{{{labels},{more}}}', values: '{value}x10'}}\n")
    };
    let test = format!(
        "rule_files: [exported.yaml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n{}{}  - {{series: evenkeel_healthy, values: '1x10'}}\n  alert_rule_test:\n  - eval_time: 5m\n    alertname: succeed\n    exp_alerts:\n    - exp_labels: {{agent: 'a \"b\"', task_type: review, severity: high, slo: succeed}}\n      exp_annotations:\n        summary: 'succeed: agent=a \"b\" task_type=review burns its error budget 11.4 times too fast over 6h'\n        description: 'Objective: 95% over 30d, good: success_rate. Told at a burn rate above 6 (30% bad) over 6h and over 30m, with 3 failures at least: the budget lasts 5d.'\n",
        series("evenkeel_alert_value", "rule=\"succeed\",severity=\"high\",state=\"firing\"", "0.43"),
        series("evenkeel_slo_burn_rate", "slo=\"succeed\",range=\"6h\"", "11.4"),
    );
    std::fs::write(home.path("test.yaml"), &test).expect("written");
    for arguments in [["check", "rules", "exported.yaml"], ["test", "rules", "test.yaml"]] {
        let output = Command::new(&promtool).args(arguments).current_dir(home.path(".")).output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}\n{exported}", String::from_utf8_lossy(&text));
    }
}
