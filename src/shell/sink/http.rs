//! One HTTP request to a receiver, and what the answer means.
//!
//! Redirects are not followed: a body with a signature and a token goes to the address that was
//! configured or nowhere. Of an answer only a short excerpt is read, so that a receiver can
//! neither fill memory nor hold the attempt open with an endless body.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, Url};

use super::secret::{self, SecretText};
use super::{EXCERPT, Said, fault, innermost, refuse, retry, retry_after, within};
use crate::engine::event::Attempt;
use crate::model::Span;
use crate::settings::Secret;
use crate::wire::mail::one_line;

/// The longest pause that a receiver may ask for: an alert older than a day is given up anyway.
const LONGEST_PAUSE: Span = Span::days(1);

/// Parts of an address shorter than this are words, not keys.
const SHORTEST_KEY: usize = 8;

/// Bytes of an answer that are looked at.
const ANSWER_LIMIT: usize = 4 << 10;

/// What is posted.
pub struct Post {
    method: Method,
    url: Url,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// What the receiver is to have before that, in the same attempt; to be told it twice must do no harm.
    pub first: Option<Vec<u8>>,
    /// What must not show in a reason, whatever the receiver answers.
    secrets: Vec<SecretText>,
    timeout: Span,
}

impl Post {
    /// A body of this media type.
    pub fn new(url: &str, timeout: Span, media_type: &str, body: Vec<u8>) -> Result<Post, String> {
        let url = Url::parse(url).map_err(|_| "its url is not a URL; correct the configuration".to_owned())?;
        let mut headers = HeaderMap::new();
        let media_type = HeaderValue::from_str(media_type)
            .map_err(|_| "its content type cannot stand in a header; correct the configuration".to_owned())?;
        headers.insert(CONTENT_TYPE, media_type);
        Ok(Post { method: Method::POST, url, headers, body, first: None, secrets: Vec::new(), timeout })
    }

    /// Nothing but the address.
    pub fn get(url: &str, timeout: Span) -> Result<Post, String> {
        let mut get = Post::new(url, timeout, "text/plain", Vec::new())?;
        get.method = Method::GET;
        get.headers.clear();
        Ok(get)
    }

    /// The same with a bearer token.
    pub async fn bearer(mut self, token: Option<&Secret>) -> Result<Post, String> {
        let Some(token) = token else { return Ok(self) };
        let token = self.secret(token).await?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| "the bearer token holds characters that cannot stand in a header".to_owned())?;
        value.set_sensitive(true);
        self.headers.insert(AUTHORIZATION, value);
        Ok(self)
    }

    /// Keeps a secret out of every reason.
    pub fn hide(&mut self, secret: SecretText) {
        self.secrets.push(secret);
    }

    /// The same, when the address itself may hold keys: many servers say it again in their answer.
    pub fn with_secret_address(mut self) -> Post {
        self.secrets.extend(keys_of(&self.url));
        self
    }

    /// Reads a secret that is kept out of every reason.
    pub async fn secret(&mut self, secret: &Secret) -> Result<SecretText, String> {
        let text = secret::read(secret).await.map_err(|error| format!("{}: {error}", self.place()))?;
        self.secrets.push(text.clone());
        Ok(text)
    }

    /// Scheme and authority; never the user, path or query, which may hold keys.
    pub fn place(&self) -> String {
        place(&self.url)
    }

    /// Makes one attempt. The reply is only read of an answer that says no, or when it is asked for.
    pub async fn send(mut self, http: &Client, wants_reply: bool) -> Said {
        let started = Instant::now();
        if let Some(first) = self.first.take() {
            let said = self.transmit(http, started, first, false).await;
            // Who refuses that may take the rest, which is what is to be said.
            if matches!(said.attempt, Attempt::Retry { .. }) {
                return said;
            }
        }
        let body = std::mem::take(&mut self.body);
        self.transmit(http, started, body, wants_reply).await
    }

    /// Makes one request of an attempt that started then.
    async fn transmit(&self, http: &Client, started: Instant, body: Vec<u8>, wants_reply: bool) -> Said {
        let place = self.place();
        let left = || self.timeout.to_std().saturating_sub(started.elapsed());
        let limit = left();
        let request = http.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        match within(limit, request.timeout(limit).body(body).send()).await {
            Some(Ok(response)) => judge(&place, response, &self.secrets, left(), wants_reply).await,
            Some(Err(error)) if !error.is_timeout() => retry(format!("{place}: {}", innermost(&error))).into(),
            _ => retry(format!("{place}: no answer within {}", self.timeout)).into(),
        }
    }
}

