//! A sliding window of one series: a ring of panes with running sums.
//!
//! A window of span `s` has panes of length `p`; at an instant `t` it holds the panes that begin
//! at or after `t - s`. Panes without executions are not stored, so a quiet subject costs nothing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::field::FieldSum;
use super::names::Name;
use super::pane::{Counts, Pane, Sample};
use crate::model::{Span, Timestamp};
use crate::stats::{Durations, Estimate, Sliding};

/// Panes in a window, at most.
const PANES: i64 = 30;
/// Durations of a window that are kept in order of size, at most.
const SORTED: usize = 2_048;

/// Length of a window and its slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// How far back the window looks.
    pub span: Span,
    /// Length of one slice.
    pub pane: Span,
}

impl Shape {
    /// At most 30 slices, each a whole number of evaluation steps.
    pub fn new(span: Span, step: Span) -> Shape {
        let step = step.0.max(1);
        let pane = (span.0 + PANES * step - 1) / (PANES * step) * step;
        Shape { span, pane: Span(pane.max(step)) }
    }

    fn slot(self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.pane.0)
    }

    /// The time that a window's slices cover: its span, less what is no whole slice.
    pub fn covered(self) -> Span {
        Span((self.span.0 / self.pane.0 * self.pane.0).max(self.pane.0))
    }

    /// The first instant at which a window does not hold a slice any more.
    fn expiry(self, slot: i64) -> Timestamp {
        Timestamp(slot.saturating_mul(self.pane.0).saturating_add(self.span.0).saturating_add(1))
    }

    /// The oldest slice that a window at `now` still holds.
    fn oldest(self, now: Timestamp) -> i64 {
        let start = now.0.saturating_sub(self.span.0);
        start.div_euclid(self.pane.0) + i64::from(start.rem_euclid(self.pane.0) != 0)
    }
}

/// A sliding window.
///
/// A record of a large fleet meets cold memory, and what decides the time it takes is how many
/// places must be fetched before the next can be named. So the newest pane lies in the window
/// itself, the windows of a series lie side by side, and only a pane's end touches the ring.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Window {
    /// Slot of the oldest pane; [`EMPTY`] without one.
    oldest: i64,
    /// The newest pane; without executions only in an empty window.
    newest: Pane,
    sum: Counts,
    /// The panes before the newest, oldest first.
    older: VecDeque<Pane>,
    /// The durations of all panes in order of size; made when a rule asks for a percentile, and
    /// only while they are few. The panes alone decide what a percentile is.
    #[serde(skip)]
    sorted: Option<Box<Sliding>>,
}

/// The oldest slot of a window without panes.
const EMPTY: i64 = i64::MAX;

impl Default for Window {
    fn default() -> Window {
        let (newest, sum) = (Pane::default(), Counts::default());
        Window { oldest: EMPTY, newest, sum, older: VecDeque::new(), sorted: None }
    }
}

impl PartialEq for Window {
    fn eq(&self, other: &Window) -> bool {
        (&self.older, &self.newest, &self.sum) == (&other.older, &other.newest, &other.sum)
    }
}

/// What the window keeps of a sample beside the sums.
pub struct Keep<'a> {
    /// Whether durations are kept.
    pub durations: bool,
    /// Values of the kept fields that the record carries.
    pub fields: &'a [(Name, f64)],
}

impl Window {
    /// Adds a sample, `counts` being its own; `false` when it is older than the window at `now`.
    pub fn insert(&mut self, shape: Shape, now: Timestamp, sample: &Sample, counts: &Counts, keep: &Keep<'_>) -> bool {
        let slot = shape.slot(sample.at);
        if slot < shape.oldest(now) {
            return false;
        }
        if self.oldest == EMPTY {
            self.oldest = slot;
            self.newest.slot = slot;
        }
        if slot > self.newest.slot {
            self.older.push_back(std::mem::replace(&mut self.newest, Pane { slot, ..Pane::default() }));
        }
        let pane = if slot == self.newest.slot {
            &mut self.newest
        } else {
            let at = self.older.partition_point(|p| p.slot < slot);
            if self.older.get(at).is_none_or(|p| p.slot != slot) {
                self.older.insert(at, Pane { slot, ..Pane::default() });
                self.oldest = self.oldest.min(slot);
            }
            &mut self.older[at]
        };
        pane.counts = pane.counts.plus(counts);
        self.sum = self.sum.plus(counts);
        if keep.durations
            && let Some(ms) = sample.duration_ms
        {
            pane.durations.insert(ms, sample.censored);
            if let Some(sorted) = &mut self.sorted {
                sorted.insert(ms as f32, sample.censored);
                if sorted.len() > SORTED || !pane.durations.is_exact() {
                    self.sorted = None;
                }
            }
        }
        for (name, value) in keep.fields {
            match pane.fields.iter_mut().find(|f| f.0 == *name) {
                Some(field) => field.1.insert(sample.at, *value),
                None => pane.fields.push((*name, FieldSum::of(sample.at, *value))),
            }
        }
        true
    }

    /// Drops the slices that `now` has left behind; whether any was dropped.
    pub fn expire(&mut self, shape: Shape, now: Timestamp) -> bool {
        let oldest = shape.oldest(now);
        if self.oldest >= oldest {
            return false;
        }
        if self.newest.slot < oldest {
            *self = Window::default();
            return true;
        }
        while self.older.front().is_some_and(|p| p.slot < oldest) {
            if let Some(pane) = self.older.pop_front() {
                self.sum = self.sum.minus(&pane.counts);
                self.forget(&pane.durations);
            }
        }
        self.oldest = self.older.front().unwrap_or(&self.newest).slot;
        true
    }

