//! The part of the table that is about receivers: the ways to reach them.

use super::Kind::{Flag, Path, Secret, Section as One, Span, Text, Texts, Word};
use super::{Section, example, field, required};

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
        example("slack", One("slack"), "", "An incoming webhook of Slack, Mattermost or another that takes the same."),
        example("pagerduty", One("pagerduty"), "", "Incidents of PagerDuty."),
        example("ntfy", One("ntfy"), "", "A topic of ntfy."),
        example("template", One("template"), "", "HTTP POST with a body of your own."),
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
            "Recipients. Each is a receiver, `name/address`, so that a bad address stops no other.",
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
            "Every peer of the cluster, none through a load balancer. Each is a receiver, `name/host:port`; the second at one host and port, under another path, is `name/host:port#2`.",
        ),
        example("token", Secret, "{file: /etc/evenkeel/am-token}", "Bearer token of the requests."),
        field("resend", Span("1s", "1h"), "1m", "How often an alert that fires is said again."),
        field("resolved_for", Span("1m", "1d"), "15m", "How long the end of an alert is said again."),
        field("timeout", Span("1s", "5m"), "10s", "How long one attempt may take."),
    ],
};

pub(super) const SLACK: Section = Section {
    name: "slack",
    what: "slack",
    about: "An incoming webhook of Slack, Mattermost or another that takes the same.",
    fields: &[
        required("url", Secret, "{env: SLACK_URL}", "Where the address is read from: who has it can post."),
        field("timeout", Span("1s", "5m"), "10s", "How long one attempt may take."),
    ],
};

pub(super) const PAGERDUTY: Section = Section {
    name: "pagerduty",
    what: "pagerduty",
    about: "Events API of PagerDuty, version 2: a group of alerts is an incident.",
    fields: &[
        required("routing_key", Secret, "{file: /etc/evenkeel/pagerduty}", "Integration key of the service."),
        field("url", Text, "https://events.pagerduty.com/v2/enqueue", "The address; Europe has another."),
        field("timeout", Span("1s", "5m"), "10s", "How long one attempt may take."),
    ],
};

pub(super) const NTFY: Section = Section {
    name: "ntfy",
    what: "ntfy",
    about: "A topic of ntfy; priority follows the severity.",
    fields: &[
        field("url", Text, "https://ntfy.sh", "The server."),
        required("topic", Text, "evenkeel-ops", "The topic; without a token anybody who guesses it can read it."),
        example("tags", Texts, "[robot]", "Tags of every message."),
        example("token", Secret, "{env: NTFY_TOKEN}", "Access token."),
        field("timeout", Span("1s", "5m"), "10s", "How long one attempt may take."),
    ],
};

pub(super) const TEMPLATE: Section = Section {
    name: "template",
    what: "template",
    about: "HTTP POST with a body of your own, fields filled in; docs/receivers.md lists them.",
    fields: &[
        required("url", Text, "https://chat.example/post", "The address: http or https."),
        required(
            "body",
            Text,
            "'{\"text\": \"{{ title }}\"}'",
            "The body; in JSON, fields are escaped as text in strings.",
        ),
        field("content_type", Text, "application/json", "Media type of the body; it decides how fields are escaped."),
        example("secret", Secret, "{env: HOOK_SECRET}", "Key of the signature headers (Standard Webhooks)."),
        example("token", Secret, "{file: /etc/evenkeel/hook-token}", "Bearer token of the request."),
        field("timeout", Span("1s", "5m"), "10s", "How long one attempt may take."),
    ],
};

pub(super) const HEARTBEAT: Section = Section {
    name: "heartbeat",
    what: "heartbeat",
    about: "A GET per interval while evenkeel does its work: a watcher such as healthchecks.io notices when it stays out.",
    fields: &[
        required("url", Text, "https://hc.example/ping/evenkeel", "The address that is asked for: http or https."),
        example("token", Secret, "{file: /etc/evenkeel/heartbeat-token}", "Bearer token of the request."),
        field("interval", Span("1s", "1d"), "1m", "How often; the watcher should wait for three of them."),
        field("timeout", Span("1s", "5m"), "10s", "How long one attempt may take."),
    ],
};
