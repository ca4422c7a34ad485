//! A webhook: the body of Alertmanager's, version 4, with the headers of Standard Webhooks.

use reqwest::header::{HeaderMap, HeaderValue};

use super::http::{Post, seconds};
use super::secret::SecretText;
use crate::engine::event::{Delivery, Message, Notification};
use crate::model::Span;
use crate::settings::Secret;
use crate::wire::alertmanager::Webhook;
use crate::wire::{digest, notice, signature};

/// A webhook receiver.
pub struct Hook<'a> {
    pub url: &'a str,
    pub secret: Option<&'a Secret>,
    pub token: Option<&'a Secret>,
    pub timeout: Span,
}

/// The message.
pub async fn post(hook: &Hook<'_>, external_url: &str, delivery: &Delivery) -> Result<Post, String> {
    let body = match &delivery.message {
        Message::Alerts(notification) => alerts(notification, &delivery.receiver, external_url),
        Message::Digest(digest) => digest::webhook(digest, &delivery.receiver, external_url).to_string().into_bytes(),
    };
    signed(Post::new(hook.url, hook.timeout, "application/json", body)?, hook, delivery).await
}

fn alerts(notification: &Notification, receiver: &str, external_url: &str) -> Vec<u8> {
    let alerts = notification.alerts.iter().map(|event| notice::alert(event, external_url)).collect();
    let group = (notification.matched.as_str(), &notification.group_labels, notification.truncated);
    let mut body = Webhook::new(receiver, external_url, group, alerts);
    if !notification.summary.is_empty() {
        body.common_annotations.insert("summary".to_owned(), notification.summary.clone());
    }
    serde_json::to_vec(&body).expect("a body is strings and one number")
}

/// The message with its identity and time, its token, and its signature when the receiver has a key.
pub async fn signed(post: Post, hook: &Hook<'_>, delivery: &Delivery) -> Result<Post, String> {
    let mut post = post.with_secret_address().bearer(hook.token).await?;
    let key = match hook.secret {
        Some(secret) => Some(post.secret(secret).await?),
        None => None,
    };
    let headers = sign(key.as_ref(), delivery, &post.body).map_err(|error| format!("{}: {error}", post.place()))?;
    post.headers.extend(headers);
    Ok(post)
}

fn sign(key: Option<&SecretText>, delivery: &Delivery, body: &[u8]) -> Result<HeaderMap, signature::KeyError> {
    let id = signature::token(&delivery.id.0);
    let now = seconds();
    let ascii = |text: &str| HeaderValue::from_str(text).expect("tokens, numbers and base64 are ASCII");
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        headers.insert(signature::SIGNATURE, ascii(&signature::sign(key.expose(), &id, now, body)?));
    }
    headers.insert(signature::TIMESTAMP, ascii(&now.to_string()));
    headers.insert(signature::ID, ascii(&id));
    Ok(headers)
}
