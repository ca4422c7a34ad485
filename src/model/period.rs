//! Periods that use is counted over: calendar ones in a zone, or windows that begin with the first use.

use jiff::tz::TimeZone;
use jiff::{Span as Days, Timestamp as Instant};

use super::{Span, Timestamp};

/// How long use adds up before it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// From whole hour to whole hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first of a month to the next.
    Month,
    /// This long from the first use on, as plans of providers count.
    Window(Span),
}

impl Period {
    /// The shortest window.
    pub const SHORTEST: Span = Span::minutes(1);
    /// The longest.
    pub const LONGEST: Span = Span::days(366);

    /// Reads a calendar word or a length of time.
    pub fn parse(text: &str) -> Option<Period> {
        Some(match text {
            "hour" => Period::Hour,
            "day" => Period::Day,
            "week" => Period::Week,
            "month" => Period::Month,
            _ => Period::Window(
                Span::parse(text).ok().filter(|span| (Period::SHORTEST..=Period::LONGEST).contains(span))?,
            ),
        })
    }

    /// Start and end of the period that `at` lies in; a window begins with `at`.
    pub fn bounds(self, at: Timestamp, zone: &TimeZone) -> (Timestamp, Timestamp) {
        const HOUR: i64 = 3_600_000;
        let hour = Timestamp(at.0.div_euclid(HOUR) * HOUR);
        if let Period::Window(span) = self {
            return (at, at + span);
        }
        // Instants beyond the calendar fall back on whole hours.
        self.calendar(at, zone).unwrap_or((hour, hour + Span(HOUR)))
    }

    fn calendar(self, at: Timestamp, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let day = Instant::from_millisecond(at.0).ok()?.to_zoned(zone.clone()).date();
        let (first, length) = match self {
            Period::Hour | Period::Window(_) => return None,
            Period::Day => (day, Days::new().days(1)),
            Period::Week => {
                let back = i64::from(day.weekday().to_monday_zero_offset());
                (day.checked_sub(Days::new().days(back)).ok()?, Days::new().days(7))
            }
            Period::Month => (day.first_of_month(), Days::new().months(1)),
        };
        let midnight =
            |day: jiff::civil::Date| Some(Timestamp(day.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()));
        Some((midnight(first)?, midnight(first.checked_add(length).ok()?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_follow_the_calendar_of_their_zone() {
        let at = |text: &str| Timestamp(text.parse::<Instant>().expect(text).as_millisecond());
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        // Sunday in Berlin, the day of the change to summer time: 23 hours long.
        let now = at("2026-03-29T12:00:00Z");
        for (period, from, to) in [
            ("hour", "2026-03-29T12:00:00Z", "2026-03-29T13:00:00Z"),
            ("day", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("week", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("month", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
            ("5h", "2026-03-29T12:00:00Z", "2026-03-29T17:00:00Z"),
        ] {
            let parsed = Period::parse(period).expect(period);
            assert_eq!(parsed.bounds(now, &berlin), (at(from), at(to)), "{period}");
        }
        for text in ["year", "", "1s", "500d"] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }
}
