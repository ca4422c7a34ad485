//! What a window keeps of the executions in one slice of time.

use serde::{Deserialize, Serialize};

use super::field::FieldSum;
use super::names::Name;
use crate::model::{Outcome, Timestamp, Tokens};
use crate::stats::Durations;

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

/// Exact sums: integers, so that adding and taking away cancel and order does not matter.
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
    /// Sum of durations in microseconds.
    pub duration_us: u64,
    /// With token counts.
    pub counted: u64,
    /// Input tokens, cached included.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
    /// With a known cost.
    pub priced: u64,
    /// Ok and with a known cost.
    pub priced_ok: u64,
    /// Sum of known cost in nano-dollars.
    pub cost: i64,
    /// With a verdict.
    pub judged: u64,
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
    /// Numeric record fields, sorted by name.
    pub fields: Vec<String>,
}

/// One slice of time of one window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pane {
    /// Number of the slice: its start divided by the pane length.
    pub slot: i64,
    /// The sums.
    pub counts: Counts,
    /// Durations; empty unless the window keeps them.
    pub durations: Durations,
    /// Per kept field: its values.
    pub fields: Vec<(Name, FieldSum)>,
}
