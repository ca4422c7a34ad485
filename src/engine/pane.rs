//! What is kept of the executions in one slice of time.

use serde::{Deserialize, Serialize};

use super::few::{Few, One};
use crate::model::{Outcome, Timestamp, Tokens};
use crate::stats::{Durations, Handful};

/// One execution as the windows take it: interned names and plain numbers.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// Wall time in ms.
    pub duration_ms: Option<f64>,
    /// Whether the duration was cut off.
    pub censored: bool,
    /// Tokens, when counted.
    pub tokens: Option<Tokens>,
    /// Known cost in nano-dollars.
    pub cost: Option<i64>,
    /// Verdict in thousandths of a point.
    pub quality: Option<i64>,
}

/// Exact sums: integers, so that adding and taking away cancel and order does not matter. Counters and sums stand
/// together, as in a [`Tally`], so that several are added in one instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Executions.
    pub n: u64,
    /// Outcome known.
    pub known: u64,
    /// Outcome ok.
    pub ok: u64,
    /// Outcome limit.
    pub limited: u64,
    /// With a duration.
    pub durations: u64,
    /// With a duration that was cut off.
    pub censored: u64,
    /// With token counts.
    pub counted: u64,
    /// With a known cost.
    pub priced: u64,
    /// Ok and with a known cost.
    pub priced_ok: u64,
    /// With a verdict.
    pub judged: u64,
    /// Sum of durations in microseconds.
    pub duration_us: u64,
    /// Input tokens, cached included.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// Sum of known cost in nano-dollars.
    pub cost: i64,
    /// Sum of verdicts in thousandths of a point.
    pub quality: i64,
    /// Sum of squared verdicts in points squared times 1000.
    pub quality_squares: i64,
}

macro_rules! each_field {
    ($a:ident, $b:ident, $op:ident) => {
        Counts {
            n: $a.n.$op($b.n),
            known: $a.known.$op($b.known),
            ok: $a.ok.$op($b.ok),
            limited: $a.limited.$op($b.limited),
            durations: $a.durations.$op($b.durations),
            censored: $a.censored.$op($b.censored),
            duration_us: $a.duration_us.$op($b.duration_us),
            counted: $a.counted.$op($b.counted),
            input: $a.input.$op($b.input),
            output: $a.output.$op($b.output),
            priced: $a.priced.$op($b.priced),
            priced_ok: $a.priced_ok.$op($b.priced_ok),
            cost: $a.cost.$op($b.cost),
            judged: $a.judged.$op($b.judged),
            quality: $a.quality.$op($b.quality),
            quality_squares: $a.quality_squares.$op($b.quality_squares),
        }
    };
}

impl Counts {
    /// One execution.
    pub fn of(sample: &Sample) -> Counts {
        let mut counts = Counts::default();
        counts.insert(sample);
        counts
    }

    fn insert(&mut self, sample: &Sample) {
        self.n += 1;
        let ok = sample.outcome == Outcome::Ok;
        self.known += u64::from(sample.outcome != Outcome::Unknown);
        self.ok += u64::from(ok);
        self.limited += u64::from(sample.outcome == Outcome::Limit);
        if let Some(ms) = sample.duration_ms {
            self.durations += 1;
            self.censored += u64::from(sample.censored);
            self.duration_us = self.duration_us.wrapping_add((ms * 1_000.0) as u64);
        }
        if let Some(tokens) = sample.tokens {
            self.counted += 1;
            self.input = self.input.wrapping_add(tokens.total().saturating_sub(tokens.output));
            self.output = self.output.wrapping_add(tokens.output);
        }
        if let Some(cost) = sample.cost {
            self.priced += 1;
            self.priced_ok += u64::from(ok);
            self.cost = self.cost.wrapping_add(cost);
        }
        if let Some(quality) = sample.quality {
            self.judged += 1;
            self.quality += quality;
            self.quality_squares += quality * quality / 1_000;
        }
    }

