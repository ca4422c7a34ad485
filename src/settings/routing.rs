//! Who is told of what and when: routes, inhibitions, maintenance windows, damping.
//!
//! Owns their checked form and what makes them wrong; the engine's dispatcher obeys them. A route
//! that leads nowhere, or one that nothing can reach, is said here with its place.

use std::collections::BTreeMap;

use super::Receiver;
use super::check::unique_name;
use super::digest::Digest;
use super::raw::Section;
use super::receiver;
use crate::model::hours::Hours;
use crate::model::{Severity, Span};
use crate::wire::fields::Spanned;
use crate::wire::matcher::{LabelMatcher, alert_label};

/// Everything that decides who is told of what, and when.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Routing {
    /// Routes in the order in which they are tried.
    pub routes: Vec<Route>,
    /// Which alerts make others not worth a message.
    pub inhibitions: Vec<Inhibition>,
    /// When which alerts are expected.
    pub maintenance: Vec<Maintenance>,
    /// Bounds of flapping and floods.
    pub damping: Damping,
}

/// Who is told of the alerts that match, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// All must hold; none: every alert.
    pub matchers: Vec<LabelMatcher>,
    /// Names of receivers of the settings.
    pub receivers: Vec<String>,
    /// Whether later routes are looked at too.
    pub proceed: bool,
    /// Labels whose values make a group; `None`: every alert is a group of its own.
    pub group_by: Option<Vec<String>>,
    /// How long the first message of a group waits.
    pub group_wait: Span,
    /// The least time between two messages of a group.
    pub group_interval: Span,
    /// After this long without news the group is told again, and what lengthens it.
    pub repeat: Option<Repeat>,
    /// Hours in which messages go out; none: always.
    pub active_hours: Vec<Hours>,
    /// Hours in which no message goes out.
    pub mute: Vec<Hours>,
}

/// How a firing group is repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repeat {
    /// The wait before the first repeat.
    pub interval: Span,
    /// Each wait is this many times the one before.
    pub growth: f64,
    /// The longest wait.
    pub max: Span,
}

impl Repeat {
    /// The wait before the repeat after `repeats` others.
    pub fn wait(&self, repeats: u32) -> Span {
        let (mut wait, max) = (self.interval.0 as f64, self.max.0 as f64);
        let grows = self.growth > 1.0;
        for _ in 0..repeats {
            if !grows || wait >= max {
                break;
            }
            wait = (wait * self.growth).min(max);
        }
        Span(wait.round() as i64)
    }
}

impl Default for Route {
    /// What holds without routes: every alert on its own, at once, never again.
    fn default() -> Self {
        Route {
            matchers: Vec::new(),
            receivers: Vec::new(),
            proceed: false,
            group_by: None,
            group_wait: Span::ZERO,
            group_interval: Span::ZERO,
            repeat: None,
            active_hours: Vec::new(),
            mute: Vec::new(),
        }
    }
}

impl Route {
    /// What tells its groups from those of other routes, over reloads too.
    pub fn key(&self) -> String {
        format!("{{{}}}/{:?}", self.matched(), self.group_by)
    }

