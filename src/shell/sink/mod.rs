//! Makes one attempt at a delivery and says how it went.
//!
//! Owns the sockets to receivers and what their answers mean; never decides when to try again and
//! never tries twice, because back-off and limits are the engine's state and survive a crash there.
//! An answer about the *message* refuses it; everything else (no connection, no credentials, a
//! server that wants rest) is a reason to try again, since a person can repair it and an alert
//! must not be lost to an expired password.

mod email;
mod http;
mod secret;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::event::{Attempt, Delivery, Message, Notification, Receipt};
use crate::model::{Span, Timestamp};
use crate::settings::{Channel, Heartbeat, Receiver};
use crate::wire::mail::one_line;
use crate::wire::{digest, notice, ntfy, pagerduty, slack, template};
use http::Post;
pub use http::direct_client;
pub use secret::{SecretError, SecretText, read};

/// How long to leave a receiver alone whose configuration or credentials are at fault: quick
/// repetition locks accounts and repairs nothing.
const FAULT_PAUSE: Span = Span::minutes(1);

/// The longest text of an answer that is repeated in a reason, in characters.
const EXCERPT: usize = 200;

/// Everyone who can be told, with the connections to them.
#[derive(Debug)]
pub struct Sinks {
    http: reqwest::Client,
    external_url: String,
    channels: BTreeMap<String, Channel>,
}

impl Sinks {
    /// Sinks of these receivers. `external_url` is where people find this daemon's API; it is put
    /// into messages and may be empty.
    pub fn new(receivers: &[Receiver], external_url: impl Into<String>) -> Sinks {
        // reqwest takes the process-wide provider; a second installation is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Sinks {
            http: http::client(),
            external_url: external_url.into(),
            channels: receivers.iter().map(|r| (r.name.clone(), r.channel.clone())).collect(),
        }
    }

    /// Makes exactly one attempt, within the receiver's timeout.
    pub async fn attempt(&self, delivery: &Delivery) -> Attempt {
        self.say(delivery, false).await.attempt
    }

    /// Makes exactly one attempt; the reply of a receiver that took the message is waited for if it is wanted.
    pub async fn say(&self, delivery: &Delivery, wants_reply: bool) -> Said {
        let Some(channel) = self.channels.get(&delivery.receiver) else {
            return refuse(format!("receiver `{}` is not in the configuration", delivery.receiver)).into();
        };
        if let Channel::Email { host, port, tls, ca_file, username, password, from, to, timeout } = channel {
            let account = email::Account {
                host,
                port: *port,
                tls: *tls,
                ca_file: ca_file.as_deref(),
                username: username.as_deref(),
                password: password.as_ref(),
                from,
                to,
                timeout: *timeout,
            };
            return email::attempt(&account, &self.external_url, delivery).await;
        }
        match self.post(channel, delivery).await {
            Ok(post) => post.send(&self.http, wants_reply).await,
            Err(reason) => fault(format!("receiver `{}`: {reason}", delivery.receiver)).into(),
        }
    }

    /// Gives one sign of life.
    pub async fn knock(&self, heartbeat: &Heartbeat) -> Attempt {
        let Heartbeat { url, token, timeout, .. } = heartbeat;
        let get = match Post::get(url, *timeout) {
            Ok(get) => get.with_secret_address().bearer(token.as_ref()).await,
            Err(reason) => Err(reason),
        };
        match get {
            Ok(get) => get.send(&self.http, false).await.attempt,
            Err(reason) => fault(reason),
        }
    }

    /// The request to a receiver that is reached by HTTP.
    async fn post(&self, channel: &Channel, delivery: &Delivery) -> Result<Post, String> {
        let external_url = &self.external_url;
        match channel {
            Channel::Slack { url, timeout } => {
                let address = secret::read(url).await.map_err(|error| error.to_string())?;
                let body = match &delivery.message {
                    Message::Alerts(notification) => slack::body(notification, external_url),
                    Message::Digest(digest) => digest::slack(digest, external_url),
                };
                let mut post = json(address.expose(), *timeout, &body)?;
                post.hide(address);
                Ok(post.with_secret_address())
            }
            Channel::PagerDuty { url, routing_key, timeout } => {
                let key = secret::read(routing_key).await.map_err(|error| error.to_string())?;
                let said = alerts(delivery)?;
                let mut post = json(url, *timeout, &pagerduty::body(said, key.expose(), external_url))?;
                if said.reopens {
                    post.first = Some(bytes(&pagerduty::closing(said, key.expose())));
                }
                post.hide(key);
                Ok(post)
            }
            Channel::Ntfy { url, topic, tags, token, timeout } => {
                let body = match &delivery.message {
                    Message::Alerts(notification) => ntfy::body(notification, topic, tags, external_url),
                    Message::Digest(digest) => digest::ntfy(digest, topic, tags, external_url),
                };
                json(url, *timeout, &body)?.bearer(token.as_ref()).await
            }
            Channel::Template { url, body, content_type, secret, token, timeout } => {
                let hook = webhook::Hook { url, secret: secret.as_ref(), token: token.as_ref(), timeout: *timeout };
                let (message, name) = (&delivery.message, &delivery.receiver);
                let body = template::fill(body, content_type, message, name, external_url);
                webhook::signed(Post::new(url, *timeout, content_type, body.into_bytes())?, &hook, delivery).await
            }
            Channel::Email { .. } => Err("mail is not sent by HTTP".to_owned()),
            Channel::Webhook { url, secret, token, timeout } => {
                let hook = webhook::Hook { url, secret: secret.as_ref(), token: token.as_ref(), timeout: *timeout };
                webhook::post(&hook, external_url, delivery).await
            }
            Channel::Alertmanager { url, token, resend, timeout } => {
                let until = Timestamp(http::seconds() * 1_000) + resend.ahead;
                let alerts: Vec<_> =
                    alerts(delivery)?.alerts.iter().map(|e| notice::postable(e, until, external_url)).collect();
                json(&format!("{url}/api/v2/alerts"), *timeout, &alerts)?.bearer(token.as_ref()).await
            }
        }
    }
}

