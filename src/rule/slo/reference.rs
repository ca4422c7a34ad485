//! Writes `docs/slos.md` from the tables that reading obeys.

use std::fmt::Write as _;

use super::{ALERTS, KEEP_FIRING_FOR, MIN_FAILURES, MIN_FAILURES_SLOW, PERIOD};
use crate::diagnostic::SourceFile;
use crate::model::{Span, Unit};
use crate::rule::reference::{ACTIVE_HOURS, ANNOTATIONS, GENERATED, LABELS, Row, SHADOW, WHERE};
use crate::rule::{Rule, load};

/// The fields of an objective.
pub const FIELDS: [Row; 16] = [
    ("name", "required", "that of its alerts, too: unique over all rules", "agents_succeed"),
    ("objective", "required", "the share that must be good, 50% to 99.999%", "99%"),
    ("good", "this or `bad`", "the share of good runs: a metric or an expression of record fields", "success_rate"),
    ("bad", "this or `good`", "the share of bad runs", "timeout_rate"),
    ("total", "none", "then `good` or `bad` is a number, and this is of how many", "sum(requests)"),
    ("period", "30d", "how far back the error budget looks, at least 1h and at most 30d", "7d"),
    (
        "alerts",
        "see [Alerts](#alerts)",
        "burn rates that are told",
        "[{burn: 10, long: 1h, short: 5m, severity: critical}]",
    ),
    (
        "min_failures",
        "3, below a burn rate of 2 it is 10",
        "with fewer failures in the long range no alert holds",
        "20",
    ),
    ("by", "agent", "one budget per value of these labels, as in a [rule](rules.md)", "[agent, task_type]"),
    WHERE,
    ("for", "0s", "how long an alert must hold; the long range is a delay already", "2m"),
    ("keep_firing_for", "1h", "how long an alert goes on after it stopped holding", "30m"),
    (LABELS.0, "`slo`, the name", LABELS.2, LABELS.3),
    (ANNOTATIONS.0, "a summary", ANNOTATIONS.2, "{summary: \"{{ agent }} {{ burn }}\"}"),
    SHADOW,
    ACTIVE_HOURS,
];

/// The example at the top of the page.
const EXAMPLE: &str = "slos:
  - name: agents_succeed
    objective: 99%
    good: success_rate
";

/// Other indicators.
const INDICATORS: &str = "slos:
  - {name: in_time, objective: 95%, bad: timeout_rate, by: task_type}
  - {name: requests_succeed, objective: 99.9%, bad: sum(errors), total: sum(requests), by: fleet}
  - {name: answers_accepted, objective: 90%, good: sum(accepted), total: sum(answers), period: 7d,
     alerts: [{burn: 5, long: 6h, short: 30m, severity: high}, {burn: 1, long: 3d, short: 6h}]}
";

/// The rules of an example.
fn rules(text: &str) -> Vec<Rule> {
    load::load(&[SourceFile::new("slos.yaml", text)], Span::seconds(15)).0
}

/// The text of `docs/slos.md`.
pub fn page() -> String {
    let mut page = String::from(GENERATED);
    let _ = write!(
        page,
        "# Service level objectives\n\nAn SLO says which share of the work must be good. It stands in a rule file, beside or \
         instead of `alerts:`:\n\n```yaml\n{EXAMPLE}```\n\nAn objective of 99 % leaves an **error budget** of 1 % of the runs of \
         the last {PERIOD}. The **burn rate** is the share of bad runs over that 1 %: at 1 the budget lasts exactly for the period, at \
         14.4 it is gone after two days. Nothing else is needed: alerts, the budget that is left, `/metrics` and the API follow \
         from these lines.\n\n## Fields\n\n| field | default | meaning | example |\n| --- | --- | --- | --- |\n"
    );
    for (name, default, meaning, example) in FIELDS {
        // What is shared with rules is explained there.
        let meaning = meaning.replace("](#", "](rules.md#");
        let _ = writeln!(page, "| `{name}` | {default} | {meaning} | `{example}` |");
    }
    let _ = write!(
        page,
        "\nAn indicator is a share that [metrics.md](metrics.md) has (`success_rate`, `error_rate`, `timeout_rate`, `limit_rate`, a coverage), or \
         is counted from [record fields](rules.md#conditions) with `total`:\n\n```yaml\n{INDICATORS}```\n\n\
         It names no time range and no threshold: the alerts and the period say over which ranges it is read.\n\n\
         ## Alerts\n\n| burn rate | over | and over | severity | uses up of a budget of 30 days | failures at least |\n\
         | --- | --- | --- | --- | --- | --- |\n"
    );
    for (rate, long, short, severity) in ALERTS {
        let used = Unit::Ratio.show(rate * long.0 as f64 / PERIOD.0 as f64);
        let failures = super::Burn::min_failures(rate);
        let severity = severity.as_str();
        let _ = writeln!(page, "| {rate} | {long} | {short} | {severity} | {used} in {long} | {failures} |");
    }
    let _ = write!(
        page,
        "\nThese are the defaults, after The Site Reliability Workbook of Google, chapter 5; 3 over a day is that of Sloth. The long range says that it \
         matters, the short one that it still goes on: an alert ends soon after the failures do. Alerts of one severity are one \
         level, and all of them are one [rule with levels](rules.md#levels): there is one alert per subject, which rises as the budget burns \
         faster. Of this SLO they are\n\n```text\n"
    );
    for level in rules(EXAMPLE).iter().flat_map(|rule| &rule.terms.levels).rev() {
        let _ = writeln!(page, "{}: {}", level.severity.as_str(), level.condition);
    }
    let _ = write!(
        page,
        "```\n\nThis is the language of [rules.md](rules.md), and the rule has the SLO's name: `check`, `rules`, `why`, `replay`, `alerts --margin` \
         and [tests](testing.md) do with it what they do with every rule. `test --mutate` moves all of its thresholds together.\n\n\
         - **Few failures do not page.** One failure of three runs is a burn rate of 33 and says nothing. An alert asks for {MIN_FAILURES} failures in \
         its long range, at a burn rate below 2 for {MIN_FAILURES_SLOW}. Of a subject that is bad half as often as it may be, chance makes an alert \
         hold at 14.4 in 0.02 % of the ranges, at 6 in 0.2 %, at 3 in 1.4 % and at 1 in 3 % (Poisson), and less the more it runs.\n\
         - **Burn rates that cannot be.** At an objective of 90 % nothing burns more than ten times too fast. A default alert at or above \
         that is left out, with a warning; one that you list is an error. Default alerts whose long range is longer than the period \
         are left out, too.\n\
         - **Agents that rarely work** leave the short range empty between their runs, and no data does not fire. The alert goes on for \
         {KEEP_FIRING_FOR} then, and keeps its severity as long (`keep_firing_for`): else each failure would be told anew. Where runs are further apart than the short range, list `alerts` with longer ones.\n\
         - **What is told** is `ok: agent=a burns its error budget 1.5x: success rate 71% over 1h (n 40), objective 80%`, and at the end \
         that it burns no more, with the values of that moment; `annotations` of your own say something else.\n\
         - The long ranges move on by slices, as [time ranges](rules.md#time-ranges) do: an hour by 2 minutes, 3 days by 2 h 24 min.\n\n"
    );
    page += BUDGET;
    page
}

