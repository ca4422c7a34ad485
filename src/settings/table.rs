//! Every field of evenkeel.yaml: name, shape, limits, default, meaning.
//!
//! One table serves three: the reader takes limits and known names from it, `docs/config.md` and the
//! JSON schema are written from it. So none of them can say what the others do not.

mod limits;
mod routing;

use super::ways;

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

use Kind::{
    Flag, Integer, Key, KeyOr, Keys, Limit, Number, Path, Paths, Patterns, Range, Secret, Section as One,
    Sections as Many, Share, Span, Text, Texts, Word,
};

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
    Section {
        name: "source",
        what: "a source",
        about: "Something that is read for executions: JSON lines, or one JSON array, an object per execution.",
        fields: &[
            required("name", Text, "executions", "Unique; the label `source` of the records."),
            required(
                "path",
                Path,
                ".claude/metrics/executions.jsonl",
                "A file, or a glob in the last part (`metrics/*.jsonl`). It may appear later.",
            ),
            field("zone", Text, "UTC", "IANA zone of times that carry none, e.g. `Europe/Berlin`."),
            field(
                "trust_cost",
                Word(&["auto", "always", "never"]),
                "auto",
                "Whether the reported cost is used or recomputed from tokens and prices. `auto` uses it unless it is \
                 about a thousandth of the recomputed one; where nothing can be recomputed, zero is unknown.",
            ),
            example("fields", One("fields"), "", "Other key names than those of the usual record."),
            example(
                "labels",
                Keys,
                "{case: case, team: team_name}",
                "Labels beside the built-in ones, each with the key it is read from; values are texts or numbers. Rules \
                 name them in `by`, `where` and messages. At most 8 over all sources.",
            ),
        ],
    },
    Section {
        name: "budget",
        what: "a budget",
        about: "How much may be used in a period. It raises nothing by itself: a rule with `budget: NAME` reads it, see \
                [budgets.md](budgets.md).",
        fields: &[
            required("name", Text, "daily", "Unique; rules name it."),
            required("amount", Text, "$50", "Dollars (`$50`), tokens (`2M tokens`) or executions (`900 executions`)."),
            required(
                "period",
                Text,
                "day",
                "`hour`, `day`, `week` or `month` of the calendar; or a length such as `5h`, which begins with the first use.",
            ),
            field("zone", Text, "UTC", "IANA zone of the calendar."),
            field("by", Texts, "fleet", "Labels that have this budget each."),
            example("where", Patterns, "{model: \"claude-*\"}", "Which executions count, as in rules."),
            example(
                "overrides",
                Many("budget_override"),
                "",
                "Other amounts for some subjects; the first that matches holds.",
            ),
        ],
    },
    Section {
        name: "budget_override",
        what: "an override of a budget",
        about: "Another amount of the same kind for some subjects of a budget.",
        fields: &[
            required(
                "where",
                Patterns,
                "{agent: \"batch-*\"}",
                "Whom it holds for: patterns of labels that are in `by`.",
            ),
            required("amount", Text, "$200", "Instead of the budget's."),
        ],
    },
    Section {
        name: "fields",
        what: "fields",
        about: "Which keys of a record mean what. Keys that are not named keep their default, `off` switches one \
                off; keys that no field names are ignored, and rules may name the numeric ones.",
        fields: &[
            field("timestamp", Key, "timestamp", "End of the execution: ISO 8601, or epoch seconds or milliseconds."),
            field("start", Key, "off", "Start, for records without an end: end = start + duration."),
            field("agent", KeyOr("agent_field"), "agent_name", "Who did the work."),
            field("id", Key, "id", "The source's own record id; without it the content tells doubles."),
            field("model", Key, "model", "The model; an empty text is none."),
            field("task_type", Key, "task_type", "The kind of task."),
            field("workflow", Key, "workflow_name", "The workflow or run it was part of."),
            field("provider", Key, "provider", "The provider behind the model."),
            field("tenant", Key, "tenant", "The team or customer."),
            field("tool", Key, "tool_name", "The tool that was used; with `arguments`, what `repeat_ratio` compares."),
            field(
                "arguments",
                Key,
                "arguments_hash",
                "What it was used on, or a hash of it; `task_hash` to compare whole tasks. Without it nothing is compared.",
            ),
            field("success", Key, "success", "A boolean: true is ok."),
            field("error", KeyOr("error_field"), "error_type", "Class or code of the error; null or empty is none."),
            field("duration", KeyOr("duration_field"), "execution_time_ms", "How long it took."),
            field(
                "timed_out",
                Key,
                "timed_out",
                "A boolean: it was stopped at its limit, the true duration is longer.",
            ),
            field(
                "timeout",
                Key,
                "timeout_ms",
                "The limit in force, in the unit of the duration unless the key ends in `_ms` or `_s`.",
            ),
            field("input_tokens", KeyOr("tokens_field"), "input_tokens", "Input tokens."),
            field("output_tokens", Key, "output_tokens", "Output tokens."),
            field("cache_read_tokens", Key, "cache_read_tokens", "Input tokens read from a cache."),
            field("cache_write_tokens", Key, "cache_write_tokens", "Input tokens written to a cache."),
            field("cost", Key, "estimated_cost", "Reported cost in US dollars."),
            field("quality", KeyOr("quality_field"), "quality_score", "A judge's score."),
        ],
    },
    Section {
        name: "agent_field",
        what: "agent",
        about: "Who did the work.",
        fields: &[
            field("key", Key, "agent_name", "The key."),
            example(
                "default",
                Text,
                "\"{file_stem}\"",
                "Agent of records without the key; `{file_stem}` is the file's name without extension.",
            ),
        ],
    },
    Section {
        name: "error_field",
        what: "error",
        about: "How errors are told apart. Values are compared as texts: `429` is also the number.",
        fields: &[
            field("key", Key, "error_type", "The key."),
            field(
                "limit",
                Texts,
                "[RateLimitError, 429]",
                "Errors by which a rate or quota limit turned the run away.",
            ),
            field("timeout", Texts, "[TimeoutError]", "Errors by which the run was stopped at its limit."),
            example("void", Texts, "[429, -1]", "Errors whose durations, tokens and cost are void, written as zero."),
        ],
    },
    Section {
        name: "duration_field",
        what: "duration",
        about: "How long the execution took.",
        fields: &[
            field("key", Key, "execution_time_ms", "The key."),
            example("unit", Word(UNITS), "s", "Its unit; needed unless the key ends in one, like `_ms` or `_seconds`."),
        ],
    },
    Section {
        name: "tokens_field",
        what: "input_tokens",
        about: "Input tokens.",
        fields: &[
            field("key", Key, "input_tokens", "The key."),
            field(
                "include_cached",
                Flag,
                "false",
                "Whether they already contain the cached ones (OpenAI and Gemini: true).",
            ),
        ],
    },
    Section {
        name: "quality_field",
        what: "quality",
        about: "A judge's score.",
        fields: &[
            field("key", Key, "quality_score", "The key."),
            field("scale", Range, "[0, 100]", "Lowest and highest score."),
        ],
    },
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
    Section {
        name: "tune",
        what: "tune",
        about: "What is tuned and where it is written.",
        fields: &[
            field("interval", Span("10s", "1d"), "5m", "How often targets are looked at."),
            field("patch_dir", Path, "(patches in state_dir)", "Where suggested patches are written."),
            field("kill_cost", Number(0.1, 100.0), "2", "One run that was stopped costs as much as this many re-runs."),
            field(
                "changes_per_hour",
                Integer(0, 10_000),
                "10",
                "Edits allowed per hour over the whole fleet; proposals edit nothing and do not count.",
            ),
            example("targets", Many("target"), "", "The files that may be patched."),
        ],
    },
    Section {
        name: "target",
        what: "a target",
        about: "A file whose values are tuned.",
        fields: &[
            required("name", Text, "crew", "Unique."),
            required("file", Path, "config/agents.yaml", "The file."),
            field(
                "format",
                Word(&["json", "yaml", "toml"]),
                "(by the extension)",
                "Its syntax; `json` may have comments.",
            ),
            field(
                "mode",
                Word(&["off", "suggest", "apply"]),
                "suggest",
                "`off` leaves it alone, `suggest` writes patches for people to apply, `apply` edits it.",
            ),
            required("parameters", Many("parameter"), "", "The values in it."),
        ],
    },
    Section {
        name: "parameter",
        what: "a parameter",
        about: "One tuned value per agent.",
        fields: &[
            required(
                "parameter",
                Word(&["timeout", "quality_target", "concurrency"]),
                "timeout",
                "What the value controls.",
            ),
            required(
                "path",
                Text,
                "agents.{agent}.timeout",
                "Where it stands; `{agent}` is the agent's name, a segment in double quotes keeps its dots.",
            ),
            example(
                "unit",
                Word(UNITS),
                "s",
                "Unit of a timeout; needed unless the path ends in one, like `_ms` or `_seconds`.",
            ),
            field(
                "type",
                Word(&["number", "string"]),
                "number",
                "Whether the value is written as a number or as a text (`\"600000\"`).",
            ),
            field(
                "task_type",
                Text,
                "complex",
                "For quality targets: the task type whose verdicts count, and whose target in the profile (`simple`, `complex`, `critical`, else its `other`) is the prior. Without runs of that type the verdicts on all of them count.",
            ),
            field("floor", Limit, "(1s, 50 points, 1 at once)", "Never below: a length of time, points or a count."),
            field("ceiling", Limit, "(1h, 100 points, 64 at once)", "Never above."),
            field("dead_band", Share(0.0, 1.0), "(10%, quality targets 2%)", "Smaller changes are not worth making."),
            example("step", One("step"), "{up: 2, down: 0.5}", "How far one change may go."),
            field("cooldown", Span("0s", "30d"), "1h", "At least this long between two changes of one value."),
            field("min_samples", Integer(5, 100_000), "20", "Fewer executions propose nothing."),
        ],
    },
    Section {
        name: "step",
        what: "step",
        about: "How far one change may go.",
        fields: &[
            field("up", Number(1.0, 100.0), "(2, quality targets 1.1)", "At most this factor up."),
            field("down", Number(0.01, 1.0), "(0.5, quality targets 0.9)", "At most this factor down; 0.5 halves."),
        ],
    },
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
