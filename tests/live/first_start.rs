//! A first start over an old file: what the daemon says of the past, to the terminal, in its log and to receivers.

use std::time::Duration;

use crate::harness::{Home, Sink, execution, free_port, now_ms, run};

const RULES: &str = "alerts:
- {name: failing, condition: error_rate > 50%, window: 5m, min_samples: 1, severity: high}
- {name: quiet, condition: silence > 1h, by: source}
";
/// 1 May 2024, noon.
const THEN: i64 = 1_714_564_800_000;

#[test]
fn what_an_old_file_holds_is_told_as_the_past() {
    let sink = Sink::start(Duration::ZERO);
    let config = format!(
        "state_dir: state\nrules: [rules.yaml]\nlisten: 127.0.0.1:{}\n\
         sources: [{{name: fleet, path: fleet.jsonl}}]\n\
         receivers: [{{name: ops, webhook: {{url: \"{}\"}}}}]\n",
        free_port(),
        sink.url
    );
    let mut home = Home::new(&config, RULES);
    for minute in 0..30 {
        let at = THEN + minute * 60_000;
        home.append("fleet.jsonl", execution(at, "a", minute >= 10) + &execution(at, "b", true));
    }
    home.start();
    home.until_logged("caught up");
    home.until("what still fires is told", || !sink.messages().is_empty());
    let log = home.text("log");
    let line = |text: &str| log.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {log}"));

    // The newest record says how old all of it is, and agents are known however long they rest.
    assert!(line("60 executions of 2 agents").contains(", the newest at 2024-05-01T12:29:00.000Z ("), "{log}");
    line("No agent ran in the last 30d, which scores look at.");
    // That of the failures fired and ended, that of the silence fired years ago: neither is news.
    assert!(!log.contains("alert fires") && !log.contains("alert is resolved"), "{log}");
    let history = line("history is read; nobody is told of alerts that ended in it");
    assert!(history.contains("from=2024-05-01T12:00:00.000Z to=2024-05-01T12:29:00.000Z fired=2 ended=1"), "{history}");

    // Who is told hears how it is now, and since when.
    let told = &sink.messages()[0];
    let alert = &told.body["alerts"][0];
    assert_eq!((told.rule.as_str(), told.status.as_str(), sink.messages().len()), ("quiet", "firing", 1));
    assert!(alert["startsAt"].as_str().expect("a time").starts_with("2024-05-01T13:29:"), "{alert}");
    let evidence = alert["annotations"]["evidence"].as_str().expect("text");
    let days = evidence.strip_prefix("silence ").and_then(|rest| rest.split('d').next()?.parse::<u32>().ok());
    assert!(days.is_some_and(|days| days > 600), "not the hour that it was in 2024: {evidence}");
    // The history has the times at which it happened.
    let rows = rusqlite::Connection::open(home.path("state/evenkeel.db")).expect("opens");
    let ended = || rows.query_row("SELECT at FROM alerts WHERE state = 'resolved'", [], |row| row.get::<_, String>(0));
    home.until("the history is written", || ended().is_ok_and(|at| at.starts_with("2024-05-01T12:1")));
    home.stop();
}

/// A line about what happened at another time than it is written says when that was.
#[test]
fn an_alert_of_another_time_than_now_is_logged_with_it() {
    let config = format!(
        "state_dir: state\nclock: records\nrules: [rules.yaml]\nlisten: 127.0.0.1:{}\n\
         sources: [{{name: fleet, path: fleet.jsonl}}]\n",
        free_port()
    );
    let mut home = Home::new(&config, RULES);
    home.append("fleet.jsonl", execution(THEN - 3_600_000, "a", true));
    home.start();
    home.until_logged("caught up");
    home.append("fleet.jsonl", execution(THEN, "a", false) + &execution(THEN + 60_000, "a", false));
    home.until_logged("alert fires: error_rate > 50%");
    let log = home.text("log");
    let fires = log.lines().find(|line| line.contains("alert fires: error_rate")).expect("logged");
    assert!(fires.contains(" at=\"2024-05-01T12:00:15.000Z\"") && fires.contains("value=\"100%\""), "{fires}");
    home.stop();
}

