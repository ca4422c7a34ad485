//! A real Alertmanager on loopback: it takes, groups and resolves our alerts, and after a restart without its data
//! it has them again by being told again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Home, Message, Sink, execution, free_port, now_ms, run};
use serde_json::Value;

const RULES: &str = "
alerts:
  - name: failing
    condition: error_rate > 50%
    window: 10m
    min_samples: 1
    severity: critical
    labels: {team_name: core}
    annotations: {summary: '{{ agent }} fails {{ value }}'}
";

/// The program of the Debian package, unpacked or installed.
fn program(name: &str) -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools").join(name);
    // Debian's program does not start without its templates.
    if !Path::new("/usr/share/prometheus/alertmanager").is_dir() {
        return None;
    }
    let found = |path: &Path| {
        let status = Command::new(path).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    [unpacked, PathBuf::from(name)].into_iter().find(|path| found(path))
}

/// An Alertmanager that is ended by its process id.
struct Alertmanager {
    child: Child,
    _data: tempfile::TempDir,
}

impl Alertmanager {
    /// Starts one without memory of any other.
    fn start(program: &Path, port: u16, hook: &str) -> Alertmanager {
        let data = tempfile::tempdir().expect("a folder");
        let config = format!(
            "route:\n  receiver: hook\n  group_by: [alertname]\n  group_wait: 2s\n  group_interval: 2s\n  repeat_interval: 1h\n\
             receivers:\n- name: hook\n  webhook_configs: [{{url: \"{hook}\"}}]\n"
        );
        std::fs::write(data.path().join("alertmanager.yml"), config).expect("writes");
        let child = Command::new(program)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address="])
            .current_dir(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        Alertmanager { child, _data: data }
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What amtool shows: the labels of every active alert.
fn shown(amtool: &Path, port: u16) -> Vec<Value> {
    let url = format!("--alertmanager.url=http://127.0.0.1:{port}");
    let output = Command::new(amtool).args(["alert", "query", &url, "-o", "json"]).output().expect("runs");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn agents(alerts: &[Value]) -> Vec<&str> {
    let mut agents: Vec<&str> = alerts.iter().filter_map(|a| a["labels"]["agent"].as_str()).collect();
    agents.sort_unstable();
    agents
}

fn statuses(message: &Message) -> Vec<&str> {
    let alerts = message.body["alerts"].as_array().expect("a list");
    alerts.iter().filter_map(|a| a["status"].as_str()).collect()
}

#[test]
fn a_real_alertmanager_groups_resolves_and_is_told_again() {
    let test = "a_real_alertmanager_groups_resolves_and_is_told_again";
    let (Some(alertmanager), Some(amtool)) = (program("prometheus-alertmanager"), program("amtool")) else {
        let reason = "there is no prometheus-alertmanager in the path or in target/tools; `make tools` puts it there";
        return crate::servers::left_out(test, reason).unwrap_or_default();
    };
    let hook = Sink::start(Duration::ZERO);
    let port = free_port();
    let config = format!(
        "state_dir: state\nevaluation_interval: 1s\nrules: [rules.yaml]\nlisten: off\n\
         sources: [{{name: fleet, path: fleet.jsonl}}]\n\
         receivers:\n- name: am\n  alertmanager: {{urls: [\"http://127.0.0.1:{port}\"], resend: 2s, resolved_for: 1m}}\n"
    );
    let running = Alertmanager::start(&alertmanager, port, &hook.url);
    let mut home = Home::new(&config, RULES);
    home.start();
    let both = ["bug-hunter", "reviewer"];
    for agent in both {
        home.append("fleet.jsonl", execution(now_ms(), agent, false));
    }
    home.until("amtool shows both alerts", || agents(&shown(&amtool, port)) == both);
    let alerts = shown(&amtool, port);
    let first = alerts.iter().find(|a| a["labels"]["agent"] == "bug-hunter").expect("it is there");
    assert_eq!(first["labels"]["team_name"], "core", "{first}");
    assert_eq!(first["labels"]["severity"], "critical", "{first}");
    assert_eq!(first["annotations"]["summary"], "bug-hunter fails 100%", "{first}");
    home.until("one message tells of both", || hook.messages().iter().any(|m| statuses(m) == ["firing", "firing"]));

    // Without its memory it knows nothing; being told again is all that brings the alerts back.
    drop(running);
    let before = hook.messages().len();
    let _running = Alertmanager::start(&alertmanager, port, &hook.url);
    home.until("amtool shows both alerts again", || agents(&shown(&amtool, port)) == both);
    home.until("it tells of both again", || {
        hook.messages()[before..].iter().any(|m| statuses(m) == ["firing", "firing"])
    });

    for agent in both {
        (0..9).for_each(|_| home.append("fleet.jsonl", execution(now_ms(), agent, true)));
    }
    home.until("amtool shows no alert", || shown(&amtool, port).is_empty());
    home.until("the end is told", || {
        let messages = hook.messages();
        let last = messages.iter().rev().take(2).flat_map(statuses);
        last.filter(|status| *status == "resolved").count() == 2
    });
}

#[test]
fn an_alertmanager_that_is_gone_is_shown_as_failing_beside_those_who_were_told() {
    let hook = Sink::start(Duration::ZERO);
    let (api, gone) = (free_port(), free_port());
    let config = format!(
        "state_dir: state\nevaluation_interval: 1s\nrules: [rules.yaml]\nlisten: 127.0.0.1:{api}\n\
         sources: [{{name: fleet, path: fleet.jsonl}}]\n\
         receivers:\n- name: am\n  alertmanager: {{urls: [\"http://127.0.0.1:{gone}\"]}}\n\
         - name: ops\n  webhook: {{url: \"{}\"}}\n",
        hook.url
    );
    let mut home = Home::new(&config, RULES);
    home.start();
    home.append("fleet.jsonl", execution(now_ms(), "reviewer", false));
    home.until("both have a line", || {
        let shown = run(&home, &["alerts"]).1;
        let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        let (am, ops) = (line("  am/127.0.0.1:"), line("  ops: "));
        am.starts_with(&format!("  am/127.0.0.1:{gone}: not told yet; am/127.0.0.1:{gone} fails since "))
            && am.contains("refused")
            && ops.starts_with("  ops: told ")
    });
    let warned = format!("the daemon warns: receiver am/127.0.0.1:{gone} fails since ");
    let shown = run(&home, &["alerts"]).1;
    assert!(shown.contains(&warned), "{shown}");
    let why = run(&home, &["why", "failing", "reviewer"]).1;
    assert!(
        why.contains(&format!("  not told yet; am/127.0.0.1:{gone} fails since ")) && !why.contains("kept up"),
        "{why}"
    );
}
