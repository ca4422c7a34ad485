//! The senders against real servers: what is sent, and what each answer means.

mod live;
mod servers;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel::engine::event::{
    AlertEvent, AlertState, Attempt, Delivery, DeliveryId, Digest, DigestSection, Message, Notification,
};
use evenkeel::model::{Severity, Span, Subject, Timestamp, Trend, Unit};
use evenkeel::settings::{Channel, Receiver, Secret, SmtpTls};
use evenkeel::shell::sink::Sinks;
use live::{Home, Sink, execution, now_ms};
use servers::{Certificates, http_sink, smtp_server};

const SIGNING_KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PASSWORD: &str = "c0rrect horse";

fn delivery(id: &str, receiver: &str, state: AlertState) -> Delivery {
    let alert = AlertEvent {
        at: Timestamp(1_763_116_305_123),
        id: "errors-reviewer-1".to_owned(),
        rule: "errors".to_owned(),
        subject: Subject::from_iter([("agent", "prüfer <b>")]),
        state,
        severity: Severity::High,
        condition: "error_rate > 10%".to_owned(),
        value: Some(0.23),
        threshold: Some(0.1),
        unit: Unit::Ratio,
        n: 120,
        window: Span::minutes(5),
        active_since: Timestamp(1_763_116_185_123),
        fired_at: Some(Timestamp(1_763_116_245_123)),
        labels: [("team".to_owned(), "core".to_owned())].into(),
        annotations: [("summary".to_owned(), "Many errors".to_owned())].into(),
        muted: None,
        reason: String::new(),
        trend: None,
    };
    Delivery {
        id: DeliveryId(id.to_owned()),
        receiver: receiver.to_owned(),
        attempt: 1,
        message: Message::Alerts(Notification {
            at: alert.at,
            group: alert.id.clone(),
            group_labels: alert.identity(),
            alerts: vec![alert],
            truncated: 0,
            summary: String::new(),
            acknowledged: None,
        }),
    }
}

fn said(delivery: &mut Delivery) -> &mut Notification {
    let Message::Alerts(notification) = &mut delivery.message else { panic!("about alerts") };
    notification
}

/// A secret in a file of its own; the folder goes with the guard.
fn secret(text: &str) -> (tempfile::TempPath, Secret) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{text}").expect("writes");
    let path = file.into_temp_path();
    let secret = Secret::File(path.to_path_buf());
    (path, secret)
}

fn sinks(channels: Vec<(&str, Channel)>) -> Sinks {
    let receivers: Vec<Receiver> = channels
        .into_iter()
        .map(|(name, channel)| Receiver {
            name: name.to_owned(),
            min_severity: Severity::Info,
            send_resolved: true,
            channel,
        })
        .collect();
    Sinks::new(&receivers, "http://127.0.0.1:9464")
}

fn webhook(port: u16, secret: Option<Secret>, token: Option<Secret>, timeout: Span) -> Channel {
    Channel::Webhook { url: format!("http://127.0.0.1:{port}/path-key?query=key"), secret, token, timeout }
}

fn reason(attempt: &Attempt) -> &str {
    match attempt {
        Attempt::Done => "",
        Attempt::Retry { reason, .. } | Attempt::Refuse { reason } => reason,
    }
}

/// `done`, `refuse`, `retry` or `retry after 7s`.
fn verdict(attempt: &Attempt) -> String {
    match attempt {
        Attempt::Done => "done".to_owned(),
        Attempt::Retry { after: None, .. } => "retry".to_owned(),
        Attempt::Retry { after: Some(after), .. } => format!("retry after {after}"),
        Attempt::Refuse { .. } => "refuse".to_owned(),
    }
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

/// A mail account of the test server.
struct Account {
    port: u16,
    tls: SmtpTls,
    ca_file: Option<PathBuf>,
    password: Option<Secret>,
}

impl Account {
    fn channel(&self, to: &str) -> Channel {
        Channel::Email {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            tls: self.tls,
            ca_file: self.ca_file.clone(),
            username: self.password.as_ref().map(|_| "evenkeel".to_owned()),
            password: self.password.clone(),
            from: "Evenkeel <alerts@example.org>".to_owned(),
            to: to.to_owned(),
            timeout: Span::seconds(20),
        }
    }
}

fn header<'a>(message: &'a serde_json::Value, name: &str) -> Vec<&'a str> {
    let headers = message["headers"].as_array().expect("headers");
    headers.iter().filter(|h| h[0] == name).filter_map(|h| h[1].as_str()).collect()
}

