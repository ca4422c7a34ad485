//! A multiset of samples that answers quantiles: every value while there are few, a histogram
//! with logarithmic bins when there are many.
//!
//! A digest never forgets and never decays; windows are made by merging the digests of panes.
//! Most series of a fleet are sparse, and a percentile of seven runs should be exact, so small
//! digests keep their samples (as `f32`, 7 digits). Beyond the limit bins bound the memory, and
//! their counts add up to the same state whatever the order of inserts and merges, which neither
//! t-digest nor P² give and which makes replays and restarts agree to the bit.
//!
//! Memory: 32 bytes, plus 4 bytes a sample while exact, plus afterwards a counter for every bin
//! between the smallest and the largest sample, all as wide as the largest count needs: 35 bytes for
//! every doubling of the value while no bin has more than 255 samples, at most 8.4 kB.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::tallies::Tallies;

/// Bins for every doubling of the value. The interpolated logarithm below rises at least 10/7 as
/// fast as the natural one, so a bin spans at most a factor exp(0.7 / 35) and its middle is
/// within tanh(0.01) < 1 % of every value in it.
const BINS_PER_OCTAVE: i32 = 35;
/// Values below 2^-20 (about 1e-6) count as the first bin.
const LOWEST_EXPONENT: i32 = -20;
/// Values from 2^40 (about 1.1e12; 34 years in milliseconds) count as the last bin.
const OCTAVES: i32 = 60;
const LAST_BIN: i32 = BINS_PER_OCTAVE * OCTAVES - 1;

/// Coefficients of the cubic that stands for log2(1 + s) on 0..1: the optimum for relative error,
/// from DDSketch's cubically interpolated mapping (Masson, Rim, Lee: DDSketch, VLDB 2019, and the
/// authors' implementation).
const CUBIC: [f64; 3] = [6.0 / 35.0, -3.0 / 5.0, 10.0 / 7.0];

/// A multiset of finite samples, none negative.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Digest {
    store: Store,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Store {
    /// Every sample, in no order.
    Exact(Vec<f32>),
    /// Boxed, because most digests of a fleet stay small.
    Binned(Box<Bins>),
}

/// Counts from the bin of the smallest sample to that of the largest: one form for one multiset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Bins {
    len: u64,
    zeros: u64,
    smallest: f32,
    largest: f32,
    first: u16,
    counts: Tallies,
}

impl Default for Digest {
    fn default() -> Self {
        Digest { store: Store::Exact(Vec::new()) }
    }
}

impl PartialEq for Digest {
    /// Equal when they hold the same samples in the same resolution, in whatever order.
    fn eq(&self, other: &Digest) -> bool {
        match (&self.store, &other.store) {
            (Store::Exact(_), Store::Exact(_)) => self.atoms() == other.atoms(),
            (Store::Binned(a), Store::Binned(b)) => a == b,
            _ => false,
        }
    }
}

impl Digest {
    /// How many samples [`Digest::insert`] and [`Digest::merge`] keep exactly.
    pub const EXACT: usize = 64;

    /// Adds a sample. Values that are negative or not finite are a fault of the caller: they are
    /// asserted in debug builds and ignored in release builds.
    #[inline]
    pub fn insert(&mut self, value: f64) {
        self.insert_up_to(value, Digest::EXACT);
    }

    /// As [`Digest::insert`], keeping up to `exact` samples as they are. A digest that is fed with
    /// one `exact` throughout has a state that does not depend on the order of its samples.
    #[inline]
    pub fn insert_up_to(&mut self, value: f64, exact: usize) {
        debug_assert!(value >= 0.0 && value.is_finite(), "a digest takes finite values from 0 on, not {value}");
        if !(value >= 0.0 && value.is_finite()) {
            return;
        }
        self.insert_rounded((value as f32).min(f32::MAX), exact);
    }

    #[inline]
    fn insert_rounded(&mut self, value: f32, exact: usize) {
        match &mut self.store {
            Store::Binned(bins) => bins.insert(value),
            Store::Exact(samples) if samples.len() < exact => samples.push(value),
            Store::Exact(_) => self.binned().insert(value),
        }
    }

    /// Adds all samples of another digest.
    pub fn merge(&mut self, other: &Digest) {
        self.merge_up_to(other, Digest::EXACT);
    }

