//! The files of the policy change while the daemon runs: it obeys them without being asked, all of them or none.

use std::time::Duration;

use crate::harness::{Home, Sink, execution, free_port, now_ms};

const RULE: &str = "alerts:
- {name: failing, condition: error_rate > 50%, window: 5m, min_samples: 1, severity: high}
";
const SECOND: &str = "- {name: busy, condition: executions > 2, window: 5m, severity: warning}
";
const WIDE: &str = "- {name: wide, condition: executions > 1000, window: 3d}
";

fn config(url: &str, port: u16) -> String {
    format!(
        "state_dir: state
evaluation_interval: 1s
rules: [rules.yaml]
listen: 127.0.0.1:{port}
sources: [{{name: fleet, path: fleet.jsonl}}]
receivers: [{{name: ops, webhook: {{url: \"{url}\"}}}}]
"
    )
}

/// Loads of the policy so far, with and without effect.
fn loads(home: &Home) -> Option<f64> {
    home.metric("evenkeel_policy_loads_total")
}

fn told(sink: &Sink) -> Vec<String> {
    sink.messages().iter().map(|m| format!("{} {} {}", m.rule, m.agent, m.status)).collect()
}

#[test]
fn changed_files_are_obeyed_or_the_policy_in_force_stays() {
    let sink = Sink::start(Duration::ZERO);
    let mut home = Home::new(&config(&sink.url, free_port()), RULE);
    home.start();
    home.until_logged("caught up");
    home.append("fleet.jsonl", execution(now_ms(), "a", false));
    home.until("an alert is told", || told(&sink) == ["failing a firing"]);
    let began = sink.messages()[0].body["alerts"][0]["startsAt"].clone();

    // A second rule: the alert of the first one goes on and is not told again.
    std::fs::write(home.path("rules.yaml"), RULE.to_owned() + SECOND).expect("written");
    home.until("the files are loaded", || loads(&home) == Some(2.0));
    // The older one first: two lines of one millisecond would be one execution.
    for ago in [2, 1] {
        home.append("fleet.jsonl", execution(now_ms() - ago, "a", false));
    }
    home.until("the new rule tells", || told(&sink) == ["failing a firing", "busy a firing"]);
    let alerts = home.get("/api/v1/alerts").expect("an answer");
    assert!(alerts.contains(began.as_str().expect("a time").trim_end_matches('Z')), "{began}: {alerts}");

    // A fault in one of two rules: nothing of the file counts, and both old rules still do.
    let fault = RULE.replace("> 50%", "> 99%") + &SECOND.replace("executions", "executoins");
    std::fs::write(home.path("rules.yaml"), fault).expect("written");
    home.until("the fault is told", || home.metric("evenkeel_policy_stale") == Some(1.0));
    let log = home.text("log");
    assert!(log.contains("did you mean `executions`?"), "{log}");
    let line = |text: &str| log.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {log}"));
    assert!(
        line("as few as 1 runs").contains(" WARN ") && !log.contains("warning: ") && !log.contains("error: "),
        "{log}"
    );
    assert!(line("policy is not loaded").ends_with("errors=1 warnings=1"), "{log}");
    let health = home.get("/healthz").expect("an answer");
    let body = health.split_once("\r\n\r\n").expect("a body").1;
    let health: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let warning = health["warnings"][0].as_str().expect("a warning");
    assert!(warning.starts_with("the files of the policy have faults") && health["status"] == "ok", "{health}");
    let verbs: [&[&str]; 7] = [
        &["alerts"],
        &["alerts", "--margin"],
        &["rules"],
        &["why", "failing", "a"],
        &["slos"],
        &["budgets"],
        &["silence", "list"],
    ];
    for verb in verbs {
        let text = crate::harness::run(&home, verb).1;
        assert!(text.ends_with(&format!("the daemon warns: {warning}\n")), "{verb:?}: {text}");
    }
    let b = |ago, ok| execution(now_ms() - ago, "b", ok);
    home.append("fleet.jsonl", b(3, false) + &b(2, false) + &b(1, true));
    home.until("the old rules tell", || {
        let all = told(&sink);
        all.len() == 4 && all.contains(&"failing b firing".into()) && all.contains(&"busy b firing".into())
    });
    assert_eq!(loads(&home), Some(3.0), "one load took effect at the start, one later, one was refused");

    // Another port is taken at the next start: until then whoever asks at the new one hears where the daemon is.
    let old = home.text("evenkeel.yaml");
    let port =
        |text: &str| text.split("listen: ").nth(1).and_then(|rest| rest.lines().next()).expect("there").to_owned();
    let new = old.replace(&port(&old), &format!("127.0.0.1:{}", free_port()));
    std::fs::write(home.path("evenkeel.yaml"), &new).expect("written");
    let (code, _, why) = crate::harness::run(&home, &["alerts"]);
    let asked = format!("no daemon answers at http://{}/api/v1/alerts", port(&new));
    assert!(code == Some(74) && why.contains(&asked), "{why}");
    let found = format!("(process {}) still listens on {}: it takes a changed `listen`", home.pid(), port(&old));
    assert!(why.contains(&found), "{why}");

    // A fault in the configuration keeps nobody from asking, and is said once per verb.
    std::fs::write(home.path("evenkeel.yaml"), old.replace("evaluation_interval", "evaluation_intervall"))
        .expect("written");
    for verb in [&["alerts"][..], &["rules"], &["why", "failing", "a"], &["silence", "list"]] {
        let (code, shown, said) = crate::harness::run(&home, verb);
        assert!(code.is_some_and(|code| code < 64) && !shown.is_empty(), "{verb:?}: {code:?} {said}");
        assert_eq!(said, "warning: evenkeel.yaml has 1 fault; `evenkeel check` tells them\n", "{verb:?}");
    }
    std::fs::write(home.path("evenkeel.yaml"), old.replace("listen: ", "listen: at ")).expect("written");
    let (code, _, said) = crate::harness::run(&home, &["alerts"]);
    assert!(code == Some(78) && said.contains("`listen` is `at "), "without an address nobody can be asked: {said}");
    std::fs::write(home.path("evenkeel.yaml"), &old).expect("written");

    // A rule that looks further back than what was kept says so.
    std::fs::write(home.path("rules.yaml"), RULE.to_owned() + SECOND + WIDE).expect("written");
    home.until("the files are loaded", || crate::harness::run(&home, &["rules"]).1.contains("wide"));
    let rules = crate::harness::run(&home, &["rules"]).1;
    let partial =
        rules.lines().find(|line| line.contains("not enough history yet: 1d")).unwrap_or_else(|| panic!("{rules}"));
    let why = crate::harness::run(&home, &["why", "wide", "a"]).1;
    assert!(why.contains("  not enough history yet: 1d"), "{why}");
    assert!(partial.contains(" of 3d, since ") && rules.matches("not enough history").count() == 1, "{rules}");
    let log = home.text("log");
    let line = log.lines().find(|line| line.contains("holds nothing from before")).unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("this rule's window of 3d holds nothing from before 20")
            && line.contains(": it is full in 2d")
            && line.contains("rule=\"wide\""),
        "{line}"
    );

    // A rule that goes takes its alerts along.
    std::fs::write(home.path("rules.yaml"), RULE).expect("written");
    home.until("the files are loaded", || home.metric("evenkeel_policy_stale") == Some(0.0));
    home.until("its alerts end", || {
        let all = told(&sink);
        all.len() == 6 && all.contains(&"busy a resolved".into()) && all.contains(&"busy b resolved".into())
    });
    // By then whatever else might be told has been: the alerts of the rule that stayed were told once.
    assert_eq!(told(&sink).iter().filter(|text| text.starts_with("failing")).count(), 2);

    // Who is removed is told nothing more, which somebody is to know.
    std::fs::write(home.path("evenkeel.yaml"), old.replace("name: ops", "name: team")).expect("written");
    home.until_logged("alerts that it was told of stay open there");
    home.until("the new one is told", || told(&sink).iter().filter(|text| text.starts_with("failing")).count() == 4);
    let log = home.text("log");
    let line = log.lines().find(|line| line.contains("stay open there")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(" WARN ") && line.ends_with("receiver=\"ops\" alerts=2"), "{line}");
    let (status, _) = home.stop();
    assert!(status.success());
    // So it is at a start.
    std::fs::write(home.path("evenkeel.yaml"), &old).expect("written");
    home.start();
    home.until_logged("receiver=\"team\" alerts=2");
    home.stop();
}

#[test]
fn a_policy_older_than_its_files_is_told_and_a_restart_with_the_right_ones_ends_it() {
    let rules = "alerts:\n- {name: old_policy, condition: stale > 500ms, by: part, where: {part: policy}}\n";
    let sink = Sink::start(Duration::ZERO);
    let mut home = Home::new(&config(&sink.url, free_port()), rules);
    home.start();
    home.append("fleet.jsonl", execution(now_ms(), "a", true));
    home.until_logged("caught up");
    std::fs::write(home.path("rules.yaml"), rules.replace("stale", "stael")).expect("written");
    let told = || sink.messages().iter().map(|m| format!("{} {}", m.rule, m.status)).collect::<Vec<_>>();
    home.until("it is told", || told() == ["old_policy firing"]);
    assert_eq!(sink.messages()[0].body["alerts"][0]["labels"]["part"], "policy");
    let (status, _) = home.stop();
    assert!(status.success());
    std::fs::write(home.path("rules.yaml"), rules).expect("written");
    home.start();
    home.until("its end is told", || told() == ["old_policy firing", "old_policy resolved"]);
    home.stop();
}

#[test]
fn a_rule_that_is_edited_while_it_fires_tells_nobody_that_it_is_over() {
    let text = "annotations: {summary: \"{{ agent }} fails {{ value }} of its runs\"}";
    let rule = |terms: &str| {
        format!(
            "alerts:\n- {{name: failing, condition: error_rate > 50%, window: 5m, min_samples: 1, {terms}{text}}}\n"
        )
    };
    let sink = Sink::start(Duration::ZERO);
    let mut home = Home::new(&config(&sink.url, free_port()), &rule(""));
    home.start();
    home.append("fleet.jsonl", execution(now_ms(), "a", false));
    home.until("an alert is told", || told(&sink) == ["failing a firing"]);
    std::fs::write(home.path("rules.yaml"), rule("where: {task_type: review}, ")).expect("written");
    let undecided = "and knows too little yet: goes on as before until ";
    home.until("the alert goes on", || crate::harness::run(&home, &["alerts"]).1.contains(undecided));
    let alerts = crate::harness::run(&home, &["alerts"]).1;
    assert!(alerts.contains("error_rate 100% > 50% (n = 1, window"), "{alerts}");
    let why = crate::harness::run(&home, &["why", "failing", "a"]).1;
    assert!(why.contains("firing since") && why.contains(undecided) && !why.contains("last record"), "{why}");
    std::fs::write(home.path("rules.yaml"), "alerts: []\n").expect("written");
    home.until("its end is told", || told(&sink) == ["failing a firing", "failing a resolved"]);
    let annotations = &sink.messages()[1].body["alerts"][0]["annotations"];
    let reason = annotations["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("the rule was removed by a reload at 20"), "{reason}");
    assert_eq!(annotations["summary"], format!("a fails 100% of its runs ({reason})"));
    home.until("the log has the reason", || {
        home.text("log").lines().any(|line| line.contains("alert is resolved") && line.contains(reason))
    });
    home.stop();
}

#[test]
fn an_alert_that_ends_because_its_rule_went_while_evenkeel_was_down_is_in_the_log() {
    let sink = Sink::start(Duration::ZERO);
    let mut home = Home::new(&config(&sink.url, free_port()), &(RULE.to_owned() + SECOND));
    home.start();
    home.until_logged("caught up");
    home.append("fleet.jsonl", execution(now_ms(), "a", false));
    home.until("an alert is told", || told(&sink) == ["failing a firing"]);
    home.stop();
    let stopped = evenkeel::model::Timestamp(now_ms()).to_string();
    std::fs::write(home.path("rules.yaml"), format!("alerts:\n{SECOND}")).expect("written");
    home.start();
    home.until("its end is told", || told(&sink) == ["failing a firing", "failing a resolved"]);
    let log = home.text("log");
    let line = log.lines().find(|line| line.contains("alert is resolved")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("rule=\"failing\"") && line.contains("the rule was removed by the start at 20"), "{line}");
    // The start, not the event before it.
    let said = line.split("by the start at ").nth(1).and_then(|rest| rest.get(..24)).expect("a time");
    assert!(said >= stopped.as_str(), "{said} {stopped}: {line}");
}

#[test]
fn a_start_with_files_at_fault_names_them_and_leaves_the_alerts_as_they_are() {
    let sink = Sink::start(Duration::ZERO);
    let mut home = Home::new(&config(&sink.url, free_port()), RULE);
    home.start();
    home.until_logged("caught up");
    home.append("fleet.jsonl", execution(now_ms(), "a", false));
    home.until("an alert is told", || told(&sink) == ["failing a firing"]);
    home.stop();
    std::fs::write(home.path("rules.yaml"), RULE.replace("window: 5m", "widow: 5m")).expect("written");
    let (code, _, said) = crate::harness::run(&home, &["run"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("rules.yaml:2:") && said.contains("did you mean `window`?"), "{said}");
    std::fs::write(home.path("rules.yaml"), RULE).expect("written");
    home.start();
    home.until("it fires still", || crate::harness::run(&home, &["alerts"]).1.contains("failing"));
    std::fs::write(home.path("rules.yaml"), "alerts: []\n").expect("written");
    home.until("its end is told", || told(&sink).len() == 2);
    assert_eq!(told(&sink), ["failing a firing", "failing a resolved"], "its beginning was told once");
    home.stop();
}
