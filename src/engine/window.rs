//! A sliding window of one series: a ring of panes with running sums.
//!
//! A window of span `s` has panes of length `p`; at an instant `t` it holds the panes that begin
//! at or after `t - s`. Panes without executions are not stored, so a quiet subject costs nothing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::names::Name;
use super::pane::{Counts, Pane, Sample};
use crate::model::{Span, Timestamp};
use crate::stats::Durations;

/// Panes in a window, at most.
const PANES: i64 = 60;

/// Length of a window and its slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// How far back the window looks.
    pub span: Span,
    /// Length of one slice.
    pub pane: Span,
}

impl Shape {
    /// At most 60 slices, each a whole number of evaluation steps.
    pub fn new(span: Span, step: Span) -> Shape {
        let step = step.0.max(1);
        let pane = (span.0 + PANES * step - 1) / (PANES * step) * step;
        Shape { span, pane: Span(pane.max(step)) }
    }

    fn slot(self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.pane.0)
    }

    /// The oldest slice that a window at `now` still holds.
    fn oldest(self, now: Timestamp) -> i64 {
        let start = now.0.saturating_sub(self.span.0);
        start.div_euclid(self.pane.0) + i64::from(start.rem_euclid(self.pane.0) != 0)
    }
}

/// A sliding window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Window {
    panes: VecDeque<Pane>,
    sum: Counts,
}

/// What the window keeps of a sample beside the sums.
pub struct Keep<'a> {
    /// Whether durations are kept.
    pub durations: bool,
    /// Values of the kept fields that the record carries.
    pub fields: &'a [(Name, f64)],
}

impl Window {
    /// Adds a sample; `false` when it is older than the window at `now`.
    pub fn insert(&mut self, shape: Shape, now: Timestamp, sample: &Sample, keep: &Keep<'_>) -> bool {
        let slot = shape.slot(sample.at);
        let at = match self.panes.back() {
            Some(pane) if pane.slot == slot => self.panes.len() - 1,
            Some(pane) if pane.slot < slot => self.push(slot),
            None => self.push(slot),
            Some(_) => {
                if slot < shape.oldest(now) {
                    return false;
                }
                let at = self.panes.partition_point(|p| p.slot < slot);
                if self.panes.get(at).is_none_or(|p| p.slot != slot) {
                    self.panes.insert(at, Pane { slot, ..Pane::default() });
                }
                at
            }
        };
        let pane = &mut self.panes[at];
        pane.counts.insert(sample);
        self.sum.insert(sample);
        if keep.durations
            && let Some(ms) = sample.duration_ms
        {
            pane.durations.insert(ms, sample.censored);
        }
        for (name, value) in keep.fields {
            match pane.fields.iter_mut().find(|f| f.0 == *name) {
                Some(field) => {
                    field.1 += 1;
                    field.2 += value;
                }
                None => pane.fields.push((*name, 1, *value)),
            }
        }
        true
    }

    fn push(&mut self, slot: i64) -> usize {
        self.panes.push_back(Pane { slot, ..Pane::default() });
        self.panes.len() - 1
    }

    /// Drops the slices that `now` has left behind; whether any was dropped.
    pub fn expire(&mut self, shape: Shape, now: Timestamp) -> bool {
        let oldest = shape.oldest(now);
        let before = self.panes.len();
        while self.panes.front().is_some_and(|p| p.slot < oldest) {
            if let Some(pane) = self.panes.pop_front() {
                self.sum = self.sum.minus(pane.counts);
            }
        }
        self.panes.len() != before
    }

    /// The first instant at which [`Window::expire`] will drop a slice.
    pub fn next_expiry(&self, shape: Shape) -> Option<Timestamp> {
        let front = self.panes.front()?;
        Some(Timestamp(front.slot.saturating_mul(shape.pane.0).saturating_add(shape.span.0).saturating_add(1)))
    }

    /// Sums over the window.
    pub fn counts(&self) -> &Counts {
        &self.sum
    }

    /// All durations of the window, merged into `into`.
    pub fn durations_into(&self, into: &mut Durations) {
        for pane in &self.panes {
            into.merge(&pane.durations);
        }
    }

    /// All durations of the window, merged into `into`, up to `exact` of them exactly.
    pub fn durations_up_to(&self, into: &mut Durations, exact: usize) {
        for pane in &self.panes {
            into.merge_up_to(&pane.durations, exact);
        }
    }

    /// Mean and count of a kept field.
    pub fn field(&self, name: Name) -> Option<(f64, u64)> {
        let (mut n, mut sum) = (0, 0.0);
        for field in self.panes.iter().flat_map(|p| &p.fields).filter(|f| f.0 == name) {
            n += field.1;
            sum += field.2;
        }
        (n > 0).then(|| (sum / n as f64, n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    fn sample(at: i64, ms: f64) -> Sample {
        Sample {
            at: Timestamp(at),
            outcome: Outcome::Ok,
            duration_ms: Some(ms),
            censored: false,
            tokens: None,
            cost: Some(7),
            quality: None,
        }
    }

    fn keep() -> Keep<'static> {
        Keep { durations: true, fields: &[] }
    }

    #[test]
    fn shapes_have_at_most_sixty_panes_of_whole_steps() {
        for (span, step, pane) in [(300, 15, 15), (900, 15, 15), (3_600, 15, 60), (86_400, 15, 1_440), (10, 15, 15)] {
            let shape = Shape::new(Span::seconds(span), Span::seconds(step));
            assert_eq!(shape.pane, Span::seconds(pane), "{span}");
        }
    }

    #[test]
    fn a_window_holds_exactly_its_span_at_whole_steps() {
        let shape = Shape::new(Span::seconds(300), Span::seconds(15));
        let mut window = Window::default();
        for second in 0..1_000 {
            assert!(window.insert(shape, Timestamp(second * 1_000), &sample(second * 1_000, 5.0), &keep()));
        }
        window.expire(shape, Timestamp(990_000));
        // 690 s to 999 s: the span of 300 s up to 990 s, and the ten that came after.
        assert_eq!(window.counts().n, 310);
        assert_eq!(window.counts().cost, 310 * 7);
        let mut all = Durations::default();
        window.durations_into(&mut all);
        assert_eq!(all.len(), 310);
        let expiry = window.next_expiry(shape).expect("not empty");
        assert!(!window.expire(shape, Timestamp(expiry.0 - 1)));
        assert!(window.expire(shape, expiry));
        window.expire(shape, Timestamp(10_000_000));
        assert_eq!(*window.counts(), Counts::default());
    }

    #[test]
    fn late_samples_find_their_pane_and_too_late_ones_are_refused() {
        let shape = Shape::new(Span::seconds(300), Span::seconds(15));
        let mut window = Window::default();
        let now = Timestamp(600_000);
        assert!(window.insert(shape, now, &sample(600_000, 1.0), &keep()));
        assert!(window.insert(shape, now, &sample(400_000, 1.0), &keep()));
        assert!(!window.insert(shape, now, &sample(200_000, 1.0), &keep()));
        assert_eq!(window.counts().n, 2);
        window.expire(shape, Timestamp(750_000));
        assert_eq!(window.counts().n, 1);
    }
}
