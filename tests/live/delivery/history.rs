//! What the history says of deliveries by the real program.

use std::time::Duration;

use crate::harness::{Home, Sink, execution, now_ms};

#[test]
fn the_history_says_who_was_told_of_each_alert_of_a_message() {
    let hook = Sink::start(Duration::ZERO);
    let config = format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: off\nstate_dir: state\n\
         receivers: [{{name: ops, webhook: {{url: \"{}\"}}}}]\n\
         routes: [{{receivers: [ops], group_by: [alertname], group_wait: 2s}}]\n",
        hook.url
    );
    let rules = "alerts:\n- {name: err, condition: error_rate > 50%, window: 10m, min_samples: 1, severity: high}\n";
    let mut home = Home::new(&config, rules);
    home.start();
    let now = now_ms();
    home.append("s.jsonl", execution(now, "a1", false) + &execution(now + 1, "a2", false));
    home.until("one message tells of both", || {
        hook.messages().iter().any(|m| m.body["alerts"].as_array().is_some_and(|alerts| alerts.len() == 2))
    });
    let told = || -> Vec<String> {
        let history = rusqlite::Connection::open(home.path("state/evenkeel.db")).expect("opens");
        let query = "SELECT json_extract(subject, '$.agent') || ' ' || state FROM deliveries
                     WHERE receiver = 'ops' AND status = 'delivered' AND alert_id IN (SELECT alert_id FROM alerts) ORDER BY 1";
        let Ok(mut query) = history.prepare(query) else { return Vec::new() };
        query.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("a row")).collect()
    };
    home.until("both are in the history", || told() == ["a1 firing", "a2 firing"]);
}

#[test]
fn the_history_says_whether_an_alertmanager_was_told_when_an_outage_is_over() {
    let peer = Sink::start(Duration::ZERO);
    let config = format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: off\nstate_dir: state\n\
         receivers: [{{name: am, alertmanager: {{urls: [\"{}\"], resend: 1s}}}}]\n",
        peer.url
    );
    let rules = "alerts:\n- {name: err, condition: error_rate > 50%, window: 10m, min_samples: 1, severity: high}\n";
    let mut home = Home::new(&config, rules);
    home.start();
    home.append("s.jsonl", execution(now_ms(), "a1", false));
    let query = include_str!("../../../docs/operations.md").split("-- Who was not told, and why\n").nth(1);
    let query = query.and_then(|rest| rest.split(';').next()).expect("the documented query");
    let asked = |query: &str| -> Vec<String> {
        let Ok(history) = rusqlite::Connection::open(home.path("state/evenkeel.db")) else { return Vec::new() };
        let line = "json_extract(subject, '$.agent') || ' ' || state || ' ' || status || ' ' || reason";
        let Ok(mut query) = history.prepare(&format!("SELECT {line} FROM ({query}) ORDER BY 1")) else {
            return Vec::new();
        };
        query.query_map([], |row| row.get(0)).expect("rows").map(|row| row.expect("a row")).collect()
    };
    let all = "SELECT * FROM deliveries";
    home.until("it is told of the first", || asked(all) == ["a1 firing delivered "]);
    peer.fails(true);
    home.append("s.jsonl", execution(now_ms(), "a2", false));
    home.until("the second waits, and why", || {
        let waits = asked(query);
        waits.len() == 1 && waits[0].starts_with("a2 firing queued ") && waits[0].contains("503")
    });
    peer.fails(false);
    home.until("both are told", || asked(query).is_empty() && asked(all).len() == 2);
    assert_eq!(asked(all), ["a1 firing delivered ", "a2 firing delivered "]);
}
