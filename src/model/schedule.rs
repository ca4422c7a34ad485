//! Moments that come back: every day, or some days of the week, at a time of a zone.
//!
//! A moment is a time on the wall of its zone: a clock change moves it as people expect. A time that a
//! change skips comes as much later as the change is long; one that it repeats comes once, the first time.

use jiff::tz::TimeZone;
use jiff::{Span as Days, Timestamp as Instant};

use super::Timestamp;
use super::hours::moment;

/// When something comes back.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// On which days, Monday first.
    pub days: [bool; 7],
    /// Minutes after midnight, less than a day.
    pub minute: i64,
    /// Whose clock it is.
    pub zone: TimeZone,
}

impl Schedule {
    /// The first moment after `at`.
    pub fn next(&self, at: Timestamp) -> Timestamp {
        // Beyond the calendar nothing comes back.
        let never = Timestamp(i64::MAX);
        let Ok(instant) = Instant::from_millisecond(at.0) else { return never };
        let today = instant.to_zoned(self.zone.clone()).date();
        let on = |offset: i64| {
            let day = today.checked_add(Days::new().days(offset)).ok()?;
            let wanted = self.days[day.weekday().to_monday_zero_offset() as usize];
            moment(day, self.minute, &self.zone).filter(|moment| wanted && *moment > at)
        };
        (-1..=8).filter_map(on).min().unwrap_or(never)
    }

    /// `2026-03-25 08:00` on the clock of the zone.
    pub fn clock(&self, at: Timestamp) -> String {
        match Instant::from_millisecond(at.0) {
            Ok(instant) => instant.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
            Err(_) => at.to_rfc3339(),
        }
    }

    /// Reads `08:00`.
    pub fn minute_of(text: &str) -> Option<i64> {
        let (hour, minute) = text.split_once(':')?;
        let digits = |part: &str| (part.len() == 2).then(|| part.parse::<u8>().ok()).flatten().map(i64::from);
        let (hour, minute) = (digits(hour)?, digits(minute)?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_stay_on_the_wall_over_clock_changes() {
        let at = |text: &str| Timestamp::parse(text, &TimeZone::UTC).expect(text);
        let berlin = || TimeZone::get("Europe/Berlin").expect("a zone");
        let daily = |minute| Schedule { days: [true; 7], minute, zone: berlin() };
        let mondays = Schedule { days: [true, false, false, false, false, false, false], minute: 480, zone: berlin() };
        for (schedule, from, moments) in [
            // 2026-03-29 is the day of the change to summer time, 2026-10-25 that of the change back.
            (
                &daily(480),
                "2026-03-27T07:00:00Z",
                ["2026-03-28T07:00:00Z", "2026-03-29T06:00:00Z", "2026-03-30T06:00:00Z"],
            ),
            (
                &daily(150),
                "2026-03-28T00:00:00Z",
                ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"],
            ),
            (
                &daily(150),
                "2026-10-24T12:00:00Z",
                ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"],
            ),
            (
                &mondays,
                "2026-10-19T05:59:59Z",
                ["2026-10-19T06:00:00Z", "2026-10-26T07:00:00Z", "2026-11-02T07:00:00Z"],
            ),
        ] {
            let mut now = at(from);
            for moment in moments {
                now = schedule.next(now);
                assert_eq!(now, at(moment), "after {from}");
            }
        }
        assert_eq!(daily(480).clock(at("2026-03-29T06:00:00Z")), "2026-03-29 08:00");
        assert_eq!(daily(480).next(Timestamp(i64::MAX - 1)), Timestamp(i64::MAX));
    }

    #[test]
    fn times_of_day_are_read() {
        for (text, expected) in [
            ("08:00", Some(480)),
            ("23:59", Some(1_439)),
            ("00:00", Some(0)),
            ("24:00", None),
            ("8:00", None),
            ("x", None),
        ] {
            assert_eq!(Schedule::minute_of(text), expected, "{text}");
        }
    }
}
