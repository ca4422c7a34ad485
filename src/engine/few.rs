//! Executions in a slice of time that need no allocation: one as it is, or the sums of a few.

use serde::{Deserialize, Serialize};

use super::pane::{Counts, Sample, Tally};
use crate::model::Outcome;

/// A sample whose numbers are of ordinary size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct One {
    cost: i64,
    duration: f32,
    duration_us: u32,
    input: u32,
    output: u32,
    quality: i32,
    /// Which of the numbers are known, see [`One::TIMED`] and the others.
    known: u8,
    outcome: Outcome,
}

impl One {
    const TIMED: u8 = 1;
    const CENSORED: u8 = 2;
    const COUNTED: u8 = 4;
    const PRICED: u8 = 8;
    const JUDGED: u8 = 16;

    /// The sample, `counts` being its own, unless it stands for several or a number is too large.
    #[inline]
    pub fn of(sample: &Sample, counts: &Counts) -> Option<One> {
        let flag = |bit: u8, on: bool| if on { bit } else { 0 };
        if counts.n != 1 {
            return None;
        }
        Some(One {
            cost: counts.cost,
            duration: (sample.duration_ms.unwrap_or_default() as f32).min(f32::MAX),
            duration_us: u32::try_from(counts.duration_us).ok()?,
            input: u32::try_from(counts.input).ok()?,
            output: u32::try_from(counts.output).ok()?,
            quality: i32::try_from(counts.quality).ok()?,
            known: flag(One::TIMED, sample.duration_ms.is_some())
                | flag(One::CENSORED, sample.censored)
                | flag(One::COUNTED, sample.tokens.is_some())
                | flag(One::PRICED, sample.cost.is_some())
                | flag(One::JUDGED, sample.quality.is_some()),
            outcome: sample.outcome,
        })
    }

    #[inline]
    fn has(&self, bit: u8) -> u64 {
        u64::from(self.known & bit != 0)
    }

    /// Its numbers as sums.
    #[inline]
    pub fn counts(&self) -> Counts {
        let ok = u64::from(self.outcome == Outcome::Ok);
        let quality = i64::from(self.quality);
        Counts {
            n: 1,
            known: u64::from(self.outcome != Outcome::Unknown),
            ok,
            limited: u64::from(self.outcome == Outcome::Limit),
            durations: self.has(One::TIMED),
            censored: self.has(One::TIMED) & self.has(One::CENSORED),
            duration_us: u64::from(self.duration_us),
            counted: self.has(One::COUNTED),
            input: u64::from(self.input),
            output: u64::from(self.output),
            priced: self.has(One::PRICED),
            priced_ok: self.has(One::PRICED) & ok,
            cost: self.cost,
            judged: self.has(One::JUDGED),
            quality,
            quality_squares: quality * quality / 1_000,
        }
    }

    /// Its duration and whether it was cut off.
    pub fn duration(&self) -> Option<(f32, bool)> {
        (self.has(One::TIMED) > 0).then_some((self.duration, self.has(One::CENSORED) > 0))
    }
}

/// The sums of a few executions without verdicts, whose durations nobody wants one by one. In half a cache line, as
/// one execution is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Few {
    duration_us: u32,
    input: u32,
    output: u32,
    cost: [u8; 8],
    /// The counters of a [`Tally`], four bits each.
    counters: [u8; 5],
}

impl Few {
    /// The executions that four bits can count.
    const MOST: u64 = 15;

    /// These sums, unless they are too large.
    #[inline]
    pub fn of(counts: &Counts) -> Option<Few> {
        if counts.n > Few::MOST || counts.judged > 0 {
            return None;
        }
        let all = Tally::counters(counts);
        Some(Few {
            duration_us: u32::try_from(counts.duration_us).ok()?,
            input: u32::try_from(counts.input).ok()?,
            output: u32::try_from(counts.output).ok()?,
            cost: counts.cost.to_le_bytes(),
            counters: std::array::from_fn(|two| (all[2 * two] | all[2 * two + 1] << 4) as u8),
        })
    }

    /// The sums at full width.
    #[inline]
    pub fn counts(&self) -> Counts {
        let counter = |at: usize| u32::from(self.counters[at / 2] >> (at % 2 * 4) & 15);
        let sums =
            [self.duration_us.into(), self.input.into(), self.output.into(), i64::from_le_bytes(self.cost), 0, 0];
        Tally { counters: std::array::from_fn(counter), sums }.counts()
    }
}
