//! Alerts that change their state too often are told once and then held until they are steady.
//!
//! Owns the times of the last hour's changes of each rule on each subject. Changes beyond the bound
//! are counted, not told; the state they end in is told when the hour holds few enough again. Whether
//! the last that is told is a beginning or an end: it says that what follows is held, and what it says
//! is what its reader takes for true meanwhile.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::model::{Span, Timestamp};

/// The stretch in which changes are counted.
const WITHIN: Span = Span::hours(1);
/// Rules on subjects whose changes are counted at a time; of more, the tenth that changed least recently is forgotten.
const TRACKED: usize = 20_000;

/// Changes of state by rule and subject.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Flaps {
    changes: BTreeMap<u64, VecDeque<Timestamp>>,
}

impl Flaps {
    /// An alert began or ended; `bound` 0 counts nothing. Whether a hold begins with that.
    pub fn note(&mut self, now: Timestamp, key: u64, bound: u32) -> bool {
        let before = self.held_until(now, key, bound).is_some();
        if bound == 0 {
            self.changes.clear();
            return false;
        }
        if self.changes.len() >= TRACKED && !self.changes.contains_key(&key) {
            self.forget();
        }
        let times = self.changes.entry(key).or_default();
        times.push_back(now);
        while times.len() > bound as usize + 1 {
            times.pop_front();
        }
        !before && self.held_until(now, key, bound).is_some()
    }

    /// Makes room for so many that the next time is far off.
    fn forget(&mut self) {
        let mut quiet: Vec<_> = self.changes.iter().map(|(key, times)| (times.back().copied(), *key)).collect();
        let (forgotten, ..) = quiet.select_nth_unstable(TRACKED / 10);
        for (_, key) in forgotten {
            self.changes.remove(key);
        }
    }

    /// While an alert is held: when it will have been steady for long enough, if it stays so.
    pub fn held_until(&self, now: Timestamp, key: u64, bound: u32) -> Option<Timestamp> {
        let times = self.changes.get(&key)?;
        // More are kept for a while when the bound was lowered.
        let first = times.len().checked_sub(bound as usize + 1)?;
        let until = *times.get(first)? + WITHIN;
        (bound > 0 && until > now).then_some(until)
    }
}

/// What a message about an alert that flaps says of it.
pub fn said(bound: u32, until: Timestamp) -> String {
    format!("held until {until} at least: it began or ended more than {bound} times within 1h")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_bound_within_an_hour_is_held() {
        let mut flaps = Flaps::default();
        let minute = |m: i64| Timestamp(m * 60_000);
        for m in [0, 10, 20] {
            assert!(!flaps.note(minute(m), 7, 3));
            assert_eq!(flaps.held_until(minute(m), 7, 3), None);
        }
        assert!(flaps.note(minute(30), 7, 3), "a hold begins");
        assert_eq!(flaps.held_until(minute(30), 7, 3), Some(minute(60)));
        assert!(!flaps.note(minute(50), 7, 3), "and goes on");
        assert_eq!(flaps.held_until(minute(60), 7, 3), Some(minute(70)));
        assert_eq!(flaps.held_until(minute(70), 7, 3), None);
        assert_eq!(flaps.held_until(minute(50), 8, 3), None);
    }

    #[test]
    fn a_bound_that_is_lowered_counts_the_newest_changes() {
        let mut flaps = Flaps::default();
        for m in [0, 100, 110, 120] {
            flaps.note(Timestamp(m * 60_000), 7, 10);
        }
        let now = Timestamp(120 * 60_000);
        assert_eq!([2, 3].map(|bound| flaps.held_until(now, 7, bound)), [Some(Timestamp(160 * 60_000)), None]);
    }

    #[test]
    fn the_quietest_are_forgotten_first_and_many_at_a_time() {
        let mut flaps = Flaps::default();
        for key in 0..TRACKED as u64 {
            flaps.note(Timestamp(key as i64), key, 3);
        }
        flaps.note(Timestamp(TRACKED as i64), 0, 3);
        assert_eq!(flaps.changes.len(), TRACKED);
        flaps.note(Timestamp(TRACKED as i64), u64::MAX, 3);
        let (first, left) = (flaps.changes.keys().nth(1), flaps.changes.len());
        assert_eq!((first, left), (Some(&(TRACKED as u64 / 10 + 1)), TRACKED - TRACKED / 10 + 1));
        assert!(flaps.changes.contains_key(&0) && flaps.changes.contains_key(&u64::MAX));
    }
}
