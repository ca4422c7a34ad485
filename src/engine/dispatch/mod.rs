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
mod heard;
mod mute;
mod regroup;
mod route;
mod silence;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::alert::hex;
use super::event::{AlertEvent, AlertState, Notification};
use super::split::NEVER;
use crate::model::{Severity, Span, Subject, Timestamp};
use crate::settings::routing::Route;
use crate::settings::{Receiver, Settings};
use crate::wire::notice;
use flap::Flaps;
use flood::Floods;
pub use flood::grouped;
pub use heard::Heard;
pub use mute::{Incident, Incidents, Sources};
pub use route::gets_messages;
pub use silence::{ACKS, AckView, Acks, SILENCES, Silences};

/// Alerts that one message of a group shows, at most.
const SHOWN: usize = 100;
/// A message that found a full queue is made anew after this long at the earliest.
const FULL: Span = Span::minutes(1);

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

/// One alert as one receiver knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Member {
    /// The episode.
    id: String,
    /// The severity at which it was told; `None`: it was not.
    told: Option<Severity>,
    /// What the receiver has of that.
    heard: Heard,
    /// Its last message was given up: it is news again.
    again: bool,
    /// Its end, which is still to be told; or which is held and then forgotten, at a receiver that knows it or is told
    /// no ends.
    ended: Option<Box<AlertEvent>>,
    /// The gravest severity at which it was told by the message that said that it flaps or by one before; `None`: none
    /// said so, and what changes is not held before one does.
    held: Option<Severity>,
}

impl Member {
    /// Whether it was told, or is being told: not when the receiver refused all of it.
    fn is_told(&self) -> bool {
        self.told.is_some() && !self.heard.nothing()
    }

    fn new(id: String) -> Member {
        Member { id, told: None, heard: Heard::default(), again: false, ended: None, held: None }
    }

    /// While it flaps: whether what the receiver was told of that covers an alert of this severity.
    fn holds(&self, severity: Severity) -> bool {
        self.held >= Some(severity)
    }
}

/// How a message is said.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Its group found the queue full before.
    pub again: bool,
    /// It is about what the receiver has not heard of yet and only messages before it tell.
    pub hinges: bool,
}

