//! One HTTP POST of an alert, and what the answer means.
//!
//! Redirects are not followed: a body with a signature and a token goes to the address that was
//! configured or nowhere. Of an answer only a short excerpt is read, so that a receiver can
//! neither fill memory nor hold the attempt open with an endless body.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::secret::{self, SecretText};
use super::{EXCERPT, chain, fault, notice, refuse, retry, retry_after, within};
use crate::engine::event::{Attempt, Delivery};
use crate::model::Span;
use crate::settings::Secret;
use crate::wire::alertmanager::Webhook;
use crate::wire::{mail::one_line, signature};

/// The longest pause that a receiver may ask for: an alert older than a day is given up anyway.
const LONGEST_PAUSE: Span = Span::days(1);

/// Bytes of an answer that are looked at.
const ANSWER_LIMIT: usize = 4 << 10;

/// A webhook receiver.
pub struct Hook<'a> {
    pub url: &'a str,
    pub secret: Option<&'a Secret>,
    pub token: Option<&'a Secret>,
    pub timeout: Span,
}

/// The client that all webhooks share, with the certificate authorities of the system.
pub fn client() -> Client {
    let builder = || {
        Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            // Alerts are rare: a kept connection that the receiver has closed would be a failure that is none.
            .pool_max_idle_per_host(0)
    };
    // A system without certificate authorities must still reach receivers on plain HTTP.
    builder()
        .build()
        .or_else(|_| builder().tls_certs_only([]).build())
        .expect("a client without certificate authorities needs nothing from the system")
}

/// Makes one attempt.
pub async fn attempt(http: &Client, hook: &Hook<'_>, external_url: &str, delivery: &Delivery) -> Attempt {
    let Ok(url) = Url::parse(hook.url) else {
        return fault(format!("receiver `{}`: its url is not a URL; correct the configuration", delivery.receiver));
    };
    let place = place(&url);
    let mut secrets = Vec::new();
    let headers = match headers(hook, &mut secrets).await {
        Ok(headers) => headers,
        Err(reason) => return fault(format!("{place}: {reason}")),
    };
    let notification = &delivery.notification;
    let alerts = notification.alerts.iter().map(|event| notice::alert(event, external_url)).collect();
    let group = (&notification.group_labels, notification.truncated);
    let body = Webhook::new(&delivery.receiver, external_url, group, alerts);
    let body = serde_json::to_vec(&body).expect("a body is strings and one number");
    let signed = match sign(hook, &secrets, delivery, &body) {
        Ok(signed) => signed,
        Err(error) => return fault(format!("{place}: {error}")),
    };
    let limit = hook.timeout.to_std();
    let started = Instant::now();
    let request = http.post(url).headers(headers).headers(signed).timeout(limit).body(body);
    match within(limit, request.send()).await {
        Some(Ok(response)) => {
            let rest = limit.saturating_sub(started.elapsed());
            judge(&place, response, &secrets, rest).await
        }
        Some(Err(error)) if !error.is_timeout() => retry(format!("{place}: {}", chain(&error.without_url()))),
        _ => retry(format!("{place}: no answer within {}", hook.timeout)),
    }
}

/// Scheme and authority; never the user, path or query, which may hold keys.
fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// The headers of every attempt. The secrets read on the way are added to `secrets`, the signing
/// key first.
async fn headers(hook: &Hook<'_>, secrets: &mut Vec<SecretText>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(secret) = hook.secret {
        secrets.push(secret::read(secret).await.map_err(|error| error.to_string())?);
    }
    if let Some(token) = hook.token {
        let token = secret::read(token).await.map_err(|error| error.to_string())?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| "the bearer token holds characters that cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        headers.insert(reqwest::header::AUTHORIZATION, value);
        secrets.push(token);
    }
    Ok(headers)
}

/// Identity and time of the message, and its signature when the receiver has a key.
fn sign(
    hook: &Hook<'_>,
    secrets: &[SecretText],
    delivery: &Delivery,
    body: &[u8],
) -> Result<HeaderMap, signature::KeyError> {
    let id = signature::token(&delivery.id.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) as i64;
    let ascii = |text: &str| HeaderValue::from_str(text).expect("tokens, numbers and base64 are ASCII");
    let mut headers = HeaderMap::new();
    if let (Some(_), Some(key)) = (hook.secret, secrets.first()) {
        headers.insert(signature::SIGNATURE, ascii(&signature::sign(key.expose(), &id, now, body)?));
    }
    headers.insert(signature::TIMESTAMP, ascii(&now.to_string()));
    headers.insert(signature::ID, ascii(&id));
    Ok(headers)
}

/// What an answer means.
async fn judge(place: &str, response: Response, secrets: &[SecretText], rest: Duration) -> Attempt {
    let status = response.status();
    if status.is_success() {
        return Attempt::Done;
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| pause(value, SystemTime::now()));
    let location = response.headers().get(reqwest::header::LOCATION).is_some();
    let mut excerpt = within(rest, excerpt(response)).await.unwrap_or_default();
    for secret in secrets {
        excerpt = excerpt.replace(secret.expose(), "<secret>");
    }
    let excerpt = one_line(&excerpt, EXCERPT);
    let mut reason = format!("{place} answered {status}");
    if !excerpt.is_empty() {
        reason = format!("{reason}: {excerpt}");
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => match after {
            Some(after) => retry_after(reason, after),
            None => retry(reason),
        },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => fault(reason),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => retry(reason),
        status if status.is_server_error() => retry(reason),
        status if status.is_redirection() && location => {
            refuse(format!("{reason}; redirects are not followed: configure the final address"))
        }
        _ => refuse(reason),
    }
}

/// The beginning of the answer's body.
async fn excerpt(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_LIMIT {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            _ => break,
        }
    }
    bytes.truncate(ANSWER_LIMIT);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Retry-After: seconds, or a date of HTTP (RFC 9110, section 10.2.3). At most a day; dates in the
/// past are no pause.
fn pause(value: &HeaderValue, now: SystemTime) -> Option<Span> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(i64::MAX / 1_000).min(i64::MAX / 1_000);
        return Some(Span::seconds(seconds).min(LONGEST_PAUSE));
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let now = jiff::Timestamp::try_from(now).ok()?;
    let millis = until.as_millisecond().saturating_sub(now.as_millisecond());
    Some(Span(millis).clamp(Span::ZERO, LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_seconds_or_dates() {
        // 6 Nov 1994 08:49:37 GMT, the example of RFC 9110.
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        for (text, expected) in [
            ("120", Some(Span::seconds(120))),
            ("0", Some(Span::ZERO)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Span::seconds(90))),
            ("Sun, 06 Nov 1994 08:40:00 GMT", Some(Span::ZERO)),
            ("99999999999999999999999", Some(LONGEST_PAUSE)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(pause(&HeaderValue::from_str(text).expect("ASCII"), now), expected, "{text}");
        }
    }

    #[test]
    fn places_hold_no_keys() {
        let url = Url::parse("https://user:pass@hooks.example:8443/services/T0KEN?key=hush").expect("a URL");
        assert_eq!(place(&url), "https://hooks.example:8443");
    }
}
