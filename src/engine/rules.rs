//! Evaluates rules on the series that could have changed, and keeps the alerts they raise.
//!
//! Evaluation happens at whole multiples of the evaluation interval, on the series that got an
//! execution, lost one to age, or have an alert whose time is up; all others would only repeat
//! their last verdict.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert::{self, Alert};
use super::baseline::History;
use super::event::AlertState;
use super::names::Names;
use super::plan::{RulePlan, Time};
use super::split::{NEVER, Series, Split};
use super::window::Shape;
use crate::model::{Metric, Span, Timestamp};
use crate::rule::{Input, Rule};

/// What a rule knows beside the windows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RuleState {
    /// What the state belongs to: name, condition, window and split in one text.
    pub identity: String,
    /// Pending and firing alerts by series.
    pub alerts: BTreeMap<u32, Alert>,
    /// By series: the number of the window last looked at, when the rule has a baseline.
    numbers: Vec<i64>,
    /// By series, as many as the rule has baseline inputs: the values of past windows.
    histories: Vec<History>,
}

impl RuleState {
    /// A rule's state before anything happened.
    pub fn new(rule: &Rule) -> RuleState {
        RuleState { identity: identity(rule), ..RuleState::default() }
    }

    /// The values of past windows of a series for each baseline input of the rule.
    fn histories(&self, series: usize, plan: &RulePlan) -> &[History] {
        self.histories.get(series * plan.baselines..).unwrap_or_default()
    }
}

/// A rule keeps its state over a reload when this text is the same.
pub fn identity(rule: &Rule) -> String {
    format!(
        "{}\n{}\n{}\n{:?}\n{:?}\n{}\n{}",
        rule.name, rule.condition, rule.window, rule.by, rule.filter, rule.hold, rule.min_samples
    )
}

/// A change of state of one alert.
#[derive(Debug)]
pub struct Transition {
    /// Index of the rule.
    pub rule: usize,
    /// Index of the series in the rule's split.
    pub series: usize,
    /// What it changed to.
    pub state: AlertState,
    /// The alert after (or at its end, before) the change.
    pub alert: Alert,
}

/// What one evaluation of a split needs.
pub struct Evaluation<'a> {
    /// The instant.
    pub now: Timestamp,
    /// The evaluation interval.
    pub step: Span,
    /// All rules.
    pub rules: &'a [Rule],
    /// Where each looks.
    pub plans: &'a [RulePlan],
    /// The rules of this split.
    pub here: &'a [usize],
    /// The table of names.
    pub names: &'a Names,
}

