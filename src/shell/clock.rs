//! The time that the engine is told: the wall clock or the clock of the records.
//!
//! Neither ever runs back: a wall clock that is set back stands still until it has caught up. That
//! is not for comfort. Deadlines are not journalled (see [`super::journal`]), so an event must never be
//! written with a time before a deadline that was already handled; else a restart would decide otherwise.
//!
//! The records' clock is for recordings and demonstrations: it stands at the newest record and goes on
//! at normal speed from there, and newer records push it forward.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::{Span, Timestamp};
use crate::settings::Clock as Kind;

/// How far the wall clock may be set back without a word: what time synchronisation does in steps.
const TOLERANCE: Span = Span::seconds(5);

/// What the engine is told; see the head of this file.
#[derive(Debug)]
pub struct Clock {
    kind: Kind,
    last: Timestamp,
    /// Records' clock: what it showed, and the moment it showed it.
    anchor: Option<(Timestamp, Instant)>,
}

/// The wall clock, in milliseconds; times before 1970 are 1970.
pub fn wall() -> Timestamp {
    Timestamp(i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX / 4))
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Clock {
    /// A clock that never shows less than `last`, the time of the last event before a restart.
    pub fn new(kind: Kind, last: Timestamp) -> Clock {
        let anchor = (kind == Kind::Records && last > Timestamp::MIN).then(|| (last, Instant::now()));
        Clock { kind, last, anchor }
    }

    /// Obeys another setting from now on, without running back.
    pub fn switch(&mut self, kind: Kind) {
        if kind != self.kind {
            *self = Clock::new(kind, self.last);
        }
    }

    /// What the clock shows. The records' clock shows [`Timestamp::MIN`] before the first record.
    pub fn now(&mut self) -> Timestamp {
        self.at(wall(), Instant::now())
    }

    fn at(&mut self, wall: Timestamp, instant: Instant) -> Timestamp {
        let shown = match (self.kind, self.anchor) {
            (Kind::Wall, _) => wall,
            (Kind::Records, None) => self.last,
            (Kind::Records, Some((time, since))) => {
                time + Span(instant.saturating_duration_since(since).as_millis() as i64)
            }
        };
        self.last = self.last.max(shown);
        self.last
    }

    /// Says that events up to `time` were handled. Moves the clock forward, never back; the records' clock
    /// goes on from there.
    pub fn advance(&mut self, time: Timestamp) {
        if time >= self.last {
            self.last = time;
            self.anchor = Some((time, Instant::now()));
        }
    }

    /// What the clock shows and what the wall clock does, when it stands still because that was ahead once and was set
    /// back by more than [`TOLERANCE`].
    pub fn behind(&self) -> Option<(Timestamp, Timestamp)> {
        self.behind_at(wall())
    }

    fn behind_at(&self, wall: Timestamp) -> Option<(Timestamp, Timestamp)> {
        (self.kind == Kind::Wall && self.last.since(wall) > TOLERANCE).then_some((self.last, wall))
    }

    /// How long to sleep until the clock shows `deadline`; zero when it already does, `None` when the
    /// records' clock has not started.
    pub fn until(&mut self, deadline: Timestamp) -> Option<Duration> {
        let now = self.now();
        // The clock shows whole milliseconds, and part of this one is over.
        let begun = match self.kind {
            Kind::Wall if now == wall() => Duration::from_nanos(u64::from(since_1970().subsec_nanos() % 1_000_000)),
            _ => Duration::ZERO,
        };
        (now > Timestamp::MIN).then(|| deadline.since(now).to_std().saturating_sub(begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_stands_still_rather_than_run_back() {
        let mut clock = Clock::new(Kind::Wall, Timestamp(1_000));
        let instant = Instant::now();
        assert_eq!(clock.behind_at(Timestamp(-4_000)), None);
        assert_eq!(clock.behind_at(Timestamp(-4_001)), Some((Timestamp(1_000), Timestamp(-4_001))));
        for (wall, shown) in [(900, 1_000), (1_100, 1_100), (1_050, 1_100), (1_101, 1_101)] {
            assert_eq!(clock.at(Timestamp(wall), instant), Timestamp(shown));
        }
    }

    #[test]
    fn the_records_clock_goes_on_from_the_newest_record() {
        let mut clock = Clock::new(Kind::Records, Timestamp::MIN);
        let start = Instant::now();
        assert_eq!(clock.at(Timestamp(99), start), Timestamp::MIN);
        assert_eq!(clock.until(Timestamp(0)), None);
        clock.advance(Timestamp(5_000));
        let (_, anchor) = clock.anchor.expect("set");
        assert_eq!(clock.at(Timestamp(99), anchor), Timestamp(5_000));
        assert_eq!(clock.at(Timestamp(99), anchor + Duration::from_secs(2)), Timestamp(7_000));
        clock.advance(Timestamp(6_000));
        assert_eq!(clock.at(Timestamp(99), anchor + Duration::from_secs(3)), Timestamp(8_000), "an older record");
        clock.advance(Timestamp(60_000));
        let (_, anchor) = clock.anchor.expect("set");
        assert_eq!(clock.at(Timestamp(99), anchor), Timestamp(60_000), "a newer record");
    }

    #[test]
    fn a_restart_goes_on_from_the_last_event() {
        let mut clock = Clock::new(Kind::Records, Timestamp(7_000));
        assert!(clock.now() >= Timestamp(7_000));
        clock.switch(Kind::Wall);
        assert!(clock.now() > Timestamp(1_700_000_000_000));
    }
}
