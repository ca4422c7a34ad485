//! When rules look at a series again: at its next instant, at a record that uses its leeway up, or when a pause ended.

use super::{NEVER, Split};
use crate::engine::leeway::{Leeway, Room};
use crate::model::Timestamp;

impl Split {
    /// Lets the rules look at every series again, and learn how long each has paused.
    pub fn touch(&mut self) {
        (0..self.series.len()).for_each(|index| self.freshen(index));
        self.wakes.fill(Timestamp::MIN);
        self.calms.fill(Timestamp::MIN);
        if !self.series.is_empty() {
            self.wake = Timestamp::MIN;
        }
    }

    /// Lets the rules look at a series again.
    #[inline]
    pub(super) fn touch_one(&mut self, index: usize) {
        (self.wakes[index], self.calms[index]) = (Timestamp::MIN, Timestamp::MIN);
        self.wake = Timestamp::MIN;
    }

    /// Lets the rules that learn pauses learn that one ended.
    #[inline]
    pub(super) fn freshen(&mut self, index: usize) {
        if self.pauses && !std::mem::replace(&mut self.series[index].fresh, true) {
            self.fresh.push(index as u32);
            self.wake = Timestamp::MIN;
        }
    }

    /// The series that got an execution since this was last asked, if any rule learns pauses.
    pub fn take_fresh(&mut self) -> Vec<u32> {
        let fresh = std::mem::take(&mut self.fresh);
        fresh.iter().for_each(|index| self.series[*index as usize].fresh = false);
        fresh
    }

    /// Lets the time of a series run from another instant on; [`NEVER`] when it shall not run.
    pub fn run_from(&mut self, index: usize, since: Timestamp) {
        let series = &mut self.series[index];
        if series.total > 0 && series.last_seen == since {
            return;
        }
        (series.last_seen, series.total) = (since, series.total.max(1));
        self.touch_one(index);
        self.freshen(index);
    }

    /// Lets a series rest until an instant, or as long as rules without an alert on it have leeway; `busy` says that
    /// there are others, which want to see every record.
    pub fn rest(&mut self, index: usize, until: Timestamp, leeway: Leeway, busy: bool) {
        let wake = until.min(leeway.until);
        (self.wakes[index], self.calms[index]) = (wake, leeway.until);
        // Of what has no time nobody asks before the next record.
        let room = if wake == NEVER { Room::NONE } else { leeway.room };
        let series = &mut self.series[index];
        (series.room, series.busy) = (room, busy);
    }

    /// What is left of the leeway of the rules without an alert on a series; `None` when it is used up.
    pub fn calm(&self, index: usize, now: Timestamp) -> Option<Leeway> {
        let until = self.calms[index];
        (until > now).then_some(Leeway { until, room: self.series[index].room })
    }
}
