//! Silences and acknowledgements through the real program: API, command line, journal, restart.

mod live;

use std::time::Duration;

use live::{Home, Sink, execution, free_port, now_ms, run};
use serde_json::Value;

const RULES: &str =
    "alerts:\n- {name: errors, condition: error_rate > 50%, window: 1m, min_samples: 3, severity: high}\n";

#[test]
fn a_silence_set_from_the_shell_holds_over_a_kill_and_ends_when_it_is_taken_back() {
    let sink = Sink::start(Duration::ZERO);
    let port = free_port();
    let config = format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: 127.0.0.1:{port}\napi_token: {{file: token}}\nreceivers: [{{name: ops, webhook: {{url: \"{}\"}}}}]\n",
        sink.url
    );
    let mut home = Home::new(&config, RULES);
    std::fs::write(home.path("token"), "s3cret\n").expect("writes");
    home.append("s.jsonl", execution(now_ms(), "quiet", true));
    home.start();
    home.until("the API answers", || run(&home, &["alerts"]).0 == Some(0));
    let (code, added, fault) = run(
        &home,
        &["silence", "add", "agent=a*", "--for", "1h", "--comment", "planned", "--config", "evenkeel.yaml", "--json"],
    );
    assert_eq!(code, Some(0), "{fault}");
    let added: Value = serde_json::from_str(&added).expect("JSON");
    let id = added["id"].as_str().expect("an id").to_owned();
    assert_eq!((&added["alerts"], &added["warnings"]), (&0.into(), &Value::Array(Vec::new())));
    for agent in ["a1", "b1"] {
        let lines: String = (0..5).map(|n| execution(now_ms() + n, agent, false)).collect();
        home.append("s.jsonl", lines);
    }
    home.until("the other agent's alert is told", || sink.messages().iter().any(|m| m.agent == "b1"));
    home.until("the silenced one is shown", || run(&home, &["alerts"]).1.contains("silenced by ada until "));
    assert!(sink.messages().iter().all(|m| m.agent != "a1"));
    assert!(run(&home, &["silence", "list"]).1.contains("  1 active alert  agent=a*  by ada: planned"));
    // A fault elsewhere in the configuration keeps nobody from silencing: the token can be read.
    std::fs::write(home.path("evenkeel.yaml"), home.text("evenkeel.yaml") + "grup_wait: 3s\n").expect("writes");
    let (code, said, warned) = run(&home, &["silence", "add", "agnet=b1", "--for", "1h", "--comment", "typo"]);
    assert!(code == Some(0) && said.contains("; it covers 0 active alerts"), "{said}{warned}");
    assert!(warned.contains("warning: evenkeel.yaml has 1 fault; `evenkeel check` tells them"), "{warned}");
    assert!(warned.contains("has the label `agnet`: did you mean `agent`?"), "{warned}");
    let typo = said.split(' ').nth(1).expect("an id").to_owned();
    assert_eq!(run(&home, &["silence", "expire", &typo]).0, Some(0));
    let mended = home.text("evenkeel.yaml").replace("grup_wait: 3s\n", "");
    std::fs::write(home.path("evenkeel.yaml"), mended).expect("writes");

    home.kill();
    home.start();
    home.until("the API answers again", || run(&home, &["silence", "list"]).1.contains("  active  "));
    let (code, shown, _) = run(&home, &["alerts", "--json"]);
    assert_eq!(code, Some(1), "something fires");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let alert =
        shown["alerts"].as_array().expect("a list").iter().find(|a| a["subject"]["agent"] == "b1").expect("fires");
    let (code, _, fault) =
        run(&home, &["alerts", "--ack", &alert["id"].as_str().expect("an id")[..10], "--note", "on it"]);
    assert_eq!(code, Some(0), "{fault}");
    home.until("it is acknowledged", || run(&home, &["alerts"]).1.contains("acknowledged by ada at "));

    assert_eq!(run(&home, &["silence", "expire", &id]).0, Some(0));
    home.until("what was silenced is told", || sink.messages().iter().any(|m| m.agent == "a1"));
    home.until("it is shown as ended", || {
        run(&home, &["silence", "list"]).1.lines().any(|line| line.starts_with(&id) && line.contains("  expired  "))
    });
    let (code, _, fault) = run(&home, &["silence", "expire", &id]);
    assert!(code == Some(64) && fault.contains("ended at"), "{fault}");
}

#[test]
fn without_a_token_nothing_can_be_changed() {
    let port = free_port();
    let config = format!("sources: [{{name: s, path: s.jsonl}}]\nlisten: 127.0.0.1:{port}\n");
    let mut home = Home::new(&config, RULES);
    home.start();
    home.until("the API answers", || run(&home, &["alerts"]).0 == Some(0));
    let (code, _, fault) = run(&home, &["silence", "add", "agent=a", "--comment", "c"]);
    assert!(code == Some(64) && fault.contains("changes need `api_token`"), "{fault}");
}