    /// As [`Digest::merge`], keeping up to `exact` samples as they are if both digests still do.
    pub fn merge_up_to(&mut self, other: &Digest, exact: usize) {
        match &other.store {
            Store::Exact(samples) => {
                for &value in samples {
                    self.insert_rounded(value, exact);
                }
            }
            Store::Binned(theirs) => self.binned().merge(theirs),
        }
    }

    /// Turns to bins, if it has not yet.
    fn binned(&mut self) -> &mut Bins {
        if let Store::Exact(samples) = &self.store {
            let mut bins = Box::new(Bins::new());
            for &value in samples {
                bins.insert(value);
            }
            self.store = Store::Binned(bins);
        }
        match &mut self.store {
            Store::Binned(bins) => bins,
            Store::Exact(_) => unreachable!("the store was turned to bins above"),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> u64 {
        match &self.store {
            Store::Exact(samples) => samples.len() as u64,
            Store::Binned(bins) => bins.len,
        }
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every sample is still kept as it is.
    pub fn is_exact(&self) -> bool {
        self.samples().is_some()
    }

    /// Every sample in no order, while they are kept as they are.
    pub fn samples(&self) -> Option<&[f32]> {
        match &self.store {
            Store::Exact(samples) => Some(samples),
            Store::Binned(_) => None,
        }
    }

    /// The smallest and the largest sample; `None` when empty.
    pub fn range(&self) -> Option<(f64, f64)> {
        if self.is_empty() {
            return None;
        }
        let (low, high) = match &self.store {
            Store::Exact(samples) => samples.iter().fold((f32::MAX, 0f32), |(low, high), &v| (low.min(v), high.max(v))),
            Store::Binned(bins) => (bins.smallest, bins.largest),
        };
        Some((f64::from(low), f64::from(high)))
    }

    /// The `q` quantile (0 to 1), interpolated linearly between order statistics (type 7 of
    /// Hyndman and Fan 1996, the default of numpy and R); `None` when empty. Exact while samples
    /// are kept, else within 1 % for values from 1e-6 to 1e12.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        match &self.store {
            Store::Exact(samples) => {
                let mut samples = samples.clone();
                interpolate_pair(samples.len() as u64, q, |rank| {
                    let (_, &mut low, above) = samples.select_nth_unstable_by(rank as usize, f32::total_cmp);
                    let high = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
                    (f64::from(low), f64::from(high))
                })
            }
            Store::Binned(bins) => interpolate_pair(bins.len, q, |rank| bins.neighbours(rank)),
        }
    }

    /// How many samples are at least so large; those of its bin count with it.
    pub fn at_least(&self, value: f32) -> u64 {
        match &self.store {
            Store::Exact(samples) => samples.iter().filter(|sample| **sample >= value).count() as u64,
            Store::Binned(bins) if value <= 0.0 => bins.len,
            Store::Binned(bins) => {
                let skipped = usize::from(bin_of(value).saturating_sub(bins.first));
                bins.counts.iter().skip(skipped).map(u64::from).sum()
            }
        }
    }

    /// The distinct values in ascending order with their counts; the bins' middles when binned.
    pub fn atoms(&self) -> Vec<(f64, u64)> {
        match &self.store {
            Store::Exact(samples) => {
                let mut samples = samples.clone();
                samples.sort_unstable_by(f32::total_cmp);
                samples.chunk_by(|a, b| a == b).map(|run| (f64::from(run[0]), run.len() as u64)).collect()
            }
            Store::Binned(bins) => bins.atoms().collect(),
        }
    }
}

impl Extend<f64> for Digest {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.insert(value));
    }
}

impl Bins {
    fn new() -> Bins {
        Bins { len: 0, zeros: 0, smallest: f32::MAX, largest: 0.0, first: 0, counts: Tallies::default() }
    }

    #[inline]
    fn insert(&mut self, value: f32) {
        self.len += 1;
        self.smallest = self.smallest.min(value);
        self.largest = self.largest.max(value);
        if value == 0.0 {
            self.zeros += 1;
            return;
        }
        let bin = bin_of(value);
        let place = usize::from(bin.wrapping_sub(self.first));
        if place >= self.counts.len() {
            self.cover(bin, bin);
        }
        self.counts.add(usize::from(bin - self.first), 1);
    }

