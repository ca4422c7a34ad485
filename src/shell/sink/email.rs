//! One mail through SMTP, and what the server's replies mean.
//!
//! A connection serves one message: alerts are rare, and a pooled connection that the server has
//! closed meanwhile would turn into a failure that is not one. Replies before the message (greeting,
//! STARTTLS, AUTH) speak of the account and never refuse an alert; replies to the message do.

use std::path::Path;

use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};

use super::secret::{self, SecretText};
use super::{EXCERPT, Said, chain, fault, refuse, retry, within};
use crate::engine::event::{self, Attempt, Delivery};
use crate::model::Span;
use crate::settings::{Secret, SmtpTls};
use crate::wire::mail::{Letter, Picture, one_line};
use crate::wire::signature::token;
use crate::wire::{digest, notice};

/// How long the server may take for its goodbye after it has taken the message.
const QUIT: std::time::Duration = std::time::Duration::from_secs(1);

/// A mail receiver.
pub struct Account<'a> {
    pub host: &'a str,
    pub port: u16,
    pub tls: SmtpTls,
    pub ca_file: Option<&'a Path>,
    pub username: Option<&'a str>,
    pub password: Option<&'a Secret>,
    pub from: &'a str,
    pub to: &'a str,
    pub timeout: Span,
}

/// Makes one attempt.
pub async fn attempt(account: &Account<'_>, external_url: &str, delivery: &Delivery) -> Said {
    let place = format!("smtp {}:{}", account.host, account.port);
    let message = match compose(account, external_url, delivery) {
        Ok(message) => message,
        Err(reason) => return fault(format!("receiver `{}`: {reason}", delivery.receiver)).into(),
    };
    let exchange = async {
        let mut connection = open(account).await?;
        let sent = connection.send(message.envelope(), &message.formatted()).await;
        sent.map(|reply| (connection, reply)).map_err(Failure::Message)
    };
    match within(account.timeout.to_std(), exchange).await {
        // The message is taken once the server said so, whatever becomes of the connection.
        Some(Ok((mut connection, reply))) => {
            let _ = within(QUIT, connection.quit()).await;
            let text = reply.message().collect::<Vec<_>>().join(" ");
            Said { attempt: Attempt::Done, reply: one_line(&format!("{} {text}", reply.code()), EXCERPT) }
        }
        Some(Err(failure)) => failure.judge(&place).into(),
        None => retry(format!("{place}: no answer within {}", account.timeout)).into(),
    }
}

/// Where an exchange failed.
enum Failure {
    /// The configuration cannot be used, or the server does not offer what it demands.
    Account(String),
    /// Connecting, TLS or AUTH.
    Session(SmtpError),
    /// MAIL, RCPT or DATA.
    Message(SmtpError),
}

impl Failure {
    fn judge(self, place: &str) -> Attempt {
        match self {
            Failure::Account(reason) => fault(format!("{place}: {reason}")),
            Failure::Session(error) => {
                let reason = format!("{place}: {}", chain(&error));
                if error.is_permanent() || error.is_tls() || error.is_client() { fault(reason) } else { retry(reason) }
            }
            Failure::Message(error) => {
                let reason = format!("{place}: {}", chain(&error));
                let code = error.status().map(u16::from);
                match code {
                    // RFC 4954, section 6: the account is meant, not the message.
                    Some(530 | 534 | 535 | 538) => fault(reason),
                    _ if error.is_permanent() || error.is_client() => refuse(reason),
                    _ => retry(reason),
                }
            }
        }
    }
}

