//! Writes `docs/rules.md` and `docs/metrics.md` from the same tables that loading obeys.
//!
//! Every example in them is loaded by a test, and the faults shown are the real ones, so the pages
//! cannot promise what the loader refuses.

mod metrics;
mod prose;

use std::fmt::Write;

use super::{Aggregate, BY_LIMIT, INPUT_LIMIT, annotation, load, names, syntax};
use crate::diagnostic::SourceFile;
use crate::model::{Dimension, Part, Span};
use crate::wire::yaml;
pub use metrics::metrics;
use prose::{FAULTY, INCIDENTS, RANGES, SELECTION, TERMS, YARDSTICKS};

/// The first line of every generated page.
pub(super) const GENERATED: &str =
    "<!-- Generated from the source by `UPDATE_GENERATED=1 cargo test --test generated`; do not edit. -->\n";

/// A field: name, default, meaning, example.
pub type Row = (&'static str, &'static str, &'static str, &'static str);

/// Rows that rules and objectives share; links are within this page.
pub(super) const WHERE: Row =
    ("where", "everything", "which executions count, see [Selection](#selection)", "{model: \"claude-*\"}");
pub(super) const SHADOW: Row = ("shadow", "false", "evaluate and record, tell nobody", "true");
pub(super) const ACTIVE_HOURS: Row = (
    "active_hours",
    "always",
    "when the alert is told, see [Active hours](#active-hours)",
    "{zone: Europe/Berlin, days: mon-fri, times: \"08:00-18:00\"}",
);
pub(super) const LABELS: Row = ("labels", "none", "labels added to the alert", "{team: core}");
pub(super) const ANNOTATIONS: Row = (
    "annotations",
    "none",
    "texts for people, see [Annotations](#annotations)",
    "{summary: \"{{ agent }} fails {{ value }}\"}",
);

/// The fields of a rule.
pub const FIELDS: [Row; 19] = [
    ("name", "required", "unique over all loaded files", "high_error_rate"),
    ("condition", "required", "what must hold, see [Conditions](#conditions)", "error_rate > 10%"),
    ("window", "5m", "how far back the metrics look, at least two evaluation intervals", "5 minutes"),
    ("by", "agent", "one alert per value of these labels; `fleet` is one alert over everything", "[agent, task_type]"),
    WHERE,
    (
        "budget",
        "none",
        "the budget that `budget` in the condition reads, see [budgets.md](budgets.md); it says who is looked at",
        "daily",
    ),
    ("for", "0s", "how long the condition must hold before the alert fires", "2m"),
    ("keep_firing_for", "0s", "how long the alert goes on after the condition stopped holding", "10m"),
    ("min_samples", "5 if a ratio is read, else 1", "with fewer samples in the window there is no data", "20"),
    ("severity", "warning", "`critical`, `high`, `warning` (or `medium`), `info` (or `low`)", "critical"),
    (
        "levels",
        "none",
        "several severities in one rule, see [Levels](#levels)",
        "{warning: error_rate > 10%, critical: error_rate > 25%}",
    ),
    ("recover", "the condition stopped holding", "what must hold before a firing alert may end", "error_rate < 5%"),
    (
        "no_data",
        "ok",
        "what missing data means: `ok` ends the alert, `alert` is as bad as the condition, `keep` changes nothing",
        "keep",
    ),
    (
        "overrides",
        "none",
        "other thresholds for some subjects, see [Overrides](#overrides)",
        "[{where: {agent: \"batch-*\"}, condition: error_rate > 40%}]",
    ),
    (
        "covers",
        "none",
        "rules whose alerts this one counts, and holds back while it fires, see [Incidents](#incidents)",
        "[error_burst, success_drop]",
    ),
    SHADOW,
    ACTIVE_HOURS,
    LABELS,
    ANNOTATIONS,
];

/// Conditions with their meaning.
pub const CONDITIONS: [(&str, &str); 22] = [
    ("error_rate > 10%", "more than a tenth of the runs failed; `0.1` is the same"),
    ("p95_latency > 15s", "units of time: `ms`, `s`, `m`, `h`, `d`, `w` and their words"),
    ("p95_latency > 1m30s", "parts of a duration add up"),
    ("hourly_cost > $2", "money is in US dollars; `2 USD` is the same"),
    ("total_tokens > 1_000_000 tokens", "`_` groups digits; the word may be left out"),
    ("quality < 80 points", "judges' points, 0 to 100; the word may be left out"),
    ("hourly_cost > baseline * 2", "`baseline` is that of the metric it is compared with"),
    ("success_rate < baseline - 20%", "20 percentage points below the baseline"),
    ("cost / executions > $0.50", "arithmetic: `+ - * /` and parentheses"),
    ("p99_latency > 5 * baseline.p50_latency", "the baseline of a metric that is named"),
    ("p95_latency > baseline.p95 * 1.5", "half more than 19 of 20 windows before had"),
    ("p99_latency > 2 * baseline.p90.p95_latency", "the percentile of a metric that is named"),
    ("hourly_cost > peers * 3", "three times what agents on the same task types spend"),
    ("score < 50", "the agent's points, 0 to 100"),
    ("score < peers - 20", "20 points below its peers"),
    ("executions >= 20 and not success_rate > 95%", "`and or not`, also written `&& || !`"),
    ("field.cache_misses > 100", "the mean of a numeric record field"),
    ("last(queue_depth) > 10", "its newest value in the window"),
    ("increase(restarts) >= 3", "how much a counter has grown"),
    (
        "error_rate[5m] > 20% and error_rate[1h] > 10%",
        "each over a time range of its own, see [Time ranges](#time-ranges)",
    ),
    ("cost_per_execution[5m] > cost_per_execution[1h] * 2", "the last minutes against the hour they are part of"),
    (
        "sum(requests[10m]) > 100 and sum(errors[10m]) / sum(requests[10m]) > 2%",
        "a function has the range behind its field, as in PromQL",
    ),
];

