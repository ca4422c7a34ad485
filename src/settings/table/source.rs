//! The fields of what is read: where it is, and which keys of a record mean what.

use super::Kind::{Flag, Key, KeyOr, Keys, Path, Range, Section as One, Text, Texts, Word};
use super::{Section, UNITS, example, field, required};

pub(super) const SOURCE: Section = Section {
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
};

pub(super) const FIELDS: Section = Section {
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
        field("timed_out", Key, "timed_out", "A boolean: it was stopped at its limit, the true duration is longer."),
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
};

pub(super) const AGENT_FIELD: Section = Section {
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
};

pub(super) const ERROR_FIELD: Section = Section {
    name: "error_field",
    what: "error",
    about: "How errors are told apart. Values are compared as texts: `429` is also the number.",
    fields: &[
        field("key", Key, "error_type", "The key."),
        field("limit", Texts, "[RateLimitError, 429]", "Errors by which a rate or quota limit turned the run away."),
        field("timeout", Texts, "[TimeoutError]", "Errors by which the run was stopped at its limit."),
        example("void", Texts, "[429, -1]", "Errors whose durations, tokens and cost are void, written as zero."),
    ],
};

pub(super) const DURATION_FIELD: Section = Section {
    name: "duration_field",
    what: "duration",
    about: "How long the execution took.",
    fields: &[
        field("key", Key, "execution_time_ms", "The key."),
        example("unit", Word(UNITS), "s", "Its unit; needed unless the key ends in one, like `_ms` or `_seconds`."),
    ],
};

pub(super) const TOKENS_FIELD: Section = Section {
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
};

pub(super) const QUALITY_FIELD: Section = Section {
    name: "quality_field",
    what: "quality",
    about: "A judge's score.",
    fields: &[
        field("key", Key, "quality_score", "The key."),
        field("scale", Range, "[0, 100]", "Lowest and highest score."),
    ],
};
