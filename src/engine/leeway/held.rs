//! How much may come before a value of a window could compare so with a steady limit, whatever leaves the window.

use super::{Leeway, Room, few};
use crate::engine::reading::Reading;
use crate::engine::split::NEVER;
use crate::model::{Metric, Timestamp};
use crate::rule::Comparison;

/// Ratios are compared with a little to spare, so that rounding decides nothing.
const SPARE: f64 = 1e-9;
/// The part of a limit on percentiles from which on a duration counts as slow: digests are within 1 %.
const SLOW: f64 = 0.98;

/// A value of a window, held against a limit.
pub(super) struct Held<'a> {
    pub reading: &'a Reading<'a>,
    /// Samples that the value needs.
    pub least: u32,
    pub op: Comparison,
    pub limit: f64,
    /// Whether it is too much that counts, not too little.
    pub over: bool,
}

impl Held<'_> {
    /// What may come before it could compare so; or if that is nothing, before the window loses anything.
    pub fn leeway(&self, metric: Metric) -> Option<Leeway> {
        let c = &self.reading.counts;
        let failures = |more| Room { failures: few(more), ..Room::ALL };
        let executions = |more| Room { executions: few(more), ..Room::ALL };
        let tokens = |tokens| Room { tokens, ..Room::ALL };
        match metric {
            Metric::Executions | Metric::Lost if self.over => self.sum(c.n, executions),
            Metric::FailedExecutions if self.over => self.sum(c.known - c.ok, failures),
            Metric::InputTokens if self.over => self.sum(c.input, tokens),
            Metric::OutputTokens if self.over => self.sum(c.output, tokens),
            Metric::TotalTokens if self.over => self.sum(c.input.saturating_add(c.output), tokens),
            Metric::Cost if self.over => self.cost(1.0),
            Metric::HourlyCost if self.over => self.cost(self.reading.hours()),
            Metric::ErrorRate | Metric::RepeatRatio if self.over => self.share(c.known - c.ok, c.known, failures),
            Metric::TimeoutRate if self.over => self.share(c.censored, c.durations, failures),
            Metric::LimitRate if self.over => self.share(c.limited, c.known, failures),
            Metric::SuccessRate if !self.over => self.share(c.known - c.ok, c.known, failures),
            Metric::OutcomeCoverage if !self.over => self.share(c.n - c.known, c.n, executions),
            Metric::DurationCoverage if !self.over => self.share(c.n - c.durations, c.n, executions),
            Metric::TokenCoverage if !self.over => self.share(c.n - c.counted, c.n, executions),
            Metric::CostCoverage if !self.over => self.share(c.n - c.priced, c.n, executions),
            _ => metric.quantile().and_then(|q| self.quantile(q)),
        }
    }

    /// A sum of what is never negative grows by what comes alone.
    fn sum(&self, have: u64, rooms: fn(i64) -> Room) -> Option<Leeway> {
        let exceeds = |more: i64| self.op.holds(have as f64 + more as f64, self.limit);
        room(self.limit - have as f64, exceeds).map(|more| Leeway::room(rooms(more)))
    }

    /// So does the cost, over so many hours.
    fn cost(&self, hours: f64) -> Option<Leeway> {
        let have = self.reading.counts.cost;
        let exceeds = |more: i64| self.op.holds(have.saturating_add(more) as f64 / 1e9 / hours, self.limit);
        // One part in a trillion is left to rounding.
        let about = self.limit * hours * 1e9 * (1.0 - 1e-12) - have as f64;
        room(about, exceeds).map(|cost| Leeway::room(Room { cost, ..Room::ALL }))
    }

    /// A share is at its greatest when nothing but its part stays and comes.
    fn share(&self, part: u64, whole: u64, rooms: fn(i64) -> Room) -> Option<Leeway> {
        let exceeds = |share: f64| self.op.holds(if self.over { share } else { 1.0 - share }, self.limit);
        if !exceeds(1.0) {
            return Some(Leeway::ALWAYS);
        }
        let limit = if self.over { self.limit } else { 1.0 - self.limit };
        let most = |part: f64, whole: f64| (part / whole.max(part) + SPARE).min(1.0);
        let (left, until) = self.lasting(whole, |left| !exceeds(most(part as f64, left as f64)))?;
        let (part, left) = (part as f64, left as f64);
        // Of those that are left so many may turn out to be of the part, or so many may come beside them.
        let (about, added) = match until {
            NEVER => (limit * left - part, 0.0),
            _ => ((limit * left - part) / (1.0 - limit), 1.0),
        };
        let more = room(about.ceil(), |more| exceeds(most(part + more as f64, left + added * more as f64)))?;
        Some(Leeway { until, room: rooms(more) })
    }

    /// A percentile needs so many slow runs before it is beyond its limit.
    fn quantile(&self, q: f64) -> Option<Leeway> {
        let durations = self.reading.counts.durations;
        if !self.over || self.limit <= 0.0 || durations < self.least() {
            return None;
        }
        let slow_ms = (self.limit * SLOW) as f32;
        let slow = self.reading.look.slow(slow_ms)?;
        // So many order statistics lie above the quantile of `n`, at least; cut-off durations count as slow.
        let needed = |n: u64| (((1.0 - q) * (n as f64 - 1.0) - SPARE).ceil() as u64).max(1);
        let (left, until) = self.lasting(durations, |left| slow < needed(left))?;
        let more = needed(left) - slow - 1;
        Some(Leeway { until, room: Room { slow: few(more as i64), slow_ms, ..Room::ALL } })
    }

    /// The fewest of `whole` samples with which `safe` is true, and until when there are no fewer: any time, if that
    /// is so of the least that are data, else while most of those go that may go.
    fn lasting(&self, whole: u64, safe: impl Fn(u64) -> bool) -> Option<(u64, Timestamp)> {
        let least = self.least();
        if safe(least) {
            return Some((least, NEVER));
        }
        let (mut unsafe_, mut fewest) = (least, whole);
        if fewest <= unsafe_ || !safe(fewest) {
            return None;
        }
        while fewest - unsafe_ > 1 {
            let middle = unsafe_ + (fewest - unsafe_) / 2;
            *(if safe(middle) { &mut fewest } else { &mut unsafe_ }) = middle;
        }
        let go = (whole - fewest) * 3 / 4;
        Some((whole - go, self.reading.look.lost(go)))
    }

    fn least(&self) -> u64 {
        u64::from(self.least).max(1)
    }
}

/// The most that may be added before `exceeds` is true of it: `about` or a little less; `None` when it is true already.
fn room(about: f64, exceeds: impl Fn(i64) -> bool) -> Option<i64> {
    if exceeds(0) {
        return None;
    }
    let mut more = (about.clamp(0.0, 1e18)) as i64;
    for _ in 0..4 {
        if !exceeds(more) {
            return Some(more);
        }
        more -= 1;
    }
    Some(0)
}
