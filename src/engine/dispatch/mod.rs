//! Who is told what and when: groups of alerts per receiver, and the next moment of each.
//!
//! Owns what every receiver was last told and when it is told next. Never sends: a message goes to
//! the outbox, which keeps it until the receiver has it. Deadlines are computed when something
//! changes and flushed at their own instant whether or not anybody woke the engine, so that a
//! restart from snapshot and journal says neither less nor more than a process that lived.
//!
//! A member of a group is a rule on a subject, not one episode of it: an alert that ends and begins
//! again before its end was told goes on for those who were told, without a word, unless it is none for them by now:
//! too mild, or on other routes.

mod flap;
mod flood;
mod flush;
mod heard;
mod member;
mod mute;
mod regroup;
mod route;
mod silence;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::alert::hex;
use super::event::AlertEvent;
use crate::model::{Severity, Span, Subject, Timestamp};
use crate::settings::Settings;
use crate::settings::routing::Route;
use flap::Flaps;
use flood::Floods;
pub use flood::grouped;
pub use flush::{Manner, Scene};
pub use heard::Heard;
use member::Member;
pub use mute::{Incident, Incidents, Sources};
pub use route::gets_messages;
pub use silence::{ACKS, AckView, Acks, SILENCES, Silences};

/// A receiver and a group in its eyes.
type Place = (String, String);

/// Everything that decides the next message of every receiver.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Dispatch {
    groups: BTreeMap<Place, Group>,
    /// Where each rule-on-a-subject is a member.
    places: BTreeMap<u64, Vec<Place>>,
    /// Silences that people set.
    pub silences: Silences,
    /// Alerts that people took on.
    pub acks: Acks,
    flaps: Flaps,
    floods: Floods,
}

/// Alerts that share a message to one receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Group {
    /// Its identity in messages.
    name: String,
    labels: BTreeMap<String, String>,
    /// Index of its route; `None`: no route matched.
    route: Option<u32>,
    /// It stands for a flood of alerts of one rule.
    flood: bool,
    members: BTreeMap<u64, Member>,
    /// When it is looked at next.
    due: Option<Timestamp>,
    /// When it last said something.
    last: Option<Timestamp>,
    /// Repeats since there was news.
    repeats: u32,
    /// Some member was held back when it was last looked at.
    muted: bool,
    /// Its newest message found a full queue.
    full: bool,
}

/// What is the same for all episodes of a rule on a subject.
pub fn lineage(rule: &str, subject: &Subject) -> u64 {
    let mut hash = Sha256::new();
    for part in std::iter::once(rule).chain(subject.0.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]))
    {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let bytes = hash.finalize();
    u64::from_be_bytes(std::array::from_fn(|i| bytes[i]))
}

/// A short name for a text.
fn short(text: &str) -> String {
    hex(&Sha256::digest(text)[..8])
}

