//! The sign of life: it comes while the daemon works, and stays out when it hangs.

mod live;
mod servers;

use std::time::Duration;

use live::Home;

const RULES: &str = "
alerts:
  - name: failing
    condition: error_rate > 50%
    window: 5m
";

fn config(port: u16) -> String {
    format!(
        "
state_dir: state
rules: [rules.yaml]
listen: off
sources: [{{name: fleet, path: fleet.jsonl}}]
heartbeat: {{url: \"http://127.0.0.1:{port}/ping/evenkeel\", token: {{env: PING_TOKEN}}, interval: 1s}}
"
    )
}

#[test]
fn it_stays_out_while_the_daemon_hangs_and_comes_again() {
    let Some(mut watcher) = servers::http_sink("heartbeat", &[]) else { return };
    let mut home = Home::new(&config(watcher.port), RULES);
    home.start_as(|command| command.env("PING_TOKEN", "alive"));
    for _ in 0..3 {
        let request = watcher.next();
        assert_eq!((&request["method"], &request["path"]), (&"GET".into(), &"/ping/evenkeel".into()), "{request}");
        assert_eq!(request["headers"]["authorization"], "Bearer alive", "{request}");
        assert_eq!(request["body"], "");
    }
    home.signal("STOP");
    // What was on its way arrives first.
    std::thread::sleep(Duration::from_millis(500));
    watcher.reported();
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(watcher.reported(), [] as [serde_json::Value; 0]);
    home.signal("CONT");
    watcher.next();
    let (status, _) = home.stop();
    assert!(status.success(), "{status}");
    watcher.reported();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(watcher.reported(), [] as [serde_json::Value; 0]);
}

#[test]
fn a_watcher_that_is_down_is_a_fault_that_ends() {
    let Some(mut watcher) = servers::http_sink("heartbeat", &["--script", "500 200"]) else { return };
    let mut home = Home::new(&config(watcher.port), RULES);
    home.start_as(|command| command.env("PING_TOKEN", "alive"));
    let first = watcher.next();
    let second = watcher.next();
    assert_eq!((&first["answer"], &second["answer"]), (&"500".into(), &"200".into()));
    watcher.next();
    home.stop();
    let log = home.text("log");
    assert!(log.contains("the heartbeat does not arrive"), "{log}");
    assert!(log.contains("answered 500"), "{log}");
    assert!(log.contains("the heartbeat arrives again"), "{log}");
    assert!(!log.contains("/ping/"), "the address may be a key: {log}");
}
