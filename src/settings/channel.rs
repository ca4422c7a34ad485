//! Who is told and how they are reached.
//!
//! Owns the checked shape; secrets are places here, never values. What is kept up at an Alertmanager is
//! told apart from what is sent as messages in one place, [`Receiver::resend`].

use std::path::PathBuf;

use crate::model::{Severity, Span};

/// Where a secret is read from when it is needed; never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file, its last newline dropped.
    File(PathBuf),
    /// `$CREDENTIALS_DIRECTORY/<name>`, as systemd's LoadCredential= gives it.
    Credential(String),
}

/// Someone who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    /// Unique among the receivers.
    pub name: String,
    /// Alerts below this severity are not sent.
    pub min_severity: Severity,
    /// Whether resolved alerts are sent too.
    pub send_resolved: bool,
    /// How it is reached.
    pub channel: Channel,
}

/// The sign of life that a watcher elsewhere waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// What is asked for with GET.
    pub url: String,
    /// Bearer token of the request.
    pub token: Option<Secret>,
    /// How often.
    pub interval: Span,
    /// How long one attempt may take.
    pub timeout: Span,
}

/// How an Alertmanager is kept informed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Resend {
    /// An alert that fires is said again this often.
    pub every: Span,
    /// An alert that ended is said again for so long.
    pub resolved_for: Span,
    /// How long it may believe that an alert fires without being told again.
    pub ahead: Span,
}

impl Channel {
    /// The word for it in messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Channel::Webhook { .. } => "webhook",
            Channel::Alertmanager { .. } => "Alertmanager",
            Channel::Slack { .. } => "Slack",
            Channel::PagerDuty { .. } => "PagerDuty",
            Channel::Ntfy { .. } => "ntfy",
            Channel::Template { .. } => "templated webhook",
            Channel::Email { .. } => "email",
        }
    }

    /// Whether it is told that somebody took an alert on: where people talk about alerts or are called,
    /// others then need not look.
    pub fn hears_acknowledgements(&self) -> bool {
        matches!(self, Channel::Slack { .. } | Channel::PagerDuty { .. } | Channel::Ntfy { .. })
    }

    /// Whether a group of alerts is one incident there, which is taken on as a whole.
    pub fn has_incidents(&self) -> bool {
        matches!(self, Channel::PagerDuty { .. })
    }
}

impl Receiver {
    /// Of an Alertmanager: how it is kept informed. It is told the state of every alert, again and
    /// again, and groups, mutes and routes by itself; everybody else is sent messages.
    pub fn resend(&self) -> Option<Resend> {
        if let Channel::Alertmanager { resend, .. } = &self.channel { Some(*resend) } else { None }
    }
}

/// How a receiver is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum Channel {
    /// HTTP POST with the body of Alertmanager's webhook, version 4.
    Webhook {
        /// The address.
        url: String,
        /// Key of the Standard-Webhooks signature.
        secret: Option<Secret>,
        /// Bearer token of the request.
        token: Option<Secret>,
        /// How long one attempt may take.
        timeout: Span,
    },
    /// `POST /api/v2/alerts` of one Alertmanager; a list of peers in the configuration becomes one
    /// receiver per peer, named `name/host:port`, so that each is told by itself.
    Alertmanager {
        /// The address, without `/api/v2/alerts`.
        url: String,
        /// Bearer token of the request.
        token: Option<Secret>,
        /// How often it is told the same again.
        resend: Resend,
        /// How long one attempt may take.
        timeout: Span,
    },
    /// An incoming webhook of Slack, or of what takes the same.
    Slack {
        /// The address, a secret itself.
        url: Secret,
        /// How long one attempt may take.
        timeout: Span,
    },
    /// Events API of PagerDuty, version 2.
    PagerDuty {
        /// The address.
        url: String,
        /// The integration's key.
        routing_key: Secret,
        /// How long one attempt may take.
        timeout: Span,
    },
    /// A topic of an ntfy server.
    Ntfy {
        /// The address of the server.
        url: String,
        /// The topic.
        topic: String,
        /// Tags of every message, after the one of its severity.
        tags: Vec<String>,
        /// Access token.
        token: Option<Secret>,
        /// How long one attempt may take.
        timeout: Span,
    },
    /// HTTP POST with a body of one's own.
    Template {
        /// The address.
        url: String,
        /// The body, with fields in it.
        body: String,
        /// Its media type; fields are escaped for it.
        content_type: String,
        /// Key of the Standard-Webhooks signature.
        secret: Option<Secret>,
        /// Bearer token of the request.
        token: Option<Secret>,
        /// How long one attempt may take.
        timeout: Span,
    },
    /// Mail through an SMTP server.
    Email {
        /// Name or address of the server; its certificate must be made out to it.
        host: String,
        /// Port of the server.
        port: u16,
        /// How the connection is protected.
        tls: SmtpTls,
        /// PEM file of an additional certificate authority.
        ca_file: Option<PathBuf>,
        /// User name for AUTH.
        username: Option<String>,
        /// Password for AUTH.
        password: Option<Secret>,
        /// Sender.
        from: String,
        /// Recipient. Each address in the configuration is a receiver, named
        /// `name/address`, so that each has its own deliveries and a bad one stops no other.
        to: String,
        /// How long one attempt may take.
        timeout: Span,
    },
}

/// How an SMTP connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// Plain, then STARTTLS; refused when the server does not offer it.
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// None: for servers on loopback.
    None,
}