/// What rules may watch of evenkeel.
fn itself() -> String {
    let mut text = String::from(
        "## Evenkeel itself\n\nA rule `by: part` watches evenkeel: `lost` is what a part lost in the window, `stale` how long it \
         has been working with what is old. No other metric has parts, and parts have no other metric; `by: [part, source]` tells \
         lost lines apart by their source.\n\n| part | |\n| --- | --- |\n",
    );
    for part in Part::ALL {
        let _ = writeln!(text, "| `{}` | {} |", part.as_str(), part.meaning());
    }
    text + "\n"
}

/// The text of `docs/rules.md`.
pub fn rules() -> String {
    let mut page = String::from(GENERATED);
    page += "# Alert rules\n\nA rule file is YAML: a list below `alerts:` (or `rules:`). `evenkeel check` reads it and \
             reports every fault in one run; the daemon takes a set of files whole or not at all. Which budgets and labels of your own a rule \
             may name says the configuration: `evenkeel check rules.yaml --config evenkeel.yaml`.\n\nEvery verb loads rules in the same way. \
             The files and folders of one call are one set, in which a name stands once. A rule about a budget that the configuration does not \
             have is left out of it with a warning that names it, and the others hold; so are, where no configuration is read, rules that name labels \
             of your own. `evenkeel rules`, `/healthz` and the last line of `check` and `replay` count them. A name that is one slip away from that of a \
             budget is an error all the same. The shipped folder `rules/` loads as a whole; of `default.yaml` and `claude-force.yaml` you will hardly \
             want both.\n\n```yaml\nalerts:\n";
    for (i, (name, _, _, example)) in FIELDS.iter().filter(|(name, ..)| !alone(name)).enumerate() {
        let lead = if i == 0 { "  - " } else { "    " };
        let _ = writeln!(page, "{lead}{name}: {example}");
    }
    page += "```\n\n## Fields\n\n| field | default | meaning | example |\n| --- | --- | --- | --- |\n";
    for (name, default, meaning, example) in FIELDS {
        let _ = writeln!(page, "| `{name}` | {default} | {meaning} | `{example}` |");
    }
    let words = Dimension::ALL.map(|d| format!("`{}`", d.as_str())).join(", ");
    let _ = write!(
        page,
        "\nAn unknown field is an error. A test runs every field's example and every condition of this page. Labels for `by` and `where` are {words}, and those that sources define with [`labels`](config.md#source). `receiver` splits the deliveries of \
         notifications instead of executions and stands alone: a delivery is a run of its receiver. `part` is a [part of evenkeel itself](#evenkeel-itself).\n\n\
         ## Conditions\n\n| condition | meaning |\n| --- | --- |\n"
    );
    for (text, meaning) in CONDITIONS {
        let _ = writeln!(page, "| `{text}` | {} |", meaning.replace("||", "\\|\\|"));
    }
    page += "\n**Functions** take a numeric record field:\n\n| function | its value in the window |\n| --- | --- |\n";
    for (word, _, meaning) in Aggregate::WORDS {
        let _ = writeln!(page, "| `{word}(field)` | {meaning} |");
    }
    let _ = write!(
        page,
        "\n[metrics.md](metrics.md) lists the metrics. Precedence, from weak to strong: `or`; `and`; `not`; comparisons \
         `< <= > >= == !=`, which cannot be chained; `+ -`; `* /`; sign.\n\n\
         **Units.** Both sides of a comparison must have the same unit: `p95_latency > 10%` is an error. A number without a \
         unit takes that of the other side, except against a duration.\n\n\
         **Missing data** is neither true nor false. Arithmetic or a comparison on it has no data, `a or b` holds when one \
         side does, `a and b` fails when one side does; everything else is no data, and no data does not fire. A \
         division by zero is no data.\n\n\
         **Unknown names** are read as numeric record fields, with a warning, and have no data until a record carries them; \
         a name close to a metric is an error. `{}name` says that a field is meant and silences both. The unit of \
         a field is what its name ends in: `_ms`, `_s`, `_seconds`, `_usd`, `_tokens`. Any other field is held against any \
         literal; against a duration it is milliseconds.\n\n\
         **Value and threshold** in messages and lists are the two sides of the comparison that decides: of `and` the last, of \
         `or` the first that holds. Put the comparison that people should read last in an `and`. Of a condition that does \
         not hold, as when an alert has ended, it is of `and` the one that is furthest from holding, of `or` the nearest. \
         Measured values count as the value and literals and baselines as the threshold, whichever side they stand on.\n\n\
         {RANGES}\n\n{YARDSTICKS}\n\n\
         **Nonsense is refused**: a comparison that no value of the metric can satisfy is an error, one that every value \
         satisfies a warning.\n\n\
         ## Selection\n\n`where` maps labels to patterns. `*` stands for any run of characters, a list matches when one of \
         its patterns does, `!` in front excludes (in quotes, because YAML gives `!` a meaning of its own), an \
         empty pattern matches executions without the label. Every label must match.\n\n```yaml\n{SELECTION}```\n\n\
         {TERMS}\n\n{INCIDENTS}{}## Annotations\n\nTexts may hold fields in double braces:\n\n| field | meaning |\n| --- | --- |\n",
        names::FIELD_PREFIX,
        itself()
    );
    for (name, meaning) in annotation::FIELDS {
        let _ = writeln!(page, "| `{{{{ {name} }}}}` | {meaning} |");
    }
    for (name, meaning) in annotation::CONTEXT {
        let _ = writeln!(page, "| `{{{{ {name} }}}}` | {meaning} |");
    }
    for (name, meaning) in annotation::OBJECTIVE {
        let _ = writeln!(page, "| `{{{{ {name} }}}}` | of an [SLO](slos.md): {meaning} |");
    }
    let _ = writeln!(page, "| `{{{{ agent }}}}` | a label of `by`, by its name |");
    let _ = writeln!(page, "| `{{{{ {}team }}}}` | a label of `by` or of the rule |", annotation::LABEL_PREFIX);
    page += "\nA field that does not exist is an error when the rule is loaded.\n\n## Limits\n\n| what | limit |\n| --- | --- |\n";
    for (what, limit) in limits() {
        let _ = writeln!(page, "| {what} | {limit} |");
    }
    page += "\nThe steps of `for` and `keep_firing_for` are evaluations: an alert fires at the first evaluation at which the \
             condition has held for long enough.\n\n## What a fault looks like\n\nThis file\n\n```text\n";
    page += FAULTY;
    page += "```\n\ngives, in one run,\n\n```text\n";
    let (_, diagnostics) = load::load(&[SourceFile::new("rules/team.yaml", FAULTY)], Span::seconds(15));
    for diagnostic in &diagnostics {
        let _ = writeln!(page, "{diagnostic}\n");
    }
    page.truncate(page.trim_end().len());
    page += "\n```\n";
    page
}

