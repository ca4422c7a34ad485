//! Digests: who is told at which times what happened since the last time.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Receiver;
use super::channel::Channel;
use super::check::unique_name;
use super::raw::Section;
use super::receiver;
use crate::model::hours;
use crate::model::schedule::Schedule;
use crate::wire::fields::Spanned;

/// What happened since the last time, at times that come back.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// Unique among the digests.
    pub name: String,
    /// When.
    pub schedule: Schedule,
    /// Whether one is sent when there is nothing to tell.
    pub quiet: bool,
    /// Names of receivers of the settings.
    pub receivers: Vec<String>,
}

/// The digests without faults; the faults of the others are said.
pub(super) fn check(sections: Vec<Section<'_>>, receivers: &[Receiver]) -> Vec<Digest> {
    let mut names = BTreeMap::new();
    sections.into_iter().filter_map(|section| digest(section, receivers, &mut names)).collect()
}

fn digest(section: Section<'_>, known: &[Receiver], names: &mut BTreeMap<String, Range<usize>>) -> Option<Digest> {
    let name = unique_name(&section, names);
    let days = days(&section);
    let minute = section.text("at").map_or(Some(8 * 60), |text| {
        let found = Schedule::minute_of(&text.value);
        if found.is_none() {
            let message = format!("`at` is `{}`, which is no time of day", text.value);
            section.reader.error(text.bytes, message, "write hours and minutes such as `\"08:00\"`");
        }
        found
    });
    let zone = section.zone();
    let wanted = section.require("receivers", section.texts("receivers")).unwrap_or_default();
    let mut receivers = Vec::new();
    for name in wanted {
        let found = receiver::named(&section, known, &name);
        let Spanned { value, bytes } = name;
        for receiver in found {
            if matches!(receiver.channel, Channel::Alertmanager { .. } | Channel::PagerDuty { .. }) {
                let message = format!("`{value}` is {}, which takes alerts and no digests", receiver.channel.kind());
                section.reader.error(bytes.clone(), message, "name a webhook, Slack, ntfy or mail receiver");
            } else if !receivers.contains(&receiver.name) {
                receivers.push(receiver.name.clone());
            }
        }
    }
    let quiet = section.flag("quiet").unwrap_or(true);
    section.finish();
    let schedule = Schedule { days, minute: minute?, zone: zone? };
    (!receivers.is_empty()).then_some(Digest { name: name?, schedule, quiet, receivers })
}

fn days(section: &Section<'_>) -> [bool; 7] {
    let every = [true; 7];
    let Some(Spanned { value, bytes }) = section.text("on") else { return every };
    hours::days(&value.to_lowercase()).unwrap_or_else(|reason| {
        section.reader.error(bytes, format!("`on`: {reason}"), "such as `mon`, `mon-fri` or `mon,thu`");
        every
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::diagnostic::SourceFile;
    use crate::settings::Settings;

    fn load(digests: &str) -> (Settings, Vec<String>) {
        let receivers = "receivers:\n- {name: chat, webhook: {url: http://a}}\n\
                         - {name: pager, pagerduty: {routing_key: {env: KEY}}}\n\
                         - {name: mail, email: {smtp: 127.0.0.1, tls: none, from: a@b.c, to: [d@e.f, g@h.i]}}\n";
        let text = format!("{receivers}digests:\n{digests}");
        let (settings, found) = Settings::salvage(&SourceFile::new("evenkeel.yaml", text.as_str()), Path::new(""));
        (settings, found.iter().map(|d| format!("{}:{} {} ({})", d.line, d.column, d.message, d.help)).collect())
    }

    #[test]
    fn a_digest_has_a_time_a_zone_and_receivers() {
        let (settings, faults) =
            load("- {name: week, on: Mon, at: \"07:30\", zone: Europe/Berlin, receivers: [mail, chat]}\n");
        assert!(faults.is_empty(), "{faults:?}");
        let digest = &settings.digests[0];
        assert_eq!(digest.receivers, ["mail/d@e.f", "mail/g@h.i", "chat"]);
        assert_eq!((digest.schedule.minute, digest.schedule.zone.iana_name()), (450, Some("Europe/Berlin")));
        assert_eq!(digest.schedule.days, [true, false, false, false, false, false, false]);
        let (settings, _) = load("- {name: day, receivers: [chat]}\n");
        let digest = &settings.digests[0];
        assert_eq!((digest.schedule.days, digest.schedule.minute, digest.quiet), ([true; 7], 480, true));
    }

    #[test]
    fn faults_have_place_and_remedy() {
        for (text, expected) in [
            ("- {name: a, receivers: [chatt]}\n", "6:25 there is no receiver `chatt` (did you mean `chat`?)"),
            (
                "- {name: a, receivers: [pager]}\n",
                "6:25 `pager` is PagerDuty, which takes alerts and no digests (name a webhook, Slack, ntfy or mail receiver)",
            ),
            (
                "- {name: a, receivers: [chat], at: 8am}\n",
                "6:36 `at` is `8am`, which is no time of day (write hours and minutes such as `\"08:00\"`)",
            ),
            (
                "- {name: a, receivers: [chat], zone: Mars}\n",
                "6:38 there is no time zone `Mars` (write an IANA name such as `Europe/Berlin` or `UTC`)",
            ),
            (
                "- {name: a, receivers: [chat], on: fry}\n",
                "6:36 `on`: `fry` is not a day: write one of mon, tue, wed, thu, fri, sat, sun (such as `mon`, `mon-fri` or `mon,thu`)",
            ),
        ] {
            assert_eq!(load(text).1, [expected], "{text}");
        }
    }
}
