//! What the world does to files, disks and lines: a clear word or a quarantined line, and the rest goes on.

use std::os::unix::fs::{FileExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::harness::{Home, Sink, execution, left_out, now_ms};
use serde_json::Value;

const RULES: &str = "
alerts:
  - name: failing
    condition: error_rate > 50%
    window: 5m
    severity: high
  - name: silent
    condition: silence > 3s
    window: 5m
    severity: critical
";

fn config(more: &str) -> String {
    format!(
        "state_dir: state
evaluation_interval: 1s
rules: [rules.yaml]
listen: 127.0.0.1:0
sources:
  - name: fleet
    path: logs/*.jsonl
{more}"
    )
}

fn home() -> Home {
    home_with("")
}

fn home_with(more: &str) -> Home {
    let home = Home::new(&config(more), RULES);
    std::fs::create_dir(home.path("logs")).expect("creates");
    home
}

/// An execution of a minute before the tests began; the same for the same number.
fn good(n: i64) -> String {
    static START: OnceLock<i64> = OnceLock::new();
    execution(START.get_or_init(now_ms) - 60_000 + n, "reviewer", true)
}

/// The quarantined lines: line number and reason.
fn quarantined(home: &Home) -> Vec<(u64, String)> {
    let text = home.text("state/quarantine.jsonl");
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    rows.map(|row| (row["line"].as_u64().expect("a number"), row["reason"].as_str().expect("text").to_owned()))
        .collect()
}

#[test]
fn bad_lines_are_set_aside_with_place_and_reason() {
    let home = home();
    let mut text: Vec<u8> = good(0).into_bytes();
    let bad: [(&[u8], &str); 9] = [
        (&[b'x'; 10 << 20], "longer than `limits.line_bytes`"),
        (b"{\"agent_name\":\"\xff\xfe\"}", "not UTF-8"),
        (b"\0\0\0\0\0\0\0\0", "not a JSON object"),
        (&[b'['; 100_000], "not a JSON object"),
        (b"{\"timestamp\":\"2026-01-01T00:00:00\",\"agent_name\":\"a\",\"success\":true,\"execution_time_ms\":-5}", "-5"),
        (b"{\"timestamp\":\"2026-01-01T00:00:00\",\"agent_name\":\"a\",\"success\":true,\"execution_time_ms\":1e300}", "execution_time_ms is 1000"),
        (b"{\"timestamp\":\"2026-01-01T00:00:00\",\"agent_name\":\"a\",\"success\":true,\"execution_time_ms\":NaN}", "JSON"),
        (b"{\"timestamp\":\"yesterday\",\"agent_name\":\"a\",\"success\":true}", "yesterday"),
        (b"{\"timestamp\":\"2026-01-01T00:00:00\",\"success\":true}", "agent"),
    ];
    for (index, (line, _)) in bad.iter().enumerate() {
        text.extend_from_slice(line);
        text.push(b'\n');
        text.extend_from_slice(good(index as i64 + 1).as_bytes());
    }
    // Twice the same, out of order, from the future, nothing, and an end that is not there yet.
    text.extend_from_slice(format!("{}{}{}", good(1), good(7), good(7)).as_bytes());
    text.extend_from_slice(execution(now_ms() - 3_600_000, "reviewer", true).as_bytes());
    text.extend_from_slice(execution(now_ms() + 3_600_000, "planner", true).as_bytes());
    text.extend_from_slice(b"\n  \n{\"timestamp\":\"2026-01-01T00:00");
    home.append("logs/a.jsonl", text);

    let output = home.command(&["run", "--once", "--json"]).stdout(Stdio::piped()).output().expect("runs");
    assert_eq!(output.status.code(), Some(1), "the silence of a minute fires\n{}", home.text("log"));
    let view: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let counters = &view["counters"];
    assert_eq!(counters["quarantined"], bad.len(), "{counters}");
    assert_eq!(counters["duplicates"], 3, "{counters}");
    assert_eq!(counters["records"], 1 + bad.len() + 2, "{counters}");
    assert_eq!(counters["future"], 1, "{counters}");
    assert!(counters["out_of_order"].as_u64().expect("a number") >= 1, "{counters}");
    let rows = quarantined(&home);
    assert_eq!(rows.len(), bad.len(), "{rows:?}");
    for (index, ((line, reason), (_, expected))) in rows.iter().zip(&bad).enumerate() {
        assert_eq!(*line, 2 * index as u64 + 2, "{reason}");
        assert!(reason.contains(expected), "line {line}: {reason}, not {expected}");
    }
    assert!(home.text("state/quarantine.jsonl").len() < 16_384, "long lines are cut");
    let log = home.text("log");
    assert!(log.contains(" in quarantine, first: ") && log.matches("in quarantine").count() <= 2, "{log}");

    // The end comes: the line counts, and nothing is read twice.
    home.append("logs/a.jsonl", ":00\",\"agent_name\":\"late\",\"success\":true}\n");
    let output = home.command(&["run", "--once", "--json"]).stdout(Stdio::piped()).output().expect("runs");
    let view: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(view["counters"]["records"], 1 + bad.len() + 3, "{}", view["counters"]);
    assert_eq!(view["counters"]["duplicates"], 3);
}

#[test]
fn truncated_rotated_and_rewritten_while_it_is_read() {
    let mut home = home();
    home.start();
    let mut n = 0;
    let mut more = |home: &Home, file: &str, count: i64| {
        let lines: String = (0..count).map(|i| good(n + i)).collect();
        n += count;
        home.append(file, &lines);
        lines
    };
    more(&home, "logs/a.jsonl", 500);
    home.until_records(500);
    // Truncated in place: what comes after counts.
    std::fs::write(home.path("logs/a.jsonl"), "").expect("truncates");
    more(&home, "logs/a.jsonl", 20);
    home.until_records(520);
    // Rewritten with old and new lines: only the new ones count.
    let old = home.text("logs/a.jsonl");
    std::fs::write(home.path("logs/a.jsonl"), &old[old.find('\n').expect("lines") + 1..]).expect("rewrites");
    more(&home, "logs/a.jsonl", 30);
    home.until_records(550);
    // Rotated while its writer still writes to it.
    let writer = std::fs::OpenOptions::new().append(true).open(home.path("logs/a.jsonl")).expect("opens");
    std::fs::rename(home.path("logs/a.jsonl"), home.path("logs/a.jsonl.1")).expect("renames");
    more(&home, "logs/a.jsonl", 40);
    std::io::Write::write_all(&mut &writer, execution(now_ms(), "slow-writer", true).as_bytes()).expect("writes");
    home.until_records(591);
    // Replaced by a file with the same lines and more.
    let lines = home.text("logs/a.jsonl");
    home.append("new", lines);
    more(&home, "new", 9);
    std::fs::rename(home.path("new"), home.path("logs/a.jsonl")).expect("renames");
    home.until_records(600);
    assert_eq!(quarantined(&home), []);
    assert!(home.stop().0.success());
}

#[test]
fn a_full_disk_stops_reading_not_alerting() {
    let sink = Sink::start(Duration::ZERO);
    let mut home = home_with(&format!("receivers:\n  - name: ops\n    webhook: {{url: \"{}\"}}\n", sink.url));
    std::fs::create_dir(home.path("state")).expect("creates");
    let Some(_mounted) = Mounted::tmpfs(&home, "state", "2m") else { return };
    home.append("logs/a.jsonl", execution(now_ms(), "reviewer", true));
    home.start();
    home.until_records(1);
    let hog = home.path("state/hog");
    let fill = |bytes: usize| {
        let mut left = bytes;
        let mut size = 1 << 16;
        let file = std::fs::File::create(&hog).expect("creates");
        let mut at = 0;
        while left > 0 && size > 0 {
            match file.write_at(&vec![1; size.min(left)], at) {
                Ok(n) => {
                    at += n as u64;
                    left -= n;
                }
                Err(_) => size /= 2,
            }
        }
    };
    fill(1 << 30);
    // Silence is decided by time alone, so it is told of although nothing can be written.
    home.until("the silence is told", || sink.messages().iter().any(|m| m.rule == "silent" && m.status == "firing"));
    let lines: String = (0..2_000).map(good).collect();
    home.append("logs/a.jsonl", &lines);
    home.until_logged("no lines are read until it can be written");
    home.until("the API says so", || home.metric("evenkeel_records_total") == Some(1.0));
    std::fs::remove_file(&hog).expect("removes");
    home.until_records(2_001);
    // What was told while nothing could be written is written now, and not told again by the next start.
    home.kill();
    home.start();
    home.until_records(2_001);
    std::thread::sleep(Duration::from_secs(2));
    let told: Vec<String> = sink.messages().into_iter().map(|m| format!("{} {}", m.rule, m.status)).collect();
    assert_eq!(told, ["silent firing"], "{}", home.text("log"));
    assert!(home.stop().0.success());
    assert_eq!(quarantined(&home), []);
}

#[test]
fn once_ends_when_the_journal_takes_nothing() {
    let home = home();
    let lines: String = (0..2_000).map(good).collect();
    home.append("logs/a.jsonl", &lines);
    // A file of this process may hold 256 KiB; what is longer fails as on a full disk.
    let mut command = home.command_after("trap '' XFSZ && ulimit -f 512", &["run", "--once"]);
    let status = command.env("EVENKEEL_LOG", "info").status().expect("runs");
    let log = home.text("log");
    assert_eq!(status.code(), Some(74), "{log}");
    assert!(log.contains("no lines are read until it can be written"), "{log}");
}

#[test]
fn a_reader_that_leaves_does_not_hide_what_was_found() {
    let home = home();
    let lines: String = (0..20).map(|n| execution(now_ms() - 60_000 + n, "reviewer", false)).collect();
    home.append("logs/a.jsonl", lines);
    let mut child = home.command(&["run", "--once"]).stdout(Stdio::piped()).spawn().expect("starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("ends").code(), Some(1), "{}", home.text("log"));
}

#[test]
fn more_files_than_descriptors_are_all_read() {
    let home = home();
    for n in 0..400 {
        home.append(&format!("logs/{n:03}.jsonl"), execution(now_ms() - 60_000 + n, &format!("agent-{n}"), true));
    }
    let mut command = home.command_after("ulimit -n 160", &["run", "--once", "--json"]);
    let output = command.stdout(Stdio::piped()).output().expect("runs");
    let view: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(view["counters"]["records"], 400, "{}", home.text("log"));
    assert!(!home.text("log").contains("cannot read"), "{}", home.text("log"));
}

/// A file system that is gone with the value.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn tmpfs(home: &Home, name: &str, size: &str) -> Option<Mounted> {
        let path = home.path(name);
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "evenkeel-test"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        if mount.is_ok_and(|status| status.success()) {
            return Some(Mounted(path));
        }
        left_out("a_full_disk_stops_reading_not_alerting", "nothing can be mounted here");
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn an_unreadable_folder_is_said_and_read_when_it_can_be() {
    let mut home = home();
    home.append("logs/a.jsonl", good(0));
    let logs = home.path("logs");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    let nobody = 65_534;
    // Root reads everything, so the program is somebody else.
    let root = chown(home.path("."), Some(nobody), Some(nobody)).is_ok();
    std::fs::set_permissions(&logs, closed).expect("closes");
    std::fs::write(home.path("log"), "").expect("writes");
    home.start_as(|command| if root { command.uid(nobody).gid(nobody) } else { command });
    home.until_logged("cannot look for");
    let log = home.text("log");
    assert!(log.contains("logs/*.jsonl") && log.contains("denied"), "{log}");
    std::fs::set_permissions(&logs, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("opens");
    home.until_records(1);
    assert_eq!(home.text("log").matches("cannot look for").count(), 1, "said once, not at every poll");
    assert!(home.stop().0.success());
}

#[test]
fn a_damaged_snapshot_and_a_torn_journal_cost_time_not_data() {
    let mut home = home();
    let lines: String = (0..1_000).map(good).collect();
    home.append("logs/a.jsonl", &lines);
    for n in 0..2 {
        home.append("logs/a.jsonl", good(1_000 + n));
        home.start();
        home.until_records(1_001 + n as u64);
        assert!(home.stop().0.success());
    }
    // The newest of two snapshots has one bit flipped.
    let newest = home.path("state/snapshot/00000003.bin");
    let mut bytes = std::fs::read(&newest).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&newest, bytes).expect("writes");
    home.append("logs/a.jsonl", good(1_002));
    home.start();
    home.until_logged("is damaged; going further back");
    home.until_records(1_003);
    home.kill();
    // The last entry of the journal is half there.
    let journal = std::fs::OpenOptions::new().write(true).open(home.path("state/journal/00000003.log")).expect("there");
    let length = journal.metadata().expect("there").len();
    assert!(length > 100, "{length}");
    journal.set_len(length - 5).expect("cuts");
    home.start();
    home.until_logged("cut the torn end");
    home.until_records(1_003);
    assert!(home.stop().0.success());
}

#[test]
fn an_event_that_ends_every_start_is_set_aside() {
    let mut home = home();
    home.append("logs/a.jsonl", good(0));
    home.start();
    home.until_records(1);
    home.append("logs/a.jsonl", good(1));
    home.until_records(2);
    home.kill();
    // As three starts leave it that the kernel killed while they handled the entry of the second line.
    let bytes = std::fs::read(home.path("state/journal/00000001.log")).expect("there");
    let mut at = 8;
    let mut found = None;
    while at + 8 <= bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        let payload = &bytes[at + 8..at + 8 + length];
        if payload.windows(10).any(|w| w == b"agent_name") {
            found = Some(at);
        }
        at += 8 + length;
    }
    let at = found.expect("lines are in the journal") as u64;
    let mark: Vec<u8> = [1, at, 3].into_iter().flat_map(u64::to_le_bytes).collect();
    std::fs::write(home.path("state/folding"), mark).expect("writes");
    for _ in 0..2 {
        home.start();
        home.until_records(1);
        home.kill();
    }
    let log = home.text("log");
    assert_eq!(log.matches("is set aside").count(), 1, "{log}");
    assert!(log.contains("lines=1"), "{log}");
    assert!(home.text(&format!("state/poison/1-{at}.entry")).contains("agent_name"), "the entry is kept");
    home.append("logs/a.jsonl", good(2));
    home.start();
    home.until_records(2);
    let counts = ["entries", "lines"].map(|what| home.metric(&format!("evenkeel_poisoned_{what}_total")));
    assert_eq!(counts, [Some(1.0), Some(1.0)]);
    let health = home.get("/healthz").expect("an answer");
    assert!(
        health.contains("200 OK") && health.contains("state/poison: 1; lines in them, which count for nothing: 1;"),
        "{health}"
    );
    assert!(home.stop().0.success());
}

/// Nothing is forged here: the kernel ends the process at its limit of processor time, three times at the same event.
#[test]
fn an_event_at_which_the_kernel_ends_every_start_is_set_aside() {
    // To hold `silence` against a sum is a verdict that time changes at any moment: once a second over 300 days.
    let rules = "alerts: [{name: still, condition: silence + silence > 3000d, by: agent, min_samples: 1}]\n";
    let config = format!(
        "state_dir: state\nevaluation_interval: 1s\nrules: [rules.yaml]\nlisten: 127.0.0.1:{}\n\
         sources: [{{name: s, path: s.jsonl}}]\n",
        crate::harness::free_port()
    );
    let mut home = Home::new(&config, rules);
    let long_ago = execution(now_ms() - 300 * 86_400_000, "a", true);
    home.append("s.jsonl", long_ago + &execution(now_ms() - 60_000, "b", true));
    home.start();
    let journal = home.path("state/journal/00000001.log");
    home.until("the lines are in the journal", || {
        std::fs::read(&journal).unwrap_or_default().windows(10).any(|w| w == b"agent_name")
    });
    home.kill();
    for start in 1..=3 {
        home.start_after("ulimit -t 2", |command| command);
        let status = home.wait();
        assert!(!status.success() && status.code().is_none_or(|code| code > 128), "start {start}: {status}");
        assert!(!home.path("state/poison").exists(), "start {start}: it may have been killed for another reason");
    }
    home.start_after("ulimit -t 60", |command| command);
    home.until_logged("is set aside");
    home.append("s.jsonl", execution(now_ms(), "c", true));
    home.until_records(1);
    let log = home.text("log");
    assert!(log.contains("the last starts ended here without a word") && log.contains("lines=2"), "{log}");
    let counts = ["entries", "lines"].map(|what| home.metric(&format!("evenkeel_poisoned_{what}_total")));
    assert_eq!(counts, [Some(1.0), Some(2.0)]);
    assert!(home.stop().0.success());
}
