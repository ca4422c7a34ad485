//! Writes `docs/rules.md` and `docs/metrics.md` from the same tables that loading obeys.
//!
//! Every example in them is loaded by a test, and the faults shown are the real ones, so the pages
//! cannot promise what the loader refuses.

use std::fmt::Write;

use super::{Aggregate, BY_LIMIT, INPUT_LIMIT, annotation, condition, load, names, syntax};
use crate::diagnostic::SourceFile;
use crate::model::metric::METRICS;
use crate::model::{Dimension, Part, Span, Unit};
use crate::wire::yaml;

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

/// What rules that cover others do.
const INCIDENTS: &str = "## Incidents

Many agents that fail at one place are one incident. A rule that `covers` others reads `alerting_share` or `alerting_agents`: \
the agents with a pending or firing alert of a covered rule, against all agents that those rules have data on. `n` and \
`min_samples` are these agents; they are counted when the rule begins or ceases to hold, and every two minutes between. Of the labels in `by` the first one counts that an agent has: `[provider, model]` is the \
provider, or else the model; `fleet` is all agents at once. An agent counts where its newest failure was. While the rule \
fires, alerts of the covered rules on its agents are held back from every receiver that is told of it; what still fires when it \
ends is told then. A receiver that is not told of it, because it is too mild for its `min_severity`, not on its routes, refused, or \
began outside of its `active_hours`, gets them one by one. An incident that is itself silenced, in maintenance, inhibited or on a route \
that is closed holds them back all the same, as a source of `inhibit` does. An Alertmanager gets them all and inhibits by rules of its own.

```yaml
alerts:
  - {name: failing, condition: error_rate > 50%, for: 1m, severity: high}
  - name: provider_down
    condition: alerting_share > 50%
    covers: [failing]
    by: [provider, model]
    severity: critical
```

";

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

/// The section on windows of single values.
const RANGES: &str = "### Time ranges

A metric or a record field may name how far back it looks, in brackets right behind its name, as a range selector of
PromQL does: `error_rate[1h]`, `sum(errors[5m])`. Without brackets it is the rule's `window`. A rule in which every value has a range needs no
`window`; its longest range stands in its place. There is no `offset` and no subquery.

- `min_samples` holds for each value by itself, in its own range.
- A message shows value, threshold, window and n of the comparison that decided. So of `error_rate[5m] > 20% and error_rate[1h] > 10%`
  it shows the hour. A picture shows the slices of that range.
- A range has at most 30 slices, as a window does, each a whole number of evaluation intervals: `[1h]` moves on by 2 minutes, `[1d]` by 48
  minutes, `[3d]` by 2 h 24 min. It holds the slices that begin within it.
- `cost`, `executions` and their like grow with the range, and `hourly_cost` and `throughput` are over the whole of it: of an agent that began ten
  minutes ago, `hourly_cost[1h]` is a sixth of its pace. Hold a short range against a long one with shares and means.
- `silence`, `budget` and `score` have time of their own. `baseline` and `peers` are of the rule's window: beside a value with a range they name their
  metric, `hourly_cost[5m] > baseline.hourly_cost * 3`.";

/// The section on what a subject may be held against.
const YARDSTICKS: &str = "### Baseline, peers and score

**`baseline`** is the subject's own past: the median of the metric's values in up to 96 preceding windows, one window length apart, the
tested one left out. `baseline.p75`, `.p90`, `.p95` and `.p99` are percentiles of the same values, linear between the two nearest. The
median and p75 need 8 windows, the others 20; before that there is no data. Windows under an active alert of the rule teach
nothing, until they have been the normal state for 96 windows.

The baseline of `silence` is how long the subject usually pauses, as a share of time and not of pauses: `baseline.p99` is the length
that a pause does not exceed at 99 % of all moments, so of a source that logs in bursts it is the time between them. It is known to a
factor of 1.41, rounded up. Until a day of pauses is known, what is missing of it counts as a pause of a day, so the shortest that
`silence > baseline.p99 * 2` can find in a new subject is two days. A pause that raised an alert of the rule teaches twice the usual at most;
what was learned is halved at four weeks.

