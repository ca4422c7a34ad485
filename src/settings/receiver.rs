//! Checks who is told, and that no secret leaves the machine in clear.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use super::check::unique_name;
use super::raw::Section;
use super::{Channel, Heartbeat, Receiver, Resend, SmtpTls};
use crate::model::{Severity, Span};
use crate::wire::fields::{Spanned, one_of};
use crate::wire::template;

/// The receivers that have a name; the faults among them are said, and those with faults stand there so that
/// routes and digests may name them. `interval` is the one of evaluation: what an Alertmanager is told holds for some of them.
pub(super) fn check(sections: Vec<Section<'_>>, interval: Span) -> Vec<Receiver> {
    let mut names = BTreeMap::new();
    sections.into_iter().flat_map(|section| receivers(section, &mut names, interval)).collect()
}

/// The ways to reach a receiver.
const WAYS: [&str; 7] = ["webhook", "email", "alertmanager", "slack", "pagerduty", "ntfy", "template"];

/// One receiver, or one per address.
fn receivers(section: Section<'_>, names: &mut BTreeMap<String, Range<usize>>, interval: Span) -> Vec<Receiver> {
    let before = section.reader.faults.errors();
    let name = unique_name(&section, names);
    name.iter().for_each(|name| is_apart(&section, name, names));
    let severity = section.word("min_severity").and_then(|word| Severity::from_word(word.value));
    let send_resolved = section.flag("send_resolved").unwrap_or(true);
    let place = section.fields.place("name");
    let mut given = WAYS.iter().filter_map(|way| Some((*way, section.section(way)?)));
    let channels = match (given.next(), given.next()) {
        (Some((way, inner)), None) => channels(way, inner, interval),
        (one, _) => {
            let message = if one.is_some() {
                "a receiver is reached in one way, not two"
            } else {
                "a receiver needs a way to reach it"
            };
            let ways: Vec<String> = WAYS.iter().map(|way| format!("`{way}:`")).collect();
            section.reader.error(place, message, format!("write one of {}", ways.join(", ")));
            Vec::new()
        }
    };
    drop(given);
    let channels = if channels.is_empty() { vec![(String::new(), stand_in())] } else { channels };
    let faulty = section.reader.faults.errors() > before;
    debug_assert!(faulty || !channels.iter().any(|(_, channel)| is_stand_in(channel)), "a stand-in without an error");
    section.finish();
    let Some(name) = name else { return Vec::new() };
    let receiver = |(suffix, channel)| Receiver {
        name: format!("{name}{suffix}"),
        min_severity: severity.unwrap_or(Severity::Info),
        send_resolved,
        channel,
    };
    channels.into_iter().map(receiver).collect()
}

/// Says when a name is that of an address of another receiver, or could be, see [`named`].
fn is_apart(section: &Section<'_>, name: &str, names: &BTreeMap<String, Range<usize>>) {
    let below = |name: &str, whole: &str| name.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/'));
    let Some((other, first)) = names.iter().find(|(other, _)| below(name, other) || below(other, name)) else { return };
    let (one, whole) = if name.len() > other.len() { (name, other.as_str()) } else { (other.as_str(), name) };
    let (line, _) = section.reader.faults.file.line_column(first.start);
    let message = format!("`{one}` is a name for an address of the receiver `{whole}`");
    section.reader.error(
        section.fields.place("name"),
        message,
        format!("the other one stands in line {line}; rename one of them"),
    );
}

/// What stands for a channel with faults: nothing that only some receivers can is asked of it.
fn stand_in() -> Channel {
    Channel::Webhook { url: String::new(), secret: None, token: None, timeout: Span::seconds(10) }
}

pub(super) fn is_stand_in(channel: &Channel) -> bool {
    matches!(channel, Channel::Webhook { url, .. } if url.is_empty())
}

