//! One step of a story: a length of time and the values that its runs shall have.
//!
//! Runs lie evenly in time, and so do the bad ones among them, so that every window of the step
//! holds the same mix. A share that is no whole number of runs is a fault.

use std::ops::Range;

use super::Run;
use super::load::{Faults, QUANTITY, quantity};
use crate::model::{Metric, Nanodollars, Outcome, Span, Tokens, Unit};
use crate::wire::fields::{Fields, Spanned};
use crate::wire::yaml::Node;

/// The most runs of one story.
pub const RUNS_LIMIT: u64 = 200_000;
/// Runs per hour where a story does not say.
pub const RATE: f64 = 3_600.0;

/// What runs may leave out, in the order of [`Mix::silent`].
const COVERAGES: [Metric; 4] =
    [Metric::OutcomeCoverage, Metric::DurationCoverage, Metric::TokenCoverage, Metric::CostCoverage];

const PERCENTILES: [Metric; 5] =
    [Metric::P50Latency, Metric::P75Latency, Metric::P90Latency, Metric::P95Latency, Metric::P99Latency];

/// What the runs of a step are like.
#[derive(Default)]
struct Mix {
    n: u64,
    failed: u64,
    limited: u64,
    cut_off: u64,
    /// Durations with the share of runs that are at most as long, in order.
    durations: Vec<(f64, f64)>,
    cost: Option<Nanodollars>,
    tokens: Option<Tokens>,
    quality: Option<f32>,
    fields: Vec<(String, f64)>,
    /// Runs that do what the one before did.
    repeats: Option<u64>,
    /// Runs that do not say their outcome, duration, tokens, cost.
    silent: [u64; 4],
}

/// Reads a step that begins at `start`; its runs and its length.
pub(super) fn read(node: &Node, start: Span, rate: f64, faults: &Faults<'_>) -> (Vec<(Span, Run)>, Span) {
    let fields = Fields::open(node, "a step", faults);
    let length = fields.require("for", "10m", fields.span("for"));
    if let Some(Spanned { value: Span::ZERO, bytes }) = &length {
        faults.error(bytes.clone(), "a step of no length", "write for how long, such as `for: 10m`");
    }
    let length = length.map_or(Span::ZERO, |length| length.value);
    let step = Step { fields: &fields, faults, rate, length };
    let mix = step.mix();
    fields.finish();
    let Some(mix) = mix else { return (Vec::new(), length) };
    let runs = (0..mix.n).map(|i| {
        // In the middle of its share of the time: a window of whole shares holds whole runs.
        let at = (2 * i as i128 + 1) * i128::from(length.0) / (2 * i128::from(mix.n));
        (Span(start.0 + at as i64), Run { work: mix.work(start, i), ..mix.run(i) })
    });
    (runs.collect(), length)
}

pub(super) struct Step<'a> {
    fields: &'a Fields<'a>,
    faults: &'a Faults<'a>,
    rate: f64,
    length: Span,
}