/// What is true when it is back is news; what came and went meanwhile is history, as at a first start.
#[test]
fn what_was_written_while_it_was_down_is_told_as_it_stands_when_it_is_back() {
    let sink = Sink::start(Duration::ZERO);
    let config = format!(
        "state_dir: state\nevaluation_interval: 100ms\nrules: [rules.yaml]\nlisten: 127.0.0.1:{}\n\
         sources: [{{name: fleet, path: fleet.jsonl}}]\n\
         receivers: [{{name: ops, webhook: {{url: \"{}\"}}}}]\n",
        free_port(),
        sink.url
    );
    let rules = "alerts:\n- {name: failing, condition: error_rate > 50%, window: 1s, min_samples: 1, severity: high}\n";
    let mut home = Home::new(&config, rules);
    home.append("fleet.jsonl", execution(now_ms(), "a", true) + &execution(now_ms(), "b", true));
    home.start();
    home.until_logged("caught up");
    for killed in [true, false] {
        match killed {
            true => home.kill(),
            false => _ = home.stop(),
        }
        let down = now_ms();
        std::thread::sleep(Duration::from_secs(4));
        let a = execution(down + 500, "a", false) + &execution(down + 1_500, "a", true);
        let before = sink.messages().len();
        home.append("fleet.jsonl", a + &execution(now_ms(), "b", false));
        home.start();
        home.until("the end of what fires still", || sink.messages().len() == before + 2);
        let told: Vec<String> = sink.messages().iter().map(|m| format!("{} {}", m.agent, m.status)).collect();
        assert_eq!(told[before..], ["b firing", "b resolved"], "killed: {killed}");
    }
    home.stop();
    let rows = rusqlite::Connection::open(home.path("state/evenkeel.db")).expect("opens");
    let ended = "SELECT count(*) FROM alerts WHERE state = 'resolved' AND subject LIKE '%\"a\"%'";
    let ended = rows.query_row(ended, [], |row| row.get::<_, i64>(0)).expect("counted");
    assert!(ended >= 2, "the history has what nobody was told of: {ended}");
}

/// An evaluation comes at whole multiples of its interval, and the newest lines are of after the last.
#[test]
fn a_run_that_ends_has_judged_what_it_read() {
    let sink = Sink::start(Duration::ZERO);
    let config = format!(
        "listen: off\nstate_dir: state\nrules: [rules.yaml]\nevaluation_interval: 2s\n\
         sources: [{{name: fleet, path: fleet.jsonl}}]\n\
         receivers: [{{name: ops, webhook: {{url: \"{}\"}}}}]\n",
        sink.url
    );
    let home = Home::new(&config, RULES);
    for _ in 0..3 {
        home.append("fleet.jsonl", execution(now_ms(), "a", false));
        let (code, out, _) = run(&home, &["run", "--once"]);
        assert_eq!((code, sink.messages().len()), (Some(1), 1), "{out}");
    }
}

#[test]
fn a_run_that_ends_says_what_waits_to_be_sent_and_until_when() {
    let sink = Sink::start(Duration::ZERO);
    let config = format!(
        "listen: off\nstate_dir: state\nrules: [rules.yaml]\nevaluation_interval: 1s\n\
         sources: [{{name: fleet, path: fleet.jsonl}}]\n\
         receivers: [{{name: ops, webhook: {{url: \"{}\"}}}}]\nroutes: [{{receivers: [ops]{}}}]\n",
        sink.url, ", group_by: [alertname], group_wait: 10m"
    );
    for (config, waits) in [(config.clone(), true), (config.replace("group_wait: 10m", "group_wait: 0s"), false)] {
        let home = Home::new(&config, RULES);
        home.append("fleet.jsonl", execution(now_ms(), "a", false));
        home.append("fleet.jsonl", execution(now_ms(), "b", false));
        let (code, out, _) = run(&home, &["run", "--once"]);
        let unsent = "\nNot sent yet\n  ops  2 alerts: waiting for its group until ";
        assert_eq!((code, sink.messages().is_empty(), out.contains(unsent)), (Some(1), waits, waits), "{out}");
        assert_eq!(out.contains("the next `evenkeel run` sends it"), waits, "{out}");
    }
}
