//! The concurrency limit, learned from refusals alone.
//!
//! Latency is not looked at: model latency varies with the work and with the provider's own day,
//! and a rise is rarely the agent's own queueing. A refusal says it outright. So the limit falls
//! to what was really carried when refusals are more than an accident, and rises slowly when it
//! is used to the full and nothing is refused.

use super::{Evidence, Prior, Wanted, guard};
use crate::model::Span;
use crate::stats::proportion;

/// More refusals than this share of the work, and more than one, are no accident.
const TOLERATED: f64 = 0.01;
/// Below this share of refusals the limit itself was nearly right.
const NEARLY_RIGHT: f64 = 0.04;
/// Share of what was carried that the limit leaves in use.
const HELD: f64 = 0.9;
/// A limit grows by this share, and by one at least.
const GROWTH: f64 = 0.1;
/// A limit counts as used to the full from this share on.
const FULL: f64 = 0.8;

/// The limit as a count of runs at once.
///
/// The profile's range bounds growth; a limit that stands above it stays until it is refused.
///
/// `since_change` is how long the limit stands. While that is less than the window, the refusals
/// are those of another limit and would lower this one again and again, so it is kept.
pub fn estimate(evidence: &Evidence<'_>, prior: &Prior, current: Option<f64>, since_change: Option<Span>) -> Wanted {
    let (least, most) = (f64::from(prior.concurrency.0.max(1)), f64::from(prior.concurrency.1.max(1)));
    let in_flight = evidence.in_flight.unwrap_or_else(|| in_flight(evidence));
    let accepted = evidence.known.saturating_sub(evidence.limit_hits);
    let share = if evidence.known == 0 { 0.0 } else { evidence.limit_hits as f64 / evidence.known as f64 };
    let refused = evidence.limit_hits as f64 > (TOLERATED * accepted as f64).max(1.0);
    let refusals =
        format!("{} of {} runs were turned away ({})", evidence.limit_hits, evidence.known, guard::percent(share));

    let mut wanted = Wanted {
        value: least,
        lower: least.min(most),
        upper: most.max(least),
        n: evidence.known,
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
    wanted.keep = since_change.filter(|since| *since < evidence.span).map(|since| {
        format!("the limit stands for {since}, less than the window of {} behind these numbers", evidence.span)
    });
    if refused {
        // Little's law gives what the provider carried while it refused the rest.
        let carried = if share < NEARLY_RIGHT { limit * (1.0 - share) } else { in_flight.min(limit) };
        wanted.value = (HELD * carried).floor().min(limit - 1.0).max(1.0);
        let interval = proportion::wilson(evidence.limit_hits as f64, evidence.known as f64, 0.9);
        wanted.lower = wanted.value.min(in_flight.floor().max(1.0));
        wanted.upper = (limit * (1.0 - interval.lower)).max(wanted.value);
        wanted.reason =
            format!("{refusals} with {in_flight:.1} of {limit} in flight: the provider carries less than the limit");
    } else if in_flight >= FULL * limit && limit < most {
        wanted.value = (limit + (GROWTH * limit).ceil()).min(most);
        wanted.lower = limit;
        wanted.upper = most;
        wanted.reason = format!("{refusals} with {in_flight:.1} of {limit} in flight: the limit is used to the full");
    } else {
        wanted.value = limit;
        wanted.lower = in_flight.min(limit);
        wanted.upper = most.max(limit);
        let full = in_flight >= FULL * limit;
        wanted.bound_by = full.then_some("profile_range");
        wanted.reason = format!(
            "{refusals} with {in_flight:.1} of {limit} in flight: {}",
            if full { format!("the profile allows at most {most}") } else { "there is room".to_owned() }
        );
    }
    wanted
}

/// Little's law: the mean number in flight is the time spent in runs by the time that passed.
fn in_flight(evidence: &Evidence<'_>) -> f64 {
    if evidence.span.0 <= 0 {
        return 0.0;
    }
    evidence.durations.sum_lower_bound() / evidence.span.as_millis_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Durations;

    const PRIOR: Prior = Prior { typical_ms: None, spread: 0.6, quality_target: 90.0, concurrency: (2, 6) };

    /// An hour with `busy` runs of a minute that ended, and `hits` that were turned away.
    fn wanted(busy: u32, hits: u64, current: Option<f64>) -> Wanted {
        let mut durations = Durations::default();
        (0..busy).for_each(|_| durations.insert(60_000.0, false));
        let evidence = Evidence {
            durations: &durations,
            scores: crate::stats::Moments::default(),
            limit_hits: hits,
            known: u64::from(busy) + hits,
            span: Span::hours(1),
            in_flight: None,
            quality_fallen: false,
        };
        estimate(&evidence, &PRIOR, current, None)
    }

    #[test]
    fn refusals_lower_and_full_use_raises() {
        for (busy, hits, current, value, text) in [
            // 240 minutes of work in an hour are 4 at once.
            (240, 0, Some(4.0), 5.0, "4.0 of 4 in flight: the limit is used to the full"),
            (240, 1, Some(4.0), 5.0, "used to the full"),
            (240, 0, Some(6.0), 6.0, "there is room"),
            (360, 0, Some(6.0), 6.0, "the profile allows at most 6"),
            (240, 60, Some(6.0), 3.0, "60 of 300 runs were turned away (20%)"),
            // Few refusals: the limit was nearly right.
            (600, 12, Some(10.0), 8.0, "carries less than the limit"),
            // A limit above the profile's range stays until it is refused.
            (600, 0, Some(12.0), 12.0, "in flight"),
            (10, 500, Some(1.0), 1.0, "turned away"),
            (240, 0, None, 2.0, "the profile starts with 2"),
        ] {
            let wanted = wanted(busy, hits, current);
            assert_eq!(wanted.value, value, "{busy} {hits} {current:?}: {wanted:?}");
            assert!(wanted.reason.contains(text), "{}", wanted.reason);
            assert!(wanted.lower <= wanted.value && wanted.value <= wanted.upper, "{wanted:?}");
        }
    }
    #[test]
    fn refusals_of_the_limit_before_do_not_lower_the_one_that_stands() {
        let durations = Durations::default();
        let evidence = Evidence {
            durations: &durations,
            scores: crate::stats::Moments::default(),
            limit_hits: 60,
            known: 300,
            span: Span::hours(1),
            in_flight: Some(4.0),
            quality_fallen: false,
        };
        let keep = |since| estimate(&evidence, &PRIOR, Some(6.0), Some(since)).keep;
        let why = "the limit stands for 20m, less than the window of 1h behind these numbers";
        assert_eq!((keep(Span::minutes(20)).as_deref(), keep(Span::hours(1))), (Some(why), None));
    }
}