/// The receivers that are meant by a name: one, or all addresses of one, see [`Channel::Email`]; says when there is none.
pub(super) fn named<'r>(section: &Section<'_>, known: &'r [Receiver], name: &Spanned<String>) -> Vec<&'r Receiver> {
    let Spanned { value, bytes } = name;
    let below = |name: &str, whole: &str| name.strip_prefix(whole).is_some_and(|rest| rest.starts_with('/'));
    // Whose addresses cannot be read has any.
    let own =
        |r: &&Receiver| r.name == *value || below(&r.name, value) || is_stand_in(&r.channel) && below(value, &r.name);
    let found: Vec<&Receiver> = known.iter().filter(own).collect();
    if found.is_empty() {
        let help = match known.len() {
            0 => "add it under `receivers`".to_owned(),
            _ => one_of(value, known.iter().map(|r| r.name.as_str())),
        };
        section.reader.error(bytes.clone(), format!("there is no receiver `{value}`"), help);
    }
    found
}

/// The channels of one way, with what each adds to the receiver's name.
fn channels(way: &str, section: Section<'_>, interval: Span) -> Vec<(String, Channel)> {
    let alone = |channel: Option<Channel>| channel.into_iter().map(|channel| (String::new(), channel)).collect();
    match way {
        "webhook" => alone(webhook(section)),
        "email" => email(section),
        "slack" => alone(slack(section)),
        "pagerduty" => alone(pagerduty(section)),
        "ntfy" => alone(ntfy(section)),
        "template" => alone(template(section)),
        _ => alertmanager(section, interval),
    }
}

fn webhook(section: Section<'_>) -> Option<Channel> {
    let url = section.require("url", section.text("url")).and_then(|url| address(&section, "url", url));
    let (secret, token) = (section.secret("secret"), section.secret("token"));
    let timeout = section.span("timeout").unwrap_or(Span::seconds(10));
    section.finish();
    Some(Channel::Webhook { url: url?, secret, token, timeout })
}

fn timeout(section: &Section<'_>) -> Span {
    section.span("timeout").unwrap_or(Span::seconds(10))
}

fn slack(section: Section<'_>) -> Option<Channel> {
    let url = section.require("url", section.secret("url"));
    let timeout = timeout(&section);
    section.finish();
    Some(Channel::Slack { url: url?, timeout })
}

fn pagerduty(section: Section<'_>) -> Option<Channel> {
    let routing_key = section.require("routing_key", section.secret("routing_key"));
    let url = match section.text("url") {
        Some(url) => address(&section, "url", url),
        None => Some("https://events.pagerduty.com/v2/enqueue".to_owned()),
    };
    let timeout = timeout(&section);
    section.finish();
    Some(Channel::PagerDuty { url: url?, routing_key: routing_key?, timeout })
}

fn ntfy(section: Section<'_>) -> Option<Channel> {
    let url = match section.text("url") {
        Some(url) => address(&section, "url", url),
        None => Some("https://ntfy.sh".to_owned()),
    };
    let topic = section.require("topic", section.text("topic")).and_then(|topic| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let whole = (1..=64).contains(&topic.value.len()) && topic.value.chars().all(plain);
        if !whole {
            let message = format!("`topic` is {:?}", topic.value);
            section.reader.error(topic.bytes, message, "write 1 to 64 letters, digits, `-` and `_`");
        }
        whole.then_some(topic.value)
    });
    let tags = section.texts("tags").unwrap_or_default().into_iter().map(|tag| tag.value).collect();
    let token = section.secret("token");
    let timeout = timeout(&section);
    section.finish();
    Some(Channel::Ntfy { url: url?, topic: topic?, tags, token, timeout })
}

fn template(section: Section<'_>) -> Option<Channel> {
    let url = section.require("url", section.text("url")).and_then(|url| address(&section, "url", url));
    let content_type = section.text("content_type").map_or("application/json".to_owned(), |text| text.value);
    let body = section.require("body", section.text("body")).map(|body| {
        for (_, message, help) in template::check(&body.value, &content_type) {
            section.reader.error(body.bytes.clone(), message, help);
        }
        body.value
    });
    let (secret, token) = (section.secret("secret"), section.secret("token"));
    let timeout = timeout(&section);
    section.finish();
    Some(Channel::Template { url: url?, body: body?, content_type, secret, token, timeout })
}

