//! How long a subject is usually silent: for rules that hold `silence` against its baseline.
//!
//! What counts is where time goes, not how many pauses there are: a source that logs a hundred runs in a burst and then
//! nothing for an hour spends its time in the hour. So the percentile of a baseline of silence is one of time: at 99 %
//! of all moments the subject was in a pause of at most that length. Pauses are kept as seconds per class of length,
//! each class 1.41 times (the square root of two) as long as the one before; a percentile is the upper end of its class.
//!
//! Until a day is known, what is missing of it counts as a pause of a day: a night must not look like the end. A pause
//! that raised an alert counts at twice the usual at most, so that an outage teaches little and a new habit is learned
//! in a few pauses. What was learned fades: it is halved whenever it comes to four weeks.

use std::hint::black_box;

use serde::{Deserialize, Serialize};

use super::rules::{Evaluation, GLANCE, RuleState};
use super::split::Split;
use crate::model::{Span, Timestamp};

/// Classes of length; the last takes all that is longer than four days.
const CLASSES: usize = 32;
/// Where each class ends, in seconds.
const ENDS: [u32; CLASSES] = ends();
/// What is known for less is filled up with a pause as long.
const DAY: u32 = 86_400;
/// What is known for longer is halved.
const MEMORY: u32 = 28 * DAY;

/// The pauses of every subject of a rule, by series.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Gaps(Vec<Pauses>);

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Pauses {
    /// Until when time is counted, within a second of the newest run that was seen; `None` before any.
    seen: Option<Timestamp>,
    /// Seconds spent in pauses, all and by class.
    known: u32,
    seconds: [u32; CLASSES],
}

const fn ends() -> [u32; CLASSES] {
    let (mut ends, mut class) = ([0; CLASSES], 0);
    while class < CLASSES {
        let thousandths = if class % 2 == 0 { 10_000 } else { 14_142 };
        ends[class] = ((thousandths << (class / 2)) / 1_000) as u32;
        class += 1;
    }
    ends
}

/// The class of a pause.
fn class(seconds: u32) -> usize {
    ENDS.partition_point(|end| *end < seconds).min(CLASSES - 1)
}

impl Pauses {
    /// The percentile, in seconds.
    fn usual(&self, percent: u8) -> u32 {
        let known = u64::from(self.known);
        let missing = u64::from(DAY).saturating_sub(known);
        let (mut sum, day) = (0, class(DAY));
        for (index, seconds) in self.seconds.iter().enumerate() {
            sum += u64::from(*seconds) + if index == day { missing } else { 0 };
            if sum * 100 >= (known + missing) * u64::from(percent) {
                return ENDS[index];
            }
        }
        ENDS[CLASSES - 1]
    }
}

impl Gaps {
    /// Takes in that a subject ran at `last_seen`; its pause raised an alert, or did not.
    pub fn see(&mut self, series: usize, last_seen: Timestamp, alerted: bool) {
        if self.0.len() <= series {
            self.0.resize(series + 1, Pauses::default());
        }
        let own = &mut self.0[series];
        let Some(before) = own.seen.replace(last_seen) else { return };
        let gone = last_seen.since(before).0.max(0);
        let mut seconds = u32::try_from(gone / 1_000).unwrap_or(u32::MAX).min(MEMORY);
        if alerted {
            seconds = seconds.min(own.usual(99).saturating_mul(2));
        }
        // What is no whole second counts with the next pause: many short ones are time as well.
        if i64::from(seconds) == gone / 1_000 {
            own.seen = Some(last_seen - Span(gone % 1_000));
        }
        own.seconds[class(seconds)] += seconds;
        own.known += seconds;
        if own.known > MEMORY {
            own.seconds.iter_mut().for_each(|seconds| *seconds /= 2);
            own.known = own.seconds.iter().sum();
        }
    }

    /// Reads what [`Gaps::see`] will write; the value means nothing.
    pub fn glance(&self, series: usize) -> u64 {
        self.0.get(series).map_or(0, |own| u64::from(own.known) ^ u64::from(own.seconds[CLASSES / 2]))
    }