impl<'a> Step<'a> {
    /// The numbers of a mapping, without a rate and a length.
    pub(super) fn new(fields: &'a Fields<'a>, faults: &'a Faults<'a>) -> Step<'a> {
        Step { fields, faults, rate: 0.0, length: Span::ZERO }
    }

    /// What the step says; `None` when nothing runs or something is wrong.
    fn mix(&self) -> Option<Mix> {
        let before = self.faults.errors();
        let throughput = self.number("throughput", Unit::Count);
        let rate = match (self::rate(self.fields, self.faults), &throughput) {
            (Some(rate), None) => Some(rate),
            (None, Some(rate)) => Some(rate.value),
            (None, None) => None,
            (Some(_), Some(both)) => {
                self.faults.error(both.bytes.clone(), "`runs` and `throughput` say the same", "delete one");
                None
            }
        };
        let [failure, success, limit, timeout] =
            ["error_rate", "success_rate", "limit_rate", "timeout_rate"].map(|name| self.share(name));
        let quality = self.number("quality", Unit::Points);
        let costs =
            ["hourly_cost", "cost_per_execution", "cost_per_success"].map(|name| self.number(name, Unit::Money));
        let latencies = PERCENTILES.map(|metric| self.number(metric.name(), Unit::Duration));
        let mean = self.number("mean_latency", Unit::Duration);
        let tokens = ["input_tokens_per_run", "output_tokens_per_run"].map(|name| self.number(name, Unit::Tokens));
        let extra = self.extra();
        let repeats = self.share("repeat_ratio");
        let coverages = COVERAGES.map(|metric| self.share(metric.name()));
        let said = failure.is_some() || success.is_some() || limit.is_some() || timeout.is_some();
        let said = said || quality.is_some() || mean.is_some() || !extra.is_empty() || rate.is_some();
        let said = said || coverages.iter().any(Option::is_some) || repeats.is_some();
        let said = said || costs.iter().chain(&latencies).chain(&tokens).any(Option::is_some);
        if !said || self.length == Span::ZERO {
            return None;
        }
        let rate = rate.unwrap_or(self.rate);
        let hours = self.length.as_millis_f64() / 3_600_000.0;
        let n = self.whole(rate * hours, self.fields.place("for"), || {
            format!("{} runs per hour make no whole number of runs in {}", rate, self.length)
        })?;
        if n > RUNS_LIMIT {
            let message = format!("the step has {n} runs, the limit of a story is {RUNS_LIMIT}");
            self.faults.error(self.fields.place("for"), message, "write fewer `runs`, or make the step shorter");
            return None;
        }
        let mut mix = Mix { n, fields: extra, ..Mix::default() };
        self.outcomes(&mut mix, failure, success, limit, timeout);
        for (silent, coverage) in mix.silent.iter_mut().zip(&coverages) {
            *silent = self.part(coverage, n).map_or(0, |said| n - said);
        }
        mix.repeats = self.part(&repeats, n);
        self.durations(&mut mix, latencies, mean);
        if mix.cut_off > 0 && mix.durations.is_empty() {
            let help = "add `mean_latency: 60s`: a run is cut off after some time";
            self.faults.error(self.fields.place("timeout_rate"), "`timeout_rate` without a duration", help);
        }
        self.cost(&mut mix, costs, rate);
        mix.quality = quality.map(|q| q.value as f32);
        if tokens.iter().any(Option::is_some) {
            let [input, output] = tokens.map(|t| t.map_or(0, |t| t.value as u64));
            mix.tokens = Some(Tokens { input, output, ..Tokens::default() });
        }
        (self.faults.errors() == before).then_some(mix)
    }

    fn share(&self, name: &'static str) -> Option<Spanned<f64>> {
        self.fields.share(name, 0.0, 1.0)
    }

    pub(super) fn number(&self, name: &'static str, unit: Unit) -> Option<Spanned<f64>> {
        let text = self.fields.text(name)?;
        match quantity(&text.value) {
            Some((value, found)) if found.is_none_or(|found| found == unit) && value >= 0.0 => {
                if found.is_none() && unit == Unit::Duration && value > 0.0 {
                    let message = format!("`{name}` has no unit of time");
                    self.faults.error(text.bytes, message, format!("write `{}ms` or `{}s`", text.value, text.value));
                    return None;
                }
                Some(Spanned { value, bytes: text.bytes })
            }
            _ => {
                let message = format!("`{name}` cannot be `{}`", text.value);
                self.faults.error(text.bytes, message, format!("write it like `{}`", unit.show(sample(unit))));
                None
            }
        }
    }

    fn extra(&self) -> Vec<(String, f64)> {
        let mut extra = Vec::new();
        for (key, node) in self.fields.table("fields") {
            let text = crate::wire::fields::scalar(node, &key.text, self.faults);
            match text.as_ref().map(|text| quantity(&text.value)) {
                Some(Some((value, _))) => extra.push((key.text.clone(), value)),
                Some(None) => {
                    self.faults.error(node.bytes.clone(), format!("`{}` is no number", key.text), QUANTITY);
                }
                None => {}
            }
        }
        extra
    }

    /// A number of runs that must be whole.
    fn whole(&self, runs: f64, bytes: Range<usize>, message: impl FnOnce() -> String) -> Option<u64> {
        if (runs - runs.round()).abs() < 1e-6 {
            return Some(runs.round() as u64);
        }
        self.faults.error(bytes, message(), "change `runs` or `for` so that whole runs come out");
        None
    }

    /// How many of `n` runs a share means.
    fn part(&self, share: &Option<Spanned<f64>>, n: u64) -> Option<u64> {
        let share = share.as_ref()?;
        let runs = share.value * n as f64;
        let shown = Unit::Ratio.show(share.value);
        self.whole(runs, share.bytes.clone(), || format!("{shown} of {n} runs would be {} runs", Unit::Any.show(runs)))
    }

    fn outcomes(
        &self,
        mix: &mut Mix,
        failure: Option<Spanned<f64>>,
        success: Option<Spanned<f64>>,
        limit: Option<Spanned<f64>>,
        timeout: Option<Spanned<f64>>,
    ) {
        let n = mix.n;
        mix.limited = self.part(&limit, n).unwrap_or(0);
        mix.cut_off = self.part(&timeout, n).unwrap_or(0);
        let failed = match (self.part(&failure, n), self.part(&success, n).map(|ok| n - ok)) {
            (Some(failed), Some(also)) if failed != also => {
                let message = "`error_rate` and `success_rate` do not add up to 100%";
                self.faults.error(self.fields.place("success_rate"), message, "delete one of them");
                Some(failed)
            }
            (failed, also) => failed.or(also),
        };
        mix.failed = failed.unwrap_or(mix.limited + mix.cut_off);
        if mix.limited + mix.cut_off > mix.failed {
            let message = "more runs are turned away or cut off than fail";
            self.faults.error(
                self.fields.place(if failure.is_some() { "error_rate" } else { "success_rate" }),
                message,
                "a run that meets a limit is an error: raise `error_rate`, or leave it out",
            );
        }
    }

    fn durations(&self, mix: &mut Mix, latencies: [Option<Spanned<f64>>; 5], mean: Option<Spanned<f64>>) {
        let given: Vec<(f64, Spanned<f64>)> = PERCENTILES
            .iter()
            .zip(latencies)
            .filter_map(|(metric, value)| Some((metric.quantile()?, value?)))
            .collect();
        match mean {
            Some(mean) if given.is_empty() => mix.durations.push((mean.value, 1.0)),
            Some(mean) => {
                let message = "`mean_latency` and percentiles cannot both be promised";
                self.faults.error(
                    mean.bytes,
                    message,
                    "delete `mean_latency`, or write it alone: all runs take as long",
                );
            }
            None => {}
        }
        for (i, (q, value)) in given.iter().enumerate() {
            if i > 0 && given[i - 1].1.value > value.value {
                let message = "a higher percentile cannot be shorter than a lower one";
                self.faults.error(value.bytes.clone(), message, "write them in growing order");
            }
            // Half way to the next percentile: each has room on both sides, so few runs are enough.
            let up_to = given.get(i + 1).map_or(1.0, |(next, _)| (q + next) / 2.0);
            mix.durations.push((value.value, up_to));
        }
    }

    fn cost(&self, mix: &mut Mix, costs: [Option<Spanned<f64>>; 3], rate: f64) {
        let ok = (mix.n - mix.failed.min(mix.n)) as f64 / mix.n.max(1) as f64;
        let [hourly, each, success] = costs;
        let per_run = [
            hourly.map(|c| (c.value / rate, c.bytes)),
            each.map(|c| (c.value, c.bytes)),
            success.map(|c| (c.value * ok, c.bytes)),
        ];
        for (dollars, bytes) in per_run.into_iter().flatten() {
            if mix.cost.is_some() {
                self.faults.error(bytes, "the cost of the runs is named twice", "delete one");
                continue;
            }
            mix.cost = Nanodollars::from_dollars(dollars);
        }
    }
}

