//! Writes `docs/metrics.md` from the table of metrics.

use std::fmt::Write;

use super::GENERATED;
use crate::model::Unit;
use crate::model::metric::METRICS;
use crate::rule::condition;

/// The text of `docs/metrics.md`.
pub fn metrics() -> String {
    let mut page = String::from(GENERATED);
    page += "# Metrics\n\nEvery metric is measured over a rule's window and one subject: an agent, a model, \
             or whatever the rule is split by. All of them can be named in the `condition` of a rule, see \
             [rules.md](rules.md). A metric whose `n` is below the rule's `min_samples` has no data; \
             it is never taken as zero.\n\n\
             | metric | also written | unit | numerator | denominator | n counts |\n| --- | --- | --- | --- | --- | --- |\n";
    for about in &METRICS {
        let aliases: Vec<String> = about.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let unit = unit_word(about.unit);
        let _ = writeln!(
            page,
            "| `{}` | {} | {unit} | {} | {} | {} |",
            about.name,
            aliases.join(", "),
            about.numerator,
            about.denominator,
            about.n
        );
    }
    page += "\n## Units\n\n| unit | stands for | written |\n| --- | --- | --- |\n";
    for (unit, meaning) in UNITS {
        let _ = writeln!(page, "| {} | {meaning} | `{}` |", unit_word(unit), condition::threshold(unit));
    }
    page += "\nTwo sides of a comparison must have the same unit. A bare number takes the unit of the other side; only \
             against a duration it is refused, because it could be seconds or milliseconds.\n\n\
             ## Baselines\n\n`baseline.<metric>` is the robust centre of the metric's values in the \
             preceding windows of the same subject, the tested one left out. Every metric has one except `stale` and the `alerting_` ones, and \
             [percentiles](rules.md#baseline-peers-and-score).\n";
    page
}

const UNITS: [(Unit, &str); 7] = [
    (Unit::Ratio, "a share, 0 to 1"),
    (Unit::Duration, "milliseconds inside"),
    (Unit::Money, "US dollars"),
    (Unit::Tokens, "tokens"),
    (Unit::Count, "a number of things"),
    (Unit::Points, "a judge's points, 0 to 100"),
    (Unit::Any, "a record field that declares no unit"),
];

fn unit_word(unit: Unit) -> &'static str {
    match unit {
        Unit::Ratio => "ratio",
        Unit::Duration => "duration",
        Unit::Money => "money",
        Unit::Tokens => "tokens",
        Unit::Count => "count",
        Unit::Points => "points",
        Unit::Any => "any",
    }
}
