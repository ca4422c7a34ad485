//! The fields of what is tuned: files, the values in them, and their guards.

use super::Kind::{Integer, Limit, Number, Path, Section as One, Sections as Many, Share, Span, Text, Word};
use super::{Section, UNITS, example, field, required};

pub(super) const TUNE: Section = Section {
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
};

pub(super) const TARGET: Section = Section {
    name: "target",
    what: "a target",
    about: "A file whose values are tuned.",
    fields: &[
        required("name", Text, "crew", "Unique."),
        required("file", Path, "config/agents.yaml", "The file."),
        field("format", Word(&["json", "yaml", "toml"]), "(by the extension)", "Its syntax; `json` may have comments."),
        field(
            "mode",
            Word(&["off", "suggest", "apply"]),
            "suggest",
            "`off` leaves it alone, `suggest` writes patches for people to apply, `apply` edits it.",
        ),
        required("parameters", Many("parameter"), "", "The values in it."),
    ],
};

pub(super) const PARAMETER: Section = Section {
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
};

pub(super) const STEP: Section = Section {
    name: "step",
    what: "step",
    about: "How far one change may go.",
    fields: &[
        field("up", Number(1.0, 100.0), "(2, quality targets 1.1)", "At most this factor up."),
        field("down", Number(0.01, 1.0), "(0.5, quality targets 0.9)", "At most this factor down; 0.5 halves."),
    ],
};