/// An http or https address with a host and without credentials.
pub(super) fn address(section: &Section<'_>, name: &str, url: Spanned<String>) -> Option<String> {
    let Spanned { value, bytes } = url;
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let authority = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let fault = match authority {
        None => "begins with neither http:// nor https://",
        Some(authority) if authority.contains('@') => "holds credentials",
        Some(authority) if authority.is_empty() || authority.starts_with(':') => "has no host",
        Some(_) if value.chars().any(|c| c.is_whitespace() || c.is_control()) => "has a blank in it",
        Some(_) => return Some(value),
    };
    let help = match fault {
        "holds credentials" => "take them out and write `token: {file: PATH}`",
        _ => "write an address such as https://ops.example/hook",
    };
    section.reader.error(bytes, format!("`{name}` {fault}"), help);
    None
}

/// The sign of life.
pub(super) fn heartbeat(section: Section<'_>) -> Option<Heartbeat> {
    let url = section.require("url", section.text("url")).and_then(|url| address(&section, "url", url));
    let token = section.secret("token");
    let interval = section.span("interval").unwrap_or(Span::minutes(1));
    let timeout = timeout(&section);
    section.finish();
    Some(Heartbeat { url: url?, token, interval, timeout })
}

/// One channel per peer.
fn alertmanager(section: Section<'_>, interval: Span) -> Vec<(String, Channel)> {
    let urls = section.require("urls", section.texts("urls")).unwrap_or_default();
    let mut peers: Vec<String> = Vec::new();
    for url in urls {
        let bytes = url.bytes.clone();
        let Some(url) = address(&section, "urls", url) else { continue };
        let url = url.trim_end_matches('/').trim_end_matches("/api/v2/alerts").to_owned();
        if peers.contains(&url) {
            section.reader.faults.warning(bytes, format!("`urls` names {url} twice"), "delete one of them");
        } else {
            peers.push(url);
        }
    }
    let token = section.secret("token");
    let every = section.span("resend").unwrap_or(Span::minutes(1));
    let resolved_for = section.span("resolved_for").unwrap_or(Span::minutes(15));
    let timeout = section.span("timeout").unwrap_or(Span::seconds(10));
    section.finish();
    // As Prometheus has it: a sender that fails a few times is still believed, one that died is not for long.
    let resend = Resend { every, resolved_for, ahead: Span(4 * every.max(interval).0) };
    let mut places: BTreeMap<String, u32> = BTreeMap::new();
    let channel = |url: String| {
        // A path may be a secret, and is not shown.
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let count = places.entry(place.to_owned()).and_modify(|count| *count += 1).or_insert(1);
        // A lone one, too: what it was told is known by its name, whatever stands beside it.
        let suffix = match *count {
            1 => format!("/{place}"),
            count => format!("/{place}#{count}"),
        };
        (suffix, Channel::Alertmanager { url, token: token.clone(), resend, timeout })
    };
    peers.into_iter().map(channel).collect()
}

