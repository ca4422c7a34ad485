//! Mail through a real server.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::delivery::senders::{delivery, digest, reason, secret, sinks, verdict};
use crate::servers::{Certificates, smtp_server};
use evenkeel::engine::event::{AlertState, Attempt, Delivery, Message, Notification};
use evenkeel::model::{Span, Subject, Timestamp, Trend};
use evenkeel::settings::{Channel, Secret, SmtpTls};

const PASSWORD: &str = "c0rrect horse";

fn said(delivery: &mut Delivery) -> &mut Notification {
    let Message::Alerts(notification) = &mut delivery.message else { panic!("about alerts") };
    notification
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
