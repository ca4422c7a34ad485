//! What is normal: for executions of a cell (agent, task type, model), and for the values of a
//! rule's window.
//!
//! The tested window is never part of its own baseline: scores and tuning look at a cell's last
//! day, so executions wait for a whole day before they are learned, and a window's newest value is
//! left out. What happens while an alert of the subject fires does not teach.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::pane::{Counts, Sample, Tally};
use super::plan::RECENT;
use super::view::{BaselineState, RelativeView};
use crate::model::{Span, Timestamp};
use crate::stats::{Digest, Durations, Estimate, Handful, robust};

/// Executions wait at least this long before they are learned, at most twice as long.
const SETTLE: Span = RECENT;
/// A generation of a baseline; it rests on the current one and the one before.
const GENERATION: Span = Span::days(14);
/// Fewer executions than this are "learning".
pub const READY: u64 = 30;
/// Nothing learned for this long is "stale".
const STALE: Span = Span::days(7);

/// Sums and durations of some executions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Body {
    /// The sums.
    pub counts: Counts,
    /// The durations.
    pub durations: Durations,
}

impl Body {
    /// Adds another's executions.
    pub fn merge(&mut self, other: &Body) {
        self.counts = self.counts.plus(&other.counts);
        self.durations.merge(&other.durations);
    }
}

/// Executions of one day that wait to be learned.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Day {
    sums: Tally,
    durations: Handful,
}

/// What a day is learned into; apart, because a record touches only its own day.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Learned {
    /// The day before today.
    yesterday: Day,
    current: Body,
    previous: Body,
    generation: i64,
    updated: Option<Timestamp>,
}

/// What is normal for the executions of one cell.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Baseline {
    /// Today's executions, and today's number.
    today: Day,
    day: i64,
    learned: Box<Learned>,
}

impl Baseline {
    /// Reads what [`Baseline::insert`] will write `depth` references away; the value means nothing.
    #[inline]
    pub fn glance(&self, depth: usize) -> u64 {
        match depth {
            0 => self.day as u64 ^ self.today.sums.glance(),
            _ => self.today.durations.glance(depth),
        }
    }

    /// Takes an execution in, `counts` being its own, unless `active`, a firing alert of the agent, makes it abnormal.
    pub fn insert(&mut self, sample: &Sample, counts: &Counts, active: bool) {
        if active {
            return;
        }
        let day = sample.at.0.div_euclid(SETTLE.0);
        if day > self.day {
            let next = day == self.day + 1;
            self.learn(self.day);
            self.learned.yesterday = std::mem::take(&mut self.today);
            if !next {
                // A day or more without executions: today is old enough, too.
                self.learn(self.day + 1);
            }
            self.day = day;
        }
        self.today.sums.add(counts);
        if let Some(ms) = sample.duration_ms {
            self.today.durations.insert(ms, sample.censored);
        }
    }

    /// Learns the executions of the day before `day`.
    fn learn(&mut self, day: i64) {
        let own = self.learned.as_mut();
        let learned = std::mem::take(&mut own.yesterday);
        let counts = learned.sums.counts();
        if counts.n == 0 {
            return;
        }
        let end = Timestamp(day.saturating_mul(SETTLE.0));
        let generation = end.0.div_euclid(GENERATION.0);
        if generation > own.generation {
            let next = generation == own.generation + 1;
            own.previous = if next { std::mem::take(&mut own.current) } else { Body::default() };
            own.current = Body::default();
            own.generation = generation;
        }
        own.current.counts = own.current.counts.plus(&counts);
        learned.durations.merge_into(&mut own.current.durations, Digest::EXACT);
        own.updated = Some(end);
    }

    /// The sums of everything learned.
    pub fn counts(&self) -> Counts {
        self.learned.previous.counts.plus(&self.learned.current.counts)
    }

    /// Adds everything learned to `into`.
    pub fn merge_into(&self, into: &mut Body) {
        into.merge(&self.learned.previous);
        into.merge(&self.learned.current);
    }

    /// When it last learned.
    pub fn updated(&self) -> Option<Timestamp> {
        self.learned.updated
    }
}

/// How far a baseline of `n` executions that last learned at `updated` can be trusted.
pub fn state(n: u64, updated: Option<Timestamp>, now: Timestamp, active: bool) -> BaselineState {
    match updated {
        _ if active => BaselineState::Frozen,
        Some(at) if n >= READY && now.since(at) > STALE => BaselineState::Stale,
        Some(_) if n >= READY => BaselineState::Ready,
        _ => BaselineState::Learning,
    }
}

/// Ratio of medians with an interval from both medians' own (method of variance estimates
/// recovery on the log scale, Zou and Donner 2008).
pub fn relative(now: &Durations, base: &Durations) -> Option<RelativeView> {
    if base.len() < READY || now.len() < 5 {
        return None;
    }
    let log = |d: &Durations| -> Option<(f64, f64, f64)> {
        let Estimate { value, at_least } = d.quantile(0.5)?;
        let (lower, upper) = d.quantile_interval(0.5, 0.95)?;
        (!at_least && value > 0.0 && lower > 0.0).then(|| (value.ln(), lower.ln(), upper.ln()))
    };
    let ((a, a_low, a_high), (b, b_low, b_high)) = (log(now)?, log(base)?);
    let half = |x: f64, y: f64| (x * x + y * y).sqrt();
    let ratio = a - b;
    Some(RelativeView {
        ratio: ratio.exp(),
        lower: (ratio - half(a - a_low, b_high - b)).exp(),
        upper: (ratio + half(a_high - a, b - b_low)).exp(),
        n: now.len(),
    })
}