/// Fields that do not go with another one of the first example.
fn alone(name: &str) -> bool {
    matches!(name, "levels" | "shadow" | "budget" | "covers")
}

fn limits() -> [(&'static str, String); 11] {
    [
        ("a file", format!("{} bytes", yaml::BYTES_LIMIT)),
        ("values in a file, copies by aliases included", yaml::NODES_LIMIT.to_string()),
        ("nesting of lists and mappings", yaml::DEPTH_LIMIT.to_string()),
        ("a condition", format!("{} bytes", syntax::CONDITION_LIMIT)),
        ("names and numbers in a condition", syntax::OPERANDS_LIMIT.to_string()),
        ("different values that a condition reads", INPUT_LIMIT.to_string()),
        ("nesting in a condition", syntax::NESTING_LIMIT.to_string()),
        ("labels in `by`", BY_LIMIT.to_string()),
        ("`window`", load::WINDOW_LIMIT.to_string()),
        ("`for`, `keep_firing_for`", load::HOLD_LIMIT.to_string()),
        ("a label value or annotation", format!("{} bytes", load::TEXT_LIMIT)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let (_, diagnostics) = load::load(&[SourceFile::new("t.yaml", text)], Span::seconds(15));
        diagnostics.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_yaml_example_loads() {
        let page = rules();
        let blocks: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|b| b.split("```").next()).collect();
        assert_eq!(blocks.len(), 6);
        for block in blocks {
            assert_eq!(faults(block), [] as [&str; 0], "{block}");
        }
    }

    #[test]
    fn every_condition_loads() {
        for (text, _) in CONDITIONS {
            assert_eq!(faults(&format!("alerts: [{{name: a, condition: \"{text}\"}}]")), [] as [&str; 0], "{text}");
        }
    }

    #[test]
    fn the_fields_are_those_that_loading_asks_for() {
        let found = faults("alerts:\n  - {name: a, condition: cost > $1, no_such_field_at_all: 1}\n");
        let names = FIELDS.map(|(name, ..)| name);
        let listed = found[0].rsplit("write one of: ").next().unwrap_or_default();
        let mut listed: Vec<&str> = listed.split(", ").collect();
        listed.sort_unstable();
        let mut expected = names.to_vec();
        expected.sort_unstable();
        listed.dedup();
        assert_eq!(listed, expected);
    }
}