/// The alerts, for receivers that the configuration lets have nothing else.
fn alerts(delivery: &Delivery) -> Result<&Notification, String> {
    delivery.notification().ok_or_else(|| "it takes alerts and no digests".to_owned())
}

fn json(url: &str, timeout: Span, body: &impl serde::Serialize) -> Result<Post, String> {
    Post::new(url, timeout, "application/json", bytes(body))
}

fn bytes(body: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("a body is strings and numbers")
}

/// How an attempt went, and what the receiver replied to a message that it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// How it went.
    pub attempt: Attempt,
    /// The beginning of the reply; empty when nobody asked for it.
    pub reply: String,
}

impl From<Attempt> for Said {
    fn from(attempt: Attempt) -> Said {
        Said { attempt, reply: String::new() }
    }
}

/// One attempt and what came of it. A fault of ours in it must not look like a message that is still on its way.
pub async fn receipt(sinks: Arc<Sinks>, delivery: Delivery) -> Receipt {
    let id = delivery.id.clone();
    let result = tokio::spawn(async move { sinks.attempt(&delivery).await }).await;
    let result =
        result.unwrap_or_else(|error| Attempt::Retry { reason: format!("attempt failed: {error}"), after: None });
    Receipt::Delivery { id, result }
}

fn retry(reason: impl AsRef<str>) -> Attempt {
    Attempt::Retry { reason: one_line(reason.as_ref(), 2 * EXCERPT), after: None }
}

fn retry_after(reason: impl AsRef<str>, after: Span) -> Attempt {
    Attempt::Retry { reason: one_line(reason.as_ref(), 2 * EXCERPT), after: Some(after) }
}

/// The receiver cannot be reached as it is configured.
fn fault(reason: impl AsRef<str>) -> Attempt {
    retry_after(reason, FAULT_PAUSE)
}

fn refuse(reason: impl AsRef<str>) -> Attempt {
    Attempt::Refuse { reason: one_line(reason.as_ref(), 2 * EXCERPT) }
}

/// An error with its causes, each said once: some errors print their cause, some do not.
fn chain(error: &dyn std::error::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        for part in error.to_string().split(": ") {
            if !parts.iter().any(|p| p == part) {
                parts.push(part.to_owned());
            }
        }
        next = error.source();
    }
    parts.join(": ")
}

/// The innermost reason of an error, such as `Connection refused`: what lies around it says only that it failed.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Runs one step of an attempt; `None` when it takes longer than `limit`.
async fn within<T>(limit: Duration, step: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, step).await.ok()
}
