//! `active_hours`: when an alert may be told.
//!
//! The zone's rules are looked up when the file is checked, so that the engine asks a value and no
//! database. Times are those on the wall, so a day of a clock change is an hour shorter or longer.

use std::fmt;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use crate::model::Timestamp;
use crate::wire::fields::{Faults, Fields, Spanned};

/// Days of the week and times of the day in one zone.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveHours {
    /// Whose wall clock it is.
    pub zone: TimeZone,
    /// The days on which a span may begin.
    pub days: Vec<Weekday>,
    /// From and until; one that ends before it begins reaches into the next day.
    pub times: Vec<(Time, Time)>,
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl fmt::Display for ActiveHours {
    /// `mon-fri 08:00-18:00 Europe/Berlin`; every day is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = DAYS.map(|(_, day)| self.days.contains(&day));
        let mut words = Vec::new();
        let mut first = 0;
        // Runs of days, as people write them.
        while let Some(begin) = (first..DAYS.len()).find(|day| on[*day]) {
            let end = (begin..DAYS.len()).take_while(|day| on[*day]).last().unwrap_or(begin);
            words.push(match end - begin {
                0 => DAYS[begin].0.to_owned(),
                _ => format!("{}-{}", DAYS[begin].0, DAYS[end].0),
            });
            first = end + 1;
        }
        if words != ["mon-sun"] {
            write!(f, "{} ", words.join(","))?;
        }
        if self.times == [(Time::midnight(), Time::midnight())] {
            return f.write_str(self.zone.iana_name().unwrap_or("UTC"));
        }
        let clock = |time: &Time| format!("{:02}:{:02}", time.hour(), time.minute());
        let times: Vec<String> = self.times.iter().map(|(from, to)| format!("{}-{}", clock(from), clock(to))).collect();
        write!(f, "{} {}", times.join(","), self.zone.iana_name().unwrap_or("UTC"))
    }
}

impl ActiveHours {
    /// Reads the mapping; every fault goes to `faults`.
    pub(super) fn read(fields: &Fields<'_>, faults: &Faults<'_>) -> Option<ActiveHours> {
        let zone = fields.zone();
        let mut days = Vec::new();
        for word in fields.texts("days").unwrap_or_default() {
            match days_of(&word.value) {
                Some(found) => days.extend(found),
                None => {
                    let message = format!("`{}` is no day of the week", word.value);
                    faults.error(word.bytes, message, "write `mon`, or a range such as `mon-fri`");
                }
            }
        }
        let mut times = Vec::new();
        for word in fields.texts("times").unwrap_or_default() {
            times.extend(span_of(&word, faults));
        }
        if days.is_empty() {
            days = DAYS.map(|(_, day)| day).to_vec();
        }
        if times.is_empty() {
            times.push((Time::midnight(), Time::midnight()));
        }
        zone.map(|zone| ActiveHours { zone, days, times })
    }

    /// Whether alerts may be told now.
    pub fn contain(&self, now: Timestamp) -> bool {
        let Ok(at) = jiff::Timestamp::from_millisecond(now.0) else { return true };
        let at = at.to_zoned(self.zone.clone());
        let (time, today) = (at.time(), at.weekday());
        let on = |day| self.days.contains(&day);
        self.times.iter().any(|(from, until)| match from < until {
            true => on(today) && *from <= time && time < *until,
            false => (on(today) && time >= *from) || (on(today.previous()) && time < *until),
        })
    }

    /// When alerts may be told next, looking from an instant at which they may not.
    pub fn opens_after(&self, now: Timestamp) -> Option<Timestamp> {
        let at = jiff::Timestamp::from_millisecond(now.0).ok()?.to_zoned(self.zone.clone());
        let mut day = at.date();
        for _ in 0..8 {
            if self.days.contains(&day.weekday()) {
                let starts = self.times.iter().filter_map(|(from, _)| {
                    let start = day.to_datetime(*from).to_zoned(self.zone.clone()).ok()?;
                    Some(Timestamp(start.timestamp().as_millisecond()))
                });
                if let Some(start) = starts.filter(|start| *start > now).min() {
                    return Some(start);
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }
}

/// `mon`, `monday`, `mon-fri`, `sat-mon`.
fn days_of(word: &str) -> Option<Vec<Weekday>> {
    let day = |word: &str| {
        let word = word.trim().to_ascii_lowercase();
        let full = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        DAYS.iter().zip(full).position(|((short, _), full)| word == *short || word == full)
    };
    let Some((first, last)) = word.split_once('-') else { return Some(vec![DAYS[day(word)?].1]) };
    let (first, last) = (day(first)?, day(last)?);
    let count = (last + 7 - first) % 7;
    Some((0..=count).map(|i| DAYS[(first + i) % 7].1).collect())
}

fn span_of(word: &Spanned<String>, faults: &Faults<'_>) -> Option<(Time, Time)> {
    let time = |text: &str| match text.trim() {
        "24:00" => Some(Time::midnight()),
        text => {
            let (hour, minute) = text.split_once(':')?;
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        }
    };
    let found = word.value.split_once('-').and_then(|(from, until)| Some((time(from)?, time(until)?)));
    if found.is_none() {
        let message = format!("`{}` is no span of the day", word.value);
        faults.error(word.bytes.clone(), message, "write `08:00-18:00`, in quotes");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_follow_the_wall_clock_of_their_zone() {
        let time = |hour| Time::constant(hour, 0, 0, 0);
        let work = ActiveHours {
            zone: TimeZone::get("Europe/Berlin").expect("known"),
            days: days_of("mon-fri").expect("days"),
            times: vec![(time(8), time(18))],
        };
        let night = ActiveHours { times: vec![(time(22), time(6))], ..work.clone() };
        let at = |text: &str| Timestamp::parse(text, &TimeZone::UTC).expect(text);
        for (hours, now, inside, opens) in [
            (&work, "2025-07-04T06:00:00Z", true, "2025-07-07T06:00:00Z"),
            (&work, "2025-07-04T05:59:59Z", false, "2025-07-04T06:00:00Z"),
            (&work, "2025-07-04T16:00:00Z", false, "2025-07-07T06:00:00Z"),
            (&work, "2025-12-05T06:30:00Z", false, "2025-12-05T07:00:00Z"),
            (&night, "2025-07-05T03:00:00Z", true, "2025-07-07T20:00:00Z"),
            (&night, "2025-07-06T03:00:00Z", false, "2025-07-07T20:00:00Z"),
        ] {
            assert_eq!(hours.contain(at(now)), inside, "{now}");
            assert_eq!(hours.opens_after(at(now)), Some(at(opens)), "{now}");
        }
        assert_eq!(
            (work.to_string(), night.to_string().as_str()),
            ("mon-fri 08:00-18:00 Europe/Berlin".into(), "mon-fri 22:00-06:00 Europe/Berlin")
        );
        let whole = vec![(Time::midnight(), Time::midnight())];
        for (days, times, text) in [
            (vec![Weekday::Monday, Weekday::Sunday, Weekday::Saturday], whole.clone(), "mon,sat-sun Europe/Berlin"),
            (DAYS.map(|(_, day)| day).to_vec(), night.times.clone(), "22:00-06:00 Europe/Berlin"),
        ] {
            assert_eq!(ActiveHours { days, times, ..work.clone() }.to_string(), text);
        }
        assert_eq!(days_of("sat-mon").map(|days| days.len()), Some(3));
        assert_eq!(days_of("mon-someday"), None);
    }
}
