//! `active_hours`: when an alert may be told.
//!
//! The calendar is that of [`Hours`], whose zone is looked up when the file is checked, so that the engine asks a value
//! and no database.

use std::fmt;

use crate::model::Timestamp;
use crate::model::hours::{self, Hours};
use crate::wire::fields::{Faults, Fields};
use crate::wire::hours::read;

/// Hours that come again every week.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveHours(Vec<Hours>);

impl fmt::Display for ActiveHours {
    /// `mon-fri 08:00-18:00 Europe/Berlin`, and further ones behind an `and`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(Hours::to_string).collect();
        f.write_str(&all.join(" and "))
    }
}

impl ActiveHours {
    /// Reads those of a rule; every fault goes to `faults`.
    pub(super) fn read(fields: &Fields<'_>, faults: &Faults<'_>) -> Option<ActiveHours> {
        let hours = read(fields, "active_hours", faults)?;
        if let Some(once) = hours.iter().find(|hours| !hours.is_weekly()) {
            let message = format!("`active_hours`: `{once}` comes once, the hours of a rule every week");
            let bytes = fields.node("active_hours").map_or(0..0, |node| node.bytes.clone());
            faults.error(
                bytes,
                message,
                "write it under `mute` of a route or under `maintenance`, in the configuration",
            );
        }
        Some(ActiveHours(hours))
    }

    /// Whether alerts may be told now.
    pub fn contain(&self, now: Timestamp) -> bool {
        hours::within(&self.0, now)
    }

    /// The next instant at which it could change whether alerts may be told.
    pub fn changes_after(&self, now: Timestamp) -> Option<Timestamp> {
        hours::next_change(&self.0, now)
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::wire::yaml;

    fn hours(text: &str) -> ActiveHours {
        let file = SourceFile::new("r.yaml", format!("active_hours: {text}\n").as_str());
        let root = yaml::parse(&file).expect("YAML");
        let faults = Faults::new(&file);
        let hours = ActiveHours::read(&Fields::open(&root, "a rule", &faults), &faults).expect("hours");
        assert_eq!(faults.into_diagnostics(), []);
        hours
    }

    #[test]
    fn hours_follow_the_wall_clock_of_their_zone_in_either_form() {
        let at = |text: &str| Timestamp::parse(text, &TimeZone::UTC).expect(text);
        let work =
            ["mon-fri 08:00-18:00 Europe/Berlin", "{zone: Europe/Berlin, days: mon-fri, times: \"08:00-18:00\"}"];
        let night = [
            "[mon-fri 22:00-06:00 Europe/Berlin]",
            "[{zone: Europe/Berlin, days: [mon-fri], times: [\"22:00-06:00\"]}]",
        ];
        for (forms, now, inside, opens) in [
            (work, "2025-07-04T06:00:00Z", true, None),
            (work, "2025-07-04T05:59:59Z", false, Some("2025-07-04T06:00:00Z")),
            (work, "2025-07-04T16:00:00Z", false, Some("2025-07-07T06:00:00Z")),
            (work, "2025-12-05T06:30:00Z", false, Some("2025-12-05T07:00:00Z")),
            (night, "2025-07-05T03:00:00Z", true, None),
            (night, "2025-07-06T03:00:00Z", false, Some("2025-07-07T20:00:00Z")),
        ] {
            for form in forms {
                let hours = hours(form);
                assert_eq!(hours.contain(at(now)), inside, "{form} {now}");
                assert_eq!(hours.changes_after(at(now)).filter(|_| !inside), opens.map(at), "{form} {now}");
            }
            assert_eq!(hours(forms[0]), hours(forms[1]));
        }
        let both = hours("[mon-fri 08:00-18:00, {days: sat, times: \"10:00-12:00\"}]");
        assert_eq!(both.to_string(), "mon-fri 08:00-18:00 and sat 10:00-12:00 UTC");
        assert_eq!(both.changes_after(at("2025-07-04T18:00:00Z")), Some(at("2025-07-05T10:00:00Z")));
    }
}
