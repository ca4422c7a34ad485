//! What the service manager hears, and what it does to the process.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Home, PATIENCE, execution, left_out, now_ms};

const CONFIG: &str = "
state_dir: state
evaluation_interval: 1s
rules: [rules.yaml]
listen: off
sources:
  - name: fleet
    path: fleet.jsonl
";
const RULES: &str = "
alerts:
  - name: failing
    condition: error_rate > 50%
    window: 5m
    severity: high
";

/// A socket that stands for the service manager.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(home: &Home) -> Manager {
        let socket = UnixDatagram::bind(home.path("notify")).expect("binds");
        socket.set_read_timeout(Some(PATIENCE)).expect("sets");
        Manager(socket)
    }

    /// The next message that begins with this; others are passed over.
    fn hears(&self, start: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            let length = self.0.recv(&mut bytes).unwrap_or_else(|error| panic!("waited in vain for {start}: {error}"));
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.starts_with(start) {
                return text;
            }
        }
    }
}

fn start(home: &mut Home) -> Manager {
    let manager = Manager::listen(home);
    let socket = home.path("notify");
    home.start_as(|command| command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "1000000"));
    manager
}

#[test]
fn ready_alive_reloading_stopping() {
    let mut home = Home::new(CONFIG, RULES);
    let manager = start(&mut home);
    assert!(manager.hears("READY=1").contains("STATUS="));
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    home.signal("HUP");
    let text = manager.hears("RELOADING=1");
    assert!(text.contains("MONOTONIC_USEC="), "{text}");
    manager.hears("READY=1");
    let (status, took) = home.stop();
    manager.hears("STOPPING=1");
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_reload_is_all_or_nothing() {
    let mut home = Home::new(CONFIG, RULES);
    let manager = start(&mut home);
    manager.hears("READY=1");
    home.until_logged("caught up");
    let fail = |home: &Home| {
        let lines: String = (0..20).map(|i| execution(now_ms() - i, "reviewer", false)).collect();
        home.append("fleet.jsonl", lines);
    };
    // Two files with faults: none of them takes effect, and both are named.
    std::fs::write(home.path("rules.yaml"), RULES.replace("error_rate", "erorr_rate")).expect("writes");
    std::fs::write(home.path("evenkeel.yaml"), CONFIG.replace("fleet.jsonl", "other.jsonl") + "wrong: 1\n")
        .expect("writes");
    home.signal("HUP");
    home.until_logged("the one in force stays");
    let log = home.text("log");
    assert!(log.contains("did you mean `error_rate`?") && log.contains("no field `wrong`"), "{log}");
    let status = manager.hears("READY=1");
    assert!(status.contains("the old one stays in force"), "{status}");
    fail(&home);
    home.until_logged("alert fires: error_rate > 50%");

    // A good one does: the rule is gone, so its alert is resolved.
    std::fs::write(home.path("rules.yaml"), RULES.replace("failing", "failing-much").replace("50%", "60%"))
        .expect("writes");
    std::fs::write(home.path("evenkeel.yaml"), CONFIG).expect("writes");
    home.signal("HUP");
    home.until_logged("policy is loaded again");
    home.until_logged("alert fires: error_rate > 60%");
    assert!(home.text("log").contains("alert is resolved"), "{}", home.text("log"));

    // And the policy of the past is that of the past after a kill.
    home.kill();
    home.start();
    home.until("it caught up again", || home.text("log").matches("caught up").count() == 2);
    let log = home.text("log");
    assert!(log.lines().rfind(|l| l.contains("caught up")).expect("said").contains("firing=1"), "{log}");
    home.stop();
    // Decided twice perhaps, since time is not journalled, but the same: one row each.
    let history = rusqlite::Connection::open(home.path("state/evenkeel.db")).expect("opens");
    let mut rows = history.prepare("SELECT rule || ' ' || state FROM alerts ORDER BY 1").expect("the table is there");
    let rows: Vec<String> =
        rows.query_map([], |row| row.get(0)).expect("reads").map(|row| row.expect("text")).collect();
    assert_eq!(rows, ["failing firing", "failing resolved", "failing-much firing"]);
}

#[test]
fn one_state_directory_has_one_process() {
    let mut home = Home::new(CONFIG, RULES);
    home.start();
    home.until_logged("caught up");
    let output = home.command(&["run"]).stderr(std::process::Stdio::piped()).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(74), "{text}");
    assert!(text.contains(&home.pid().to_string()) && text.contains("state_dir"), "{text}");
}

#[test]
fn the_unit_is_sound_and_closed() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/evenkeel.service");
    let text = std::fs::read_to_string(&unit).expect("there");
    for line in ["Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "WatchdogSec=30s", "DynamicUser=yes"] {
        assert!(text.lines().any(|l| l == line), "{line}");
    }
    let analyze = |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).arg(&unit).output();
    let Ok(security) = analyze(&["security", "--offline=true", "--threshold=15"]) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "systemd-analyze is not installed");
        return left_out("most of the_unit_is_sound_and_closed", "systemd-analyze is not installed");
    };
    let said = String::from_utf8_lossy(&security.stdout).into_owned();
    assert!(security.status.success(), "exposure is above 1.5:\n{said}");
    assert!(said.contains("Overall exposure level"), "{said}");
    let verified = analyze(&["verify", "--man=no"]).expect("is installed");
    // The program is not installed where tests run; nothing else may be wrong.
    let faults = String::from_utf8_lossy(&verified.stderr).into_owned();
    let faults: Vec<&str> =
        faults.lines().filter(|l| l.contains("evenkeel.service") && !l.contains("is not executable")).collect();
    assert!(faults.is_empty(), "{faults:?}");
}
