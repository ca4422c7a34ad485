//! The part of the table that is about receivers: the ways to reach them.

use super::table::Kind::{Flag, Path, Secret, Section as One, Span, Text, Texts, Word};
use super::table::{Section, example, field, required};

pub(super) const RECEIVER: Section = Section {
    name: "receiver",
    what: "a receiver",
    about: "Someone who is told, in one of the ways below.",
    fields: &[
        required("name", Text, "ops", "Unique."),
        field("min_severity", Word(&["info", "warning", "high", "critical"]), "info", "Milder alerts are not sent."),
        field("send_resolved", Flag, "true", "Whether the end of an alert is sent too."),
        example("webhook", One("webhook"), "", "HTTP POST with the body of Alertmanager's webhook, version 4."),
        example("email", One("email"), "", "Mail through an SMTP server."),
        example("alertmanager", One("alertmanager"), "", "Alertmanagers that group, mute and route by themselves."),
    ],
};

pub(super) const WEBHOOK: Section = Section {
    name: "webhook",
    what: "webhook",
    about: "HTTP POST with the body of Alertmanager's webhook, version 4.",
    fields: &[
        required("url", Text, "https://ops.example/hook", "The address: http or https."),
        example("secret", Secret, "{env: HOOK_SECRET}", "Key of the signature headers (Standard Webhooks)."),
        example("token", Secret, "{file: /etc/evenkeel/hook-token}", "Bearer token of the request."),
        field("timeout", Span("1s", "5m"), "10s", "How long one attempt may take."),
    ],
};

pub(super) const EMAIL: Section = Section {
    name: "email",
    what: "email",
    about: "Mail through an SMTP server.",
    fields: &[
        required("smtp", Text, "mail.example:587", "Server and port; the port is 587, 465 or 25 as `tls` has it."),
        field(
            "tls",
            Word(&["starttls", "implicit", "none"]),
            "starttls",
            "`starttls` is refused when the server does not offer it; port 465 is `implicit`; `none` is for loopback.",
        ),
        example("ca_file", Path, "/etc/ssl/mail-ca.pem", "PEM file of a further certificate authority."),
        required("from", Text, "evenkeel@example.org", "Sender."),
        required(
            "to",
            Texts,
            "[oncall@example.org]",
            "Recipients. Several become one receiver each, `name/address`, so that a bad address stops no other.",
        ),
        example("username", Text, "evenkeel", "User name for AUTH."),
        example("password", Secret, "{file: /etc/evenkeel/smtp-password}", "Password for AUTH."),
        field("timeout", Span("1s", "5m"), "30s", "How long one attempt may take."),
    ],
};

pub(super) const ALERTMANAGER: Section = Section {
    name: "alertmanager",
    what: "alertmanager",
    about: "`POST /api/v2/alerts` of Alertmanager: every alert, again and again while it fires.",
    fields: &[
        required(
            "urls",
            Texts,
            "[\"http://am1:9093\", \"http://am2:9093\"]",
            "Every peer of the cluster, none through a load balancer. Several become one receiver each, `name/host:port`.",
        ),
        example("token", Secret, "{file: /etc/evenkeel/am-token}", "Bearer token of the requests."),
        field("resend", Span("1s", "1h"), "1m", "How often an alert that fires is said again."),
        field("resolved_for", Span("1m", "1d"), "15m", "How long the end of an alert is said again."),
        field("timeout", Span("1s", "5m"), "10s", "How long one attempt may take."),
    ],
};
