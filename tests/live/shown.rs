//! What the API shows, and how soon, through the real program.

use serde_json::Value;

use crate::harness::{Home, execution, free_port, now_ms, run};
use crate::servers::http_sink;
use evenkeel::model::{Span, Timestamp};

const RULES: &str =
    "alerts:\n- {name: errors, condition: error_rate > 50%, window: 1h, min_samples: 3, severity: high}\n";

/// Nobody is told of anything for an hour.
fn config(further: &str) -> String {
    format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: 127.0.0.1:{}\n\
         receivers: [{{name: ops, webhook: {{url: \"http://127.0.0.1:1/\"}}}}]\n\
         routes: [{{receivers: [ops], group_by: [agent], group_wait: 1h}}]\n{further}",
        free_port()
    )
}

/// Started, and an alert fires.
fn firing(config: &str) -> Home {
    let mut home = Home::new(config, RULES);
    std::fs::write(home.path("token"), "s3cret\n").expect("writes");
    home.start();
    home.until_logged("caught up");
    home.append("s.jsonl", (0..5).map(|n| execution(now_ms() + n, "b1", false)).collect::<String>());
    home.until("it fires", || run(&home, &["alerts"]).0 == Some(1));
    home
}

#[test]
fn who_asks_after_a_kill_is_shown_what_fires() {
    let mut home = firing(&config(""));
    for _ in 0..3 {
        home.kill();
        home.start();
        let mut first = None;
        home.until("somebody answers", || {
            first = run(&home, &["alerts"]).0.filter(|code| [0, 1].contains(code));
            first.is_some()
        });
        assert_eq!(first, Some(1), "the first answer says that it fires");
    }
}

#[test]
fn a_silence_that_is_over_is_shown_as_that_though_nothing_happens() {
    let home = firing(&config("api_token: {file: token}\n"));
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&run(&home, arguments).1).expect("JSON") };
    let alerts = || json(&["alerts", "--json"]);
    let added = json(&["silence", "add", "agent=b1", "--for", "2s", "--comment", "soon over", "--json"]);
    let end: Timestamp = serde_json::from_value(added["ends_at"].clone()).expect("a time");
    let muted = |shown: &Value| shown["alerts"][0].to_string().contains("silenced by ada");
    let mut shown = alerts();
    assert!(muted(&shown), "{shown:#}");
    home.until("it is over", || {
        shown = alerts();
        !muted(&shown)
    });
    let at: Timestamp = serde_json::from_value(shown["at"].clone()).expect("a time");
    assert!(at >= end && at.since(end) < Span::seconds(5), "{at}, it ended at {end}");
}

#[test]
fn a_fault_is_shown_when_it_comes_and_when_it_goes_though_nothing_happens() {
    let Some(watcher) = http_sink("a_fault_is_shown_when_it_comes", &["--script", "500 200"]) else { return };
    let heartbeat = format!("heartbeat: {{url: \"http://127.0.0.1:{}/ping\", interval: 4s}}\n", watcher.port);
    let mut home = Home::new(&config(&heartbeat), RULES);
    home.start();
    let health = |home: &Home| home.get("/healthz").unwrap_or_default();
    home.until("the sign that did not arrive is a fault", || health(&home).contains("heartbeat: "));
    home.until("the next one did", || health(&home).starts_with("HTTP/1.1 200"));
}