    /// The sums of both.
    pub fn plus(&self, other: &Counts) -> Counts {
        each_field!(self, other, wrapping_add)
    }

    /// Takes away what was added before.
    pub fn minus(&self, other: &Counts) -> Counts {
        each_field!(self, other, wrapping_sub)
    }

    /// Mean verdict in points.
    pub fn mean_quality(&self) -> Option<f64> {
        (self.judged > 0).then(|| self.quality as f64 / 1e3 / self.judged as f64)
    }

    /// Sample variance of the verdicts in points squared.
    pub fn quality_variance(&self) -> Option<f64> {
        let n = self.judged as f64;
        let mean = self.mean_quality()?;
        (n >= 2.0).then(|| ((self.quality_squares as f64 / 1e3 - n * mean * mean) / (n - 1.0)).max(0.0))
    }

    /// Ok share of known outcomes.
    pub fn success_rate(&self) -> Option<f64> {
        (self.known > 0).then(|| self.ok as f64 / self.known as f64)
    }

    /// Known cost in USD per ok execution, among those with a known cost.
    pub fn cost_per_success(&self) -> Option<f64> {
        (self.priced_ok > 0).then(|| self.cost as f64 / 1e9 / self.priced_ok as f64)
    }

    /// Mean duration in ms, cut-off ones at their cut.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.durations > 0).then(|| self.duration_us as f64 / 1e3 / self.durations as f64)
    }
}

/// What a window must keep beside the sums.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Features {
    /// Durations, for percentiles.
    pub durations: bool,
    /// Whether rules ask for percentiles, so that the durations are to be kept in order of size.
    pub percentiles: bool,
    /// Numeric record fields, sorted by name.
    pub fields: Vec<String>,
}

/// [`Counts`] as series keep them: counters of half the width, enough for four billion executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    pub(super) counters: [u32; 10],
    pub(super) sums: [i64; 6],
}

impl Tally {
    #[inline]
    pub(super) fn counters(c: &Counts) -> [u32; 10] {
        [c.n, c.known, c.ok, c.limited, c.durations, c.censored, c.counted, c.priced, c.priced_ok, c.judged]
            .map(|counter| counter as u32)
    }

    #[inline]
    fn sums(c: &Counts) -> [i64; 6] {
        [c.duration_us as i64, c.input as i64, c.output as i64, c.cost, c.quality, c.quality_squares]
    }

    /// Reads both ends; the value means nothing.
    #[inline]
    pub fn glance(&self) -> u64 {
        u64::from(self.counters[0]) ^ self.sums[5] as u64
    }

    /// Adds more executions.
    #[inline]
    pub fn add(&mut self, more: &Counts) {
        self.counters.iter_mut().zip(Tally::counters(more)).for_each(|(a, b)| *a = a.wrapping_add(b));
        self.sums.iter_mut().zip(Tally::sums(more)).for_each(|(a, b)| *a = a.wrapping_add(b));
    }

    /// What is left without what was added before.
    #[inline]
    pub fn less(&self, other: &Tally) -> Counts {
        let mut left = *self;
        left.counters.iter_mut().zip(other.counters).for_each(|(a, b)| *a = a.wrapping_sub(b));
        left.sums.iter_mut().zip(other.sums).for_each(|(a, b)| *a = a.wrapping_sub(b));
        left.counts()
    }

    /// The sums at full width.
    #[inline]
    pub fn counts(&self) -> Counts {
        let [n, known, ok, limited, durations, censored, counted, priced, priced_ok, judged] =
            self.counters.map(u64::from);
        let [duration_us, input, output, cost, quality, quality_squares] = self.sums;
        let (duration_us, input, output) = (duration_us as u64, input as u64, output as u64);
        Counts {
            n,
            known,
            ok,
            limited,
            durations,
            censored,
            duration_us,
            counted,
            input,
            output,
            priced,
            priced_ok,
            cost,
            judged,
            quality,
            quality_squares,
        }
    }
}