/// What a flush needs to know of the alerts.
#[derive(Debug, Default)]
pub struct Scene {
    /// Firing alerts by id, at least those that [`Dispatch::wanted`] names.
    pub firing: BTreeMap<String, AlertEvent>,
    /// What inhibits.
    pub sources: Sources,
    /// Per rule: subjects it looks at, and what they are called.
    pub subjects: BTreeMap<String, (u64, String)>,
    /// Per alert, for those who only look: the gravest severity that it may come to.
    pub gravest: BTreeMap<String, Severity>,
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
    pub fn end(&mut self, now: Timestamp, settings: &Settings, event: &AlertEvent) {
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
                    member.ended = Some(Box::new(AlertEvent { severity, ..event.clone() }));
                    group.schedule(now, route::of(settings, group.route));
                    kept.push(place);
                }
                _ => {
                    group.members.remove(&key);
                    if group.members.is_empty() {
                        self.groups.remove(&place);
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

    /// When [`Dispatch::flush`] has something to look at.
    pub fn deadline(&self) -> Timestamp {
        self.groups.values().filter_map(|group| group.due).min().unwrap_or(NEVER)
    }

    /// The alerts that a flush at `now` looks at.
    pub fn wanted(&self, now: Timestamp) -> BTreeSet<String> {
        self.looked_at(now, |_| true)
    }

    /// Those of them that were told before.
    pub fn repeated(&self, now: Timestamp) -> BTreeSet<String> {
        self.looked_at(now, Member::is_told)
    }

    fn looked_at(&self, now: Timestamp, which: impl Fn(&Member) -> bool) -> BTreeSet<String> {
        let members = self.groups.values().filter(|group| group.is_due(now)).flat_map(|group| group.members.values());
        members.filter(|member| member.ended.is_none() && which(member)).map(|member| member.id.clone()).collect()
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

    /// Looks at every group whose time has come. `say` queues a message and answers whether its
    /// queue took it; one that was full is as good as never said, counted there unless the last of its group
    /// found it full too, and made anew a little later.
    pub fn flush(
        &mut self,
        now: Timestamp,
        settings: &Settings,
        scene: &Scene,
        say: &mut impl FnMut(&Receiver, Notification, Manner) -> bool,
    ) {
        let due = self.groups.iter().filter(|(_, group)| group.is_due(now));
        let places: Vec<Place> = due.map(|(place, _)| place.clone()).collect();
        for place in places {
            let Some(mut group) = self.groups.remove(&place) else { continue };
            let before: Vec<u64> = group.members.keys().copied().collect();
            match settings.receivers.iter().find(|receiver| receiver.name == place.0) {
                Some(receiver) => self.look(now, settings, scene, receiver, &mut group, say),
                None => group.members.clear(),
            }
            for key in before.iter().filter(|key| !group.members.contains_key(key)) {
                self.forget(*key, &place);
            }
            if !group.members.is_empty() {
                self.groups.insert(place, group);
            }
        }
    }

    /// Says what there is to say of one group, and when to look next.
    fn look(
        &self,
        now: Timestamp,
        settings: &Settings,
        scene: &Scene,
        receiver: &Receiver,
        group: &mut Group,
        say: &mut impl FnMut(&Receiver, Notification, Manner) -> bool,
    ) {
        let (route, damping) = (route::of(settings, group.route), settings.routing.damping);
        (group.due, group.muted) = (None, false);
        if let Some(opens) = route::closed(route, now) {
            group.due = opens;
            return;
        }
        let mut next = NEVER;
        let holds = !receiver.send_resolved || self.holds_ends(now, damping.flaps, group);
        let (mut news, mut known, mut ended, mut over) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (key, member) in &group.members {
            let steady = self.flaps.held_until(now, *key, damping.flaps);
            let flapping = steady.map(|until| flap::said(damping.flaps, until));
            if let Some(event) = &member.ended {
                match steady.filter(|_| member.held.is_some() && holds) {
                    Some(until) => next = next.min(until),
                    None if receiver.send_resolved && member.is_told() => {
                        let mut event = (**event).clone();
                        // The end of a flood is that of all its alerts, and holds nothing.
                        let said = flapping.filter(|_| !group.flood).map(|text| (notice::FLAPPING.to_owned(), text));
                        event.annotations.extend(said);
                        ended.push((*key, event));
                    }
                    None => over.push(*key),
                }
                continue;
            }
            let Some(event) = scene.firing.get(&member.id).filter(|event| !member.waits(event)) else { continue };
            if let Some(mute) = mute::of(settings, &self.silences, &scene.sources, (&receiver.name, event), now) {
                group.muted = true;
                next = next.min(mute.until().unwrap_or(NEVER));
                continue;
            }
            if let Some(until) = steady.filter(|_| member.told.is_none() && member.holds(event.severity)) {
                next = next.min(until);
                continue;
            }
            let mut event = event.clone();
            if let Some(ack) = self.acks.of(&member.id).filter(|_| self.acks.cover(&member.id, event.severity)) {
                event.annotations.insert(notice::ACKNOWLEDGED.to_owned(), notice::taken_on(ack));
            }
            event.annotations.extend(flapping.map(|text| (notice::FLAPPING.to_owned(), text)));
            let new = member.is_news(&event);
            if new { news.push((*key, event)) } else { known.push((*key, event)) }
        }
        over.iter().for_each(|key| drop(group.members.remove(key)));
        // A flood that ebbs is over when all of it is.
        if group.flood && ended.len() < group.members.len() {
            ended.clear();
        }
        let fresh = !news.is_empty() || !ended.is_empty();
        let open = |(key, event): &(u64, AlertEvent)| {
            group
                .members
                .get(key)
                .is_some_and(|m| m.told.is_some_and(|told| !self.acks.cover(&m.id, told.max(event.severity))))
        };
        let repeat = known.iter().any(open) && group.repeat_at(route, &self.acks).is_some_and(|at| at <= now);
        if fresh || repeat {
            for alerts in [&mut news, &mut known] {
                alerts.sort_by_key(|(key, event)| (std::cmp::Reverse(event.severity), *key));
            }
            let tells = |(key, event): &(u64, AlertEvent)| (*key, group.members[key].tells(event));
            let firing: Vec<(u64, Severity)> = news.iter().chain(&known).map(tells).collect();
            let gone: Vec<u64> = ended.iter().map(|(key, _)| *key).collect();
            let alerts = [news, ended, known].concat().into_iter().map(|(_, event)| event).collect();
            let message = self.message(now, group, scene, (firing.len(), gone.len()), alerts);
            let taken_on = self.taken_on_before(group, receiver, &firing, &message);
            let unheard = |key: &u64| group.members.get(key).is_some_and(|member| !member.heard.something());
            let manner = Manner { again: group.full, hinges: firing.is_empty() && gone.iter().all(unheard) };
            group.full = !say(receiver, message, manner);
            if group.full {
                next = next.min(now + FULL);
            } else {
                for (key, severity) in firing {
                    let member = group.members.get_mut(&key).expect("it was found there");
                    (member.told, member.again) = (member.told.max(Some(severity)), false);
                    member.held = self.flaps.held_until(now, key, damping.flaps).and(member.told.max(member.held));
                    member.heard.said();
                }
                for key in gone {
                    let Some(member) = group.members.remove(&key) else { continue };
                    let steady = self.flaps.held_until(now, key, damping.flaps).filter(|_| !group.flood);
                    if let Some(until) = steady {
                        next = next.min(until);
                        let (id, ended, held) = (member.id, member.ended, member.told.max(member.held));
                        group.members.insert(key, Member { ended, held, ..Member::new(id) });
                    }
                }
                if let Some(taken_on) = taken_on {
                    say(receiver, taken_on, Manner { again: false, hinges: true });
                }
                group.repeats = if fresh { 0 } else { group.repeats.saturating_add(1) };
                group.last = Some(now);
            }
        }
        // A repeat that fell due while all was held back goes out when the hold ends.
        let repeat = group.repeat_at(route, &self.acks).filter(|at| *at > now);
        next = next.min(repeat.unwrap_or(NEVER));
        group.due = (next != NEVER && next > now).then_some(next);
    }

    /// The message about `alerts`, of which so many fire and so many ended.
    fn message(
        &self,
        at: Timestamp,
        group: &Group,
        scene: &Scene,
        (firing, ended): (usize, usize),
        mut alerts: Vec<AlertEvent>,
    ) -> Notification {
        let shown = if group.flood { flood::SHOWN } else { SHOWN };
        let truncated = alerts.len().saturating_sub(shown);
        // Whoever looks at what is shown alone must not take the group for ended while some of it fires.
        if let Some(at) = alerts.iter().position(|a| a.state == AlertState::Firing).filter(|at| *at >= shown) {
            alerts.swap(at, shown - 1);
        }
        alerts.truncate(shown);
        let summary = match alerts.first() {
            Some(lead) if group.flood => flood::summary(&lead.rule, scene, firing, ended, alerts.len()),
            _ if truncated > 0 => format!("{firing} alerts fire and {ended} ended, {shown} shown"),
            _ => String::new(),
        };
        let (group, group_labels) = (group.name.clone(), group.labels.clone());
        Notification { at, group, group_labels, alerts, truncated: truncated as u64, summary, acknowledged: None }
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