    /// Makes room for all bins from `low` to `high`, and for no other.
    #[cold]
    fn cover(&mut self, low: u16, high: u16) {
        if self.counts.len() == 0 {
            self.first = low;
        }
        let before = usize::from(self.first.saturating_sub(low));
        self.first = self.first.min(low);
        let length = self.counts.len() + before;
        self.counts.extend(before, (usize::from(high - self.first) + 1).saturating_sub(length));
    }

    fn merge(&mut self, other: &Bins) {
        self.len += other.len;
        self.zeros += other.zeros;
        self.smallest = self.smallest.min(other.smallest);
        self.largest = self.largest.max(other.largest);
        if other.counts.len() == 0 {
            return;
        }
        self.cover(other.first, other.first + (other.counts.len() - 1) as u16);
        let start = usize::from(other.first - self.first);
        other.counts.iter().enumerate().for_each(|(place, count)| self.counts.add(start + place, count));
    }

    /// Ascending; no middle lies outside the samples, so equal samples keep their value.
    fn atoms(&self) -> impl Iterator<Item = (f64, u64)> {
        let (smallest, largest) = (f64::from(self.smallest), f64::from(self.largest));
        let zero = (self.zeros > 0).then_some((0.0, self.zeros));
        let bins = self.counts.iter().enumerate().filter(|(_, count)| *count > 0);
        zero.into_iter().chain(bins.map(move |(place, count)| {
            (middle_of(self.first + place as u16).clamp(smallest, largest), u64::from(count))
        }))
    }

    /// The order statistics at `rank` (from 0) and after it; the last one follows itself.
    fn neighbours(&self, rank: u64) -> (f64, f64) {
        let mut seen = 0;
        let mut found = None;
        let mut value = f64::from(self.largest);
        for (middle, count) in self.atoms() {
            value = middle;
            seen += count;
            if let Some(low) = found {
                return (low, value);
            }
            if seen > rank + 1 {
                return (value, value);
            }
            if seen > rank {
                found = Some(value);
            }
        }
        (found.unwrap_or(value), value)
    }
}

/// The bin of a value above zero: floor(35 * interpolated log2(value)), counted from 2^-20. Sign
/// and exponent come from the bits, which is several times faster than a logarithm.
#[inline]
fn bin_of(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = (bits >> 23) as i32 - 127 - LOWEST_EXPONENT;
    let fraction = f64::from(f32::from_bits(bits & 0x007f_ffff | 0x3f80_0000)) - 1.0;
    let log = f64::from(exponent) + interpolated_log2(fraction);
    ((log * f64::from(BINS_PER_OCTAVE)) as i32).clamp(0, LAST_BIN) as u16
}

/// The `q` quantile of `len` sorted samples by linear interpolation between order statistics (type
/// 7 of Hyndman and Fan 1996); `at` gives the sample of a rank. `None` when there are none.
pub(super) fn interpolate(len: usize, q: f64, at: impl Fn(usize) -> f64) -> Option<f64> {
    interpolate_pair(len as u64, q, |rank| (at(rank as usize), at((rank as usize + 1).min(len - 1))))
}

/// As [`interpolate`], `neighbours` giving the samples of a rank and of the next.
fn interpolate_pair(len: u64, q: f64, neighbours: impl FnOnce(u64) -> (f64, f64)) -> Option<f64> {
    debug_assert!((0.0..=1.0).contains(&q), "a quantile lies between 0 and 1, not at {q}");
    let position = q.clamp(0.0, 1.0) * len.checked_sub(1)? as f64;
    let below = position.floor();
    let (low, high) = neighbours(below as u64);
    Some(low + (high - low) * (position - below))
}

/// The cubic for log2(1 + s), 0 <= s <= 1.
#[inline]
fn interpolated_log2(s: f64) -> f64 {
    ((CUBIC[0] * s + CUBIC[1]) * s + CUBIC[2]) * s
}

/// Lower edges of the bins of the octave from 1 to 2, and 2.
static EDGES: LazyLock<[f64; BINS_PER_OCTAVE as usize + 1]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        let target = i as f64 / f64::from(BINS_PER_OCTAVE);
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if interpolated_log2(middle) < target { low = middle } else { high = middle }
        }
        1.0 + high
    })
});

