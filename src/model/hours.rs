//! Stretches of time that a person names: `mon-fri 09:00-18:00 Europe/Berlin`, or a start and an end.
//!
//! Owns the text form and the calendar behind it; says nothing of what happens inside or outside.
//! Every day's stretch is turned into instants in its zone, so a clock change moves it as people
//! expect: nine o'clock stays nine o'clock.

use std::fmt;
use std::ops::RangeInclusive;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span as Days, Timestamp as Instant};

use super::{Span, Timestamp};

/// The words of the days, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES: i64 = 24 * 60;
const EXPECTED: &str =
    "expected such as `mon-fri 09:00-18:00 Europe/Berlin`, `sat,sun`, or `2026-12-24T18:00:00Z/2026-12-27T08:00:00Z`";

/// Hours of the week in a zone, or one stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    text: String,
    shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// Days, and from when to when on each, in minutes of the day; an end at or before the begin lies in the next day.
    Weekly {
        days: [bool; 7],
        times: Vec<(i64, i64)>,
        zone: TimeZone,
    },
    Once {
        from: Timestamp,
        to: Timestamp,
    },
}

impl Hours {
    /// Reads the text form: days, then hours, then an IANA zone (UTC by default), each of which may
    /// be left out but not all; or `START/END` in RFC 3339.
    pub fn parse(text: &str) -> Result<Hours, String> {
        let shape = match text.split_once("Z/").map(|(from, to)| (format!("{from}Z"), to.to_owned())) {
            Some((from, to)) => once(&from, &to)?,
            None if text.contains('T')
                && text.matches('/').count() == 1
                && text.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                let (from, to) = text.split_once('/').unwrap_or_default();
                once(from, to)?
            }
            None => weekly(text)?,
        };
        Ok(Hours { text: text.to_owned(), shape })
    }

    /// Hours of the week from their parts, of which the absent ones are every day, the whole day; written as one would.
    pub fn weekly(days: Option<[bool; 7]>, times: Vec<(i64, i64)>, zone: TimeZone) -> Hours {
        let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        let ranges: Vec<String> = times.iter().map(|(from, to)| format!("{}-{}", clock(*from), clock(*to))).collect();
        let zone_name = zone.iana_name().unwrap_or("UTC").to_owned();
        let all = days.filter(|days| *days != [true; 7] || ranges.is_empty());
        let words = [all.map(words_of).unwrap_or_default(), ranges.join(","), zone_name];
        let text = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let times = if times.is_empty() { vec![(0, MINUTES)] } else { times };
        Hours { text, shape: Shape::Weekly { days: days.unwrap_or([true; 7]), times, zone } }
    }

    /// Whether they come again every week.
    pub fn is_weekly(&self) -> bool {
        matches!(self.shape, Shape::Weekly { .. })
    }

    /// Whether `at` lies within.
    pub fn contains(&self, at: Timestamp) -> bool {
        // No stretch is longer than a day.
        self.stretches(at, -1..=0).iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    /// When this stops (inside) or begins (outside), if it ever does after `at`.
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        let stretches = self.stretches(at, -1..=9);
        // What has no gap within a week has none.
        let gap = self.is_weekly().then_some(at + Span::days(8));
        let mut end = at;
        for (from, to) in &stretches {
            if *from <= end && *to > end {
                end = *to;
            }
        }
        if end > at {
            return Some(end).filter(|end| gap.is_none_or(|gap| *end < gap));
        }
        stretches.iter().map(|(from, _)| *from).find(|from| *from > at)
    }

    /// The stretches that begin on the days from this one, counted from that of `at`, in their order.
    fn stretches(&self, at: Timestamp, offsets: RangeInclusive<i64>) -> Vec<(Timestamp, Timestamp)> {
        let (days, times, zone) = match &self.shape {
            Shape::Once { from, to } => return vec![(*from, *to)],
            Shape::Weekly { days, times, zone } => (days, times, zone),
        };
        let Ok(instant) = Instant::from_millisecond(at.0) else { return Vec::new() };
        let today = instant.to_zoned(zone.clone()).date();
        let day = |offset: i64| {
            let day = today.checked_add(Days::new().days(offset)).ok()?;
            days[day.weekday().to_monday_zero_offset() as usize].then_some(day)
        };
        let stretch = |day: Date, (from, to): (i64, i64)| {
            let length = if to > from { to - from } else { to + MINUTES - from };
            Some((moment(day, from, zone)?, moment(day, from + length, zone)?))
        };
        let of = |day: Date| times.iter().filter_map(move |range| stretch(day, *range));
        let mut stretches: Vec<_> = offsets.filter_map(day).flat_map(of).collect();
        stretches.sort();
        stretches
    }
}

