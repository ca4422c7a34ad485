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
/// Rules on subjects whose changes are counted at a time; the quietest are forgotten first.
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
        if self.changes.len() >= TRACKED {
            self.changes.retain(|_, times| times.back().is_some_and(|last| now.since(*last) < WITHIN));
        }
        if self.changes.len() >= TRACKED && !self.changes.contains_key(&key) {
            return false;
        }
        let times = self.changes.entry(key).or_default();
        times.push_back(now);
        while times.len() > bound as usize + 1 {
            times.pop_front();
        }
        !before && self.held_until(now, key, bound).is_some()
    }

    /// While an alert is held: when it will have been steady for long enough, if it stays so.
    pub fn held_until(&self, now: Timestamp, key: u64, bound: u32) -> Option<Timestamp> {
        let times = self.changes.get(&key)?;
        let until = *times.front()? + WITHIN;
        (bound > 0 && times.len() > bound as usize && until > now).then_some(until)
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
}