impl Evaluation<'_> {
    /// Evaluates the rules of a split on every series whose time has come; the number of
    /// evaluations. Transitions are appended in the order of series, then rules.
    pub fn run(&self, split: &mut Split, states: &mut [RuleState], transitions: &mut Vec<Transition>) -> u64 {
        let mut evaluations = 0;
        let mut wake = NEVER;
        let mut changed = vec![false; split.windows.len()];
        for index in 0..split.series.len() {
            if split.wakes[index] > self.now {
                wake = wake.min(split.wakes[index]);
                continue;
            }
            let mut next = NEVER;
            let Split { series, windows, .. } = split;
            let series = &mut series[index];
            let touched = std::mem::take(&mut series.touched);
            for ((window, spec), changed) in series.windows.iter_mut().zip(windows.iter()).zip(&mut changed) {
                *changed = window.expire(spec.shape, self.now) || touched;
                next = next.min(window.next_expiry(spec.shape).unwrap_or(NEVER));
            }
            for &rule in self.here {
                let mut due = self.due(rule, split, index, &states[rule]);
                let plan = &self.plans[rule];
                if changed[plan.window] || plan.time == Time::Runs || due <= self.now {
                    evaluations += 1;
                    if plan.percentiles {
                        split.series[index].windows[plan.window].sort();
                    }
                    self.rule(rule, split, index, &mut states[rule], transitions);
                    due = self.due(rule, split, index, &states[rule]);
                }
                next = next.min(due);
            }
            split.wakes[index] = next;
            wake = wake.min(next);
        }
        split.wake = wake;
        evaluations
    }

    /// When time alone could change what a rule says of a series, its windows being as they are.
    fn due(&self, rule_index: usize, split: &Split, index: usize, state: &RuleState) -> Timestamp {
        let (rule, plan) = (&self.rules[rule_index], &self.plans[rule_index]);
        let mut due = NEVER;
        let alert = if state.alerts.is_empty() { None } else { state.alerts.get(&(index as u32)) };
        if let Some(alert) = alert {
            due = alert::due(alert, rule).unwrap_or(NEVER);
        }
        due = due.min(match plan.time {
            Time::Still => NEVER,
            // Silence only grows: it crosses its threshold once, and only a record ends it.
            Time::Threshold(_) if alert.is_some() => NEVER,
            Time::Threshold(threshold) => (split.series[index].last_seen + threshold + Span(1)).max(self.now),
            Time::Runs => self.now + self.step,
        });
        if plan.baselines > 0 && split.series[index].windows[plan.window].counts().n > 0 {
            let last = state.numbers.get(index).copied().unwrap_or(i64::MIN);
            let number = self.now.0.div_euclid(rule.window.0.max(1));
            let boundary = if last < number { self.now } else { Timestamp((number + 1).saturating_mul(rule.window.0)) };
            due = due.min(boundary);
        }
        due
    }

    /// Evaluates one rule on one series.
    fn rule(
        &self,
        rule_index: usize,
        split: &Split,
        index: usize,
        state: &mut RuleState,
        transitions: &mut Vec<Transition>,
    ) {
        let (rule, plan) = (&self.rules[rule_index], &self.plans[rule_index]);
        let shape = split.windows[plan.window].shape;
        let reading = Reading { series: &split.series[index], window: plan.window, shape, now: self.now };
        let key = index as u32;

        // Inputs in slot order; a handful at most, so a fixed buffer keeps the hot path free of
        // allocation.
        let mut values = [None; INPUTS];
        let mut n = u64::MAX;
        let mut histories = state.histories(index, plan).iter();
        for (value, input) in values.iter_mut().zip(&rule.program.inputs) {
            *value = match input {
                Input::Metric(metric) => {
                    let (found, count) = reading.metric(*metric, rule.min_samples);
                    n = n.min(count);
                    found
                }
                Input::Field { name, aggregate } => self.names.find(name).and_then(|name| {
                    let sum = reading.series.windows[plan.window].field(name)?;
                    n = n.min(sum.n);
                    (sum.n >= u64::from(rule.min_samples)).then(|| sum.value(*aggregate))?
                }),
                Input::Baseline(_) => histories.next().and_then(History::centre),
            };
        }
        let n = if n == u64::MAX { 0 } else { n };
        let verdict = rule.program.eval(&values[..rule.program.inputs.len().min(INPUTS)]);

        let mut slot = if state.alerts.is_empty() { None } else { state.alerts.remove(&key) };
        let changed = alert::step(&mut slot, self.now, verdict, n, rule, || split.subject(index, self.names));
        let active = slot.is_some();
        if let Some(alert) = slot {
            state.alerts.insert(key, alert);
        }
        if let Some((to, alert)) = changed {
            transitions.push(Transition { rule: rule_index, series: index, state: to, alert });
        }
        if plan.baselines > 0 {
            self.remember(rule, &reading, state, index, active);
        }
    }

    /// Keeps the value of a window that just ended, for the rule's baseline.
    fn remember(&self, rule: &Rule, reading: &Reading<'_>, state: &mut RuleState, index: usize, active: bool) {
        let baselines = || rule.program.inputs.iter().filter_map(Input::baseline);
        let first = index * baselines().count();
        if state.numbers.len() <= index {
            state.numbers.resize(index + 1, 0);
            state.histories.resize_with(first + baselines().count(), History::default);
        }
        let window = rule.window.0.max(1);
        let number = self.now.0.div_euclid(window);
        let known = std::mem::replace(&mut state.numbers[index], number);
        // A series that wakes in the middle of a window has no whole one behind it.
        if number == known || self.now.0.rem_euclid(window) >= self.step.0 {
            return;
        }
        for (history, metric) in state.histories[first..].iter_mut().zip(baselines()) {
            if let (Some(value), _) = reading.metric(metric, rule.min_samples) {
                history.push(value, active);
            }
        }
    }
}

