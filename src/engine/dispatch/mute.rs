//! Why an alert is not told now: silenced, in maintenance, inhibited.
//!
//! Judges one alert at one instant; owns nothing. A mute holds back what is new and what would be
//! repeated. The end of an alert that was told is told all the same, so that nothing stays open
//! elsewhere that is over here.

use std::collections::{BTreeMap, BTreeSet};

use super::silence::Silences;
use crate::engine::event::{AlertEvent, Silence};
use crate::engine::view::{MuteKind, MuteView};
use crate::model::{Timestamp, hours};
use crate::settings::Settings;
use crate::settings::routing::Inhibition;
use crate::wire::matcher::all_match;

type Labels = BTreeMap<String, String>;

/// What holds an alert back.
pub enum Mute<'a> {
    Silence(&'a Silence),
    Maintenance {
        name: &'a str,
        until: Option<Timestamp>,
    },
    /// The name and subject of the alert that says it all.
    Inhibited(&'a str),
}

impl Mute<'_> {
    /// When it ends by time alone.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Mute::Silence(silence) => Some(silence.ends),
            Mute::Maintenance { until, .. } => *until,
            Mute::Inhibited(_) => None,
        }
    }

    /// For views.
    pub fn view(&self) -> MuteView {
        let (kind, author, id) = match self {
            Mute::Silence(silence) => (MuteKind::Silence, Some(silence.author.clone()), Some(silence.id.clone())),
            Mute::Maintenance { .. } => (MuteKind::Maintenance, None, None),
            Mute::Inhibited(_) => (MuteKind::Inhibition, None, None),
        };
        MuteView { kind, why: self.reason(), author, id, until: self.until() }
    }

    /// For people.
    pub fn reason(&self) -> String {
        match self {
            Mute::Silence(s) => format!("silenced by {} until {} ({}): {}", s.author, s.ends, s.id, s.comment),
            Mute::Maintenance { name, until: Some(until) } => format!("maintenance `{name}` until {until}"),
            Mute::Maintenance { name, until: None } => {
                format!("maintenance `{name}` of the configuration, which has no end: delete it there to end it")
            }
            Mute::Inhibited(by) => format!("inhibited by {by} while that fires"),
        }
    }
}

/// What holds an alert back from a receiver at `now`, if anything does: of several, the first that people can change.
pub fn of<'a>(
    settings: &'a Settings,
    silences: &'a Silences,
    sources: &'a Sources,
    (receiver, event): (&str, &AlertEvent),
    now: Timestamp,
) -> Option<Mute<'a>> {
    let mut incidents = sources.incidents(&event.id).filter(|incident| incident.receivers.contains(receiver));
    everywhere(settings, silences, sources, event, now)
        .next()
        .or_else(|| incidents.next().map(|incident| Mute::Inhibited(&incident.by)))
}

/// Everything that holds an alert back at `now` from everybody.
pub fn everywhere<'a>(
    settings: &'a Settings,
    silences: &'a Silences,
    sources: &'a Sources,
    event: &AlertEvent,
    now: Timestamp,
) -> impl Iterator<Item = Mute<'a>> {
    let labels = event.identity();
    let silenced = silences.covering(&labels, now).into_iter().map(Mute::Silence);
    let inhibited = sources.inhibiting(&settings.routing.inhibitions, &labels).map(Mute::Inhibited);
    let planned = settings
        .routing
        .maintenance
        .iter()
        .filter(move |window| hours::within(&window.hours, now) && all_match(&window.matchers, &labels));
    let planned = planned.map(move |window| {
        let until = hours::first([&window.hours, &[]], now, |at| !hours::within(&window.hours, at));
        Mute::Maintenance { name: &window.name, until }
    });
    silenced.chain(planned).chain(inhibited)
}

/// The firing alerts that make others not worth a message.
#[derive(Debug, Default)]
pub struct Sources {
    /// Per inhibition by the values that both sides must share.
    inhibiting: Vec<BTreeMap<Vec<String>, (String, bool)>>,
    incidents: Incidents,
}

/// Firing alerts that cover others.
#[derive(Debug, Default)]
pub struct Incidents {
    /// All of them.
    pub open: Vec<Incident>,
    /// By the id of an alert that some cover: these, by their place in `open`.
    pub covering: BTreeMap<String, Vec<usize>>,
}

/// An alert that says it all to those who are told of it.
#[derive(Debug)]
pub struct Incident {
    /// Its name and subject.
    pub by: String,
    /// Who is told of it.
    pub receivers: BTreeSet<String>,
}

impl Sources {
    /// Finds the sources among all firing alerts. What nobody is told of because of its rule is none.
    pub fn new(inhibitions: &[Inhibition], firing: &[AlertEvent], incidents: Incidents) -> Sources {
        let mut found = vec![BTreeMap::new(); inhibitions.len()];
        for event in firing.iter().filter(|event| event.muted.is_none()) {
            let labels = event.identity();
            for (rule, found) in inhibitions.iter().zip(&mut found) {
                if all_match(&rule.source, &labels) {
                    let both = all_match(&rule.target, &labels);
                    let entry = found.entry(shared(rule, &labels)).or_insert((String::new(), true));
                    if entry.0.is_empty() || (entry.1 && !both) {
                        *entry = (format!("{} on {}", event.rule, event.subject), both);
                    }
                }
            }
        }
        Sources { inhibiting: found, incidents }
    }

    /// The incidents that cover an alert.
    pub fn incidents(&self, alert: &str) -> impl Iterator<Item = &Incident> {
        let covering = self.incidents.covering.get(alert);
        covering.into_iter().flatten().filter_map(|at| self.incidents.open.get(*at))
    }

    /// Who inhibits an alert. As in Alertmanager, one that is source and target at once is not
    /// inhibited by others of which the same is true, else two alerts could silence each other.
    fn inhibiting(&self, inhibitions: &[Inhibition], labels: &Labels) -> Option<&str> {
        inhibitions.iter().zip(&self.inhibiting).find_map(|(rule, found)| {
            if !all_match(&rule.target, labels) {
                return None;
            }
            let (by, both) = found.get(&shared(rule, labels))?;
            (!both || !all_match(&rule.source, labels)).then_some(by.as_str())
        })
    }
}

fn shared(rule: &Inhibition, labels: &Labels) -> Vec<String> {
    rule.equal.iter().map(|name| labels.get(name).cloned().unwrap_or_default()).collect()
}