/// The executions of one series in one slice of time.
///
/// Most of a fleet's memory is slices, and most slices of an agent hold one execution or a few, which take
/// a fifth of what sums take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Number of the slice: its start divided by its length.
    pub slot: i64,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Body {
    One(One),
    Few(Few),
    Many(Box<Sums>),
}

/// Sums over many executions, and what is kept beside them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Sums {
    tally: Tally,
    durations: Handful,
}

impl Sums {
    fn insert(&mut self, sample: &Sample, counts: &Counts, durations: bool) {
        self.tally.add(counts);
        if durations && let Some(ms) = sample.duration_ms {
            self.durations.insert(ms, sample.censored);
        }
    }
}

impl Slice {
    /// A slice with one sample, `counts` being its own; `durations` says whether they are kept.
    #[inline]
    pub fn of(slot: i64, sample: &Sample, counts: &Counts, durations: bool) -> Slice {
        let body = One::of(sample, counts).map(Body::One).unwrap_or_else(|| {
            let mut sums = Box::new(Sums::default());
            sums.insert(sample, counts, durations);
            Body::Many(sums)
        });
        Slice { slot, body }
    }

    /// A slice of which the sums alone are known.
    pub fn of_sums(slot: i64, counts: &Counts) -> Slice {
        let many = || {
            let mut sums = Box::new(Sums::default());
            sums.tally.add(counts);
            Body::Many(sums)
        };
        Slice { slot, body: Few::of(counts).map(Body::Few).unwrap_or_else(many) }
    }

    /// The sums.
    #[inline]
    pub fn counts(&self) -> Counts {
        match &self.body {
            Body::One(one) => one.counts(),
            Body::Few(few) => few.counts(),
            Body::Many(sums) => sums.tally.counts(),
        }
    }

    /// How many executions it has.
    pub fn executions(&self) -> u64 {
        match &self.body {
            Body::One(_) => 1,
            Body::Few(few) => few.counts().n,
            Body::Many(sums) => u64::from(sums.tally.counters[0]),
        }
    }

    /// Reads what [`Slice::insert`] will write `depth` references away; the value means nothing.
    #[inline]
    pub fn glance(&self, depth: usize) -> u64 {
        match &self.body {
            Body::One(_) | Body::Few(_) => 0,
            Body::Many(sums) if depth == 0 => sums.tally.glance() ^ sums.durations.glance(0),
            Body::Many(sums) => sums.durations.glance(depth),
        }
    }

    /// Adds a sample, `counts` being its own; `durations` says whether they are kept.
    #[inline]
    pub fn insert(&mut self, sample: &Sample, counts: &Counts, durations: bool) {
        let small = !durations && !matches!(self.body, Body::Many(_));
        match small.then(|| Few::of(&self.counts().plus(counts))).flatten() {
            Some(few) => self.body = Body::Few(few),
            None => self.many().insert(sample, counts, durations),
        }
    }

    /// Makes room for any number of executions.
    #[inline]
    fn many(&mut self) -> &mut Sums {
        if !matches!(self.body, Body::Many(_)) {
            let mut sums = Box::new(Sums::default());
            sums.tally.add(&self.counts());
            self.for_each_duration(|value, censored| sums.durations.insert(f64::from(value), censored));
            self.body = Body::Many(sums);
        }
        match &mut self.body {
            Body::Many(sums) => sums,
            Body::One(_) | Body::Few(_) => unreachable!("the body was turned to sums above"),
        }
    }

    /// Adds another slice's executions.
    pub fn merge(&mut self, other: &Slice) {
        let sums = self.many();
        sums.tally.add(&other.counts());
        match &other.body {
            Body::One(one) => {
                let duration = one.duration().into_iter();
                duration.for_each(|(value, censored)| sums.durations.insert(f64::from(value), censored));
            }
            Body::Few(_) => {}
            Body::Many(theirs) => sums.durations.merge(&theirs.durations),
        }
    }

