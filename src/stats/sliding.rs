//! The durations of a sliding window in order of size: a percentile is a look-up, not a merge.
//!
//! Two sorted arrays, of what was observed and of what was cut off. Adding and taking away moves a
//! few hundred bytes, which beats merging the window's panes at every look. Meant for up to a few
//! hundred samples; above that a [`Durations`](super::Durations) of bins is smaller and no slower.

use super::digest::interpolate;
use super::survival::Estimate;

/// A sorted multiset of right-censored durations.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sliding {
    observed: Vec<f32>,
    censored: Vec<f32>,
}

impl Sliding {
    /// Adds a duration, as rounded as [`Durations`](super::Durations) keeps it.
    pub fn insert(&mut self, value: f32, censored: bool) {
        let side = if censored { &mut self.censored } else { &mut self.observed };
        side.insert(side.partition_point(|v| *v < value), value);
    }

    /// Takes away a duration that was added before.
    pub fn remove(&mut self, value: f32, censored: bool) {
        let side = if censored { &mut self.censored } else { &mut self.observed };
        let at = side.partition_point(|v| *v < value);
        debug_assert_eq!(side.get(at), Some(&value), "only what was added is taken away");
        if at < side.len() {
            side.remove(at);
        }
    }

    /// Reads what [`Sliding::insert`] will look at `depth` references away; the value means nothing.
    #[inline]
    pub fn glance(&self, depth: usize) -> u64 {
        match depth {
            0 => self.observed.len() as u64,
            _ => self.observed.get(self.observed.len() / 2).map_or(0, |middle| u64::from(middle.to_bits())),
        }
    }

    /// Number of durations.
    pub fn len(&self) -> usize {
        self.observed.len() + self.censored.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `q` quantile, as [`Durations::quantile`](super::Durations::quantile) of the same
    /// samples kept exactly: interpolated order statistics when nothing was cut off, else
    /// Kaplan-Meier.
    pub fn quantile(&self, q: f64) -> Option<Estimate> {
        if self.censored.is_empty() {
            let value = interpolate(self.observed.len(), q, |rank| f64::from(self.observed[rank]))?;
            return Some(Estimate { value, at_least: false });
        }
        let (mut survival, mut cut, mut index) = (1.0, 0, 0);
        while index < self.observed.len() {
            let time = self.observed[index];
            while cut < self.censored.len() && self.censored[cut] < time {
                cut += 1;
            }
            let n = (self.len() - index - cut) as f64;
            let ended = self.observed[index..].iter().take_while(|v| **v == time).count();
            survival *= (n - ended as f64) / n;
            if super::survival::reached(survival, 1.0 - q) {
                return Some(Estimate { value: f64::from(time), at_least: false });
            }
            index += ended;
        }
        let longest = self.observed.last().into_iter().chain(self.censored.last()).copied().reduce(f32::max)?;
        Some(Estimate { value: f64::from(longest), at_least: true })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::Durations;

    proptest! {
        #[test]
        fn agrees_with_a_digest_of_what_is_left(
            samples in prop::collection::vec((0u16..50, any::<bool>()), 0..120),
            gone in 0usize..120,
            q in 0.0f64..=1.0,
            cut_off in any::<bool>(),
        ) {
            let mut sliding = Sliding::default();
            let mut left = Durations::default();
            let samples: Vec<(f32, bool)> =
                samples.into_iter().map(|(v, c)| (f32::from(v) + 0.5, c && cut_off)).collect();
            for (value, censored) in &samples {
                sliding.insert(*value, *censored);
            }
            let gone = gone.min(samples.len());
            for (value, censored) in &samples[..gone] {
                sliding.remove(*value, *censored);
            }
            for (value, censored) in &samples[gone..] {
                left.insert_up_to(f64::from(*value), *censored, 200);
            }
            prop_assert_eq!(sliding.quantile(q), left.quantile(q));
        }
    }
}
