//! The concurrency limit, learned from refusals alone.
//!
//! Latency is not looked at: model latency varies with the work and with the provider's own day,
//! and a rise is rarely the agent's own queueing. A refusal says it outright. So the limit falls
//! when refusals are more than an accident, and rises slowly when it is used to the full and
//! nothing is refused.
//!
//! How many ran at once is taken hour by hour, because a day that an agent mostly slept through
//! says nothing of its limit. An hour's mean is itself less than what ran in its busiest minute:
//! it may show that a limit is used, and alone it may not cut one.

use std::collections::BTreeMap;

use super::{Evidence, Prior, Wanted, guard};
use crate::engine::pane::Counts;
use crate::model::Span;
use crate::stats::proportion;

/// More refusals than this share of the work, and more than one, are no accident.
const TOLERATED: f64 = 0.01;
/// Share of what was carried that the limit leaves in use.
const HELD: f64 = 0.9;
/// A limit grows by this share, and by one at least.
const GROWTH: f64 = 0.1;
/// A limit counts as used to the full from this share on.
const FULL: f64 = 0.8;

/// What ran at once in a window, and what was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// How far back it looks.
    pub span: Span,
    /// Executions whose outcome is known, the turned away ones among them.
    pub known: u64,
    /// Executions that a rate, quota or concurrency limit turned away.
    pub refused: u64,
    /// Share turned away of the known executions in the slices in which any was.
    pub refused_there: f64,
    /// Runs at once in the busiest slice in which some were turned away.
    pub contested: f64,
    /// Runs at once in the busiest slice in which none was turned away.
    pub free: f64,
}

impl Load {
    /// The load of slices of equal length `slice`, each with its number; slices in which nothing
    /// ended may be left out.
    ///
    /// Little's law: the mean number at once is the time spent in runs by the time that passed.
    /// Runs are counted where they ended, so those that last longer than a slice are spread over
    /// as many slices before it as they last.
    pub fn new(span: Span, slice: Span, slices: impl IntoIterator<Item = (i64, Counts)>) -> Load {
        let mut load = Load { span, ..Load::default() };
        let mut at_once: BTreeMap<i64, (f64, bool)> = BTreeMap::new();
        let (length, most) = (slice.as_millis_f64().max(1.0), span.0 / slice.0.max(1));
        let mut known_there = 0;
        for (number, counts) in slices {
            load.known += counts.known;
            load.refused += counts.limited;
            let busy = counts.duration_us as f64 / 1e3 / length;
            let reach = (busy / counts.durations.max(1) as f64).ceil().max(1.0);
            for back in 0..(reach as i64).min(most.max(1)) {
                at_once.entry(number - back).or_default().0 += busy / reach;
            }
            if counts.limited > 0 {
                known_there += counts.known;
                at_once.entry(number).or_default().1 = true;
            }
        }
        load.refused_there = if known_there == 0 { 0.0 } else { load.refused as f64 / known_there as f64 };
        for (runs, refusing) in at_once.into_values() {
            let busiest = if refusing { &mut load.contested } else { &mut load.free };
            *busiest = busiest.max(runs);
        }
        load
    }

    fn busiest(&self) -> f64 {
        self.contested.max(self.free)
    }
}

/// The limit as a count of runs at once.
///
/// The profile's range bounds growth; a limit that stands above it stays until it is refused.
///
/// `since_change` is how long the limit stands. While that is less than the window, the refusals
/// are those of another limit and would lower this one again and again, so it is kept.
pub fn estimate(evidence: &Evidence<'_>, prior: &Prior, current: Option<f64>, since_change: Option<Span>) -> Wanted {
    let (least, most) = (f64::from(prior.concurrency.0.max(1)), f64::from(prior.concurrency.1.max(1)));
    let load = &evidence.load;
    let accepted = load.known.saturating_sub(load.refused);
    let share = if load.known == 0 { 0.0 } else { load.refused as f64 / load.known as f64 };
    let refused = load.refused as f64 > (TOLERATED * accepted as f64).max(1.0);
    let refusals = format!("{} of {} runs were turned away ({})", load.refused, load.known, guard::percent(share));

    let mut wanted = Wanted {
        value: least,
        lower: least.min(most),
        upper: most.max(least),
        n: load.known,
        censored: 0,
        prior_weight: 1.0,
        bound_by: None,
        reason: format!("{refusals}; the profile starts with {least}"),
        keep: None,
    };
    let Some(limit) = current.filter(|limit| *limit >= 1.0) else {
        return wanted;
    };
    wanted.prior_weight = 0.0;
    wanted.keep = since_change.filter(|since| *since < load.span).map(|since| {
        format!("the limit stands for {}, less than the window of {} behind these numbers", since.shown(), load.span)
    });
    if refused {
        lower(&mut wanted, load, limit, &refusals);
        return wanted;
    }
    let used = format!("{refusals} with {:.1} of {limit} in flight in the busiest hour", load.busiest());
    let full = load.busiest() >= FULL * limit;
    if full && limit < most {
        wanted.value = (limit + (GROWTH * limit).ceil()).min(most);
        wanted.lower = limit;
        wanted.upper = most;
        wanted.reason = format!("{used}: the limit is used to the full");
    } else {
        wanted.value = limit;
        wanted.lower = load.busiest().min(limit);
        wanted.upper = most.max(limit);
        wanted.bound_by = full.then_some("profile_range");
        let why = if full { format!("the profile allows at most {most}") } else { "there is room".to_owned() };
        wanted.reason = format!("{used}: {why}");
    }
    wanted
}