#[tokio::test]
async fn mail_goes_through_every_kind_of_connection() {
    let certificates = Certificates::new();
    let (_file, password) = secret(PASSWORD);
    let account = format!("evenkeel:{PASSWORD}");
    let (cert, key) = (certificates.file("leaf.pem"), certificates.file("leaf.key"));
    let (cert, key) = (cert.to_str().expect("a path"), key.to_str().expect("a path"));
    for (word, tls) in [("none", SmtpTls::None), ("starttls", SmtpTls::Starttls), ("implicit", SmtpTls::Implicit)] {
        for auth in [false, true] {
            let mut arguments = vec!["--tls", word, "--cert", cert, "--key", key];
            if auth {
                arguments.extend(["--auth", &account]);
            }
            let Some(mut server) = smtp_server("mail_goes_through_every_kind_of_connection", &arguments) else {
                return;
            };
            let ca_file = (tls != SmtpTls::None).then(|| certificates.file("ca.pem"));
            let account = Account { port: server.port, tls, ca_file, password: auth.then(|| password.clone()) };
            let sinks = sinks(vec![("mail", account.channel("oncall@example.org"))]);
            let attempt = sinks.attempt(&delivery("d-1", "mail", AlertState::Firing)).await;
            assert_eq!(attempt, Attempt::Done, "{word}, auth {auth}");
            let message = server.next();
            assert_eq!(message["tls"], tls != SmtpTls::None, "{word}");
            assert_eq!(message["user"], if auth { "evenkeel".into() } else { serde_json::Value::Null });
            assert_eq!(message["to"], serde_json::json!(["oncall@example.org"]));
        }
    }
}

#[tokio::test]
async fn a_mail_says_it_all_in_both_parts_and_stands_in_its_thread() {
    let test = "a_mail_says_it_all_in_both_parts_and_stands_in_its_thread";
    let Some(mut server) = smtp_server(test, &[]) else { return };
    let account = Account { port: server.port, tls: SmtpTls::None, ca_file: None, password: None };
    let sinks = sinks(vec![("mail", account.channel("On Call <oncall@example.org>"))]);
    for (id, state) in [("d-1", AlertState::Firing), ("d-1", AlertState::Firing), ("d-2", AlertState::Resolved)] {
        assert_eq!(sinks.attempt(&delivery(id, "mail", state)).await, Attempt::Done);
    }
    let [first, again, resolved] = [server.next(), server.next(), server.next()];
    let subject = "[FIRING high] errors on agent=prüfer <b>: error_rate 23% > 10%";
    for (name, expected) in [
        ("Subject", subject),
        ("From", "Evenkeel <alerts@example.org>"),
        ("To", "On Call <oncall@example.org>"),
        ("Message-ID", "<d-1@example.org>"),
        ("In-Reply-To", "<alert-errors-reviewer-1@example.org>"),
        ("References", "<alert-errors-reviewer-1@example.org>"),
        ("Auto-Submitted", "auto-generated"),
    ] {
        assert_eq!(header(&first, name), [expected]);
    }
    assert_eq!(header(&first, "Message-ID"), header(&again, "Message-ID"));
    assert_ne!(header(&first, "Message-ID"), header(&resolved, "Message-ID"));
    assert_eq!(header(&first, "References"), header(&resolved, "References"));
    assert!(header(&resolved, "Subject")[0].starts_with("[RESOLVED] errors"));
    for (part, name) in [("text/plain", "agent=prüfer <b>"), ("text/html", "agent=prüfer &lt;b&gt;")] {
        let text = first["parts"][part].as_str().expect("the part is there");
        for fact in [name, "23%", "10%", "120", "5m", "2025-11-14T10:29:45.123Z", "Many errors"] {
            assert!(text.contains(fact), "{part} lacks {fact}: {text}");
        }
    }
}

