//! The durations of a slice of time: a handful in place, more of them in digests.
//!
//! A fleet has many agents and most slices of an agent's time hold a few executions: those need
//! no allocation of their own. Where there are more, a digest's bins are far away in memory, so the
//! newest durations wait in a pile and go there together. What a handful answers depends on its
//! durations alone, not on where they are kept or in which order they came.

use serde::{Deserialize, Serialize};

use super::{Digest, Durations};

/// Durations kept in place.
const PLACES: usize = 5;
/// Durations that wait for a way to the digests.
const WAITING: usize = 14;

/// Right-censored durations of one slice of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Handful(Store);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Store {
    /// The first `n` values in order of arrival; a cut-off one has its sign set.
    Few { n: u8, values: [f32; PLACES] },
    /// More than fit in place.
    Many(Box<Pile>),
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Pile {
    n: u8,
    /// As in `Few`.
    waiting: [f32; WAITING],
    settled: Durations,
}

impl Default for Handful {
    fn default() -> Handful {
        Handful(Store::Few { n: 0, values: [0.0; PLACES] })
    }
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
        match &mut self.0 {
            Store::Few { n, values } if usize::from(*n) < PLACES => {
                values[usize::from(*n)] = value;
                *n += 1;
            }
            Store::Few { values, .. } => {
                let mut pile = Box::new(Pile::default());
                values.iter().for_each(|v| pile.push(*v));
                pile.push(value);
                self.0 = Store::Many(pile);
            }
            Store::Many(pile) => pile.push(value),
        }
    }

    /// Reads what [`Handful::insert`] will write `depth` references away; the value means nothing.
    #[inline]
    pub fn glance(&self, depth: usize) -> u64 {
        match &self.0 {
            Store::Few { n, .. } => u64::from(*n),
            Store::Many(_) if depth == 0 => 0,
            Store::Many(pile) => u64::from(pile.n) ^ u64::from(pile.waiting[WAITING - 1].to_bits()),
        }
    }

    /// Whether they are few enough to be kept as they are, by the measure of a [`Digest`].
    pub fn is_exact(&self) -> bool {
        match &self.0 {
            Store::Few { .. } => true,
            Store::Many(pile) => pile.is_exact(),
        }
    }

    /// Calls `see` with every duration and whether it was cut off, if they are [exact](Handful::is_exact).
    #[inline]
    pub fn for_each(&self, mut see: impl FnMut(f32, bool)) {
        let mut each = |values: &[f32]| values.iter().for_each(|v| see(v.abs(), v.is_sign_negative()));
        match &self.0 {
            Store::Few { n, values } => each(&values[..usize::from(*n)]),
            Store::Many(pile) => {
                each(pile.waiting());
                for (digest, censored) in [(&pile.settled.observed, false), (&pile.settled.censored, true)] {
                    digest.samples().unwrap_or_default().iter().for_each(|v| see(*v, censored));
                }
            }
        }
    }

    /// Adds all durations to `into`, which keeps up to `exact` as they are if this does.
    pub fn merge_into(&self, into: &mut Durations, exact: usize) {
        let Store::Many(pile) = &self.0 else {
            return self.for_each(|v, censored| into.insert_up_to(f64::from(v), censored, exact));
        };
        let (observed, censored) = pile.lengths();
        let limit = |len: u64| if len > Digest::EXACT as u64 { 0 } else { exact };
        into.observed.merge_up_to(&pile.settled.observed, limit(observed));
        into.censored.merge_up_to(&pile.settled.censored, limit(censored));
        for value in pile.waiting() {
            let cut = value.is_sign_negative();
            into.insert_up_to(f64::from(value.abs()), cut, limit(if cut { censored } else { observed }));
        }
    }

    /// Adds another slice's durations.
    pub fn merge(&mut self, other: &Handful) {
        match &other.0 {
            Store::Few { n, values } => values[..usize::from(*n)].iter().for_each(|v| self.push(*v)),
            Store::Many(theirs) => {
                let mut pile = theirs.clone();
                let mut mine = Durations::default();
                self.merge_into(&mut mine, Digest::EXACT);
                pile.settled.merge(&mine);
                self.0 = Store::Many(pile);
            }
        }
    }
}

impl Pile {
    fn push(&mut self, value: f32) {
        if usize::from(self.n) == WAITING {
            for value in self.waiting {
                self.settled.insert(f64::from(value.abs()), value.is_sign_negative());
            }
            self.n = 0;
        }
        self.waiting[usize::from(self.n)] = value;
        self.n += 1;
    }

    fn waiting(&self) -> &[f32] {
        &self.waiting[..usize::from(self.n)]
    }

    /// How many were observed and how many were cut off.
    fn lengths(&self) -> (u64, u64) {
        let cut = self.waiting().iter().filter(|v| v.is_sign_negative()).count() as u64;
        (self.settled.observed.len() + u64::from(self.n) - cut, self.settled.censored.len() + cut)
    }

    fn is_exact(&self) -> bool {
        let (observed, censored) = self.lengths();
        observed.max(censored) <= Digest::EXACT as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_handful_is_small() {
        assert_eq!(size_of::<Handful>(), 24);
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
