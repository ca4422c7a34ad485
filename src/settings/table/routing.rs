//! The fields that decide who is told of what, and when.

use super::Kind::{Flag, Hours, Integer, Number, Span, Text, Texts};
use super::{Section, example, field, required};

pub(super) const ROUTE: Section = Section {
    name: "route",
    what: "a route",
    about: "Who is told of the alerts that match. An alert takes the first route that matches, and goes on to the next only where that one says `continue`. What no route matches goes to every receiver at once.",
    fields: &[
        example(
            "matchers",
            Texts,
            "[severity>=high, \"agent=prod-*\"]",
            "Conditions on labels that must all hold: `label=value`, `!=`, `severity>=high`; `*` for any characters, `|` between alternatives. None: every alert. The labels are `alertname` (or `rule`), `severity`, those of the subject and of the rule.",
        ),
        required("receivers", Texts, "[ops]", "Names of receivers; their `min_severity` holds here too."),
        field("continue", Flag, "false", "Whether later routes are looked at too."),
        example(
            "group_by",
            Texts,
            "[alertname]",
            "Alerts with equal values of these labels share a message; `[]` for one group of all. Without it each alert is told alone.",
        ),
        field(
            "group_wait",
            Span("0s", "1h"),
            "(30s with `group_by`, else 0s)",
            "How long the first message of a group waits for more alerts.",
        ),
        field(
            "group_interval",
            Span("1s", "1d"),
            "(5m with `group_by`, else 1s)",
            "The least time between two messages of a group.",
        ),
        field(
            "repeat_interval",
            Span("1m", "30d"),
            "(never)",
            "After this long without news a firing group is told again.",
        ),
        field("repeat_growth", Number(1.0, 10.0), "1", "Each repeat waits this many times longer than the one before."),
        field("repeat_max", Span("1m", "30d"), "7d", "The longest wait between two repeats."),
        example(
            "active_hours",
            Hours,
            "mon-fri 09:00-18:00 Europe/Berlin",
            "Hours in which messages go out; what still fires when they begin is told then.",
        ),
        example("mute", Hours, "sat,sun", "Hours in which no message goes out."),
    ],
};

pub(super) const DIGEST: Section = Section {
    name: "digest",
    what: "a digest",
    about: "What happened since the last one, in a short message: alerts, silences, changes of rank, budgets, suggested \
            changes, faults of the telemetry. See [alerts.md](alerts.md#digests).",
    fields: &[
        required("name", Text, "morning", "Unique."),
        field("on", Text, "mon-sun", "Days on which it comes: `mon` for once a week, `mon-fri`, `mon,thu`."),
        field("at", Text, "08:00", "Time of day, in `zone`."),
        field("zone", Text, "UTC", "IANA zone, e.g. `Europe/Berlin`."),
        required("receivers", Texts, "[chat, mail]", "Names of receivers; not PagerDuty and Alertmanager."),
        field(
            "quiet",
            Flag,
            "true",
            "Whether it also comes when there is nothing to tell, with one line that says so.",
        ),
    ],
};

pub(super) const INHIBITION: Section = Section {
    name: "inhibition",
    what: "an inhibition",
    about: "While an alert fires that matches `source`, alerts that match `target` are not told if they have the same values of the labels in `equal`.",
    fields: &[
        required("source", Texts, "severity=critical", "Matchers of the alert that says it all."),
        required("target", Texts, "severity=warning", "Matchers of the alerts that add nothing."),
        example("equal", Texts, "[agent]", "Labels in which both must agree; none: any two alerts."),
    ],
};

pub(super) const HOURS: Section = Section {
    name: "hours",
    what: "hours",
    about: "Hours of the week. As a text they are the days, the times and the zone: `mon-thu,sat 08:00-12:00,13:00-17:30 \
            Europe/Berlin`; at least days or times must be there. In a configuration `START/END` in RFC 3339 is one stretch.",
    fields: &[
        field("zone", Text, "UTC", "An IANA time zone."),
        field("days", Texts, "(every day)", "Days and ranges of days, `mon-fri`."),
        field(
            "times",
            Texts,
            "(the whole day)",
            "Ranges, `08:00-18:00`; `22:00-06:00` belongs to the day on which it begins.",
        ),
    ],
};

pub(super) const MAINTENANCE: Section = Section {
    name: "maintenance",
    what: "a maintenance window",
    about: "Planned work: alerts that match are not told while it lasts. What still fires at its end is told then.",
    fields: &[
        required("name", Text, "nightly", "Unique."),
        example("matchers", Texts, "[agent=batch-*]", "Conditions on labels, as in routes; none: every alert."),
        required(
            "hours",
            Hours,
            "\"sun 02:00-04:00 Europe/Berlin\"",
            "When: days, hours and zone, or `START/END` in RFC 3339.",
        ),
    ],
};

pub(super) const DAMPING: Section = Section {
    name: "damping",
    what: "damping",
    about: "Bounds of what unsteady rules may send.",
    fields: &[
        field(
            "flaps",
            Integer(0, 1_000),
            "10",
            "An alert that began or ended more often than this within an hour is told once more, with a word of that, and then held until it is steady; 0: never.",
        ),
        field(
            "flood",
            Integer(0, 100_000),
            "100",
            "When more alerts of one rule than this, which a route has told alone, begin within a minute at a receiver, one message stands for all; 0: never.",
        ),
    ],
};