/// The value that has the same relative distance to both ends of its bin.
fn middle_of(bin: u16) -> f64 {
    let (octave, place) = (i32::from(bin) / BINS_PER_OCTAVE, usize::from(bin) % BINS_PER_OCTAVE as usize);
    let (low, high) = (EDGES[place], EDGES[place + 1]);
    2.0 * low * high / (low + high) * f64::from(octave + LOWEST_EXPONENT).exp2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(values: &[f64], exact: usize) -> Digest {
        let mut digest = Digest::default();
        values.iter().for_each(|&v| digest.insert_up_to(v, exact));
        digest
    }

    /// Type 7 on the samples themselves.
    fn plain(values: &[f64], q: f64) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let position = q * (sorted.len() - 1) as f64;
        let low = sorted[position.floor() as usize];
        low + (sorted[position.ceil() as usize] - low) * position.fract()
    }

    #[test]
    fn few_samples_have_the_quantiles_of_numpy() {
        // numpy.quantile([15, 20, 35, 40, 50], q)
        for (q, expected) in [(0.0, 15.0), (0.05, 16.0), (0.4, 29.0), (0.5, 35.0), (0.95, 48.0), (1.0, 50.0)] {
            let found = digest(&[40.0, 15.0, 50.0, 20.0, 35.0], 64).quantile(q).expect("samples");
            assert!((found - expected).abs() < 1e-9, "{q}: {found}");
        }
        assert_eq!(Digest::default().quantile(0.5), None);
        assert_eq!(digest(&[7.0], 64).quantile(0.99), Some(7.0));
    }

    #[test]
    fn equal_samples_keep_their_value_in_bins() {
        let many = digest(&[60_000.0; 1000], 64);
        assert!(!many.is_exact());
        assert_eq!(many.quantile(0.95), Some(60_000.0));
        assert_eq!(many.range(), Some((60_000.0, 60_000.0)));
        let half_zero = digest(&[[0.0; 100], [5.0; 100]].concat(), 64);
        assert_eq!((half_zero.quantile(0.4), half_zero.quantile(0.6)), (Some(0.0), Some(5.0)));
    }

    #[test]
    fn the_widest_digest_keeps_its_bound() {
        let wide = digest(&[f64::MAX, 1e-30, 1.0, 0.0], 0);
        let Store::Binned(bins) = &wide.store else { panic!("no sample was to be kept exactly") };
        assert_eq!(bins.counts.len(), 2_100);
        assert_eq!(wide.len(), 4);
    }

    #[test]
    fn neighbouring_bins_never_change_places() {
        let mut previous = 0;
        for step in 0..40_000 {
            let bin = bin_of((f64::from(step) * 1e-3 - 19.9).exp2() as f32);
            assert!(bin >= previous);
            previous = bin;
        }
    }

    fn samples() -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec(prop_oneof![9 => (-4.0f64..11.0).prop_map(|e| 10f64.powf(e)), 1 => Just(0.0)], 1..400)
    }

    proptest! {
        #[test]
        fn quantiles_are_within_one_percent(values in samples(), q in 0.0f64..=1.0) {
            let expected = plain(&values, q);
            for exact in [0, 64, 512] {
                let found = digest(&values, exact).quantile(q).expect("samples");
                let tolerance = if values.len() <= exact { 1e-6 } else { 0.01 };
                prop_assert!((found - expected).abs() <= tolerance * expected, "{exact}: {found} for {expected}");
            }
        }

        #[test]
        fn merging_is_the_same_as_inserting_in_any_order(a in samples(), b in samples(), c in samples()) {
            let all = digest(&[a.clone(), b.clone(), c.clone()].concat(), 64);
            let (a, b, c) = (digest(&a, 64), digest(&b, 64), digest(&c, 64));
            let join = |parts: [&Digest; 3]| {
                let mut whole = Digest::default();
                parts.into_iter().for_each(|part| whole.merge(part));
                whole
            };
            prop_assert_eq!(&join([&a, &b, &c]), &all);
            prop_assert_eq!(&join([&c, &a, &b]), &all);
            let mut right = b.clone();
            right.merge(&c);
            let mut nested = a.clone();
            nested.merge(&right);
            prop_assert_eq!(&nested, &all);
        }

        #[test]
        fn a_snapshot_gives_the_same_digest(values in samples()) {
            let whole = digest(&values, 64);
            let bytes = postcard::to_allocvec(&whole).expect("encodes");
            prop_assert_eq!(postcard::from_bytes::<Digest>(&bytes).expect("decodes"), whole);
        }
    }
}