impl Group {
    /// Sees to it that the group is looked at as soon as its timing allows.
    fn schedule(&mut self, now: Timestamp, route: &Route) {
        let at = match self.last {
            None if self.flood => now,
            None => now + route.group_wait,
            Some(last) => now.max(last + self.interval(route)),
        };
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    fn interval(&self, route: &Route) -> Span {
        if self.flood { route.group_interval.max(flood::INTERVAL) } else { route.group_interval }
    }

    /// When it is repeated, if somebody was told of an alert that still fires and nobody took it on.
    fn repeat_at(&self, route: &Route, acks: &Acks) -> Option<Timestamp> {
        let open = |m: &Member| m.ended.is_none() && m.told.is_some_and(|told| !acks.cover(&m.id, told));
        let (repeat, last) = (route.repeat?, self.last?);
        self.members.values().any(open).then(|| last + repeat.wait(self.repeats))
    }
}

impl Dispatch {
    /// An alert began to fire, or became graver.
    pub fn fire(&mut self, now: Timestamp, settings: &Settings, event: &AlertEvent) {
        let key = lineage(&event.rule, &event.subject);
        let damping = settings.routing.damping;
        let mut anew = false;
        if self.known(key, &event.id).is_none() {
            // Getting graver is no beginning, nor are hours that open.
            anew = event.fired_at == Some(now) && self.flaps.note(now, key, damping.flaps);
            self.floods.note(now, event, damping.flood);
        }
        let mut places = self.places.remove(&key).unwrap_or_default();
        let known: BTreeSet<String> = places.iter().map(|(receiver, _)| receiver.clone()).collect();
        let destinations = route::destinations(settings, event);
        for destination in destinations.iter().filter(|to| !known.contains(&to.receiver)) {
            let place = self.open(now, destination, event);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        for place in &places {
            let Some(group) = self.groups.get_mut(place) else { continue };
            let member = group.members.entry(key).or_insert_with(|| Member::new(String::new()));
            // Who does not hear of this one is still to be told the end of the one before.
            if member.ended.is_some() && destinations.iter().all(|to| to.receiver != place.0) {
                continue;
            }
            member.go_on(&event.id);
            if anew {
                member.held = None;
            }
            group.schedule(now, route::of(settings, group.route));
        }
        if !places.is_empty() {
            self.places.insert(key, places);
        }
    }

    /// An alert ended: those who were told of it are told so, nobody else, and not who refused to hear of it.
    /// `milder` is how it ends at milder severities that somebody was told.
    pub fn end(&mut self, now: Timestamp, settings: &Settings, event: &AlertEvent, milder: &[AlertEvent]) {
        let key = lineage(&event.rule, &event.subject);
        self.acks.release(&event.id);
        let anew = self.flaps.note(now, key, settings.routing.damping.flaps);
        let flaps = self.flaps.held_until(now, key, settings.routing.damping.flaps).is_some();
        let mut kept = Vec::new();
        for place in self.places.remove(&key).unwrap_or_default() {
            let Some(group) = self.groups.get_mut(&place) else { continue };
            let wanted = settings.receivers.iter().any(|r| r.name == place.0 && r.send_resolved);
            if let Some(member) = group.members.get_mut(&key).filter(|_| anew) {
                member.held = None;
            }
            match group.members.get_mut(&key) {
                Some(member) if member.id != event.id => kept.push(place),
                // Who was told that it flaps, and who is told no ends, is not told of a beginning again either meanwhile.
                Some(member) if (wanted && member.is_told()) || (flaps && member.held.is_some()) => {
                    // Whoever keys by labels closes what it was told of, whatever a hold or a reload made of it since.
                    let severity = member.told.map_or(event.severity, |told| told.max(event.severity));
                    let own = milder.iter().find(|own| Some(own.severity) == member.told).unwrap_or(event);
                    let severity = if own.severity < event.severity { own.severity } else { severity };
                    let trend = event.trend.clone();
                    member.ended = Some(Box::new(AlertEvent { severity, trend, ..own.clone() }));
                    group.schedule(now, route::of(settings, group.route));
                    kept.push(place);
                }
                _ => {
                    group.members.remove(&key);
                    if group.members.is_empty() {
                        self.groups.remove(&place);
                    } else if group.flood {
                        // It may be the last that the end of the others waits for.
                        group.schedule(now, route::of(settings, group.route));
                    }
                }
            }
        }
        if !kept.is_empty() {
            self.places.insert(key, kept);
        }
        if !settings.routing.inhibitions.is_empty() {
            self.look_again(now, settings);
        }
    }

    /// The severities below that of an alert at which somebody was told of it.
    pub fn told_milder(&self, event: &AlertEvent) -> BTreeSet<Severity> {
        let key = lineage(&event.rule, &event.subject);
        let members = self.places.get(&key).into_iter().flatten();
        let members = members.filter_map(|place| self.groups.get(place)?.members.get(&key));
        let told = members.filter(|member| member.id == event.id).filter_map(|member| member.told);
        told.filter(|told| *told < event.severity).collect()
    }

    /// Whether an alert that fires is on its way to somebody.
    pub fn knows(&self, event: &AlertEvent) -> bool {
        self.known(lineage(&event.rule, &event.subject), &event.id).is_some()
    }

    /// Who is told of an alert that fires, sooner or later, and does not refuse to be.
    pub fn receivers(&self, rule: &str, subject: &Subject) -> BTreeSet<String> {
        let key = lineage(rule, subject);
        let refuses = |place: &&Place| {
            self.groups.get(*place).and_then(|group| group.members.get(&key)).is_some_and(|m| m.heard.nothing())
        };
        let places = self.places.get(&key).into_iter().flatten().filter(|place| !refuses(place));
        places.map(|(receiver, _)| receiver.clone()).collect()
    }

    /// Whether so many alerts of a rule begin that few of them are shown.
    pub fn floods(&self, now: Timestamp, event: &AlertEvent) -> bool {
        self.floods.rages(now, &event.rule)
    }

    fn known(&self, key: u64, id: &str) -> Option<&Member> {
        let members = self.places.get(&key)?.iter().filter_map(|place| self.groups.get(place)?.members.get(&key));
        members.into_iter().find(|member| member.id == id)
    }

    /// Looks at the groups in which something was held back.
    pub fn look_again(&mut self, now: Timestamp, settings: &Settings) {
        for group in self.groups.values_mut().filter(|group| group.muted) {
            group.schedule(now, route::of(settings, group.route));
        }
    }

    /// The newest message of a group to a receiver was given up: what still fires is said again.
    pub fn lost(&mut self, now: Timestamp, settings: &Settings, receiver: &str, name: &str) {
        for (_, group) in self.groups.iter_mut().filter(|((to, _), group)| to == receiver && group.name == name) {
            for member in group.members.values_mut() {
                (member.again, member.held) = (member.told.is_some(), None);
            }
            group.schedule(now, route::of(settings, group.route));
        }
    }

    fn forget(&mut self, key: u64, place: &Place) {
        if let Some(places) = self.places.get_mut(&key) {
            places.retain(|p| p != place);
            if places.is_empty() {
                self.places.remove(&key);
            }
        }
    }
}
