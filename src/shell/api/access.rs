//! Who may ask.
//!
//! On loopback anyone on the machine may, but no web page: a page that has its own name resolve
//! to 127.0.0.1 still says that name in `Host`, so only names of this machine are accepted there.
//! Beyond loopback nothing is served without a bearer token. The token is kept as its HMAC and
//! compared in constant time.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, StatusCode, header};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::shell::sink::SecretText;

/// What an address demands of requests.
#[derive(Clone)]
pub struct Access {
    token: Option<[u8; 32]>,
    /// The only names that may be asked for; `None` is any.
    hosts: Option<Vec<String>>,
}

/// An address that cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Others could read everything.
    #[error("{0} can be reached from other machines: set `api_token`, or listen on 127.0.0.1")]
    TokenNeeded(SocketAddr),
}

/// Why a request is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `Host` header, or several.
    #[error("the request needs exactly one Host header")]
    NoHost,
    /// Another name.
    #[error("this server is not `{0}`; ask for localhost")]
    OtherHost(String),
    /// No token, or another one.
    #[error("a bearer token is needed: `Authorization: Bearer <token>`")]
    NoToken,
    /// Changes need a token.
    #[error(
        "this API is read-only: changes need `api_token` in the configuration, such as `api_token: {{file: token}}`, \
         and a restart of the daemon"
    )]
    ReadOnly,
    /// A web page of another place asks.
    #[error("a page of `{0}` may not change anything here")]
    OtherOrigin(String),
}

impl Refusal {
    /// The status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::NoHost => StatusCode::BAD_REQUEST,
            Refusal::OtherHost(_) => StatusCode::MISDIRECTED_REQUEST,
            Refusal::NoToken => StatusCode::UNAUTHORIZED,
            Refusal::ReadOnly | Refusal::OtherOrigin(_) => StatusCode::FORBIDDEN,
        }
    }
}

impl Access {
    /// The demands of `listen`. A token is demanded wherever there is one, and must be there
    /// beyond loopback.
    pub fn new(listen: SocketAddr, token: Option<&SecretText>) -> Result<Access, AccessError> {
        let loopback = listen.ip().to_canonical().is_loopback();
        if !loopback && token.is_none() {
            return Err(AccessError::TokenNeeded(listen));
        }
        let own = match listen.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned(), own];
        Ok(Access { token: token.map(|t| tag(t.expose())), hosts: loopback.then(|| hosts.to_vec()) })
    }

    /// Whether a request with these headers is answered.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if let Some(hosts) = &self.hosts {
            let mut given = headers.get_all(header::HOST).iter();
            let (Some(host), None) = (given.next(), given.next()) else { return Err(Refusal::NoHost) };
            let host = host.to_str().map_err(|_| Refusal::NoHost)?;
            if !hosts.iter().any(|known| known.eq_ignore_ascii_case(without_port(host))) {
                return Err(Refusal::OtherHost(host.chars().take(100).collect()));
            }
        }
        match self.token {
            Some(expected) if !holds(&expected, bearer(headers)) => Err(Refusal::NoToken),
            _ => Ok(()),
        }
    }
}

impl Access {
    /// Whether a request that passed [`Access::check`] may change something. Never without a token,
    /// on loopback either: the agents that are watched run there too, and must not silence what is
    /// said of them.
    pub fn check_change(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.token.is_none() {
            return Err(Refusal::ReadOnly);
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or("null");
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            if authority.is_none_or(|authority| !authority.eq_ignore_ascii_case(host)) {
                return Err(Refusal::OtherOrigin(origin.chars().take(100).collect()));
            }
        }
        Ok(())
    }
}

/// The name in a Host header; a port may be that of a tunnel and does not matter.
fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => &host[..colon],
        _ => host,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

fn mac(text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"evenkeel api token").expect("HMAC takes keys of any length");
    mac.update(text);
    mac
}

fn tag(token: &str) -> [u8; 32] {
    mac(token.as_bytes()).finalize().into_bytes().into()
}

/// Compares in constant time.
fn holds(expected: &[u8; 32], given: Option<&[u8]>) -> bool {
    given.is_some_and(|given| mac(given).verify_slice(expected).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::sink::read;

    fn token(text: &str) -> SecretText {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("writes");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let secret = crate::settings::Secret::File(file.path().to_path_buf());
        runtime.block_on(read(&secret)).expect("reads")
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = header::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_are_answered() {
        let access = Access::new("127.0.0.2:9464".parse().expect("an address"), None).expect("served");
        let other = |host: &str| Err(Refusal::OtherHost(host.to_owned()));
        for (pairs, expected) in [
            (&[("host", "localhost")][..], Ok(())),
            (&[("host", "LOCALHOST:9464")][..], Ok(())),
            (&[("host", "127.0.0.1:8080")][..], Ok(())),
            (&[("host", "127.0.0.2:9464")][..], Ok(())),
            (&[("host", "[::1]")][..], Ok(())),
            (&[("host", "[::1]:9464")][..], Ok(())),
            (&[("host", "evil.example")][..], other("evil.example")),
            (&[("host", "localhost.evil.example:9464")][..], other("localhost.evil.example:9464")),
            (&[("host", "127.0.0.3")][..], other("127.0.0.3")),
            (&[("host", "")][..], other("")),
            (&[][..], Err(Refusal::NoHost)),
            (&[("host", "localhost"), ("host", "evil.example")][..], Err(Refusal::NoHost)),
        ] {
            assert_eq!(access.check(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn changes_need_a_token_and_no_foreign_page() {
        let listen = "127.0.0.1:9464".parse().expect("an address");
        let open = Access::new(listen, None).expect("served");
        assert_eq!(open.check_change(&headers(&[("host", "localhost")])), Err(Refusal::ReadOnly));
        let access = Access::new(listen, Some(&token("s3cret"))).expect("served");
        let other = |origin: &str| Err(Refusal::OtherOrigin(origin.to_owned()));
        for (pairs, expected) in [
            (&[("host", "localhost:9464")][..], Ok(())),
            (&[("host", "localhost:9464"), ("origin", "http://localhost:9464")][..], Ok(())),
            (&[("host", "localhost:9464"), ("origin", "http://localhost:80")][..], other("http://localhost:80")),
            (&[("host", "localhost:9464"), ("origin", "https://evil.example")][..], other("https://evil.example")),
            (&[("host", "localhost:9464"), ("origin", "null")][..], other("null")),
        ] {
            assert_eq!(access.check_change(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn beyond_loopback_the_token_decides() {
        let everywhere: SocketAddr = "0.0.0.0:9464".parse().expect("an address");
        assert_eq!(Access::new(everywhere, None).err(), Some(AccessError::TokenNeeded(everywhere)));
        let access = Access::new(everywhere, Some(&token("s3cret"))).expect("served");
        for (value, expected) in [
            ("Bearer s3cret", Ok(())),
            ("bearer s3cret", Ok(())),
            ("Bearer s3cre", Err(Refusal::NoToken)),
            ("Bearer s3cret ", Err(Refusal::NoToken)),
            ("Bearer ", Err(Refusal::NoToken)),
            ("s3cret", Err(Refusal::NoToken)),
            ("Basic s3cret", Err(Refusal::NoToken)),
        ] {
            assert_eq!(access.check(&headers(&[("authorization", value)])), expected, "{value}");
        }
        assert_eq!(access.check(&HeaderMap::new()), Err(Refusal::NoToken));
    }
}
