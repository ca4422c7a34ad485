//! Every field of evenkeel.yaml: name, shape, limits, default, meaning.
//!
//! One table serves three: the reader takes limits and known names from it, `docs/config.md` and the
//! JSON schema are written from it. So none of them can say what the others do not.

mod budget;
mod limits;
mod routing;
mod source;
mod tune;
mod ways;

/// A mapping in the file.
#[derive(Debug)]
pub struct Section {
    /// Its name in the table; `config` is the whole file.
    pub name: &'static str,
    /// What it is called in messages: `a source`.
    pub what: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its fields in the order of the reference.
    pub fields: &'static [Field],
}

/// A key of a mapping.
#[derive(Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What stands under it.
    pub kind: Kind,
    /// What holds without it, as it would be written; a remark in parentheses cannot be written.
    pub default: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// An example, if the default is none.
    pub example: &'static str,
    /// What it means.
    pub about: &'static str,
}

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A text.
    Text,
    /// A list of texts; a single one is a list of one.
    Texts,
    /// Hours as a text or a mapping, or a list of them.
    Hours,
    /// A path, relative to the folder of the file.
    Path,
    /// A list of paths.
    Paths,
    /// A length of time between two others.
    Span(&'static str, &'static str),
    /// A number between two others.
    Number(f64, f64),
    /// A whole number between two others.
    Integer(u64, u64),
    /// A share between two others: `10%` or `0.1`.
    Share(f64, f64),
    /// Two numbers, the first below the second.
    Range,
    /// A number, or a length of time where the parameter is one.
    Limit,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// Where a secret is read from.
    Secret,
    /// The name of a key in the records; `off` for none.
    Key,
    /// The name of a key, or a mapping with more about it.
    KeyOr(&'static str),
    /// Labels, each with one pattern or a list of them.
    Patterns,
    /// Names of the user's own, each with the name of a key in the records.
    Keys,
    /// A mapping.
    Section(&'static str),
    /// A list of mappings.
    Sections(&'static str),
}

pub(super) const fn field(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Field {
    Field { name, kind, default, required: false, example: "", about }
}

pub(super) const fn example(name: &'static str, kind: Kind, example: &'static str, about: &'static str) -> Field {
    Field { name, kind, default: "", required: false, example, about }
}

pub(super) const fn required(name: &'static str, kind: Kind, example: &'static str, about: &'static str) -> Field {
    Field { name, kind, default: "", required: true, example, about }
}

/// The section of a name.
pub fn section(name: &str) -> &'static Section {
    SECTIONS.iter().find(|section| section.name == name).expect("every section is in the table")
}

impl Section {
    /// Whether it has a field of that name.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// The field of a name.
    pub fn field(&self, name: &str) -> &'static Field {
        self.fields.iter().find(|field| field.name == name).expect("every field is in the table")
    }
}

use Kind::{Integer, Path, Paths, Secret, Section as One, Sections as Many, Share, Span, Text, Word};

/// Every section, the whole file first.
pub const SECTIONS: &[Section] = &[
    Section {
        name: "config",
        what: "the configuration",
        about: "The whole file. Paths are relative to its folder. Unknown fields are refused.",
        fields: &[
            field("state_dir", Path, ".evenkeel", "Where journal, snapshot and history live."),
            field("rules", Paths, "(the shipped rules)", "Files and folders of rules."),
            example("profiles", Paths, "profiles", "Files and folders of model profiles, added to the shipped ones."),
            example("prices", Paths, "prices.yaml", "Price tables; a model in a later one wins."),
            field(
                "clock",
                Word(&["wall", "records"]),
                "wall",
                "What drives time: the wall clock, or the newest record, going on from there (recordings, demos).",
            ),
            field(
                "evaluation_interval",
                Span("1ms", "1h"),
                "15s",
                "How often rules are evaluated, on what could have changed since: the time that an alert may come late. `1ms` is at once.",
            ),
            example("sources", Many("source"), "", "What is read."),
            example("receivers", Many("receiver"), "", "Who is told."),
            example(
                "routes",
                Many("route"),
                "",
                "Who is told of what, when and how often; without routes, all and at once.",
            ),
            example("digests", Many("digest"), "", "Summaries of what happened, and who gets them when."),
            example("heartbeat", One("heartbeat"), "", "A sign of life for a watcher elsewhere."),
            example("inhibit", Many("inhibition"), "", "Which alerts make others not worth a message."),
            example("maintenance", Many("maintenance"), "", "When which alerts are expected and nobody is told."),
            example("damping", One("damping"), "", "Bounds of flapping and floods."),
            field(
                "listen",
                Text,
                "127.0.0.1:9533",
                "Address and port of the HTTP API; `off` for none. Beyond loopback `api_token` must be there.",
            ),
            example("api_token", Secret, "{env: EVENKEEL_TOKEN}", "Bearer token that callers of the API must show."),
            example(
                "external_url",
                Text,
                "https://ops.example/evenkeel",
                "Where people find the API, for messages; else the address that is listened to.",
            ),
            example("budgets", Many("budget"), "", "How much may be used per period."),
            example("scores", One("scores"), "", "How agents are scored."),
            example("tune", One("tune"), "", "What is tuned and where it is written."),
            example("limits", One("limits"), "", "Bounds of memory and files."),
        ],
    },
    source::SOURCE,
    budget::BUDGET,
    budget::BUDGET_OVERRIDE,
    source::FIELDS,
    source::AGENT_FIELD,
    source::ERROR_FIELD,
    source::DURATION_FIELD,
    source::TOKENS_FIELD,
    source::QUALITY_FIELD,
    ways::RECEIVER,
    ways::WEBHOOK,
    ways::EMAIL,
    ways::ALERTMANAGER,
    ways::SLACK,
    ways::PAGERDUTY,
    ways::NTFY,
    ways::TEMPLATE,
    ways::HEARTBEAT,
    routing::ROUTE,
    routing::INHIBITION,
    routing::MAINTENANCE,
    routing::HOURS,
    routing::DAMPING,
    routing::DIGEST,
    Section {
        name: "secret",
        what: "a secret",
        about: "Where a secret is read from when it is needed; its value never stands in the configuration. One of:",
        fields: &[
            example("env", Text, "EVENKEEL_TOKEN", "An environment variable."),
            example("file", Path, "/etc/evenkeel/token", "A file; its last newline is dropped."),
            example("credential", Text, "token", "A systemd credential (`LoadCredential=`)."),
        ],
    },
    Section {
        name: "scores",
        what: "scores",
        about: "How agents are scored.",
        fields: &[
            field("window", Span("1h", "90d"), "30d", "How far back scores look."),
            field("min_samples", Integer(1, 100_000), "20", "Fewer executions are `insufficient data`."),
            field("degraded_below", Share(0.0, 1.0), "0.8", "Health below this is degraded."),
        ],
    },
    tune::TUNE,
    tune::TARGET,
    tune::PARAMETER,
    tune::STEP,
    limits::LIMITS,
];

/// Words for units of time.
pub const UNITS: &[&str] = &["ms", "s", "min", "h"];

/// The unit that the name of a key ends in: `timeout_ms`, `duration_seconds`, `maxTimeMinutes`.
/// In milliseconds.
pub fn unit_of_name(name: &str) -> Option<f64> {
    let name = name.trim_matches('"');
    let lower = name.to_ascii_lowercase();
    let last = lower.rsplit(['_', '-', '.']).next().unwrap_or_default();
    if last.len() < lower.len()
        && let Some(ms) = crate::model::time::unit_millis(last)
    {
        return Some(ms);
    }
    // camelCase: `timeoutMs`, `maxTimeMinutes`, `timeoutSeconds`.
    [("Ms", 1.0), ("Millis", 1.0), ("Secs", 1e3), ("Seconds", 1e3), ("Mins", 6e4), ("Minutes", 6e4), ("Hours", 3.6e6)]
        .into_iter()
        .find(|(end, _)| name.ends_with(end) && name.len() > end.len())
        .map(|(_, ms)| ms)
}
