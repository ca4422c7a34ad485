//! The durations of a slice of time: the newest in place, all before them in digests.
//!
//! A fleet has many agents and most slices of an agent's time hold a few executions: those need
//! no allocation of their own. Where there are more, a digest's bins are far away in memory, so the
//! newest durations wait in place and go there together. What a handful answers depends on its
//! durations alone, not on where they are kept or in which order they came.

use serde::{Deserialize, Serialize};

use super::{Digest, Durations};

/// Durations in place: as many as fill a line of the processor's cache with the rest.
const PLACES: usize = 13;

/// Right-censored durations of one slice of time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Handful {
    n: u8,
    /// The newest `n` values in order of arrival; a cut-off one has its sign set.
    waiting: [f32; PLACES],
    /// Those before them.
    settled: Option<Box<Durations>>,
}

/// A duration as it is kept: rounded, its sign set when it was cut off.
#[inline]
fn signed(value: f64, censored: bool) -> f32 {
    let rounded = (value as f32).min(f32::MAX);
    if censored { -rounded } else { rounded }
}

impl Handful {
    /// Adds a duration, finite and not negative; `censored` says that it was cut off there.
    #[inline]
    pub fn insert(&mut self, value: f64, censored: bool) {
        self.push(signed(value, censored));
    }

    #[inline]
    fn push(&mut self, value: f32) {
        if usize::from(self.n) == PLACES {
            self.settle();
        }
        self.waiting[usize::from(self.n)] = value;
        self.n += 1;
    }

    fn settle(&mut self) {
        let settled = self.settled.get_or_insert_default();
        for value in self.waiting {
            settled.insert(f64::from(value.abs()), value.is_sign_negative());
        }
        self.n = 0;
    }

    fn waiting(&self) -> &[f32] {
        &self.waiting[..usize::from(self.n)]
    }

    /// Reads what [`Handful::insert`] will write `depth` references away; the value means nothing.
    #[inline]
    pub fn glance(&self, depth: usize) -> u64 {
        match &self.settled {
            _ if depth == 0 => u64::from(self.n),
            Some(settled) if usize::from(self.n) == PLACES => settled.observed.len(),
            _ => 0,
        }
    }

    /// How many were observed and how many were cut off.
    fn lengths(&self) -> (u64, u64) {
        let cut = self.waiting().iter().filter(|v| v.is_sign_negative()).count() as u64;
        let settled = self.settled.as_ref().map_or((0, 0), |settled| (settled.observed.len(), settled.censored.len()));
        (settled.0 + u64::from(self.n) - cut, settled.1 + cut)
    }

    /// Whether they are few enough to be kept as they are, by the measure of a [`Digest`].
    pub fn is_exact(&self) -> bool {
        let (observed, censored) = self.lengths();
        observed.max(censored) <= Digest::EXACT as u64
    }

    /// Calls `see` with every duration and whether it was cut off, if they are [exact](Handful::is_exact).
    #[inline]
    pub fn for_each(&self, mut see: impl FnMut(f32, bool)) {
        self.waiting().iter().for_each(|v| see(v.abs(), v.is_sign_negative()));
        if let Some(settled) = &self.settled {
            for (digest, censored) in [(&settled.observed, false), (&settled.censored, true)] {
                digest.samples().unwrap_or_default().iter().for_each(|v| see(*v, censored));
            }
        }
    }

    /// How many durations were cut off or may have been at least so long, and how many there are.
    pub fn slow(&self, least: f32) -> (u64, u64) {
        let waiting = self.waiting().iter().filter(|v| v.is_sign_negative() || **v >= least).count() as u64;
        let settled = self.settled.as_ref();
        let slow = waiting + settled.map_or(0, |settled| settled.observed.at_least(least) + settled.censored.len());
        (slow, settled.map_or(0, |settled| settled.len()) + u64::from(self.n))
    }

    /// Adds all durations to `into`, which keeps up to `exact` as they are if this does.
    pub fn merge_into(&self, into: &mut Durations, exact: usize) {
        let (observed, censored) = self.lengths();
        let limit = |len: u64| if len > Digest::EXACT as u64 { 0 } else { exact };
        if let Some(settled) = &self.settled {
            into.observed.merge_up_to(&settled.observed, limit(observed));
            into.censored.merge_up_to(&settled.censored, limit(censored));
        }
        for value in self.waiting() {
            let cut = value.is_sign_negative();
            into.insert_up_to(f64::from(value.abs()), cut, limit(if cut { censored } else { observed }));
        }
    }

    /// Adds another slice's durations.
    pub fn merge(&mut self, other: &Handful) {
        other.waiting().iter().for_each(|v| self.push(*v));
        if let Some(theirs) = &other.settled {
            self.settled.get_or_insert_default().merge(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_handful_is_small() {
        assert_eq!(size_of::<Handful>(), 64);
    }

    proptest! {
        #[test]
        fn holds_what_durations_hold(
            a in prop::collection::vec((0u16..900, any::<bool>()), 0..200),
            b in prop::collection::vec((0u16..900, any::<bool>()), 0..20),
        ) {
            let (mut left, mut right, mut all) = (Handful::default(), Handful::default(), Durations::default());
            for (part, samples) in [(&mut left, &a), (&mut right, &b)] {
                for (value, censored) in samples {
                    part.insert(f64::from(*value), *censored);
                    all.insert(f64::from(*value), *censored);
                }
            }
            let mut separate = Durations::default();
            left.merge_into(&mut separate, 64);
            right.merge_into(&mut separate, 64);
            prop_assert_eq!(&separate, &all);
            left.merge(&right);
            let mut merged = Durations::default();
            left.merge_into(&mut merged, 64);
            prop_assert_eq!(&merged, &all);
            prop_assert_eq!(left.is_exact(), all.is_exact());
        }
    }
}