    /// Whether its durations are kept as they are.
    #[inline]
    pub fn is_exact(&self) -> bool {
        match &self.body {
            Body::One(_) | Body::Few(_) => true,
            Body::Many(sums) => sums.durations.is_exact(),
        }
    }

    /// How many durations were cut off or may have been at least so long, and how many are kept.
    pub fn slow(&self, least: f32) -> (u64, u64) {
        match &self.body {
            Body::One(one) => match one.duration() {
                Some((value, censored)) => (u64::from(censored || value >= least), 1),
                None => (0, 0),
            },
            Body::Few(_) => (0, 0),
            Body::Many(sums) => sums.durations.slow(least),
        }
    }

    /// Calls `see` with every duration and whether it was cut off, if they are kept as they are.
    pub fn for_each_duration(&self, mut see: impl FnMut(f32, bool)) {
        match &self.body {
            Body::One(one) => one.duration().into_iter().for_each(|(value, censored)| see(value, censored)),
            Body::Few(_) => {}
            Body::Many(sums) => sums.durations.for_each(see),
        }
    }

    /// Adds all durations to `into`, which keeps up to `exact` as they are if the slice does.
    pub fn durations_into(&self, into: &mut Durations, exact: usize) {
        match &self.body {
            Body::One(_) | Body::Few(_) => {
                self.for_each_duration(|v, censored| into.insert_up_to(f64::from(v), censored, exact))
            }
            Body::Many(sums) => sums.durations.merge_into(into, exact),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_execution_takes_little_room_and_loses_nothing() {
        assert_eq!(size_of::<Slice>(), 40);
        let ordinary = Sample {
            at: Timestamp(0),
            outcome: Outcome::Ok,
            duration_ms: Some(1_234.567),
            censored: true,
            tokens: Some(Tokens { input: 5, cache_read: 6, cache_write: 7, output: 8 }),
            cost: Some(9),
            quality: Some(87_654),
        };
        let bare = Sample { duration_ms: None, tokens: None, cost: None, quality: None, censored: false, ..ordinary };
        let huge = Sample {
            duration_ms: Some(1e12),
            tokens: Some(Tokens { output: u64::MAX / 2, ..Tokens::default() }),
            ..bare
        };
        for (sample, one) in [(ordinary, true), (bare, true), (huge, false)] {
            for (outcome, judged) in Outcome::ALL.into_iter().flat_map(|outcome| [(outcome, true), (outcome, false)]) {
                let quality = sample.quality.filter(|_| judged);
                let mut sums = Slice::of(7, &Sample { quality, ..sample }, &Counts::default(), false);
                let counts = Counts::of(&Sample { outcome, quality, ..sample });
                assert!(sums.counts() == Counts::default() && matches!(sums.body, Body::Many(_)));
                sums.body = Few::of(&Counts::default()).map(Body::Few).expect("nothing is few");
                let mut all = Counts::default();
                for n in 1..20 {
                    sums.insert(&sample, &counts, false);
                    all = all.plus(&counts);
                    assert_eq!(sums.counts(), all);
                    let few = one && quality.is_none() && n <= 15;
                    assert_eq!(matches!(sums.body, Body::Few(_)), few, "{n} of {sample:?}");
                }
            }
            for outcome in Outcome::ALL {
                let sample = Sample { outcome, ..sample };
                let counts = Counts::of(&sample);
                let mut slice = Slice::of(7, &sample, &counts, true);
                assert_eq!(matches!(slice.body, Body::One(_)), one);
                assert_eq!(slice.counts(), counts);
                let mut durations = Durations::default();
                slice.durations_into(&mut durations, 64);
                assert_eq!(durations.len(), counts.durations);
                assert_eq!(durations.censored_len(), counts.censored);
                slice.insert(&sample, &counts, true);
                assert_eq!(slice.counts(), counts.plus(&counts));
                slice.merge(&Slice::of(7, &sample, &counts, true));
                assert_eq!(slice.counts().minus(&counts), counts.plus(&counts));
            }
        }
    }
}