    fn panes(&self) -> impl Iterator<Item = &Pane> {
        self.older.iter().chain((self.oldest != EMPTY).then_some(&self.newest))
    }

    /// The first instant at which [`Window::expire`] will drop a slice.
    pub fn next_expiry(&self, shape: Shape) -> Option<Timestamp> {
        (self.oldest != EMPTY).then(|| shape.expiry(self.oldest))
    }

    /// Sums over the window.
    pub fn counts(&self) -> &Counts {
        &self.sum
    }

    /// The sums of every slice that has any, with its number, oldest first.
    pub fn slices(&self) -> impl Iterator<Item = (i64, &Counts)> {
        self.panes().map(|pane| (pane.slot, &pane.counts))
    }

    fn forget(&mut self, durations: &Durations) {
        let Some(sorted) = &mut self.sorted else { return };
        for (digest, censored) in [(&durations.observed, false), (&durations.censored, true)] {
            for value in digest.samples().unwrap_or_default() {
                sorted.remove(*value, censored);
            }
        }
    }

    /// Puts the durations in order of size, if they are few and not in order yet.
    pub fn sort(&mut self) {
        let exact = |p: &Pane| p.durations.is_exact();
        if self.sorted.is_some() || self.sum.durations as usize > SORTED || !self.panes().all(exact) {
            return;
        }
        let mut sorted = Box::new(Sliding::default());
        for pane in self.panes() {
            for (digest, censored) in [(&pane.durations.observed, false), (&pane.durations.censored, true)] {
                digest.samples().unwrap_or_default().iter().for_each(|value| sorted.insert(*value, censored));
            }
        }
        self.sorted = Some(sorted);
    }

    /// The `q` quantile of the durations: exact while they are few, else within 1 %.
    pub fn quantile(&self, q: f64) -> Option<Estimate> {
        if let Some(sorted) = &self.sorted {
            return sorted.quantile(q);
        }
        let mut all = Durations::default();
        self.durations_up_to(&mut all, SORTED);
        all.quantile(q)
    }

    /// All durations of the window, merged into `into`.
    pub fn durations_into(&self, into: &mut Durations) {
        for pane in self.panes() {
            into.merge(&pane.durations);
        }
    }

    /// All durations of the window, merged into `into`, up to `exact` of them exactly.
    pub fn durations_up_to(&self, into: &mut Durations, exact: usize) {
        for pane in self.panes() {
            into.merge_up_to(&pane.durations, exact);
        }
    }

    /// The values of a kept field.
    pub fn field(&self, name: Name) -> Option<FieldSum> {
        let sums = self.panes().flat_map(|p| &p.fields).filter(|f| f.0 == name).map(|f| f.1);
        sums.reduce(|mut all, slice| {
            all.merge(&slice);
            all
        })
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

    fn add(window: &mut Window, shape: Shape, now: Timestamp, sample: &Sample) -> bool {
        window.insert(shape, now, sample, &Counts::of(sample), &Keep { durations: true, fields: &[] })
    }

    #[test]
    fn shapes_have_at_most_thirty_panes_of_whole_steps() {
        for (span, step, pane) in [(300, 15, 15), (900, 15, 30), (3_600, 15, 120), (86_400, 15, 2_880), (10, 15, 15)] {
            let shape = Shape::new(Span::seconds(span), Span::seconds(step));
            assert_eq!(shape.pane, Span::seconds(pane), "{span}");
        }
    }

    #[test]
    fn a_window_holds_exactly_its_span_at_whole_steps() {
        let shape = Shape::new(Span::seconds(300), Span::seconds(15));
        let mut window = Window::default();
        for second in 0..1_000 {
            assert!(add(&mut window, shape, Timestamp(second * 1_000), &sample(second * 1_000, 5.0)));
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
    fn percentiles_do_not_depend_on_when_they_were_asked_for() {
        let shape = Shape::new(Span::seconds(300), Span::seconds(15));
        let (mut asked, mut fresh) = (Window::default(), Window::default());
        for second in 0..3_000 {
            // Few a second, then many, then few: the order is made, dropped and made again.
            let now = Timestamp(second * 1_000);
            for i in 0..if (1_000..1_500).contains(&second) { 8 } else { 1 } {
                let sample = sample(now.0, (second * 7_919 % 1_000 + i) as f64);
                add(&mut asked, shape, now, &sample);
                add(&mut fresh, shape, now, &sample);
            }
            asked.expire(shape, now);
            fresh.expire(shape, now);
            asked.sort();
            assert_eq!(asked.quantile(0.95), fresh.quantile(0.95), "at {second}");
        }
    }

    #[test]
    fn late_samples_find_their_pane_and_too_late_ones_are_refused() {
        let shape = Shape::new(Span::seconds(300), Span::seconds(15));
        let mut window = Window::default();
        let now = Timestamp(600_000);
        assert!(add(&mut window, shape, now, &sample(600_000, 1.0)));
        assert!(add(&mut window, shape, now, &sample(400_000, 1.0)));
        assert!(!add(&mut window, shape, now, &sample(200_000, 1.0)));
        assert_eq!(window.counts().n, 2);
        window.expire(shape, Timestamp(750_000));
        assert_eq!(window.counts().n, 1);
    }
}
