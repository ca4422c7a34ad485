//! Checks who is told, and that no secret leaves the machine in clear.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use super::check::unique_name;
use super::raw::Section;
use super::{Channel, Receiver, SmtpTls};
use crate::model::{Severity, Span};
use crate::wire::fields::Spanned;

/// The receivers without faults; the faults of the others are said.
pub(super) fn check(sections: Vec<Section<'_>>) -> Vec<Receiver> {
    let mut names = BTreeMap::new();
    sections.into_iter().flat_map(|section| receivers(section, &mut names)).collect()
}

/// One receiver, or one per address.
fn receivers(section: Section<'_>, names: &mut BTreeMap<String, Range<usize>>) -> Vec<Receiver> {
    let name = unique_name(&section, names);
    let severity = section.word("min_severity").and_then(|word| Severity::from_word(word.value));
    let send_resolved = section.flag("send_resolved").unwrap_or(true);
    let place = section.fields.place("name");
    let channels = match (section.section("webhook"), section.section("email")) {
        (Some(hook), None) => webhook(hook).into_iter().map(|channel| (String::new(), channel)).collect(),
        (None, Some(mail)) => email(mail),
        (both, _) => {
            let message = if both.is_some() {
                "a receiver is reached in one way, not two"
            } else {
                "a receiver needs a way to reach it"
            };
            section.reader.error(place, message, "write either `webhook:` or `email:`");
            Vec::new()
        }
    };
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

fn webhook(section: Section<'_>) -> Option<Channel> {
    let url = section.require("url", section.text("url")).and_then(|url| address(&section, "url", url));
    let (secret, token) = (section.secret("secret"), section.secret("token"));
    let timeout = section.span("timeout").unwrap_or(Span::seconds(10));
    section.finish();
    Some(Channel::Webhook { url: url?, secret, token, timeout })
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

/// One channel per recipient, with what it adds to the receiver's name.
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
    let several = recipients.len() > 1;
    let mut to: Vec<String> = Vec::new();
    for recipient in recipients {
        let bytes = recipient.bytes.clone();
        let Some(recipient) = mailbox(&section, recipient, "to") else { continue };
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
    let (Some((host, port)), Some(from)) = (server, from) else { return Vec::new() };
    let port = port.unwrap_or(match tls {
        SmtpTls::Starttls => 587,
        SmtpTls::Implicit => 465,
        SmtpTls::None => 25,
    });
    let channel = |to: String| {
        let suffix = if several { format!("/{to}") } else { String::new() };
        let (host, ca_file) = (host.clone(), ca_file.clone());
        let (username, password, from) = (username.clone(), password.clone(), from.clone());
        (suffix, Channel::Email { host, port, tls, ca_file, username, password, from, to, timeout })
    };
    to.into_iter().map(channel).collect()
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