impl Mix {
    /// What a run of the step that begins at `start` does: what the one before did, or something new.
    fn work(&self, start: Span, i: u64) -> Option<u64> {
        let repeats = self.repeats?;
        let before = (u128::from(i + 1) * u128::from(repeats) / u128::from(self.n.max(1))) as u64;
        // Steps do different things: none begins within a millisecond of another.
        Some(((start.0 as u64) << 20) + i + 1 - before)
    }

    fn run(&self, i: u64) -> Run {
        let fails = among(i, self.failed, self.n);
        // The number of the failure, to tell them apart as evenly.
        let j = (u128::from(i) * u128::from(self.failed) / u128::from(self.n.max(1))) as u64;
        let limited = fails && among(j, self.limited, self.failed);
        let rest = self.failed - self.limited;
        let k = j - (u128::from(j) * u128::from(self.limited) / u128::from(self.failed.max(1))) as u64;
        let cut_off = fails && !limited && among(k, self.cut_off, rest);
        let outcome = match (fails, limited, cut_off) {
            (false, ..) => Outcome::Ok,
            (_, true, _) => Outcome::Limit,
            (_, _, true) => Outcome::Timeout,
            _ => Outcome::Error,
        };
        // Multiples of the golden ratio fill the interval evenly at every length (Weyl).
        let rank = (u128::from(i) * 618_033_988_749_895 % 1_000_000_000_000_000) as f64 / 1e15;
        let duration = self.durations.iter().find(|(_, up_to)| rank < *up_to).map(|(ms, _)| *ms);
        let [no_outcome, no_duration, no_tokens, no_cost] = self.silent.map(|silent| among(i, silent, self.n));
        Run {
            outcome: if no_outcome { Outcome::Unknown } else { outcome },
            duration_ms: duration.filter(|_| !no_duration),
            censored: cut_off && !no_duration,
            cost: self.cost.filter(|_| !no_cost),
            tokens: self.tokens.filter(|_| !no_tokens),
            quality: self.quality,
            work: None,
            fields: self.fields.clone(),
        }
    }
}

