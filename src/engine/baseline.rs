//! What is normal: for executions of a cell (agent, task type, model), and for the values of a
//! rule's window.
//!
//! The tested window is never part of its own baseline: a cell's last hour waits before it is
//! learned, and a window's newest value is left out. What happened while an alert of the subject
//! was active does not teach.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::pane::{Counts, Sample};
use super::view::BaselineState;
use crate::model::{Span, Timestamp};
use crate::stats::{Durations, robust};

/// Executions wait this long before they are learned.
const SETTLE: Span = Span::hours(1);
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
        self.counts = self.counts.plus(other.counts);
        self.durations.merge(&other.durations);
    }
}

/// What is normal for the executions of one cell.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Baseline {
    waiting: Body,
    waiting_since: i64,
    current: Body,
    previous: Body,
    generation: i64,
    updated: Option<Timestamp>,
    /// Executions that did not teach because an alert was active.
    pub withheld: u64,
}

impl Baseline {
    /// Takes an execution in; what has waited long enough is learned unless `active`, an alert of
    /// the agent, holds it back.
    pub fn insert(&mut self, sample: &Sample, active: bool) {
        let slot = sample.at.0.div_euclid(SETTLE.0);
        if self.waiting.counts.n == 0 {
            self.waiting_since = slot;
        } else if slot > self.waiting_since {
            self.learn(active);
            self.waiting_since = slot;
        }
        self.waiting.counts.insert(sample);
        if let Some(ms) = sample.duration_ms {
            self.waiting.durations.insert(ms, sample.censored);
        }
    }

    fn learn(&mut self, active: bool) {
        let body = std::mem::take(&mut self.waiting);
        if active {
            self.withheld += body.counts.n;
            return;
        }
        let end = (self.waiting_since + 1) * SETTLE.0;
        let generation = end.div_euclid(GENERATION.0);
        if generation > self.generation {
            let next = generation == self.generation + 1;
            self.previous = if next { std::mem::take(&mut self.current) } else { Body::default() };
            self.current = Body::default();
            self.generation = generation;
        }
        self.current.merge(&body);
        self.updated = Some(Timestamp(end));
    }

    /// Everything learned.
    pub fn body(&self) -> Body {
        let mut body = self.previous.clone();
        body.merge(&self.current);
        body
    }

    /// When it last learned.
    pub fn updated(&self) -> Option<Timestamp> {
        self.updated
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

/// Values kept of a window's history.
const VALUES: usize = 96;
/// Fewer values than this are no baseline.
const ENOUGH: usize = 8;

/// The values that a metric had in the preceding windows of one subject, a whole window apart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct History {
    values: VecDeque<f32>,
    /// Median of all values but the newest, whose window overlaps the tested one.
    centre: Option<f32>,
    held: u32,
}

impl History {
    /// The robust centre, once there are enough values.
    pub fn centre(&self) -> Option<f64> {
        self.centre.map(f64::from)
    }

    /// Takes the value of a window that just ended. While an alert is `active` values do not
    /// teach, until they have been the normal state for as long as the history reaches.
    pub fn push(&mut self, value: f64, active: bool) {
        if active && (self.held as usize) < VALUES {
            self.held += 1;
            return;
        }
        if !active {
            self.held = 0;
        }
        if self.values.len() >= ENOUGH {
            let mut sorted: Vec<f64> = self.values.iter().map(|v| f64::from(*v)).collect();
            self.centre = robust::median(&mut sorted).map(|m| m as f32);
        }
        if self.values.len() == VALUES {
            self.values.pop_front();
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

    #[test]
    fn the_tested_hour_is_not_in_its_own_baseline() {
        let mut baseline = Baseline::default();
        for hour in 0..24 {
            baseline.insert(&sample(hour, 100.0), false);
        }
        baseline.insert(&sample(24, 1_000.0), false);
        let body = baseline.body();
        assert_eq!(body.counts.n, 24);
        assert_eq!(body.durations.quantile(1.0).map(|e| e.value), Some(100.0));
    }

    #[test]
    fn an_active_alert_does_not_teach() {
        let mut baseline = Baseline::default();
        for hour in 0..30 {
            baseline.insert(&sample(hour, 100.0), hour >= 20);
        }
        assert_eq!((baseline.body().counts.n, baseline.withheld), (19, 10));
    }

    #[test]
    fn old_generations_are_forgotten() {
        let mut baseline = Baseline::default();
        for hour in 0..24 * 60 {
            baseline.insert(&sample(hour, 100.0), false);
        }
        let n = baseline.body().counts.n;
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
            history.push(f64::from(i), false);
            assert_eq!(history.centre(), None);
        }
        history.push(100.0, false);
        assert_eq!(history.centre(), Some(3.5));
        history.push(900.0, true);
        history.push(0.0, false);
        assert_eq!(history.centre(), Some(4.0), "the value under the alert taught nothing");
    }
}
