//! Instants and spans as integers of milliseconds.
//!
//! The engine never reads a clock: every instant in it came in as an argument. Calendar work
//! (zones, parsing, printing) happens at the edges through jiff.

use std::fmt;
use std::ops::{Add, Sub};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant: milliseconds since the Unix epoch, UTC. RFC 3339 in JSON, the number in snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// A length of time in milliseconds; negative only as the difference of two instants. Compact text
/// such as `1h30m` in JSON, the number in snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(pub i64);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.to_rfc3339().serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Timestamp);
        }
        let text = String::deserialize(deserializer)?;
        let parsed = Timestamp::parse(&text, &jiff::tz::TimeZone::UTC).or_else(|| text.parse().ok().map(Timestamp));
        parsed.ok_or_else(|| D::Error::custom(format!("`{text}` is not a time of RFC 3339")))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.to_string().serialize(serializer)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Span);
        }
        let text = String::deserialize(deserializer)?;
        let (sign, length) = text.strip_prefix('-').map_or((1, text.as_str()), |length| (-1, length));
        Span::parse(length).map(|span| Span(sign * span.0)).map_err(D::Error::custom)
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// A span of whole seconds.
    pub const fn seconds(seconds: i64) -> Span {
        Span(seconds * 1_000)
    }

    /// A span of whole minutes.
    pub const fn minutes(minutes: i64) -> Span {
        Span(minutes * 60_000)
    }

    /// A span of whole hours.
    pub const fn hours(hours: i64) -> Span {
        Span(hours * 3_600_000)
    }

    /// A span of days of 24 hours.
    pub const fn days(days: i64) -> Span {
        Span(days * 86_400_000)
    }

    /// The length in milliseconds, as the unit of every duration metric.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64
    }

    /// The same length for the timers of the shell; negative spans are zero there.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.max(0) as u64)
    }
}

impl Timestamp {
    /// The earliest instant; the engine's clock before the first event.
    pub const MIN: Timestamp = Timestamp(i64::MIN / 4);

    /// RFC 3339 in UTC with milliseconds, e.g. `2026-11-20T09:15:00.000Z`.
    ///
    /// Instants outside the calendar (years -9999 to 9999) print as their number of milliseconds.
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => format!("{t:.3}"),
            Err(_) => self.0.to_string(),
        }
    }

    /// Reads RFC 3339, or a civil time without a zone as standing in `zone`.
    ///
    /// Returns `None` for text that is neither. A civil time inside a DST fold takes the earlier
    /// offset, one inside a gap moves forward, as RFC 5545 has it.
    pub fn parse(text: &str, zone: &jiff::tz::TimeZone) -> Option<Timestamp> {
        if let Ok(t) = text.parse::<jiff::Timestamp>() {
            return Some(Timestamp(t.as_millisecond()));
        }
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        let zoned = zone.to_ambiguous_zoned(civil).compatible().ok()?;
        Some(Timestamp(zoned.timestamp().as_millisecond()))
    }

    /// The time since `earlier`; negative when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl fmt::Display for Span {
    /// Compact and exact: `90d`, `1h30m`, `15s`, `250ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.0.unsigned_abs();
        for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            let count = rest / length;
            rest %= length;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Span {
    /// Reads `15s`, `5 minutes`, `1h30m`, `90d`, `2 weeks`, `500ms`, `1.5 h`.
    ///
    /// Days have 24 hours and weeks 7 days; months and years are refused because their length is
    /// not fixed. The error says what was expected.
    pub fn parse(text: &str) -> Result<Span, String> {
        const EXPECTED: &str = "expected a duration such as 30s, 5 minutes, 1h30m or 90d";
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(EXPECTED.to_owned());
        }
        let mut total = 0f64;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
                .ok_or_else(|| format!("`{text}` has no unit: {EXPECTED}"))?;
            let number: f64 = rest[..digits]
                .replace('_', "")
                .parse()
                .map_err(|_| format!("`{text}` is not a duration: {EXPECTED}"))?;
            rest = rest[digits..].trim_start();
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let unit = unit_millis(&rest[..letters]).ok_or_else(|| match &rest[..letters] {
                "" => format!("`{text}` has no unit: {EXPECTED}"),
                unit => format!("`{unit}` is not a unit of time: {EXPECTED}"),
            })?;
            total += number * unit;
            rest = rest[letters..].trim_start_matches([' ', ',']);
        }
        if total > 3_660.0 * 86_400_000.0 {
            return Err(format!("`{text}` is longer than the limit of 3660d"));
        }
        Ok(Span(total.round() as i64))
    }
}

/// Milliseconds in one of the unit; `None` for a word that is no unit of fixed length.
pub fn unit_millis(unit: &str) -> Option<f64> {
    Some(match unit {
        "ms" | "msec" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        "w" | "week" | "weeks" => 604_800_000.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_parse_and_print() {
        for (text, millis, printed) in [
            ("15s", 15_000, "15s"),
            ("5 minutes", 300_000, "5m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("1 hour 30 min", 5_400_000, "1h30m"),
            ("90d", 7_776_000_000, "90d"),
            ("2 weeks", 1_209_600_000, "14d"),
            ("500ms", 500, "500ms"),
            ("1.5s", 1_500, "1s500ms"),
            ("0s", 0, "0s"),
        ] {
            let span = Span::parse(text).expect(text);
            assert_eq!(span, Span(millis), "{text}");
            assert_eq!(span.to_string(), printed);
            assert_eq!(Span::parse(printed), Ok(span));
        }
        for text in ["", "5", "five minutes", "3 months", "-5s", "1e9d", "99999d"] {
            assert!(Span::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_text_in_json_and_numbers_in_snapshots() {
        let stamps = [
            (Timestamp(1_763_116_245_123), "\"2025-11-14T10:30:45.123Z\""),
            (Timestamp::MIN, "\"-2305843009213693952\""),
        ];
        for (stamp, text) in stamps {
            assert_eq!(serde_json::to_string(&stamp).expect("serialises"), text);
            assert_eq!(serde_json::from_str::<Timestamp>(text).expect(text), stamp);
            assert_eq!(postcard::from_bytes::<Timestamp>(&postcard::to_stdvec(&stamp).expect("serialises")), Ok(stamp));
        }
        for (span, text) in [(Span(5_400_250), "\"1h30m250ms\""), (Span(-90_000), "\"-1m30s\""), (Span::ZERO, "\"0s\"")]
        {
            assert_eq!(serde_json::to_string(&span).expect("serialises"), text);
            assert_eq!(serde_json::from_str::<Span>(text).expect(text), span);
            assert_eq!(postcard::from_bytes::<Span>(&postcard::to_stdvec(&span).expect("serialises")), Ok(span));
        }
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
    }

    #[test]
    fn stamps_with_and_without_a_zone() {
        let utc = jiff::tz::TimeZone::UTC;
        let fixed = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
        let expected = Timestamp::parse("2025-11-14T10:30:45.123Z", &utc).expect("zoned");
        assert_eq!(Timestamp::parse("2025-11-14T10:30:45.123456", &utc), Some(expected));
        assert_eq!(Timestamp::parse("2025-11-14T12:30:45.123456", &fixed), Some(expected));
        assert_eq!(Timestamp::parse("2025-11-14T12:30:45.123+02:00", &utc), Some(expected));
        assert_eq!(expected.to_rfc3339(), "2025-11-14T10:30:45.123Z");
        assert_eq!(Timestamp::parse("yesterday", &utc), None);
    }
}
