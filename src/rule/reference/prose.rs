//! The sections of `docs/rules.md` that no table could write; their examples are loaded by the tests of the page.

/// What rules that cover others do.
pub(super) const INCIDENTS: &str = "## Incidents

Many agents that fail at one place are one incident. A rule that `covers` others reads `alerting_share` or `alerting_agents`: \
the agents with a pending or firing alert of a covered rule, against all agents that those rules have data on. `n` and \
`min_samples` are these agents; they are counted when the rule begins or ceases to hold, and every two minutes between. Of the labels in `by` the first one counts that an agent has: `[provider, model]` is the \
provider, or else the model; `fleet` is all agents at once. An agent counts where its newest failure was, \
else where its newest record was. A rule that a reload brings finds the fleet where it is by provider, by source and by every label \
that a rule did read; any other label evenkeel did not read before, so agents count from their next record on, and the log, \
`rules` and `why` say of how many that is not known yet. While the rule \
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

/// The section on windows of single values.
pub(super) const RANGES: &str = "### Time ranges

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
pub(super) const YARDSTICKS: &str = "### Baseline, peers and score

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
pub(super) const TERMS: &str = r#"## Levels

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
has none). A rise while it fires is a message of its own under the same alert id. A fall changes value and severity, which those who are
told of the milder level, too, see in the next message about the alert or its group; to them it is no news, and a rise is news if they
were told of a milder level last. Who is told of the graver level alone, by `min_severity` or by the matchers of a route, is told that it is
over, `goes on as severity=warning`; who is told of the milder level alone is told that it fires. The level falls only after it has not held
for `keep_firing_for`. The message about the end names the gravest level that its receiver was told.

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
message at any hour. A rise of severity outside of the hours is told when they begin, too: till then the alert goes on as what it was
told as, with the threshold, condition and texts of that, in repeats and at an Alertmanager, and ends as that. What nobody is told of because of its rule's hours inhibits nothing. A shadow rule is evaluated and
recorded and tells nobody; it inhibits nothing and its alerts do not keep baselines from learning."#;

/// The example of the section on `where`.
pub(super) const SELECTION: &str = r#"alerts:
  - name: slow_reviews
    condition: p95_latency > 2 minutes
    where:
      task_type: [review, "audit-*"]
      agent: "!test-*"
      workflow: ""
"#;

/// A file with a fault of each common kind.
pub(super) const FAULTY: &str = r#"alerts:
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