    /// How long a pause of a subject is at most in `percent` of its time, in milliseconds.
    pub fn usual(&self, series: usize, percent: u8) -> Option<f64> {
        let own = self.0.get(series).filter(|own| own.seen.is_some())?;
        Some(f64::from(own.usual(percent)) * 1_000.0)
    }
}

impl Evaluation<'_> {
    /// Takes in which subjects ran, for the rules that read how long they usually pause.
    pub(super) fn learn_pauses(&self, split: &mut Split, states: &mut [RuleState]) {
        let fresh = split.take_fresh();
        for rule in self.here().filter(|rule| self.plans[*rule].usual) {
            let RuleState { gaps, alerts, .. } = &mut states[rule];
            for fresh in fresh.chunks(GLANCE) {
                black_box(fresh.iter().fold(0, |sum, index| sum ^ gaps.glance(*index as usize)));
                for &index in fresh {
                    gaps.see(index as usize, split.series[index as usize].last_seen, alerts.has(index as usize));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pauses in seconds, one after the other.
    fn gaps(pauses: impl IntoIterator<Item = i64>) -> Gaps {
        let mut gaps = Gaps::default();
        let mut now = Timestamp(0);
        gaps.see(0, now, false);
        for pause in pauses {
            now = now + Span::seconds(pause);
            gaps.see(0, now, false);
        }
        gaps
    }

    fn usual(gaps: &Gaps, percent: u8) -> f64 {
        gaps.usual(0, percent).expect("known") / 1_000.0
    }

    #[test]
    fn a_percentile_is_one_of_time() {
        // A hundred runs ten seconds apart, then an hour of nothing, for two days.
        let bursty = gaps((0..38).flat_map(|_| (0..100).map(|_| 10).chain([3_600])));
        assert_eq!((usual(&bursty, 99), usual(&bursty, 50), usual(&bursty, 10)), (3_620.0, 3_620.0, 10.0));
        assert_eq!(usual(&gaps((0..2_000).map(|_| 60)), 99), 80.0);
    }

    #[test]
    fn classes_hold_what_they_say() {
        for seconds in [0, 9, 10, 11, 59, 3_600, 86_400, 400_000] {
            let class = class(seconds);
            assert!(seconds <= ENDS[class] && (class == 0 || seconds > ENDS[class - 1]), "{seconds}");
        }
        assert_eq!(ENDS[..5], [10, 14, 20, 28, 40]);
        assert_eq!(class(u32::MAX), CLASSES - 1);
    }

    #[test]
    fn less_than_a_day_is_filled_up_with_a_day() {
        let day = f64::from(ENDS[class(DAY)]);
        assert_eq!(usual(&gaps([]), 50), day);
        assert_eq!(usual(&gaps((0..1_200).map(|_| 60)), 99), day, "20 hours");
        assert_eq!(usual(&gaps((0..1_450).map(|_| 60)), 99), 80.0);
        assert_eq!(Gaps::default().usual(0, 50), None);
    }

    #[test]
    fn parts_of_seconds_count() {
        for pause in [50, 400, 999, 1_070, 16_999] {
            let mut gaps = Gaps::default();
            let runs = 100_000_000 / pause;
            (0..=runs).for_each(|run| gaps.see(0, Timestamp(run * pause), false));
            assert_eq!(i64::from(gaps.0[0].known), runs * pause / 1_000, "pauses of {pause} ms");
            assert!(usual(&gaps, 99) <= 20.0, "pauses of {pause} ms");
        }
        let mut capped = Gaps::default();
        capped.see(0, Timestamp(0), false);
        let later = Timestamp(0) + Span::days(60) + Span(500);
        capped.see(0, later, true);
        assert_eq!(capped.0[0].seen, Some(later), "what did not count shall not count later");
    }

    #[test]
    fn what_raised_an_alert_teaches_little() {
        let mut gaps = gaps((0..20_000).map(|_| 60));
        let mut now = Timestamp(20_000 * 60_000) + Span::days(2);
        gaps.see(0, now, true);
        assert_eq!(usual(&gaps, 99), 80.0, "one outage of two days in two weeks");
        for _ in 0..600 {
            now = now + Span::hours(1);
            gaps.see(0, now, usual(&gaps, 99) < 1_800.0);
        }
        assert!(usual(&gaps, 99) >= 3_600.0, "{}", usual(&gaps, 99));
    }
}
