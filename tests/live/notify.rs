//! `notify test` and the bodies of every kind of receiver, against a scripted server.

use std::path::Path;
use std::process::{Command, Output};

use crate::servers::{Certificates, http_sink, smtp_server};
use serde_json::Value;

fn evenkeel(folder: &Path, config: &str, arguments: &[&str]) -> Output {
    std::fs::write(folder.join("evenkeel.yaml"), config).expect("writes");
    Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["notify", "test"])
        .args(arguments)
        .current_dir(folder)
        .env("SLACK", format!("http://127.0.0.1:{}/services/T0/B0/hush", port(config)))
        .env("KEY", "R0UT1NG-hush")
        .env("NTFY", "tk_hush")
        .output()
        .expect("runs")
}

fn port(config: &str) -> &str {
    config.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(['"', '/']).next()).expect("a port")
}

fn config(port: u16) -> String {
    format!(
        "receivers:
- name: am
  alertmanager: {{urls: [\"http://127.0.0.1:{port}\"]}}
- name: chat
  slack: {{url: {{env: SLACK}}}}
- name: pager
  pagerduty: {{url: \"http://127.0.0.1:{port}/v2/enqueue\", routing_key: {{env: KEY}}}}
- name: phone
  ntfy: {{url: \"http://127.0.0.1:{port}\", topic: ops, token: {{env: NTFY}}}}
- name: own
  template: {{url: \"http://127.0.0.1:{port}/own\", body: '{{\"text\": \"{{{{ title }}}}\", \"n\": {{{{ n }}}}}}'}}
"
    )
}

#[test]
fn every_kind_of_receiver_is_told_and_its_reply_shown() {
    let Some(mut server) = http_sink("every_kind_of_receiver_is_told_and_its_reply_shown", &["--script", "202"]) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let output = evenkeel(folder.path(), &config(server.port), &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let tried: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let names: Vec<&str> = tried.iter().filter_map(|t| t["receiver"].as_str()).collect();
    let am = format!("am/127.0.0.1:{}", server.port);
    assert_eq!(names, [&am, &am, "chat", "pager", "pager", "phone", "own"]);
    assert!(tried.iter().all(|t| t["answer"] == "202 Accepted: this is answer 202"), "{tried:?}");
    let requests: Vec<Value> = names.iter().map(|_| server.next()).collect();
    let paths: Vec<&str> = requests.iter().filter_map(|r| r["path"].as_str()).collect();
    let expected =
        ["/api/v2/alerts", "/api/v2/alerts", "/services/T0/B0/hush", "/v2/enqueue", "/v2/enqueue", "/", "/own"];
    assert_eq!(paths, expected);
    let bodies: Vec<Value> =
        requests.iter().map(|r| serde_json::from_str(r["body"].as_str().expect("text")).expect("JSON")).collect();
    assert_eq!(bodies[0][0]["labels"]["alertname"], "EvenkeelTest");
    assert!(bodies[1][0]["endsAt"].as_str() < bodies[0][0]["endsAt"].as_str(), "the second is the end of the first");
    assert!(bodies[2]["text"].as_str().is_some_and(|t| t.contains("EvenkeelTest")), "{}", bodies[2]);
    assert_eq!((&bodies[3]["routing_key"], &bodies[3]["event_action"]), (&"R0UT1NG-hush".into(), &"trigger".into()));
    assert_eq!((&bodies[4]["event_action"], &bodies[4]["dedup_key"]), (&"resolve".into(), &bodies[3]["dedup_key"]));
    assert_eq!(
        (&bodies[5]["topic"], &requests[5]["headers"]["authorization"]),
        (&"ops".into(), &"Bearer tk_hush".into())
    );
    assert_eq!(
        (bodies[6]["n"].as_u64(), &requests[6]["headers"]["content-type"]),
        (Some(1), &"application/json".into())
    );
    for request in &requests {
        assert!(request["body"].as_str().is_some_and(|b| b.contains("test")), "each says that it is a test: {request}");
    }
}

#[test]
fn a_mail_server_is_tried_out_with_all_it_demands() {
    let test = "a_mail_server_is_tried_out_with_all_it_demands";
    let certificates = Certificates::new();
    let (cert, key) = (certificates.file("leaf.pem"), certificates.file("leaf.key"));
    let (cert, key) = (cert.to_str().expect("a path"), key.to_str().expect("a path"));
    let folder = tempfile::tempdir().expect("a folder");
    for tls in ["starttls", "implicit"] {
        let arguments = ["--tls", tls, "--cert", cert, "--key", key, "--auth", "keel:R0UT1NG-hush"];
        let Some(mut server) = smtp_server(test, &[&arguments[..], &["--unknown", "gone@example.org"]].concat()) else {
            return;
        };
        let config = format!(
            "receivers:
- name: mail
  email:
    smtp: \"127.0.0.1:{}\"
    tls: {tls}
    ca_file: {}
    from: keel@example.org
    to: [gone@example.org, ops@example.org]
    username: keel
    password: {{env: KEY}}
",
            server.port,
            certificates.file("ca.pem").display()
        );
        let output = evenkeel(folder.path(), &config, &["--json"]);
        assert_eq!(output.status.code(), Some(1), "one address is not taken: {output:?}");
        let tried: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&tried[0]["receiver"], &tried[0]["ok"]), (&"mail/gone@example.org".into(), &false.into()));
        assert!(tried[0]["answer"].as_str().is_some_and(|a| a.contains("no such mailbox")), "{}", tried[0]);
        let good = (&tried[1]["receiver"], &tried[1]["ok"], &tried[1]["answer"]);
        assert_eq!(good, (&"mail/ops@example.org".into(), &true.into(), &"250 OK".into()));
        assert!(!String::from_utf8_lossy(&output.stdout).contains("hush"), "secrets do not show");
        let message = server.next();
        assert_eq!((&message["tls"], &message["user"]), (&true.into(), &"keel".into()), "{tls}");
        assert_eq!(message["pictures"].as_array().map(Vec::len), Some(1), "it shows what pictures look like");
        assert!(server.reported().is_empty());
    }
}

#[test]
fn a_receiver_that_says_no_is_named_with_its_reason() {
    let script = "404 429:7 400 500 200";
    let Some(server) = http_sink("a_receiver_that_says_no_is_named_with_its_reason", &["--script", script]) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let output = evenkeel(folder.path(), &config(server.port), &["chat", "pager", "phone", "own"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    for (line, parts) in lines.iter().zip([
        ["failed chat by Slack", "answered 404 Not Found: this is answer 404; the receiver's fault"],
        ["failed pager by PagerDuty", "answered 429 Too Many Requests"],
        ["failed phone by ntfy", "answered 400 Bad Request: this is answer 400; the receiver's fault"],
        ["failed own by templated webhook", "answered 500"],
    ]) {
        assert!(line.starts_with(parts[0]) && line.contains(parts[1]), "{line}");
    }
    assert_eq!(lines.len(), 4);
    assert!(!text.contains("hush"), "secrets do not show: {text}");
    // Nothing listens on port 1.
    let dead = String::from_utf8(evenkeel(folder.path(), &config(1), &["own", "chat"]).stdout).expect("text");
    let refused = "firing: http://127.0.0.1:1: Connection refused (os error 111)";
    assert!(dead.lines().count() == 2 && dead.lines().all(|line| line.ends_with(refused)), "{dead}");
    let unknown = evenkeel(folder.path(), &config(server.port), &["nobody"]);
    assert_eq!(unknown.status.code(), Some(64));
    let known = format!("there is no receiver `nobody`; there are: am/127.0.0.1:{}, chat", server.port);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains(&known));
}
