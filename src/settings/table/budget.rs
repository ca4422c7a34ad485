//! The fields of budgets.

use super::Kind::{Patterns, Sections as Many, Text, Texts};
use super::{Section, example, field, required};

pub(super) const BUDGET: Section = Section {
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
};

pub(super) const BUDGET_OVERRIDE: Section = Section {
    name: "budget_override",
    what: "an override of a budget",
    about: "Another amount of the same kind for some subjects of a budget.",
    fields: &[
        required("where", Patterns, "{agent: \"batch-*\"}", "Whom it holds for: patterns of labels that are in `by`."),
        required("amount", Text, "$200", "Instead of the budget's."),
    ],
};
