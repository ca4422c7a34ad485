//! The sign of life: it comes while the daemon works, and stays out when it hangs.

use std::process::Command;
use std::time::Duration;

use crate::harness::{Home, execution, left_out, now_ms};

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
    let Some(mut watcher) = crate::servers::http_sink("heartbeat", &[]) else { return };
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
    let Some(mut watcher) = crate::servers::http_sink("heartbeat", &["--script", "500 200"]) else { return };
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

/// Bytes that a file of the process may hold from now on; what is longer fails as on a full disk.
fn file_limit(home: &Home, bytes: &str) -> bool {
    let limit = Command::new("prlimit").args(["--pid", &home.pid().to_string(), &format!("--fsize={bytes}")]).status();
    limit.is_ok_and(|status| status.success())
}

#[test]
fn it_stays_out_while_nothing_can_be_journalled() {
    let Some(mut watcher) = crate::servers::http_sink("heartbeat", &[]) else { return };
    let mut home = Home::new(&config(watcher.port), RULES);
    home.start_after("trap '' XFSZ", |command| command.env("PING_TOKEN", "alive"));
    watcher.next();
    // The limit holds for what it prints, too.
    home.until_logged("No alert fires");
    home.append("fleet.jsonl", execution(now_ms(), "a", true));
    if !file_limit(&home, "256:unlimited") {
        return left_out("it_stays_out_while_nothing_can_be_journalled", "there is no prlimit");
    }
    home.append("fleet.jsonl", execution(now_ms() + 1, "a", true));
    // What was on its way arrives first.
    std::thread::sleep(Duration::from_millis(1_500));
    watcher.reported();
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(watcher.reported(), [] as [serde_json::Value; 0]);
    assert!(file_limit(&home, "unlimited:unlimited"));
    watcher.next();
    let (status, _) = home.stop();
    assert!(status.success(), "{status}");
}

#[test]
fn it_stays_out_when_no_snapshot_can_be_written() {
    let Some(mut watcher) = crate::servers::http_sink("heartbeat", &[]) else { return };
    let mut home = Home::new(&config(watcher.port), RULES);
    home.start_as(|command| command.env("PING_TOKEN", "alive"));
    watcher.next();
    home.until_logged("caught up");
    // A file stands where the folder of the snapshots is to be; more than 32 MiB of journal ask for one.
    let folder = home.path("state/snapshot");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::write(&folder, "no folder").expect("written");
    for number in 0..40 {
        let line = execution(now_ms() + number, "a", true);
        let padding = "x".repeat(900_000);
        home.append("fleet.jsonl", line.replacen('{', &format!("{{\"padding\":\"{padding}\","), 1));
    }
    home.until_logged("the journal is kept until a snapshot succeeds");
    std::thread::sleep(Duration::from_millis(1_500));
    watcher.reported();
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(watcher.reported(), [] as [serde_json::Value; 0]);
    home.stop();
}
