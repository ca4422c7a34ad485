//! What befalls evenkeel itself, so that rules may watch it as they watch agents.
//!
//! A part of evenkeel loses things, which its windows count, or works with what is old, which a time counts that
//! runs by itself: in the splits of parts a series was last seen when it became stale, and never while it is not.
//! What the engine loses itself is seen as its counters grow; the rest comes as commands, so that a restart
//! decides alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::Name;
use super::pane::{Counts, Sample};
use super::split::{NEVER, Split};
use super::{Engine, State};
use crate::model::{Befell, Dimension, Outcome, Part, Timestamp};
use crate::rule::Takes;

impl Sample {
    /// That something ended, and how.
    pub fn bare(at: Timestamp, outcome: Outcome) -> Sample {
        Sample { at, outcome, duration_ms: None, censored: false, tokens: None, cost: None, quality: None }
    }
}

/// What was known of the parts when they were last looked at.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Stock {
    /// Since when a part is stale.
    stale: BTreeMap<Part, Timestamp>,
    /// What the engine's own parts had lost, in the order of [`losses`].
    lost: [u64; 3],
}

/// What parts of the engine have lost so far.
fn losses(state: &State) -> [(Part, u64); 3] {
    [
        (Part::Names, state.counters.names_overflow),
        (Part::Series, state.splits.iter().map(|split| split.overflow).sum()),
        (Part::Outbox, state.outbox.dropped + state.mirror.dropped),
    ]
}

impl Engine {
    /// Since when a part works with what is old.
    pub fn stale_since(&self, part: Part) -> Option<Timestamp> {
        self.state.stock.stale.get(&part).copied()
    }

    /// Takes in what the engine itself lost since the last time.
    pub(super) fn take_stock(&mut self, now: Timestamp) {
        for (place, (part, lost)) in losses(&self.state).into_iter().enumerate() {
            // A split that goes takes its count along.
            let more = lost.saturating_sub(self.state.stock.lost[place]);
            self.state.stock.lost[place] = lost;
            self.lost(now, part, None, more);
        }
    }

    /// A part lost some things, of a source if that is known.
    pub(super) fn lost(&mut self, now: Timestamp, part: Part, source: Option<&str>, count: u64) {
        if count == 0 {
            return;
        }
        let sample = Sample::bare(now, Outcome::Unknown);
        let counts = Counts { n: count, ..Counts::of(&sample) };
        self.each_series(part, source, |split, series| {
            split.insert(series, now, &sample, &counts, &[]);
        });
    }

    /// Takes in what the engine cannot see itself.
    pub(super) fn befell(&mut self, now: Timestamp, part: Part, what: Befell) {
        match what {
            Befell::Lost(count) => self.lost(now, part, None, count),
            Befell::Stale => self.stale(now, part, true),
            Befell::Fresh => self.stale(now, part, false),
        }
    }

    fn stale(&mut self, now: Timestamp, part: Part, stale: bool) {
        let known = &mut self.state.stock.stale;
        let since = if stale { *known.entry(part).or_insert(now) } else { NEVER };
        if !stale {
            known.remove(&part);
        }
        self.each_series(part, None, |split, series| split.run_from(series, since));
    }

    /// Brings what is stale to splits that are new.
    pub(super) fn show_stale(&mut self) {
        for (part, since) in self.state.stock.stale.clone() {
            self.each_series(part, None, |split, series| split.run_from(series, since));
        }
    }

    fn each_series(&mut self, part: Part, source: Option<&str>, mut each: impl FnMut(&mut Split, usize)) {
        let now = self.state.clock.unwrap_or_default();
        let limits = &self.policy.settings.limits;
        let State { names, splits, .. } = &mut self.state;
        let mut labels = [Name::NONE; Dimension::PLACES];
        labels[Dimension::Part.place()] = names.find(part.as_str()).unwrap_or(Name::OVERFLOW);
        if let Some(source) = source {
            labels[Dimension::Source.place()] = names.intern(source, u32::MAX);
        }
        for split in splits.iter_mut().filter(|split| split.spec.takes == Takes::Parts) {
            if split.admits(&labels, names) {
                let series = split.series_of(&labels, now, limits.series);
                each(split, series);
            }
        }
    }
}