**`peers`** is what the other agents do in the same window: per task type the median of their values, and of those the mean weighted by the
agent's own executions (of totals, such as `cost`, the sum). A peer counts with `min_samples` on the task type; a task type needs three
peers, and half of the agent's executions must be on such task types, else there is no data. Peers are looked at anew every
30th part of the window, at most every second. Executions without a task type are one type. The
rule must be split by `agent`; its other labels and `where` hold for the peers, too. It finds who is always dear or
slow, which no baseline can.

**`score`** is the agent's points from 0 to 100 as [scores.md](scores.md) has them, over the window of the scores and not that of the
rule; `peers` beside it is the peers' points on the agent's own mix of tasks. Scores are made anew every 720th part of their window, an
hour of 30 days, and at most every minute. An agent with insufficient data has none.

`anomaly` and `forecast` are reserved: they have no source yet, and a rule that names one is refused.";

/// The sections on levels, recovery, overrides and hours.
const TERMS: &str = r#"## Levels

One rule may have a condition for each of several severities:

```yaml
alerts:
  - name: errors
    levels:
      warning: error_rate > 10%
      critical: {condition: error_rate > 25%, for: 1m}
    recover: error_rate < 5%
    for: 5m
    keep_firing_for: 10m
```

There is one alert per subject; its severity is that of the gravest level that has held for its `for` (the rule's when the level
has none). A rise while it fires is a message of its own under the same alert id. A fall changes value and severity and
is told to nobody; the level falls only after it has not held for `keep_firing_for`. The resolved message names the gravest level that
the alert reached.

`recover` is hysteresis: the alert goes on until `recover` holds, and for `keep_firing_for` after that; between the two it keeps
its level. It must not overlap with the condition.

`no_data: alert` counts missing data (fewer than `min_samples` in the window) as holding at the mildest level, after `for` as ever; a
firing alert keeps its level. With `keep` a pending alert stays pending and a firing one fires. `ok` ends both, whatever `recover` says.

## Overrides

```yaml
alerts:
  - name: slow
    condition: p95_latency > 30s
    severity: high
    overrides:
      - where: {agent: "batch-*"}
        condition: p95_latency > 10m
      - where: {agent: reviewer}
        levels: {warning: p95_latency > 1m, high: p95_latency > 2m}
        recover: p95_latency < 45s
```

The first override whose `where` matches the subject replaces condition, severity, `for` and (if it has one) `recover`. Its `where` may
name labels of `by`. What an override does not say is the rule's.

## Active hours

```yaml
alerts:
  - name: slow_by_day
    condition: p95_latency > 30s
    active_hours:
      zone: Europe/Berlin
      days: [mon-thu, sat]
      times: ["08:00-12:00", "13:00-17:30"]
  - name: slow_on_trial
    condition: p95_latency > 20s
    shadow: true
```

The hours may stand in one line, too, `mon-thu,sat 08:00-12:00,13:00-17:30 Europe/Berlin`, and a list has several of either form.
Outside of its hours a rule is evaluated and recorded; an alert that still fires when they begin is told then. `zone` is `UTC` when absent,
`days` every day, `times` the whole day. `22:00-06:00` belongs to the day on which it begins. An alert that was told ends with a
message at any hour. What nobody is told of because of its rule's hours inhibits nothing. A shadow rule is evaluated and
recorded and tells nobody; it inhibits nothing and its alerts do not keep baselines from learning."#;

/// The example of the section on `where`.
const SELECTION: &str = r#"alerts:
  - name: slow_reviews
    condition: p95_latency > 2 minutes
    where:
      task_type: [review, "audit-*"]
      agent: "!test-*"
      workflow: ""
"#;

/// A file with a fault of each common kind.
const FAULTY: &str = r#"alerts:
  - name: errors
    condition: erorr_rate > 10%
  - name: slow
    condition: p95_latency > 10%
    windw: 5m
  - name: failing
    condition: success_rate < 95% and error_rate > 150%
    annotations: {summary: "{{ model }} fails"}
  - name: cache
    condition: cache_miss_rate > 80%
"#;

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
