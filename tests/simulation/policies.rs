//! What the fleet is watched by: three kinds of policies, one of which is changed in the middle of the story.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use evenkeel::model::Span;
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::settings::{Guard, Mode, Parameter, ParameterKind, Target, TargetFormat};

/// What a story is about, by its seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every alert is told at once.
    Plain,
    /// Routes, groups, repeats, inhibition, a silence, damping of flaps and floods.
    Routed,
    /// All that and levels, recovery, budgets, peers, scores, silent agents, a rule on trial, Alertmanagers, maintenance,
    /// acknowledgements, and another policy from some moment on.
    Full,
}

impl Kind {
    pub fn of(seed: u64) -> Kind {
        [Kind::Full, Kind::Plain, Kind::Routed][(seed % 3) as usize]
    }
}

const RULES: &str = "
alerts:
  - {name: error_burst, condition: error_rate > 40%, window: 5m, for: 1m, keep_firing_for: 1m, min_samples: 5, severity: critical}
  - {name: slow, condition: p95_latency > 20s and executions >= 10, window: 10m, severity: warning}
  - {name: cost_shift, condition: hourly_cost > baseline * 3, window: 15m, severity: info}
  - {name: receiver_failing, condition: error_rate > 50%, by: [receiver], window: 5m, min_samples: 4}
  - {name: burning, condition: \"error_rate[2m] > 30% and error_rate[30m] > 15%\", min_samples: 3, severity: high}
  - {name: quota, budget: hourly, condition: budget >= 50%}
";
const MORE_RULES: &str = "
  - name: latency
    levels: {warning: mean_latency > 4s, high: mean_latency > 8s, critical: {condition: mean_latency > 15s, for: 1m}}
    recover: mean_latency < 3s
    window: 5m
    keep_firing_for: 2m
    min_samples: 5
  - {name: spent, condition: budget >= 60%, budget: spending}
  - {name: dear, condition: hourly_cost > peers * 1.2, window: 10m, min_samples: 5}
  - {name: low, condition: score < 60, severity: info}
  - {name: quiet, condition: silence > 4m, by: agent, severity: info}
  - {name: paused, condition: silence > 3m and silence < baseline.p99, by: agent, severity: info}
  - {name: common, condition: alerting_share > 30%, covers: [error_burst, burning], by: [provider, model], min_samples: 2}
  - {name: circles, condition: repeat_ratio > 60%, window: 10m}
  - {name: losing, condition: lost > 2, by: [part, source], severity: info}
  - {name: stale, condition: stale > 10m, by: part, severity: info}
  - {name: trial, condition: error_rate > 10%, window: 10m, min_samples: 5, shadow: true}
";
/// Longer than a story: every run of it counts.
const SLOS: &str = "
slos:
  - name: succeed
    objective: 90%
    good: success_rate
    period: 3h
    alerts:
      - {burn: 5, long: 20m, short: 5m, severity: critical}
      - {burn: 3, long: 1h, short: 10m, severity: high}
";
const HOOKS: &str = "
evaluation_interval: 15s
receivers:
- {name: ops, webhook: {url: \"http://127.0.0.1:1/\"}}
- {name: pager, min_severity: critical, webhook: {url: \"http://127.0.0.1:1/\"}}
";
const BUDGETS: &str = "
budgets:
- {name: hourly, amount: 60 executions, period: hour, by: agent}
- {name: spending, amount: $1, period: hour, by: agent}
";
const ROUTES: &str = "
routes:
- {matchers: [severity=critical], receivers: [pager], continue: true, repeat_interval: 10m, repeat_growth: 2}
- {matchers: [\"receiver=\"], receivers: [ops], group_by: [alertname], group_wait: 20s, group_interval: 1m, repeat_interval: 10m}
inhibit: [{source: severity=critical, target: severity=warning, equal: [agent]}]
damping: {flaps: 4, flood: 3}
digests:
- {name: first, at: \"20:40\", receivers: [ops, pager]}
- {name: second, at: \"20:50\", receivers: [ops]}
";
const MORE: &str = "
- {name: am, alertmanager: {urls: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"], resend: 1m, resolved_for: 5m}}
maintenance: [{name: planned, matchers: [agent=agent-4], hours: 2026-05-28T21:00:00Z/2026-05-28T21:20:00Z}]
";

/// What rules of the later policy say otherwise.
const CHANGES: [(&str, &str); 8] = [
    ("error_rate > 40%", "error_rate > 30%"),
    ("window: 5m, for: 1m, keep_firing_for: 1m", "window: 6m, for: 2m"),
    (
        "p95_latency > 20s and executions >= 10, window: 10m",
        "mean_latency > 5s, window: 10m, by: [agent], where: {agent: \"!agent-4\"}",
    ),
    ("high: mean_latency > 8s, critical: {condition: mean_latency > 15s, for: 1m}", "critical: mean_latency > 9s"),
    ("recover: mean_latency < 3s", "recover: mean_latency < 4s"),
    ("score < 60, severity: info", "score < 70, severity: warning"),
    ("silence > 4m", "silence > 3m"),
    (
        "condition: error_rate > 10%, window: 10m",
        "condition: error_rate > 5%, annotations: {summary: changed}, window: 10m",
    ),
];

pub const REPEAT: Span = Span::minutes(10);
pub const GUARD: Guard = Guard {
    floor: 5_000.0,
    ceiling: 300_000.0,
    dead_band: 0.1,
    step_up: 2.0,
    step_down: 0.5,
    cooldown: Span(3_600_000),
    min_samples: 20,
};

fn load(config: &str, rules: &str) -> Arc<Policy> {
    let source = PolicySource {
        config: Some(("evenkeel.yaml".into(), config.into())),
        rules: vec![("rules.yaml".into(), rules.into())],
        ..PolicySource::default()
    };
    let (policy, faults) = Policy::load(&source, Path::new(""));
    let mut policy = policy.unwrap_or_else(|| panic!("{faults:?}"));
    policy.settings.tune.targets = vec![Target {
        name: "agents".into(),
        file: "agents.yaml".into(),
        format: TargetFormat::Yaml,
        mode: Mode::Apply,
        parameters: vec![Parameter {
            kind: ParameterKind::Timeout,
            path: "agents.{agent}.timeout".into(),
            unit_ms: 1_000.0,
            as_string: false,
            guard: GUARD,
            task_type: "complex".into(),
        }],
    }];
    Arc::new(policy)
}

/// The policy of a kind of story: the first, or the one after the change.
pub fn policy(kind: Kind, later: bool) -> Arc<Policy> {
    static ALL: OnceLock<[Arc<Policy>; 4]> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let few = format!("{RULES}{SLOS}");
        let rules = format!("{RULES}{MORE_RULES}{SLOS}");
        let full = format!("{HOOKS}{MORE}{BUDGETS}{ROUTES}");
        // One receiver and one Alertmanager go and one comes, groups are made otherwise, two rules go, and of those
        // that stay conditions, `for`, levels, windows, filters, baselines and annotations change.
        let later = full
            .replace("name: ops", "name: desk")
            .replace("[ops", "[desk")
            .replace(", \"http://127.0.0.1:2\"", "")
            .replace("group_by: [alertname]", "group_by: [alertname, agent]");
        let fewer: String = rules
            .lines()
            .filter(|line| !["name: cost_shift", "name: dear"].iter().any(|name| line.contains(name)))
            .map(|line| CHANGES.iter().fold(line.to_owned(), |line, (old, new)| line.replace(old, new)) + "\n")
            .collect();
        assert!(CHANGES.iter().all(|(old, new)| rules.contains(old) && fewer.contains(new)), "{fewer}");
        [
            load(&format!("{HOOKS}{BUDGETS}"), &few),
            load(&format!("{HOOKS}{BUDGETS}{ROUTES}"), &few),
            load(&full, &rules),
            load(&later, &fewer),
        ]
    });
    let index = match (kind, later) {
        (Kind::Plain, _) => 0,
        (Kind::Routed, _) => 1,
        (Kind::Full, false) => 2,
        (Kind::Full, true) => 3,
    };
    Arc::clone(&all[index])
}