/// Whether any of several holds at `at`.
pub fn within(hours: &[Hours], at: Timestamp) -> bool {
    hours.iter().any(|hours| hours.contains(at))
}

/// The next instant at which [`within`] could change.
pub fn next_change(hours: &[Hours], at: Timestamp) -> Option<Timestamp> {
    hours.iter().filter_map(|hours| hours.next_change(at)).min()
}

/// The first instant after `at` at which something is so that hangs on these hours; `None` if there is none, as far
/// ahead as it is looked for: a year of daily hours.
pub fn first(hours: [&[Hours]; 2], at: Timestamp, is_so: impl Fn(Timestamp) -> bool) -> Option<Timestamp> {
    let step = |at: &Timestamp| hours.into_iter().filter_map(|hours| next_change(hours, *at)).min();
    std::iter::successors(step(&at), step).take(1_000).find(|at| is_so(*at))
}

/// Several as one text.
pub fn shown(hours: &[Hours]) -> String {
    hours.iter().map(Hours::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The instant at a minute counted from the begin of a day; `None` outside the calendar.
pub(super) fn moment(day: Date, minute: i64, zone: &TimeZone) -> Option<Timestamp> {
    let day = day.checked_add(Days::new().days(minute.div_euclid(MINUTES))).ok()?;
    let minute = minute.rem_euclid(MINUTES);
    let time = day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
    Some(Timestamp(zone.to_ambiguous_timestamp(time).compatible().ok()?.as_millisecond()))
}

fn once(from: &str, to: &str) -> Result<Shape, String> {
    let read = |text: &str| Timestamp::parse(text, &TimeZone::UTC).ok_or(format!("`{text}` is not a time of RFC 3339"));
    let (from, to) = (read(from)?, read(to)?);
    if to <= from { Err(format!("it ends at {to} before it begins")) } else { Ok(Shape::Once { from, to }) }
}

fn weekly(text: &str) -> Result<Shape, String> {
    let (mut days, mut hours, mut zone) = (None, None, None);
    for word in text.split_whitespace() {
        let digits = word.starts_with(|c: char| c.is_ascii_digit());
        if digits && hours.is_none() && zone.is_none() {
            hours = Some(word.split(',').map(clock_range).collect::<Result<Vec<_>, _>>()?);
        } else if days.is_none() && hours.is_none() && zone.is_none() && is_day(&word.to_lowercase()) {
            days = Some(self::days(&word.to_lowercase())?);
        } else if zone.is_none() && !digits {
            zone = Some(
                TimeZone::get(word).map_err(|_| format!("`{word}` is neither a day nor a time zone: {EXPECTED}"))?,
            );
        } else {
            return Err(format!("`{word}` stands where it means nothing: {EXPECTED}"));
        }
    }
    if days.is_none() && hours.is_none() {
        return Err(format!("neither days nor hours are there: {EXPECTED}"));
    }
    let times = hours.unwrap_or(vec![(0, MINUTES)]);
    Ok(Shape::Weekly { days: days.unwrap_or([true; 7]), times, zone: zone.unwrap_or(TimeZone::UTC) })
}

fn is_day(word: &str) -> bool {
    word.split([',', '-']).next().is_some_and(|first| day(first).is_some())
}

/// The index of a day, which may be written out.
fn day(word: &str) -> Option<usize> {
    let full = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    DAYS.iter().position(|d| *d == word).or_else(|| full.iter().position(|d| *d == word))
}

/// Reads days such as `mon-fri` or `sat,sun`, Monday first.
pub fn days(text: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    let read = |word: &str| day(word).ok_or(format!("`{word}` is not a day: write one of {}", DAYS.join(", ")));
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (read(first)?, read(last)?);
        for offset in 0..=(last + 7 - first) % 7 {
            days[(first + offset) % 7] = true;
        }
    }
    Ok(days)
}

/// `mon-fri,sun`: runs of days, as people write them.
fn words_of(days: [bool; 7]) -> String {
    let mut words = Vec::new();
    let mut first = 0;
    while let Some(begin) = (first..DAYS.len()).find(|day| days[*day]) {
        let end = (begin..DAYS.len()).take_while(|day| days[*day]).last().unwrap_or(begin);
        words.push(if end == begin { DAYS[begin].to_owned() } else { format!("{}-{}", DAYS[begin], DAYS[end]) });
        first = end + 1;
    }
    words.join(",")
}

/// `09:00-18:00` in minutes; the end may be `24:00`.
pub fn clock_range(text: &str) -> Result<(i64, i64), String> {
    let fault = || format!("`{text}` is not a range of hours such as 09:00-18:00");
    let (from, to) = text.split_once('-').ok_or_else(fault)?;
    let minutes = |clock: &str| -> Option<i64> {
        let (hour, minute) = clock.trim().split_once(':')?;
        let (hour, minute) = (hour.parse::<u8>().ok()?, minute.parse::<u8>().ok()?);
        let whole = i64::from(hour) * 60 + i64::from(minute);
        (minute < 60 && whole <= MINUTES).then_some(whole)
    };
    match (minutes(from), minutes(to)) {
        (Some(from), Some(to)) if from == to => {
            Err(format!("`{text}` ends when it begins: `00:00-24:00` is the whole day"))
        }
        (Some(from), Some(to)) if from < MINUTES => Ok((from, to)),
        _ => Err(fault()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text, &TimeZone::UTC).expect("a time")
    }

    #[test]
    fn hours_are_of_their_zone_and_may_pass_midnight() {
        for (hours, instant, inside, change) in [
            ("mon-fri 09:00-18:00", "2026-11-25T08:59:59Z", false, Some("2026-11-25T09:00:00Z")),
            ("mon-fri 09:00-18:00", "2026-11-25T09:00:00Z", true, Some("2026-11-25T18:00:00Z")),
            ("mon-fri 09:00-18:00", "2026-11-27T18:00:00Z", false, Some("2026-11-30T09:00:00Z")),
            ("mon-fri 09:00-18:00 Europe/Berlin", "2026-11-25T08:00:00Z", true, Some("2026-11-25T17:00:00Z")),
            ("09:00-18:00 Europe/Berlin", "2026-07-01T07:00:00Z", true, Some("2026-07-01T16:00:00Z")),
            ("fri 22:00-06:00", "2026-11-28T05:59:00Z", true, Some("2026-11-28T06:00:00Z")),
            ("sat,sun", "2026-11-28T12:00:00Z", true, Some("2026-11-30T00:00:00Z")),
            ("mon 13:00-17:30,08:00-12:00", "2026-11-30T12:30:00Z", false, Some("2026-11-30T13:00:00Z")),
            ("mon 13:00-17:30,08:00-13:00", "2026-11-30T08:00:00Z", true, Some("2026-11-30T17:30:00Z")),
            ("sat-mon 00:00-24:00", "2026-11-27T12:00:00Z", false, Some("2026-11-28T00:00:00Z")),
            ("mon-sun", "2026-11-28T12:00:00Z", true, None),
            ("06:00-18:00,18:00-06:00 Europe/Berlin", "2026-03-28T12:00:00Z", true, None),
            ("mon-sun 00:00-23:59", "2026-11-28T12:00:00Z", true, Some("2026-11-28T23:59:00Z")),
            ("2026-12-24T18:00:00Z/2026-12-27T08:00:00Z", "2026-12-25T00:00:00Z", true, Some("2026-12-27T08:00:00Z")),
            ("2026-12-24T18:00:00Z/2027-12-27T08:00:00Z", "2026-12-25T00:00:00Z", true, Some("2027-12-27T08:00:00Z")),
            ("2026-12-24T18:00:00+01:00/2026-12-27T08:00:00+01:00", "2026-12-28T00:00:00Z", false, None),
        ] {
            let hours = Hours::parse(hours).expect(hours);
            assert_eq!(hours.contains(at(instant)), inside, "{hours} {instant}");
            assert_eq!(hours.next_change(at(instant)), change.map(at), "{hours} {instant}");
        }
    }

    #[test]
    fn hours_of_parts_are_written_as_one_would_and_read_again() {
        let berlin = TimeZone::get("Europe/Berlin").expect("known");
        for (days, times, expected) in [
            (Some(days("sun,mon,sat").expect("days")), vec![], "mon,sat-sun Europe/Berlin"),
            (Some([true; 7]), vec![(1_320, 360)], "22:00-06:00 Europe/Berlin"),
            (Some([true; 7]), vec![], "mon-sun Europe/Berlin"),
            (None, vec![(480, 720), (780, 1_440)], "08:00-12:00,13:00-24:00 Europe/Berlin"),
        ] {
            let hours = Hours::weekly(days, times, berlin.clone());
            assert_eq!(hours.to_string(), expected);
            assert_eq!(Hours::parse(expected), Ok(hours));
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "",
            "UTC",
            "mon-fry",
            "25:00-26:00",
            "09:00",
            "mon 9-18",
            "mon 09:00-17:00 Mars/Base",
            "09:00-09:00",
            "24:00-06:00",
            "09:00-10:00,",
            "mon 09:00-10:00 11:00-12:00",
            "2026-12-24T18:00:00Z/2026-12-23T18:00:00Z",
        ] {
            assert!(Hours::parse(text).is_err(), "{text}");
        }
    }
}
