//! What one window of one series says: the values of metrics and fields, and the samples behind them.

use super::look::Look;
use super::pane::Counts;
use super::split::{Series, Split};
use crate::model::{Metric, Timestamp};
use crate::rule::Aggregate;

/// Reads the metrics of one window of one series.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    /// The split, and which of its series.
    pub of: (&'a Split, usize),
    /// Which of its windows.
    pub window: usize,
    pub look: Look<'a>,
    /// The sums of the window.
    pub counts: Counts,
    pub now: Timestamp,
}

impl<'a> Reading<'a> {
    /// A window of a series as it is now.
    pub fn of(of: (&'a Split, usize), window: usize, now: Timestamp) -> Reading<'a> {
        let look = of.0.look(of.1, window);
        Reading { of, window, look, counts: look.counts(), now }
    }

    /// Another window of the same series.
    pub fn over(&self, window: usize) -> Reading<'a> {
        Reading::of(self.of, window, self.now)
    }

    fn series(&self) -> &Series {
        &self.of.0.series[self.of.1]
    }

    /// The value of a metric, if at least `least` samples are behind it, and how many are.
    pub fn metric(&self, metric: Metric, least: u32) -> (Option<f64>, u64) {
        let n = self.samples(metric);
        if n < u64::from(least) { (None, n) } else { (self.value(metric), n) }
    }

    /// What the values of a field come to, as [`Reading::metric`]; no samples is not zero samples.
    pub fn field(&self, name: &str, aggregate: Aggregate, least: u32) -> (Option<f64>, Option<u64>) {
        let Some(sum) = self.look.field(name) else { return (None, None) };
        let value = if sum.n >= u64::from(least) { sum.value(aggregate) } else { None };
        (value, Some(sum.n))
    }

    /// How many samples a metric rests on.
    pub fn samples(&self, metric: Metric) -> u64 {
        let c = &self.counts;
        match metric {
            Metric::Executions
            | Metric::Throughput
            | Metric::OutcomeCoverage
            | Metric::DurationCoverage
            | Metric::TokenCoverage
            | Metric::CostCoverage
            | Metric::Lost => c.n,
            Metric::AlertingAgents | Metric::AlertingShare => 0,
            Metric::FailedExecutions
            | Metric::SuccessRate
            | Metric::ErrorRate
            | Metric::LimitRate
            | Metric::RepeatRatio => c.known,
            Metric::InputTokens | Metric::OutputTokens | Metric::TotalTokens => c.counted,
            Metric::Cost | Metric::HourlyCost | Metric::CostPerExecution | Metric::CostPerSuccess => c.priced,
            Metric::Quality => c.judged,
            Metric::Silence | Metric::Stale => self.series().total,
            Metric::TimeoutRate
            | Metric::MeanLatency
            | Metric::P50Latency
            | Metric::P75Latency
            | Metric::P90Latency
            | Metric::P95Latency
            | Metric::P99Latency => c.durations,
        }
    }

    /// The time that the window covers.
    pub fn hours(&self) -> f64 {
        self.look.shape.covered().0 as f64 / 3_600_000.0
    }

    fn value(&self, metric: Metric) -> Option<f64> {
        let c = &self.counts;
        let hours = self.hours();
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let dollars = c.cost as f64 / 1e9;
        let when = |n: u64, value: f64| (n > 0).then_some(value);
        match metric {
            Metric::Executions | Metric::Lost => Some(c.n as f64),
            Metric::AlertingAgents | Metric::AlertingShare => None,
            Metric::FailedExecutions => when(c.known, (c.known - c.ok) as f64),
            Metric::SuccessRate => c.success_rate(),
            // A repeat is no success, see [`Takes::Works`].
            Metric::ErrorRate | Metric::RepeatRatio => share(c.known - c.ok, c.known),
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
            Metric::OutcomeCoverage => share(c.known, c.n),
            Metric::DurationCoverage => share(c.durations, c.n),
            Metric::TokenCoverage => share(c.counted, c.n),
            Metric::CostCoverage => share(c.priced, c.n),
            Metric::Silence | Metric::Stale => Some(self.now.since(self.series().last_seen).as_millis_f64().max(0.0)),
            Metric::P50Latency | Metric::P75Latency | Metric::P90Latency | Metric::P95Latency | Metric::P99Latency => {
                // A quantile beyond the cut-off is known to be at least the value given.
                metric.quantile().and_then(|q| self.look.quantile(q)).map(|e| e.value)
            }
        }
    }
}