/// One channel per recipient, with what it adds to the receiver's name; a stand-in for each that has faults.
fn email(section: Section<'_>) -> Vec<(String, Channel)> {
    let server = section.require("smtp", section.text("smtp"));
    let bytes = server.as_ref().map_or(section.fields.place("smtp"), |server| server.bytes.clone());
    let server = server.and_then(|server| host_and_port(&section, server));
    let tls = match section.word("tls").map(|word| word.value) {
        Some("starttls") => SmtpTls::Starttls,
        Some("implicit") => SmtpTls::Implicit,
        Some(_) => SmtpTls::None,
        None if server.as_ref().is_some_and(|(_, port)| *port == Some(465)) => SmtpTls::Implicit,
        None => SmtpTls::Starttls,
    };
    let ca_file = section.path("ca_file");
    let from = section.require("from", section.text("from")).and_then(|from| mailbox(&section, from, "from"));
    let recipients = section.require("to", section.texts("to")).unwrap_or_default();
    let (mut to, mut faulty): (Vec<String>, Vec<String>) = Default::default();
    for recipient in recipients {
        let bytes = recipient.bytes.clone();
        let written = recipient.value.clone();
        let Some(recipient) = mailbox(&section, recipient, "to") else {
            faulty.push(written);
            continue;
        };
        if to.contains(&recipient) {
            section.reader.faults.warning(bytes, format!("`to` names {recipient} twice"), "delete one of them");
        } else {
            to.push(recipient);
        }
    }
    let username = section.text("username").map(|text| text.value);
    let password = section.secret("password");
    let has_password = section.node("password").is_some();
    if username.is_some() != has_password {
        let (there, missing) = if has_password { ("password", "username") } else { ("username", "password") };
        let message = format!("`{there}` is there and `{missing}` is not");
        section.reader.error(section.fields.place(there), message, format!("add `{missing}`, or delete `{there}`"));
    }
    if let (SmtpTls::None, Some((host, _))) = (tls, &server)
        && !is_loopback(host)
    {
        let help = "write `tls: starttls` or `tls: implicit`; none is for servers on this machine";
        if has_password {
            section.reader.error(bytes, format!("the password would reach {host} in clear"), help);
        } else {
            section.reader.faults.warning(bytes, format!("alerts reach {host} in clear"), help);
        }
    }
    let timeout = section.span("timeout").unwrap_or(Span::seconds(30));
    section.finish();
    // A lone one, too: what waits for it is known by its name, whoever stands beside it.
    let suffix = |to: &str| format!("/{to}");
    let stand_ins = faulty.iter().map(|to| (suffix(to), stand_in()));
    let (Some((host, port)), Some(from)) = (server, from) else {
        return to.iter().map(|to| (suffix(to), stand_in())).chain(stand_ins).collect();
    };
    let port = port.unwrap_or(match tls {
        SmtpTls::Starttls => 587,
        SmtpTls::Implicit => 465,
        SmtpTls::None => 25,
    });
    let channel = |to: String| {
        let suffix = suffix(&to);
        let (host, ca_file) = (host.clone(), ca_file.clone());
        let (username, password, from) = (username.clone(), password.clone(), from.clone());
        (suffix, Channel::Email { host, port, tls, ca_file, username, password, from, to, timeout })
    };
    to.into_iter().map(channel).chain(stand_ins).collect()
}

/// `host`, `host:port`, `[::1]:port`.
fn host_and_port(section: &Section<'_>, text: Spanned<String>) -> Option<(String, Option<u16>)> {
    let Spanned { value, bytes } = text;
    let (host, port) = match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, tail)) => (host, tail.strip_prefix(':')),
        None => value.rsplit_once(':').map_or((value.as_str(), None), |(host, port)| (host, Some(port))),
    };
    let number = port.map(str::parse::<u16>);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    match number {
        Some(Err(_) | Ok(0)) => {}
        _ if host.is_empty() || !host.chars().all(plain) => {}
        number => return Some((host.to_owned(), number.and_then(Result::ok))),
    }
    section.reader.error(bytes, format!("`smtp` is `{value}`"), "write server and port, such as mail.example:587");
    None
}

/// An address such as `a@b.example`, or `Name <a@b.example>`.
fn mailbox(section: &Section<'_>, text: Spanned<String>, name: &str) -> Option<String> {
    let Spanned { value, bytes } = text;
    let address = value.rsplit_once('<').map_or(value.as_str(), |(_, rest)| rest.trim_end().trim_end_matches('>'));
    let parts = address.split_once('@');
    let whole = parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if whole && !address.contains(char::is_whitespace) && !value.contains(char::is_control) {
        return Some(value);
    }
    section.reader.error(
        bytes,
        format!("`{name}` is `{value}`, not a mail address"),
        "write one such as ops@example.org",
    );
    None
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