/// Below what the provider carried while it refused the rest, and not below what it carried in
/// another hour without refusing anything.
fn lower(wanted: &mut Wanted, load: &Load, limit: f64, refusals: &str) {
    // Short bursts hardly show in an hour's mean: there the share that was taken in says more.
    let carried = load.contested.max(limit * (1.0 - load.refused_there)).min(limit);
    let cut = (HELD * carried).floor().min(limit - 1.0).max(1.0);
    let proven = load.free.floor().min(limit);
    wanted.value = cut.max(proven);
    wanted.lower = wanted.value.min(load.contested.floor().max(1.0));
    let interval = proportion::wilson(load.refused as f64, load.known as f64, 0.9);
    wanted.upper = (limit * (1.0 - interval.lower)).max(wanted.value);
    let used = format!("{refusals} with {:.1} of {limit} in flight in the busiest such hour", load.contested);
    wanted.reason = if proven > cut {
        wanted.bound_by = Some("carried_before");
        format!("{used}, but {:.1} ran in another hour and none was turned away", load.free)
    } else {
        format!("{used}: the provider carries less than the limit")
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Durations, Moments};

    const PRIOR: Prior = Prior { typical_ms: None, spread: 0.6, quality_target: 90.0, concurrency: (2, 6) };

    /// An hour's runs of a minute that ended, and runs that were turned away.
    fn hour(runs: u64, refused: u64) -> Counts {
        let known = runs + refused;
        Counts { known, limited: refused, durations: known, duration_us: runs * 60_000_000, ..Counts::default() }
    }

    /// A day with these hours, the rest of it idle.
    fn wanted(hours: &[Counts], current: Option<f64>, since_change: Option<Span>) -> Wanted {
        let slices = hours.iter().enumerate().map(|(number, counts)| (number as i64, *counts));
        let load = Load::new(Span::days(1), Span::hours(1), slices);
        let durations = Durations::default();
        let evidence = Evidence { durations: &durations, scores: Moments::default(), load, quality_fallen: false };
        estimate(&evidence, &PRIOR, current, since_change)
    }

    fn check(hours: &[Counts], current: Option<f64>, value: f64, text: &str) {
        let wanted = wanted(hours, current, None);
        assert_eq!(wanted.value, value, "{hours:?} {current:?}: {wanted:?}");
        assert!(wanted.reason.contains(text), "{}", wanted.reason);
        assert!(wanted.lower <= wanted.value && wanted.value <= wanted.upper, "{wanted:?}");
    }

    #[test]
    fn refusals_lower_and_full_use_raises() {
        // 240 minutes of work in an hour are 4 at once, however idle the rest of the day.
        check(&[hour(240, 0)], Some(4.0), 5.0, "4.0 of 4 in flight in the busiest hour: the limit is used to the full");
        check(&[hour(240, 1)], Some(4.0), 5.0, "used to the full");
        check(&[hour(240, 0)], Some(6.0), 6.0, "there is room");
        check(&[hour(360, 0)], Some(6.0), 6.0, "the profile allows at most 6");
        check(&[hour(240, 60)], Some(6.0), 4.0, "60 of 300 runs were turned away (20%)");
        check(&[hour(240, 600)], Some(10.0), 3.0, "4.0 of 10 in flight in the busiest such hour");
        check(&[hour(600, 12)], Some(10.0), 9.0, "carries less than the limit");
        // A limit above the profile's range stays until it is refused.
        check(&[hour(600, 0)], Some(12.0), 12.0, "in flight");
        check(&[hour(10, 500)], Some(1.0), 1.0, "turned away");
        check(&[hour(240, 0)], None, 2.0, "the profile starts with 2");
    }

    #[test]
    fn a_burst_in_an_idle_day_does_not_cut_to_what_the_day_carried() {
        // Ten minutes at 8 at once are 1.3 in the hour's mean and 0.06 in the day's.
        check(&[hour(80, 4)], Some(8.0), 6.0, "carries less than the limit");
    }

    #[test]
    fn what_ran_without_refusals_is_not_cut() {
        check(&[hour(480, 0), hour(240, 60)], Some(10.0), 8.0, "8.0 ran in another hour and none was turned away");
        // Somebody else used the quota up: this limit is not what was too high.
        check(&[hour(600, 0), hour(240, 60)], Some(10.0), 10.0, "none was turned away");
    }

    #[test]
    fn a_long_run_is_spread_over_the_hours_that_it_took() {
        let runs = |n: u64, hours: u64| Counts {
            known: n,
            durations: n,
            duration_us: n * hours * 3_600_000_000,
            ..Counts::default()
        };
        for (slices, expected) in [
            (vec![runs(1, 5)], 1.0),
            (vec![runs(4, 2)], 4.0),
            // Two of two hours each end every hour: four at once.
            (vec![runs(2, 2); 5], 4.0),
            (vec![runs(1, 1_000)], 1.0),
        ] {
            let slices = slices.iter().enumerate().map(|(number, counts)| (number as i64, *counts));
            assert_eq!(Load::new(Span::days(1), Span::hours(1), slices).free, expected);
        }
    }

    #[test]
    fn refusals_of_the_limit_before_do_not_lower_the_one_that_stands() {
        let keep = |since| wanted(&[hour(240, 60)], Some(6.0), Some(since)).keep;
        let why = "the limit stands for 20m, less than the window of 1d behind these numbers";
        assert_eq!((keep(Span::minutes(20)).as_deref(), keep(Span::days(1))), (Some(why), None));
    }
}
