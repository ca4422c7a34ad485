//! Webhooks and those like them: what is sent, and what each answer means.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::delivery::senders::{delivery, digest, reason, secret, sinks, verdict};
use crate::servers::{Certificates, http_sink};
use evenkeel::engine::event::{AlertState, Attempt, Delivery};
use evenkeel::model::Span;
use evenkeel::settings::{Channel, Secret};

const SIGNING_KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn webhook(port: u16, secret: Option<Secret>, token: Option<Secret>, timeout: Span) -> Channel {
    Channel::Webhook { url: format!("http://127.0.0.1:{port}/path-key?query=key"), secret, token, timeout }
}

#[tokio::test]
async fn a_webhook_is_signed_and_repeats_keep_its_id() {
    let arguments = ["--script", "500 200", "--secret", SIGNING_KEY];
    let Some(mut server) = http_sink("a_webhook_is_signed_and_repeats_keep_its_id", &arguments) else { return };
    let (_key_file, key) = secret(SIGNING_KEY);
    let (_token_file, token) = secret("t0ken");
    let sinks = sinks(vec![("ops", webhook(server.port, Some(key), Some(token), Span::seconds(20)))]);
    let first = delivery("d-1", "ops", AlertState::Firing);
    assert_eq!(verdict(&sinks.attempt(&first).await), "retry");
    assert_eq!(sinks.attempt(&Delivery { attempt: 2, ..first }).await, Attempt::Done);
    let requests = [server.next(), server.next()];
    for request in &requests {
        assert_eq!(request["signature_holds"], true, "{request}");
        assert_eq!(request["headers"]["webhook-id"], "d-1");
        assert_eq!(request["headers"]["authorization"], "Bearer t0ken");
        assert_eq!(request["headers"]["content-type"], "application/json");
    }
    assert_eq!(requests[0]["body"], requests[1]["body"]);
    let body: serde_json::Value =
        serde_json::from_str(requests[0]["body"].as_str().expect("text")).expect("the body is JSON");
    assert_eq!((&body["version"], &body["receiver"], &body["status"]), (&"4".into(), &"ops".into(), &"firing".into()));
    let alert = &body["alerts"][0];
    assert_eq!(alert["labels"]["alertname"], "errors");
    assert_eq!(alert["labels"]["agent"], "prüfer <b>");
    assert_eq!(alert["annotations"]["evidence"], "error_rate 23% > 10% (n = 120, window 5m)");
    assert_eq!(alert["startsAt"], "2025-11-14T10:30:45.123Z");
}

#[tokio::test]
async fn a_signature_of_another_key_does_not_hold() {
    let Some(mut server) = http_sink("a_signature_of_another_key_does_not_hold", &["--secret", SIGNING_KEY]) else {
        return;
    };
    let (_file, key) = secret("whsec_b3RoZXI=");
    let sinks = sinks(vec![("ops", webhook(server.port, Some(key), None, Span::seconds(20)))]);
    assert_eq!(sinks.attempt(&delivery("d-1", "ops", AlertState::Firing)).await, Attempt::Done);
    assert_eq!(server.next()["signature_holds"], false);
}