/// Seconds since 1970, of this attempt.
pub fn seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) as i64
}

/// The client that all webhooks share, with the certificate authorities and proxies of the system.
pub fn client() -> Client {
    configured(|builder| builder)
}

/// The client that talks to the daemon itself: its token must not pass through a proxy.
pub fn direct_client() -> Client {
    configured(reqwest::ClientBuilder::no_proxy)
}

fn configured(further: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> Client {
    // Only the first call of the process installs; the later ones find it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            // Alerts are rare: a kept connection that the receiver has closed would be a failure that is none.
            .pool_max_idle_per_host(0);
        further(builder)
    };
    // A system without certificate authorities must still reach receivers on plain HTTP.
    builder()
        .build()
        .or_else(|_| builder().tls_certs_only([]).build())
        .expect("a client without certificate authorities needs nothing from the system")
}

/// The parts of an address that may be keys, whole ones before their parts.
fn keys_of(url: &Url) -> impl Iterator<Item = SecretText> {
    let (path, query) = (url.path(), url.query().unwrap_or_default());
    let long = path.split('/').chain(query.split(['&', '='])).filter(|part| part.len() >= SHORTEST_KEY);
    let whole = [format!("{path}?{query}"), path.to_owned(), query.to_owned()].into_iter();
    // A path of `/` hides nothing, and would hide every `/`.
    whole.filter(|part| part.len() > 1).chain(long.map(str::to_owned)).map(SecretText::new)
}

/// Scheme and authority; never the user, path or query, which may hold keys.
fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// What an answer means.
async fn judge(place: &str, response: Response, secrets: &[SecretText], rest: Duration, wants_reply: bool) -> Said {
    let status = response.status();
    if status.is_success() && !wants_reply {
        return Attempt::Done.into();
    }
    let after = response.headers().get(RETRY_AFTER).and_then(|value| pause(value, SystemTime::now()));
    let location = response.headers().get(reqwest::header::LOCATION).is_some();
    let mut excerpt = within(rest, excerpt(response)).await.unwrap_or_default();
    for secret in secrets.iter().filter(|s| !s.expose().is_empty()) {
        excerpt = excerpt.replace(secret.expose(), "<secret>");
    }
    let excerpt = one_line(&excerpt, EXCERPT);
    if status.is_success() {
        let reply = if excerpt.is_empty() { status.to_string() } else { format!("{status}: {excerpt}") };
        return Said { attempt: Attempt::Done, reply };
    }
    let mut reason = format!("{place} answered {status}");
    if !excerpt.is_empty() {
        reason = format!("{reason}: {excerpt}");
    }
    let attempt = match status {
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
        status if status.is_client_error() => {
            refuse(format!("{reason}; the receiver's fault: it takes no such message"))
        }
        _ => refuse(reason),
    };
    attempt.into()
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
        let keys: Vec<SecretText> = keys_of(&url).collect();
        let keys: Vec<&str> = keys.iter().map(SecretText::expose).collect();
        let whole = ["/services/T0KEN?key=hush", "/services/T0KEN", "key=hush"];
        assert_eq!(keys, [whole.as_slice(), &["services"]].concat());
        assert_eq!(keys_of(&Url::parse("http://hooks.example").expect("a URL")).count(), 1, "nothing but `/?`");
    }
}
