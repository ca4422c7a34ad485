//! What the API shows, and how soon, through the real program.

use crate::harness::{Home, execution, free_port, now_ms, run};

const RULES: &str =
    "alerts:\n- {name: errors, condition: error_rate > 50%, window: 10m, min_samples: 3, severity: high}\n";

#[test]
fn who_asks_after_a_kill_is_shown_what_fires() {
    let port = free_port();
    let config = format!(
        "sources: [{{name: s, path: s.jsonl}}]\nrules: [rules.yaml]\nevaluation_interval: 1s\nlisten: 127.0.0.1:{port}\n\
         receivers: [{{name: ops, webhook: {{url: \"http://127.0.0.1:1/\"}}}}]\n\
         routes: [{{receivers: [ops], group_by: [agent], group_wait: 1h}}]\n"
    );
    let mut home = Home::new(&config, RULES);
    home.start();
    home.until_logged("caught up");
    home.append("s.jsonl", (0..5).map(|n| execution(now_ms() + n, "b1", false)).collect::<String>());
    home.until("it fires", || run(&home, &["alerts"]).0 == Some(1));
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