#[tokio::test]
async fn a_mail_shows_the_course_of_the_value_without_asking_anybody() {
    let test = "a_mail_shows_the_course_of_the_value_without_asking_anybody";
    let Some(mut server) = smtp_server(test, &[]) else { return };
    let account = Account { port: server.port, tls: SmtpTls::None, ca_file: None, password: None };
    let sinks = sinks(vec![("mail", account.channel("oncall@example.org"))]);
    let mut firing = delivery("d-1", "mail", AlertState::Firing);
    assert_eq!(sinks.attempt(&firing).await, Attempt::Done);
    let alert = &mut said(&mut firing).alerts[0];
    let values = (0..8).map(|i| (Timestamp(alert.at.0 - (7 - i) * 15_000), 0.03 * i as f64)).collect();
    alert.trend = Some(Box::new(Trend { values, ..Trend::default() }));
    assert_eq!(sinks.attempt(&firing).await, Attempt::Done);
    let [plain, pictured] = [server.next(), server.next()];
    let kinds = |kinds: &[&str]| serde_json::json!(kinds);
    assert_eq!(plain["structure"], kinds(&["multipart/alternative", "text/plain", "text/html"]));
    let related = ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"];
    assert_eq!(pictured["structure"], kinds(&related));
    let picture = &pictured["pictures"][0];
    assert_eq!(picture["disposition"], "inline");
    let id = picture["id"].as_str().and_then(|id| id.strip_prefix('<')?.strip_suffix('>')).expect("an id");
    let html = pictured["parts"]["text/html"].as_str().expect("HTML");
    assert!(html.contains(&format!("src=\"cid:{id}\"")), "{html}");
    assert!(!html.contains("src=\"http"), "nothing is fetched: {html}");
    let course = "0% to 21% from 10:30:00 to 10:31:45 UTC";
    for part in ["text/plain", "text/html"] {
        assert!(pictured["parts"][part].as_str().is_some_and(|text| text.contains(course)), "{part}");
    }
    let bytes =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, picture["base64"].as_str().expect("text"));
    let bytes = bytes.expect("base64");
    assert!(bytes.starts_with(b"\x89PNG\r\n") && bytes.len() < 8_192, "{}", bytes.len());
    if let Ok(folder) = std::env::var("EVENKEEL_TEST_PICTURES") {
        std::fs::write(Path::new(&folder).join("mail.png"), &bytes).expect("writes");
    }
}

fn digest(receiver: &str) -> Delivery {
    let line = "high errors: 2 times on agent=<judge>, longest 2h".to_owned();
    let digest = Digest {
        name: "morning".to_owned(),
        group: "digest-morning".to_owned(),
        from: Timestamp(1_763_100_000_000),
        to: Timestamp(1_763_186_400_000),
        period: "2025-11-14 07:00 to 2025-11-15 07:00 Europe/Berlin".to_owned(),
        headline: "2 alerts began, none fires now".to_owned(),
        worst: None,
        sections: vec![DigestSection { title: "began".to_owned(), lines: vec![line], more: 0 }],
    };
    let id = DeliveryId(format!("digest-{receiver}"));
    Delivery { id, receiver: receiver.to_owned(), attempt: 1, message: Message::Digest(digest) }
}