/// Whether the `i`th of `n` things is one of `part` that lie evenly among them.
fn among(i: u64, part: u64, n: u64) -> bool {
    let (i, part, n) = (u128::from(i), u128::from(part), u128::from(n.max(1)));
    (i + 1) * part / n > i * part / n
}

/// `runs:` as runs per hour.
pub(super) fn rate(fields: &Fields<'_>, faults: &Faults<'_>) -> Option<f64> {
    let text = fields.text("runs")?;
    let (number, unit) = text.value.split_once('/').unwrap_or((&text.value, ""));
    let per_hour = match unit.trim() {
        "s" | "second" => Some(3_600.0),
        "min" | "m" | "minute" => Some(60.0),
        "h" | "hour" => Some(1.0),
        _ => None,
    };
    match (number.trim().parse::<f64>(), per_hour) {
        (Ok(number), Some(factor)) if number.is_finite() && number >= 0.0 => Some(number * factor),
        _ => {
            let message = format!("`runs` is `{}`", text.value);
            faults.error(text.bytes, message, "write how many in which time: `60/min`, `2/s`, `10/h`");
            None
        }
    }
}

fn sample(unit: Unit) -> f64 {
    match unit {
        Unit::Duration => 12_000.0,
        Unit::Money => 2.0,
        Unit::Ratio => 0.1,
        _ => 80.0,
    }
}