/// The section on the budget that is left.
const BUDGET: &str = r#"## Error budget

```console
$ evenkeel slos examples/quickstart/executions.jsonl --rules rules/slos.yaml
slo             subject                objective  period       bad runs     n           budget left                                      burn
agents_succeed  agent=sql-analyst            95%     30d  42.9% (36-50)   196  -757% (-897 to -623)    1h: 11.4, 6h: 9.55, 1d: 8.11, 3d: 8.57
[...]
runs_in_time    fleet                        95%     30d    2.91% (2-4)  2300      41.7% (26 to 54)    1h: 0, 6h: 0.565, 1d: 0.605, 3d: 0.583
agents_succeed  agent=test-writer            95%     30d     2.2% (1-4)   364        56% (14 to 78)  1h: 1.43, 6h: 0.494, 1d: 0.449, 3d: 0.44
agents_succeed  agent=release-manager        95%     30d      0% (0-43)     5       not enough data          95% needs 20 runs, or 3 bad ones
```

What is left is 1 less the share of bad runs over the share that is allowed: 100 % is all of it, below 0 more was used than
there is. It looks at the last `period`, which moves on by slices of a thirtieth, a day of 30. Its interval is that of the share of bad runs
(Wilson, 95 %): of few runs it is wide. When less than one failure is allowed to so few runs (`n` times the budget is below 1) and there were
fewer than `min_failures`, there is not enough data, and nothing is said.

- `evenkeel slos` without files asks the daemon; exit code 1 says that a budget is
  used up. `evenkeel report` shows the budgets below the ranking.
- `GET /api/v1/slos` has `left`, `lower`, `upper`, `bad`, `failures` and `burns`, the least left first; without enough data `left` is null and
  `lacking` says what is missing.
- `/metrics` has `evenkeel_slo_error_budget_left` and `evenkeel_slo_burn_rate` with the labels `slo`, those of the subject, and `range`.
- A rule may be about the budget, too: less than a quarter is left of 1 % in 30 days when `success_rate[30d] < 99.25%`.

## Cost

A subject keeps its runs for all of these ranges in four rings of slices. Measured with 1,000 agents that run 300 times a day each: 27 kB
per agent for the first SLO (`by: agent`), 0.3 kB for a second one on the same labels; 1.6 µs of CPU time more per run where the objective is
kept, 6 µs where most agents break it and have an alert. An objective on how long runs take has no metric of
its own: log a field that says whether a run was in time, and count it with `good` and `total`, or use `bad: timeout_rate`.
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let (_, diagnostics) = load::load(&[SourceFile::new("t.yaml", text)], Span::seconds(15));
        diagnostics.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_example_loads() {
        for block in page().split("```yaml\n").skip(1).filter_map(|block| block.split("```").next()) {
            assert!(!rules(block).is_empty());
            let said = faults(block);
            assert!(said.iter().all(|fault| fault.starts_with("warning: no built-in metric")), "{said:?}");
        }
        for (name, _, _, example) in FIELDS {
            let rest: String = [("name", "a"), ("objective", "99%"), ("good", "success_rate")]
                .iter()
                .filter(|(other, _)| *other != name && (*other != "good" || name != "bad"))
                .map(|(name, value)| format!("  {name}: {value}\n"))
                .collect();
            let counted = if name == "total" { rest.replace("success_rate", "sum(answers)") } else { rest };
            let text = format!("slos:\n- {name}: {example}\n{counted}");
            assert_eq!(faults(&text), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_fields_are_those_that_loading_asks_for() {
        let found = faults("slos:\n- {name: a, objective: 99%, good: success_rate, no_such_field_at_all: 1}\n");
        let listed = found[0].rsplit("write one of: ").next().unwrap_or_default();
        let mut listed: Vec<&str> = listed.split(", ").collect();
        let mut expected = FIELDS.map(|(name, ..)| name).to_vec();
        listed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(listed, expected);
    }
}