    /// Its matchers in one line.
    pub fn matched(&self) -> String {
        self.matchers.iter().map(LabelMatcher::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Alerts that match `source` make those that match `target` not worth a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Inhibition {
    /// Matchers of the alert that says it all.
    pub source: Vec<LabelMatcher>,
    /// Matchers of those that add nothing.
    pub target: Vec<LabelMatcher>,
    /// Labels in which both agree.
    pub equal: Vec<String>,
}

/// Planned work.
#[derive(Debug, Clone, PartialEq)]
pub struct Maintenance {
    /// Its name.
    pub name: String,
    /// Which alerts it covers.
    pub matchers: Vec<LabelMatcher>,
    /// When.
    pub hours: Vec<Hours>,
}

/// Bounds of flapping and floods; 0 switches a bound off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damping {
    /// Changes of one alert within an hour beyond which it is held.
    pub flaps: u32,
    /// Alerts of one rule that begin within a minute beyond which one message stands for all.
    pub flood: u32,
}

impl Default for Damping {
    fn default() -> Self {
        Damping { flaps: 10, flood: 100 }
    }
}

/// Reads the sections of the configuration that are about routing.
pub(super) fn check(config: &Section<'_>, receivers: &[Receiver], digests: &[Digest]) -> Routing {
    let mut names = BTreeMap::new();
    let sections = config.sections("routes");
    let some = !sections.is_empty();
    let places: Vec<_> = sections.iter().map(|section| section.fields.place("")).collect();
    let (mut routes, mut first) = (Vec::new(), None);
    for (at, section) in sections.into_iter().enumerate() {
        let (faults, before) = (&section.reader.faults, section.reader.faults.errors());
        let route = route(section, receivers);
        // One with a fault may have matchers that could not be read.
        let all = |route: &Route| route.matchers.is_empty() && !route.proceed && faults.errors() == before;
        first = first.or(route.as_ref().is_some_and(all).then_some(at));
        routes.extend(route);
    }
    if let Some(first) = first {
        for place in places.iter().skip(first + 1) {
            let message = "no alert comes to this route: one before it matches every alert";
            let help = "give the earlier one `matchers` or `continue: true`, or move it to the end";
            config.reader.faults.warning(place.clone(), message, help);
        }
    }
    if some {
        let used = |name: &str| routes.iter().any(|route| route.receivers.iter().any(|r| r == name));
        // Of one that could not be read it is not known whether it needs a route.
        let needs = |r: &Receiver| r.resend().is_none() && !receiver::is_stand_in(&r.channel);
        for receiver in receivers.iter().filter(|r| needs(r) && !used(&r.name)) {
            let name = &receiver.name;
            let gets = match (first, digests.iter().any(|digest| digest.receivers.contains(name))) {
                (Some(_), true) => continue,
                (Some(_), false) => "nothing",
                (None, true) => "digests, and alerts that no route matches",
                (None, false) => "only what no route matches",
            };
            let message = format!("no route names the receiver `{name}`: it gets {gets}");
            let help = "add it to the `receivers` of a route, or delete it";
            config.reader.faults.warning(config.fields.place("routes"), message, help);
        }
    }
    Routing {
        routes,
        inhibitions: config.sections("inhibit").into_iter().filter_map(inhibition).collect(),
        maintenance: config.sections("maintenance").into_iter().filter_map(|s| maintenance(s, &mut names)).collect(),
        damping: config.section("damping").map(damping).unwrap_or_default(),
    }
}

fn route(section: Section<'_>, known: &[Receiver]) -> Option<Route> {
    let matchers = matchers(&section, "matchers");
    let wanted = section.require("receivers", section.texts("receivers"));
    let mut receivers = Vec::new();
    for name in wanted.into_iter().flatten() {
        let found = receiver::named(&section, known, &name);
        let Spanned { value, bytes } = name;
        for receiver in found {
            if receiver.resend().is_some() {
                let message = format!("`{value}` is an Alertmanager, which gets every alert whatever the routes say");
                section.reader.faults.warning(
                    bytes.clone(),
                    message,
                    "take it out of this route; its own routes decide",
                );
                continue;
            }
            unreachable_severity(&section, &matchers, receiver, bytes.clone());
            if !receivers.contains(&receiver.name) {
                receivers.push(receiver.name.clone());
            }
        }
    }
    let group_by = labels(&section, "group_by");
    let (wait, interval) = if group_by.is_some() { (30, 300) } else { (0, 1) };
    let growth = section.number("repeat_growth").unwrap_or(1.0);
    let max = section.span("repeat_max");
    let repeat = section.span("repeat_interval").map(|interval| {
        if let Some(max) = max.filter(|max| *max < interval) {
            let message = format!("`repeat_max` of {max} is shorter than `repeat_interval` of {interval}");
            let help = format!("it is the longest wait between two repeats: write {interval} or more, or leave it out");
            section.reader.error(section.fields.place("repeat_max"), message, help);
        }
        Repeat { interval, growth, max: max.unwrap_or(Span::days(7)).max(interval) }
    });
    let alone = ["repeat_growth", "repeat_max"].into_iter().find(|name| section.node(name).is_some());
    if let (None, Some(name)) = (section.node("repeat_interval"), alone) {
        let message = "nothing is repeated without `repeat_interval`";
        section.reader.faults.warning(section.fields.place(name), message, "add `repeat_interval: 4h`");
    }
    let route = Route {
        matchers: matchers.unwrap_or_default(),
        receivers,
        proceed: section.flag("continue").unwrap_or(false),
        group_by,
        group_wait: section.span("group_wait").unwrap_or(Span::seconds(wait)),
        group_interval: section.span("group_interval").unwrap_or(Span::seconds(interval)),
        repeat,
        active_hours: section.hours("active_hours").unwrap_or_default(),
        mute: section.hours("mute").unwrap_or_default(),
    };
    section.finish();
    (!route.receivers.is_empty()).then_some(route)
}

/// Says when every alert of a route is too mild for one of its receivers.
fn unreachable_severity(
    section: &Section<'_>,
    matchers: &Option<Vec<LabelMatcher>>,
    receiver: &Receiver,
    bytes: std::ops::Range<usize>,
) {
    let passes = |severity: Severity| {
        let labels = BTreeMap::from([("severity".to_owned(), severity.as_str().to_owned())]);
        matchers.iter().flatten().filter(|m| m.label() == "severity").all(|m| m.matches(&labels))
    };
    if !Severity::ALL.into_iter().any(|s| s >= receiver.min_severity && passes(s)) {
        let message = format!(
            "`{}` takes {} and above, and this route has none of these",
            receiver.name,
            receiver.min_severity.as_str()
        );
        section.reader.faults.warning(bytes, message, "lower its `min_severity`, or take it out of this route");
    }
}

fn inhibition(section: Section<'_>) -> Option<Inhibition> {
    let source = section.require("source", matchers(&section, "source"));
    let target = section.require("target", matchers(&section, "target"));
    let equal = labels(&section, "equal").unwrap_or_default();
    section.finish();
    Some(Inhibition { source: source?, target: target?, equal })
}

fn maintenance(section: Section<'_>, names: &mut BTreeMap<String, std::ops::Range<usize>>) -> Option<Maintenance> {
    let name = unique_name(&section, names);
    let matchers = matchers(&section, "matchers").unwrap_or_default();
    let hours = section.require("hours", section.hours("hours").filter(|hours| !hours.is_empty())).unwrap_or_default();
    section.finish();
    Some(Maintenance { name: name?, matchers, hours })
}

fn damping(section: Section<'_>) -> Damping {
    let default = Damping::default();
    let damping = Damping {
        flaps: section.count("flaps").unwrap_or(default.flaps),
        flood: section.count("flood").unwrap_or(default.flood),
    };
    section.finish();
    damping
}

/// The labels of alerts under a key; `None` when it is absent.
fn labels(section: &Section<'_>, name: &'static str) -> Option<Vec<String>> {
    let texts = section.texts(name)?;
    Some(texts.into_iter().map(|label| alert_label(&label.value).to_owned()).collect())
}

/// The matchers under a key; `None` when it is absent.
fn matchers(section: &Section<'_>, name: &'static str) -> Option<Vec<LabelMatcher>> {
    let read = |text: Spanned<String>| match LabelMatcher::parse(&text.value) {
        Ok(matcher) => Some((matcher, text.bytes)),
        Err(reason) => {
            section.reader.error(
                text.bytes,
                format!("`{name}`: {reason}"),
                "such as `agent=prod-*` or `severity>=high`",
            );
            None
        }
    };
    let read: Vec<_> = section.texts(name)?.into_iter().filter_map(read).collect();
    for (at, (matcher, bytes)) in read.iter().enumerate() {
        let excludes = |other: &LabelMatcher| matcher.excludes(other) || other.excludes(matcher);
        if let Some((other, _)) = read[..at].iter().find(|(other, _)| excludes(other)) {
            let message = format!("no alert passes both `{other}` and `{matcher}`, and all matchers must hold");
            let help = "part alternatives by `|`, such as `agent=a|b`, or write a second entry";
            section.reader.faults.warning(bytes.clone(), message, help);
        }
    }
    Some(read.into_iter().map(|(matcher, _)| matcher).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::settings::Settings;

    fn faults(routing: &str) -> Vec<String> {
        let text = format!(
            "receivers:\n- {{name: ops, webhook: {{url: http://a}}}}\n- {{name: pager, min_severity: critical, webhook: {{url: http://b}}}}\n{routing}"
        );
        let (_, found) = Settings::load(&SourceFile::new("evenkeel.yaml", text.as_str()), Path::new(""));
        found.iter().map(|d| format!("{}:{} {} ({})", d.line, d.column, d.message, d.help)).collect()
    }

    #[test]
    fn faults_have_place_and_remedy() {
        for (text, expected) in [
            ("routes:\n- receivers: [opps, pager, ops]\n", "5:15 there is no receiver `opps` (did you mean `ops`?)"),
            (
                "routes:\n- receivers: [ops]\n- receivers: [pager]\n",
                "6:3 no alert comes to this route: one before it matches every alert (give the earlier one `matchers` or `continue: true`, or move it to the end)",
            ),
            (
                "routes:\n- receivers: [ops]\n",
                "4:1 no route names the receiver `pager`: it gets nothing (add it to the `receivers` of a route, or delete it)",
            ),
            (
                "routes:\n- {matchers: [\"agent=a\", \"agent=b|c\"], receivers: [ops]}\n- receivers: [ops, pager]\n",
                "5:26 no alert passes both `agent=a` and `agent=b|c`, and all matchers must hold (part alternatives by `|`, such as `agent=a|b`, or write a second entry)",
            ),
            (
                "routes:\n- {matchers: [\"agent=a|b\", \"agent=b*\", \"agent!=c\"], receivers: [ops]}\n- receivers: [ops, pager]\n",
                "",
            ),
            ("routes:\n- receivers: [ops]\ndigests: [{name: day, receivers: [pager]}]\n", ""),
            (
                "routes:\n- {receivers: [ops], matchers: agent=a}\ndigests: [{name: day, receivers: [pager]}]\n",
                "4:1 no route names the receiver `pager`: it gets digests, and alerts that no route matches (add it to the `receivers` of a route, or delete it)",
            ),
            (
                "routes:\n- matchers: [severity=info]\n  receivers: [ops, pager]\n",
                "6:20 `pager` takes critical and above, and this route has none of these (lower its `min_severity`, or take it out of this route)",
            ),
            (
                "inhibit:\n- {source: severity>>high, target: agent=a}\n",
                "5:12 `source`: `severity>>high` has none of `=`, `!=`, `>=` after the label (such as `agent=prod-*` or `severity>=high`)",
            ),
            // Of one that could not be read it is not known whether it needs a route; what is wrong is said once.
            (
                "- {name: am, alertmanager: {url: http://c}}\nroutes:\n- receivers: [ops, pager]\n",
                "4:29 alertmanager has no `urls` (add `urls: [\"http://am1:9093\", \"http://am2:9093\"]`)\n4:29 alertmanager has no field `url` (did you mean `urls`?)",
            ),
            // What it is about nobody knows.
            (
                "routes:\n- {matchers: [\"severity>>high\"], receivers: [ops]}\n- receivers: [pager]\n",
                "5:15 `matchers`: `severity>>high` has none of `=`, `!=`, `>=` after the label (such as `agent=prod-*` or `severity>=high`)",
            ),
            (
                "routes:\n- {receivers: [ops, pager], repeat_interval: 10m, repeat_max: 5m}\n",
                "5:51 `repeat_max` of 5m is shorter than `repeat_interval` of 10m (it is the longest wait between two repeats: write 10m or more, or leave it out)",
            ),
            (
                "routes:\n- {receivers: [ops, pager], repeat_max: 5m}\n",
                "5:29 nothing is repeated without `repeat_interval` (add `repeat_interval: 4h`)",
            ),
        ] {
            assert_eq!(faults(text).join("\n"), expected, "{text}");
        }
        assert!(faults("maintenance:\n- {name: a, hours: [\"mon 9-10\"]}\n")[0].starts_with("5:21 `hours`: "));
    }

    #[test]
    fn hours_that_never_come_are_faults_wherever_they_stand() {
        for (hours, expected) in [
            ("[]", "`hours` is empty (leave it out, or write hours, such as `mon-fri 09:00-18:00 Europe/Berlin`)"),
            (
                "\"08:00-08:00\"",
                "`hours`: `08:00-08:00` ends when it begins: `00:00-24:00` is the whole day (such as `mon-fri 09:00-18:00 Europe/Berlin`)",
            ),
            ("{days: []}", "`days` is empty (leave it out for every day)"),
            ("{days: mon, times: []}", "`times` is empty (leave it out for the whole day)"),
            (
                "{times: \"08:00-12:00, 13:00-17:30\"}",
                "`08:00-12:00, 13:00-17:30` is not a range of hours such as 09:00-18:00 (several ranges are a list: `[\"08:00-12:00\", \"13:00-17:30\"]`)",
            ),
            (
                "\"2026-12-24 18:00/2026-12-27 08:00\"",
                "`hours`: `2026-12-24` is not a range of hours such as 09:00-18:00 (such as `2026-12-24T18:00:00Z/2026-12-27T08:00:00Z`)",
            ),
            ("{times: \"8-9\"}", "`8-9` is not a range of hours such as 09:00-18:00 (write `08:00-18:00`, in quotes)"),
            (
                "{zone: UTC}",
                "`hours` has neither `days` nor `times` (add `days: mon-fri`, `times: \"09:00-18:00\"`, or both)",
            ),
        ] {
            for field in ["active_hours", "mute", "hours"] {
                let text = match field {
                    "hours" => format!("maintenance:\n- {{name: a, hours: {hours}}}\n"),
                    _ => format!("routes:\n- {{receivers: [ops, pager], {field}: {hours}}}\n"),
                };
                let [found] = &faults(&text)[..] else { panic!("{text} {:?}", faults(&text)) };
                assert_eq!(
                    found.split_once(' ').map(|(_, text)| text),
                    Some(&*expected.replace("`hours`", &format!("`{field}`")))
                );
            }
        }
        assert_eq!(faults("maintenance:\n- {name: a, hours: {days: sat, zone: Europe/Berlin}}\n"), [] as [String; 0]);
    }

    #[test]
    fn repeats_grow_up_to_their_limit() {
        let repeat = Repeat { interval: Span::hours(4), growth: 2.0, max: Span::days(1) };
        let waits: Vec<Span> = (0..5).map(|n| repeat.wait(n)).collect();
        assert_eq!(waits, [4, 8, 16, 24, 24].map(Span::hours));
        // At once also after years: every group asks at every look.
        let steady = Repeat { growth: 1.0, ..repeat };
        let all = (0..1_000).fold(Span::ZERO, |_, n| repeat.wait(u32::MAX - n).max(steady.wait(u32::MAX - n)));
        assert_eq!((all, steady.wait(u32::MAX)), (Span::days(1), Span::hours(4)));
    }
}