#[tokio::test]
async fn a_digest_arrives_by_mail_in_a_thread_of_its_own() {
    let Some(mut server) = smtp_server("a_digest_arrives_by_mail_in_a_thread_of_its_own", &[]) else { return };
    let account = Account { port: server.port, tls: SmtpTls::None, ca_file: None, password: None };
    let sinks = sinks(vec![("mail", account.channel("oncall@example.org"))]);
    assert_eq!(sinks.attempt(&digest("mail")).await, Attempt::Done);
    let message = server.next();
    assert_eq!(header(&message, "Subject"), ["[DIGEST] morning: 2 alerts began, none fires now"]);
    assert_eq!(header(&message, "References"), ["<digest-digest-morning@example.org>"]);
    assert_eq!(header(&message, "Message-ID"), ["<digest-mail@example.org>"]);
    for (part, name) in [("text/plain", "agent=<judge>, longest 2h"), ("text/html", "agent=&lt;judge&gt;, longest 2h")]
    {
        let text = message["parts"][part].as_str().expect("the part is there");
        assert!(text.contains(name) && text.contains("2025-11-15 07:00 Europe/Berlin"), "{part}: {text}");
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

#[tokio::test]
async fn hostile_names_add_no_header_and_no_recipient() {
    let Some(mut server) = smtp_server("hostile_names_add_no_header_and_no_recipient", &[]) else { return };
    let account = Account { port: server.port, tls: SmtpTls::None, ca_file: None, password: None };
    let sinks = sinks(vec![("mail", account.channel("oncall@example.org"))]);
    let mut hostile = delivery("d-1\r\nBcc: a@b", "mail", AlertState::Firing);
    said(&mut hostile).alerts[0].rule =
        "errors\r\nBcc: victim@example.org\r\n\r\n.\r\nRCPT TO:<victim@example.org>".to_owned();
    said(&mut hostile).group = "x>\r\nX-Evil: 1".to_owned();
    said(&mut hostile).alerts[0].subject = Subject::from_iter([("agent", "\u{1f6a8}\u{202e}\r\n.\r\nQUIT")]);
    assert_eq!(sinks.attempt(&hostile).await, Attempt::Done);
    let message = server.next();
    assert_eq!(message["to"], serde_json::json!(["oncall@example.org"]));
    assert!(header(&message, "Bcc").is_empty() && header(&message, "X-Evil").is_empty(), "{message}");
    assert_eq!(header(&message, "Subject").len(), 1);
    assert!(server.reported().is_empty(), "one message and no more");
}

#[tokio::test]
async fn one_bad_address_does_not_stop_the_others() {
    let arguments = ["--unknown", "gone@example.org", "--busy", "full@example.org"];
    let Some(mut server) = smtp_server("one_bad_address_does_not_stop_the_others", &arguments) else { return };
    let account = Account { port: server.port, tls: SmtpTls::None, ca_file: None, password: None };
    let recipients = [("gone@example.org", "refuse"), ("full@example.org", "retry"), ("good@example.org", "done")];
    let sinks = sinks(recipients.iter().map(|(to, _)| (*to, account.channel(to))).collect());
    for (to, expected) in recipients {
        let attempt = sinks.attempt(&delivery("d-1", to, AlertState::Firing)).await;
        assert_eq!(verdict(&attempt), expected, "{to}: {attempt:?}");
    }
    assert_eq!(server.next()["to"], serde_json::json!(["good@example.org"]));
    assert!(server.reported().is_empty());
}

#[tokio::test]
async fn a_lost_reply_repeats_under_the_same_message_id() {
    let Some(mut server) = smtp_server("a_lost_reply_repeats_under_the_same_message_id", &["--lose-reply"]) else {
        return;
    };
    let account = Account { port: server.port, tls: SmtpTls::None, ca_file: None, password: None };
    let sinks = sinks(vec![("mail", account.channel("oncall@example.org"))]);
    for _ in 0..2 {
        let attempt = sinks.attempt(&delivery("d-1", "mail", AlertState::Firing)).await;
        assert_eq!(verdict(&attempt), "retry");
        assert_eq!(header(&server.next(), "Message-ID"), ["<d-1@example.org>"]);
    }
}

#[tokio::test]
async fn what_the_account_demands_is_kept_or_nothing_is_sent() {
    let test = "what_the_account_demands_is_kept_or_nothing_is_sent";
    let certificates = Certificates::new();
    let (cert, key) = (certificates.file("leaf.pem"), certificates.file("leaf.key"));
    let (cert, key) = (cert.to_str().expect("a path"), key.to_str().expect("a path"));
    let account = format!("evenkeel:{PASSWORD}");
    let (_right_file, right) = secret(PASSWORD);
    let (_wrong_file, wrong) = secret("wr0ng-password");
    let Some(mut plain) = smtp_server(test, &[]) else { return };
    let arguments = ["--tls", "starttls", "--cert", cert, "--key", key, "--auth", &account];
    let Some(mut starttls) = smtp_server(test, &arguments) else { return };
    let trusted = Some(certificates.file("ca.pem"));
    let missing = Some(certificates.file("missing.pem"));
    for (port, tls, ca_file, password, expected) in [
        (plain.port, SmtpTls::Starttls, trusted.clone(), None, "STARTTLS"),
        (starttls.port, SmtpTls::Starttls, None, Some(right.clone()), "certificate"),
        (starttls.port, SmtpTls::Starttls, missing, Some(right), "missing.pem"),
        (starttls.port, SmtpTls::Starttls, trusted.clone(), Some(wrong), "535"),
        (starttls.port, SmtpTls::Starttls, trusted, None, "530"),
    ] {
        let account = Account { port, tls, ca_file, password };
        let sinks = sinks(vec![("mail", account.channel("oncall@example.org"))]);
        let attempt = sinks.attempt(&delivery("d-1", "mail", AlertState::Firing)).await;
        let wanted = if expected == "certificate" { "retry" } else { "retry after 1m" };
        assert_eq!(verdict(&attempt), wanted, "{expected}: {attempt:?}");
        let reason = reason(&attempt);
        assert!(reason.contains(expected), "{expected}: {reason}");
        assert!(!reason.contains("wr0ng"), "{reason}");
    }
    assert!(plain.reported().is_empty() && starttls.reported().is_empty(), "nothing was sent");
}

#[tokio::test]
async fn a_mail_server_that_is_silent_or_gone_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let account = Account { port, tls: SmtpTls::None, ca_file: None, password: None };
    let mut channel = account.channel("oncall@example.org");
    if let Channel::Email { timeout, .. } = &mut channel {
        *timeout = Span(500);
    }
    let sinks = sinks(vec![("mail", channel)]);
    let started = Instant::now();
    let silent = sinks.attempt(&delivery("d-1", "mail", AlertState::Firing)).await;
    assert_eq!(verdict(&silent), "retry", "{silent:?}");
    assert!(started.elapsed() >= Duration::from_millis(450));
    drop(listener);
    let gone = sinks.attempt(&delivery("d-1", "mail", AlertState::Firing)).await;
    assert_eq!(verdict(&gone), "retry");
    assert!(reason(&gone).starts_with(&format!("smtp 127.0.0.1:{port}: ")), "{gone:?}");
}

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
    let query = include_str!("../docs/operations.md").split("-- Who was not told, and why\n").nth(1);
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