/// Values kept of a window's history.
pub const VALUES: usize = 96;
/// Fewer values than this are no baseline.
pub const ENOUGH: usize = 8;
/// Fewer values than this have no 90th percentile or higher.
pub const ENOUGH_OUTSIDE: usize = 20;

/// The values that a metric had in the preceding windows of one subject, a whole window apart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    values: VecDeque<f32>,
    /// The wanted percentile of all values but the newest, whose window overlaps the tested one.
    centre: Option<f32>,
    held: u32,
}

impl History {
    /// The wanted percentile, once there are enough values.
    pub fn centre(&self) -> Option<f32> {
        self.centre
    }

    /// Takes the value of a window that just ended; `percent` of the values is what is wanted. While an alert
    /// is `active` values do not teach, until they have been the normal state for as long as the history reaches.
    pub fn push(&mut self, value: f64, percent: u8, active: bool) {
        if active && (self.held as usize) < VALUES {
            self.held += 1;
            return;
        }
        if !active {
            self.held = 0;
        }
        if self.values.len() >= if percent > 75 { ENOUGH_OUTSIDE } else { ENOUGH } {
            let mut sorted: Vec<f64> = self.values.iter().map(|v| f64::from(*v)).collect();
            self.centre = robust::percentile(&mut sorted, percent).map(|m| m as f32);
        }
        if self.values.len() == VALUES {
            self.values.pop_front();
        }
        if self.values.len() == self.values.capacity() {
            self.values.reserve_exact(self.values.len().clamp(8, VALUES / 2));
        }
        self.values.push_back(value as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    fn sample(hour: i64, ms: f64) -> Sample {
        Sample {
            at: Timestamp(hour * 3_600_000),
            outcome: Outcome::Ok,
            duration_ms: Some(ms),
            censored: false,
            tokens: None,
            cost: None,
            quality: None,
        }
    }

    fn add(baseline: &mut Baseline, sample: &Sample, active: bool) {
        baseline.insert(sample, &Counts::of(sample), active);
    }

    /// The executions learned after one of 100 ms each hour, with `active` alerts.
    fn learned(hours: i64, active: impl Fn(i64) -> bool) -> Body {
        let mut baseline = Baseline::default();
        (0..hours).for_each(|hour| add(&mut baseline, &sample(hour, 100.0), active(hour)));
        body(&baseline)
    }

    fn body(baseline: &Baseline) -> Body {
        let mut body = Body::default();
        baseline.merge_into(&mut body);
        body
    }

    #[test]
    fn the_tested_day_is_not_in_its_own_baseline() {
        for (hours, n) in [(24, 0), (48, 0), (49, 24), (72, 24), (73, 48)] {
            assert_eq!(learned(hours, |_| false).counts.n, n, "{hours}");
        }
        let mut after_a_gap = Baseline::default();
        for hour in [0, 1, 2, 100] {
            add(&mut after_a_gap, &sample(hour, if hour == 100 { 1_000.0 } else { 100.0 }), false);
        }
        let body = body(&after_a_gap);
        assert_eq!(body.counts.n, 3);
        assert_eq!(body.durations.quantile(1.0).map(|e| e.value), Some(100.0));
    }

    #[test]
    fn what_happens_under_an_alert_does_not_teach() {
        assert_eq!(learned(100, |hour| hour % 10 < 3).counts.n, learned(100, |_| false).counts.n * 7 / 10 - 1);
    }

    #[test]
    fn old_generations_are_forgotten() {
        let n = learned(24 * 60, |_| false).counts.n;
        assert!((14 * 24..=28 * 24).contains(&n), "{n}");
    }

    #[test]
    fn states_follow_n_and_age() {
        let at = Some(Timestamp(0));
        for (n, updated, now, active, expected) in [
            (5, at, Timestamp(0), false, BaselineState::Learning),
            (30, at, Timestamp(0), false, BaselineState::Ready),
            (30, at, Timestamp(0) + Span::days(8), false, BaselineState::Stale),
            (30, at, Timestamp(0), true, BaselineState::Frozen),
            (0, None, Timestamp(0), false, BaselineState::Learning),
        ] {
            assert_eq!(state(n, updated, now, active), expected);
        }
    }

    #[test]
    fn a_history_needs_eight_values_and_leaves_the_newest_out() {
        let mut history = History::default();
        for i in 0..8 {
            history.push(f64::from(i), 50, false);
            assert_eq!(history.centre(), None);
        }
        history.push(100.0, 50, false);
        assert_eq!(history.centre(), Some(3.5));
        history.push(900.0, 50, true);
        history.push(0.0, 50, false);
        assert_eq!(history.centre(), Some(4.0), "the value under the alert taught nothing");
        let mut history = History::default();
        (0..20).for_each(|i| history.push(f64::from(i), 95, false));
        assert_eq!(history.centre(), None, "the newest does not count");
        history.push(0.0, 95, false);
        assert_eq!(history.centre(), Some(18.05));
    }
}
