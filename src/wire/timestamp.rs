//! Times as sources write them: text with or without a zone, or a number since the Unix epoch.
//!
//! Nearly every line carries its time in one of a few shapes of ISO 8601, so those are read by hand;
//! whatever is not exactly of that shape goes to jiff, which knows the calendar and its folds. The
//! short way never answers what the long way would answer differently; a test holds them together.

use jiff::tz::TimeZone;

use crate::model::Timestamp;

/// The zone of times that carry none.
#[derive(Debug, Clone)]
pub struct Zone {
    zone: TimeZone,
    /// Seconds east of UTC, where that never changes.
    fixed: Option<i64>,
}

impl Zone {
    /// The zone of an IANA name such as `Europe/Berlin`; `None` when the zone database lacks it.
    pub fn named(name: &str) -> Option<Zone> {
        let zone = if name == "UTC" { TimeZone::UTC } else { TimeZone::get(name).ok()? };
        let fixed = zone.to_fixed_offset().ok().map(|offset| i64::from(offset.seconds()));
        Some(Zone { zone, fixed })
    }

    /// Reads RFC 3339 or a civil time (see [`Timestamp::parse`]), else digits as [`from_epoch`].
    pub fn parse(&self, text: &str) -> Option<Timestamp> {
        self.parse_usual(text.as_bytes())
            .or_else(|| Timestamp::parse(text, &self.zone))
            .or_else(|| from_epoch(text.parse().ok()?))
    }

    /// `YYYY-MM-DD[T ]hh:mm:ss[.f+][Z|±hh:mm]` from 1970 on; `None` for all else.
    fn parse_usual(&self, text: &[u8]) -> Option<Timestamp> {
        let (head, tail) = text.split_at_checked(19)?;
        let marks = (head[4], head[7], head[10], head[13], head[16]);
        if !matches!(marks, (b'-', b'-', b'T' | b' ', b':', b':')) {
            return None;
        }
        let two = |at: usize| digits(&head[at..at + 2]);
        let (year, month, day) = (digits(&head[..4])?, two(5)?, two(8)?);
        let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
        if year < 1970 || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        if day < 1 || day > days_of_month(year, month) {
            return None;
        }
        let (millis, zone) = fraction(tail)?;
        let offset = match zone {
            [] => self.fixed?,
            [b'Z'] => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
                let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let seconds = hours * 3_600 + minutes * 60;
                if *sign == b'-' { -seconds } else { seconds }
            }
            _ => return None,
        };
        let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
        // Before 1970 rounding to milliseconds goes the other way.
        (seconds >= 0).then_some(Timestamp(seconds * 1_000 + millis))
    }
}

/// A number since the Unix epoch in seconds, milliseconds, microseconds or nanoseconds, told apart by
/// size: each is taken for the unit that puts it between 1973 and 5138. Zero and less are no times.
pub fn from_epoch(number: f64) -> Option<Timestamp> {
    let millis = match number {
        n if !(n.is_finite() && n > 0.0) => return None,
        n if n < 1e11 => n * 1e3,
        n if n < 1e14 => n,
        n if n < 1e17 => n / 1e3,
        n if n < 1e20 => n / 1e6,
        _ => return None,
    };
    Some(Timestamp(millis.round() as i64))
}

/// The whole milliseconds of `.123456` and what follows it.
fn fraction(tail: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', after)) = tail.split_first() else { return Some((0, tail)) };
    let length = after.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=9).contains(&length) {
        return None;
    }
    let kept = &after[..length.min(3)];
    let scale = [100, 10, 1][kept.len() - 1];
    Some((digits(kept)? * scale, &after[length..]))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar: years begin in March, so that the leap
/// day is their last (the `days_from_civil` of Hinnant's "chrono-Compatible Low-Level Date Algorithms").
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rfc3339(zone: &str, text: &str) -> Option<String> {
        Zone::named(zone).expect(zone).parse(text).map(Timestamp::to_rfc3339)
    }

    #[test]
    fn every_shape_has_its_instant() {
        for (zone, text, expected) in [
            ("UTC", "2025-11-14T10:30:45.123456", Some("2025-11-14T10:30:45.123Z")),
            ("UTC", "2025-11-14 10:30:45", Some("2025-11-14T10:30:45.000Z")),
            ("UTC", "2025-11-14T10:30:45.5Z", Some("2025-11-14T10:30:45.500Z")),
            ("UTC", "2023-07-15T22:12:59.703000+00:00", Some("2023-07-15T22:12:59.703Z")),
            ("Europe/Berlin", "2025-11-14T10:30:45", Some("2025-11-14T09:30:45.000Z")),
            ("Europe/Berlin", "2025-11-14T10:30:45Z", Some("2025-11-14T10:30:45.000Z")),
            // Read twice on the day the clocks go back; the earlier offset is taken.
            ("Europe/Berlin", "2025-10-26T02:30:00", Some("2025-10-26T00:30:00.000Z")),
            // Never shown on the day they go forward; moved on by the gap.
            ("Europe/Berlin", "2025-03-30T02:30:00", Some("2025-03-30T01:30:00.000Z")),
            ("Etc/GMT-2", "2025-11-14T10:30:45", Some("2025-11-14T08:30:45.000Z")),
            ("UTC", "2025-11-14T10:30:45-05:30", Some("2025-11-14T16:00:45.000Z")),
            ("UTC", "2024-02-29T00:00:00Z", Some("2024-02-29T00:00:00.000Z")),
            ("UTC", "2025-02-29T00:00:00Z", None),
            ("UTC", "2025-13-01T00:00:00Z", None),
            ("UTC", "1731580245", Some("2024-11-14T10:30:45.000Z")),
            ("UTC", "1731580245.25", Some("2024-11-14T10:30:45.250Z")),
            ("UTC", "yesterday", None),
            ("UTC", "", None),
            ("UTC", "NaN", None),
        ] {
            assert_eq!(rfc3339(zone, text).as_deref(), expected, "{text} in {zone}");
        }
        assert!(Zone::named("Mars/Olympus").is_none());
    }

    #[test]
    fn numbers_are_told_apart_by_size() {
        for number in [1_731_580_245.0, 1_731_580_245e3, 1_731_580_245e6, 1_731_580_245e9] {
            assert_eq!(from_epoch(number), Some(Timestamp(1_731_580_245_000)), "{number}");
        }
        for number in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e20] {
            assert_eq!(from_epoch(number), None, "{number}");
        }
    }

    proptest! {
        #[test]
        fn the_short_way_answers_as_the_calendar_does(
            (year, month, day) in (1970i64..2100, 1i64..13, 1i64..32),
            (hour, minute, second) in (0i64..24, 0i64..60, 0i64..60),
            fraction in "(\\.[0-9]{1,9})?",
            zone in "(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?",
        ) {
            let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}");
            let utc = Zone::named("UTC").expect("UTC");
            let short = utc.parse_usual(text.as_bytes());
            let long = Timestamp::parse(&text, &TimeZone::UTC);
            prop_assert!(short == long || short.is_none() && long.is_none_or(|t| t.0 < 0), "{text}: {short:?} {long:?}");
        }

        #[test]
        fn any_text_is_an_instant_or_none(text in "\\PC{0,40}") {
            let _ = Zone::named("Europe/Berlin").expect("zone").parse(&text);
        }
    }
}