/// A connection on which the message may be sent.
async fn open(account: &Account<'_>) -> Result<AsyncSmtpConnection, Failure> {
    let name = ClientId::default();
    let server = (account.host, account.port);
    let limit = Some(account.timeout.to_std());
    let wrapper = match account.tls {
        SmtpTls::Implicit => Some(tls(account).await?),
        SmtpTls::Starttls | SmtpTls::None => None,
    };
    let opened = AsyncSmtpConnection::connect_tokio1(server, limit, &name, wrapper, None).await;
    let mut connection = opened.map_err(Failure::Session)?;
    if account.tls == SmtpTls::Starttls {
        if !connection.can_starttls() {
            connection.abort().await;
            return Err(Failure::Account(
                "the server does not offer STARTTLS; nothing was sent. Set `tls: implicit`, or `tls: none` on loopback"
                    .to_owned(),
            ));
        }
        connection.starttls(tls(account).await?, &name).await.map_err(Failure::Session)?;
    }
    if let Some(username) = account.username {
        let password = match account.password {
            Some(secret) => secret::read(secret).await.map_err(|error| Failure::Account(error.to_string()))?,
            None => return Err(Failure::Account("a user name needs a password; configure it as a secret".to_owned())),
        };
        authenticate(&mut connection, username, &password).await?;
    }
    Ok(connection)
}

async fn authenticate(
    connection: &mut AsyncSmtpConnection,
    username: &str,
    password: &SecretText,
) -> Result<(), Failure> {
    let credentials = Credentials::new(username.to_owned(), password.expose().to_owned());
    match connection.auth(DEFAULT_MECHANISMS, &credentials).await {
        Ok(_) => Ok(()),
        Err(error) => {
            connection.abort().await;
            Err(Failure::Session(error))
        }
    }
}

/// Trusts the public certificate authorities, and the configured one beside them.
async fn tls(account: &Account<'_>) -> Result<TlsParameters, Failure> {
    let mut builder = TlsParameters::builder(account.host.to_owned());
    if let Some(path) = account.ca_file {
        let unusable = |reason: String| Failure::Account(format!("ca_file {}: {reason}", path.display()));
        let pem = tokio::fs::read(path).await.map_err(|error| unusable(error.to_string()))?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| unusable(chain(&error)))?);
    }
    builder.build_rustls().map_err(Failure::Session)
}

/// The message. Its Message-Id is that of the delivery, so that a repeat after a lost reply can be
/// told as such; all messages of one alert refer to the same root and stand in one thread.
fn compose(account: &Account<'_>, external_url: &str, delivery: &Delivery) -> Result<Message, String> {
    let mailbox = |what: &str, text: &str| -> Result<Mailbox, String> {
        text.parse().map_err(|_| format!("`{what}` is not a mail address; correct the configuration"))
    };
    let (from, to) = (mailbox("from", account.from)?, mailbox("to", account.to)?);
    let addresses: (Address, Address) = (from.email.clone(), to.email.clone());
    let domain = from.email.domain().to_owned();
    let (letter, root) = match &delivery.message {
        event::Message::Alerts(notification) => (notice::letter(notification, external_url), "alert"),
        event::Message::Digest(digest) => (digest::letter(digest, external_url), "digest"),
    };
    let thread = format!("<{root}-{}@{domain}>", token(delivery.message.group()));
    let envelope = Envelope::new(Some(addresses.0), vec![addresses.1]).map_err(|error| error.to_string())?;
    Message::builder()
        .from(from)
        .to(to)
        .envelope(envelope)
        .subject(letter.subject.clone())
        .message_id(Some(format!("<{}@{domain}>", token(&delivery.id.0))))
        .in_reply_to(thread.clone())
        .references(thread)
        .header(AutoSubmitted)
        .multipart(parts(&letter))
        .map_err(|error| error.to_string())
}

/// Text or HTML, the HTML with its pictures (RFC 2387), so that mail programs show them in their place
/// and not as attachments.
fn parts(letter: &Letter) -> MultiPart {
    let text = MultiPart::alternative().singlepart(SinglePart::plain(letter.text()));
    let html = SinglePart::html(letter.html());
    if letter.pictures.is_empty() {
        return text.singlepart(html);
    }
    let kind: ContentType = "image/png".parse().expect("a media type");
    let with = |parts: MultiPart, picture: &Picture| {
        parts.singlepart(Attachment::new_inline(picture.id.clone()).body(picture.png.clone(), kind.clone()))
    };
    text.multipart(letter.pictures.iter().fold(MultiPart::related().singlepart(html), with))
}

/// `Auto-Submitted: auto-generated` (RFC 3834): holiday notices and the like do not answer it.
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