#[tokio::test]
async fn every_answer_has_one_meaning() {
    let meanings = [
        ("200", "done"),
        ("204", "done"),
        ("429:7", "retry after 7s"),
        ("503:90", "retry after 1m30s"),
        ("429:Sun,_06_Nov_1994_08:49:37_GMT", "retry after 0s"),
        ("429", "retry"),
        ("503", "retry"),
        ("500", "retry"),
        ("502:9", "retry"),
        ("408", "retry"),
        ("425", "retry"),
        ("401", "retry after 1m"),
        ("403", "retry after 1m"),
        ("302", "refuse"),
        ("400", "refuse"),
        ("404", "refuse"),
        ("410", "refuse"),
        ("422", "refuse"),
    ];
    let script = meanings.map(|(answer, _)| answer).join(" ");
    let Some(server) = http_sink("every_answer_has_one_meaning", &["--script", &script]) else { return };
    let sinks = sinks(vec![("ops", webhook(server.port, None, None, Span::seconds(20)))]);
    for (answer, expected) in meanings {
        let attempt = sinks.attempt(&delivery("d-1", "ops", AlertState::Firing)).await;
        assert_eq!(verdict(&attempt), expected, "{answer}: {attempt:?}");
        if attempt != Attempt::Done {
            let status = answer.split(':').next().expect("a status");
            let reason = reason(&attempt);
            assert!(reason.starts_with(&format!("http://127.0.0.1:{} answered {status}", server.port)), "{reason}");
            assert!(reason.contains(&format!("this is answer {status}")), "{reason}");
            assert!(!reason.contains("key"), "{reason}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_repeats_the_token_does_not_spread_it() {
    let Some(server) = http_sink("an_answer_that_repeats_the_token_does_not_spread_it", &["--script", "echo"]) else {
        return;
    };
    let (_file, token) = secret("t0ken-of-the-receiver");
    let sinks = sinks(vec![("ops", webhook(server.port, None, Some(token), Span::seconds(20)))]);
    let attempt = sinks.attempt(&delivery("d-1", "ops", AlertState::Firing)).await;
    assert_eq!(verdict(&attempt), "retry");
    assert!(!reason(&attempt).contains("t0ken") && reason(&attempt).contains("<secret>"), "{attempt:?}");
    assert!(!format!("{sinks:?}").contains("t0ken-of"));
}

#[tokio::test]
async fn a_receiver_that_hangs_costs_one_timeout() {
    let Some(server) = http_sink("a_receiver_that_hangs_costs_one_timeout", &["--script", "hang drip stall"]) else {
        return;
    };
    let sinks = sinks(vec![("ops", webhook(server.port, None, None, Span(1_500)))]);
    let firing = delivery("d-1", "ops", AlertState::Firing);
    let hung = sinks.attempt(&firing).await;
    assert_eq!(verdict(&hung), "retry");
    assert!(reason(&hung).contains("no answer within 1s500ms"), "{hung:?}");
    assert_eq!(verdict(&sinks.attempt(&firing).await), "retry", "an endless body is cut off");
    assert_eq!(sinks.attempt(&firing).await, Attempt::Done, "the status says it all");
}

#[tokio::test]
async fn a_receiver_that_was_down_gets_the_message_when_it_is_back() {
    let test = "a_receiver_that_was_down_gets_the_message_when_it_is_back";
    let Some(server) = http_sink(test, &[]) else { return };
    let port = server.port;
    let sinks = sinks(vec![("ops", webhook(port, None, None, Span::seconds(20)))]);
    let firing = delivery("d-1", "ops", AlertState::Firing);
    assert_eq!(sinks.attempt(&firing).await, Attempt::Done);
    drop(server);
    let down = sinks.attempt(&firing).await;
    assert_eq!(verdict(&down), "retry");
    assert!(reason(&down).contains("refused") && !reason(&down).contains("key"), "{down:?}");
    let Some(mut server) = http_sink(test, &["--port", &port.to_string()]) else { return };
    assert_eq!(sinks.attempt(&firing).await, Attempt::Done);
    assert_eq!(server.next()["headers"]["webhook-id"], "d-1");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_sends_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("non-blocking");
    let port = listener.local_addr().expect("an address").port();
    let missing = Secret::Env("EVENKEEL_TEST_UNSET".to_owned());
    let sinks = sinks(vec![("ops", webhook(port, Some(missing), None, Span::seconds(5)))]);
    let attempt = sinks.attempt(&delivery("d-1", "ops", AlertState::Firing)).await;
    assert_eq!(verdict(&attempt), "retry after 1m");
    assert!(reason(&attempt).contains("EVENKEEL_TEST_UNSET"), "{attempt:?}");
    assert!(listener.accept().is_err(), "nobody called");
    let gone = sinks.attempt(&delivery("d-1", "gone", AlertState::Firing)).await;
    assert_eq!(verdict(&gone), "refuse");
}

/// The daemon itself, over HTTPS: the certificate of an unknown authority is refused, and with the
/// authority among those of the system every message arrives signed.
#[test]
fn the_daemon_signs_and_checks_certificates() {
    let certificates = Certificates::new();
    let (cert, key) = (certificates.file("leaf.pem"), certificates.file("leaf.key"));
    let (cert, key) = (cert.to_str().expect("a path"), key.to_str().expect("a path"));
    let arguments = ["--secret", SIGNING_KEY, "--cert", cert, "--key", key];
    let Some(mut server) = http_sink("the_daemon_signs_and_checks_certificates", &arguments) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart");
    for name in ["executions.jsonl", "rules.yaml"] {
        std::fs::copy(quickstart.join(name), folder.path().join(name)).expect("copies");
    }
    let config = format!(
        "state_dir: state\nclock: records\nsources: [{{name: fleet, path: executions.jsonl}}]\nrules: [rules.yaml]\n\
         receivers:\n- name: ops\n  webhook: {{url: \"https://localhost:{}/hook\", secret: {{env: HOOK_SECRET}}}}\n",
        server.port
    );
    std::fs::write(folder.path().join("evenkeel.yaml"), config).expect("writes");
    let daemon = |authority: &str| {
        let child = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .args(["run", "--config", "evenkeel.yaml"])
            .current_dir(folder.path())
            .env("HOOK_SECRET", SIGNING_KEY)
            .env("SSL_CERT_FILE", certificates.file(authority))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        Daemon(child.expect("the daemon starts"))
    };
    // The server's own certificate is no authority.
    let mut distrustful = daemon("leaf.pem");
    let log = BufReader::new(distrustful.0.stderr.take().expect("piped"));
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || log.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let refused = loop {
        let line = lines.recv_timeout(Duration::from_secs(60)).expect("the log speaks of the certificate in time");
        if line.contains("certificate") {
            break line;
        }
    };
    assert!(refused.contains("https://localhost"), "the log names the receiver and the cause: {refused}");
    drop(distrustful);
    assert!(server.reported().is_empty(), "nothing was said to a stranger");
    let _trusting = daemon("ca.pem");
    let request = server.next();
    assert_eq!(request["signature_holds"], true, "{request}");
    assert_eq!(request["path"], "/hook");
}

/// Ends the daemon by its process id.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_digest_arrives_by_http_in_the_words_of_each() {
    let Some(mut server) = http_sink("a_digest_arrives_by_http_in_the_words_of_each", &["--secret", SIGNING_KEY])
    else {
        return;
    };
    let base = format!("http://127.0.0.1:{}", server.port);
    let (_slack_file, slack) = secret(&format!("{base}/slack"));
    let (_key_file, key) = secret(SIGNING_KEY);
    let timeout = Span::seconds(20);
    let (ntfy, template) = (
        Channel::Ntfy { url: base.clone(), topic: "ops".to_owned(), tags: Vec::new(), token: None, timeout },
        Channel::Template {
            url: base.clone(),
            body: "{\"text\": \"{{ title }}: {{ lines }}\", \"n\": {{ alerts }}}".to_owned(),
            content_type: "application/json".to_owned(),
            secret: None,
            token: None,
            timeout,
        },
    );
    let (pager_file, routing_key) = secret("key");
    let pager = Channel::PagerDuty { url: base.clone(), routing_key, timeout };
    let channels = vec![
        ("hook", webhook(server.port, Some(key), None, timeout)),
        ("chat", Channel::Slack { url: slack, timeout }),
        ("phone", ntfy),
        ("own", template),
        ("pager", pager),
    ];
    let sinks = sinks(channels);
    let mut bodies = Vec::new();
    for receiver in ["hook", "chat", "phone", "own"] {
        assert_eq!(sinks.attempt(&digest(receiver)).await, Attempt::Done, "{receiver}");
        let request = server.next();
        assert_eq!(request["signature_holds"] == true, receiver == "hook", "{request}");
        let body = serde_json::from_str::<serde_json::Value>(request["body"].as_str().expect("text")).expect("JSON");
        assert!(body.to_string().contains("2 times on agent="), "{receiver}: {body}");
        bodies.push(body);
    }
    assert_eq!((&bodies[0]["type"], &bodies[0]["digest"]), (&"digest".into(), &"morning".into()));
    assert_eq!(bodies[2]["topic"], "ops");
    assert_eq!(bodies[3]["n"], 0);
    let refused = sinks.attempt(&digest("pager")).await;
    assert!(reason(&refused).contains("no digests"), "{refused:?}");
    drop(pager_file);
    assert!(server.reported().is_empty(), "no incident is opened for a digest");
}