/// Inputs of a rule, at most; the rule loader refuses more.
pub const INPUTS: usize = crate::rule::INPUT_LIMIT;

/// Reads the metrics of one window of one series.
struct Reading<'a> {
    series: &'a Series,
    window: usize,
    shape: Shape,
    now: Timestamp,
}

impl Reading<'_> {
    /// The value of a metric, if at least `least` samples are behind it, and how many are.
    fn metric(&self, metric: Metric, least: u32) -> (Option<f64>, u64) {
        let n = self.samples(metric);
        if n < u64::from(least) { (None, n) } else { (self.value(metric), n) }
    }

    /// How many samples a metric rests on.
    fn samples(&self, metric: Metric) -> u64 {
        let c = self.series.windows[self.window].counts();
        match metric {
            Metric::Executions | Metric::Throughput => c.n,
            Metric::SuccessRate | Metric::ErrorRate | Metric::LimitRate => c.known,
            Metric::InputTokens | Metric::OutputTokens | Metric::TotalTokens => c.counted,
            Metric::Cost | Metric::HourlyCost | Metric::CostPerExecution | Metric::CostPerSuccess => c.priced,
            Metric::Quality => c.judged,
            Metric::Silence => self.series.total,
            Metric::TimeoutRate
            | Metric::MeanLatency
            | Metric::P50Latency
            | Metric::P75Latency
            | Metric::P90Latency
            | Metric::P95Latency
            | Metric::P99Latency => c.durations,
        }
    }

    fn value(&self, metric: Metric) -> Option<f64> {
        let window = &self.series.windows[self.window];
        let c = window.counts();
        let hours = self.shape.covered().0 as f64 / 3_600_000.0;
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let dollars = c.cost as f64 / 1e9;
        let when = |n: u64, value: f64| (n > 0).then_some(value);
        match metric {
            Metric::Executions => Some(c.n as f64),
            Metric::SuccessRate => c.success_rate(),
            Metric::ErrorRate => share(c.known - c.ok, c.known),
            Metric::TimeoutRate => share(c.censored, c.durations),
            Metric::LimitRate => share(c.limited, c.known),
            Metric::MeanLatency => c.mean_ms(),
            Metric::InputTokens => when(c.counted, c.input as f64),
            Metric::OutputTokens => when(c.counted, c.output as f64),
            Metric::TotalTokens => when(c.counted, (c.input + c.output) as f64),
            Metric::Cost => when(c.priced, dollars),
            Metric::HourlyCost => when(c.priced, dollars / hours),
            Metric::CostPerExecution => when(c.priced, dollars / c.priced as f64),
            Metric::CostPerSuccess => c.cost_per_success(),
            Metric::Quality => c.mean_quality(),
            Metric::Throughput => Some(c.n as f64 / hours),
            Metric::Silence => Some(self.now.since(self.series.last_seen).as_millis_f64().max(0.0)),
            Metric::P50Latency | Metric::P75Latency | Metric::P90Latency | Metric::P95Latency | Metric::P99Latency => {
                // A quantile beyond the cut-off is known to be at least the value given.
                metric.quantile().and_then(|q| window.quantile(q)).map(|e| e.value)
            }
        }
    }
}
