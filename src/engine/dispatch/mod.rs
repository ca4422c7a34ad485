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
use super::event::{AlertEvent, AlertState, Muted};
use super::notify::Lost;
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
use route::Destination;
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
    /// The matchers of its route when it began; empty where it has none, or for an alert that is told alone.
    matched: String,
    labels: BTreeMap<String, String>,
    /// Index of its route; `None`: no route matched.
    route: Option<u32>,
    /// It stands for a flood of alerts of one rule.
    flood: bool,
    /// The gravest severity that it told since all of it was over.
    gravest: Option<Severity>,
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
    /// A message acknowledged its incident, which is open since.
    taken_on: bool,
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

    /// One of its alerts is led to its receiver by these. Alone, or back on its routes as `returns` says, it has the hours
    /// and times of those, and what it shares with others is not kept by theirs; but nothing falls silent by that which was
    /// told. Whether the route is another one than before.
    fn lead(
        &mut self,
        now: Timestamp,
        settings: &Settings,
        place: &Place,
        destinations: &[Destination],
        returns: bool,
    ) -> bool {
        let mut own = destinations.iter().filter(|to| to.receiver == place.0);
        let exact = own.clone().find(|to| to.keeps(settings, place, Some(self)));
        let Some(to) = exact.or_else(|| own.next()).filter(|to| to.route != self.route) else { return false };
        let speaks = |route| route::closed(route::of(settings, route), now).is_none();
        let follows = returns || speaks(to.route) && (self.members.len() == 1 || !speaks(self.route));
        if follows {
            self.route = to.route;
        }
        follows
    }

    /// Whether it is a flood of which something fires that was told.
    fn burns(&self) -> bool {
        self.flood && self.members.values().any(|member| member.ended.is_none() && member.told.is_some())
    }

    /// Whether an alert of this severity is graver than all that a flood told, which then does not wait for the next
    /// message about it: once for each level.
    fn outgrows(&self, severity: Severity) -> bool {
        self.flood && self.gravest < Some(severity)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    fn interval(&self, route: &Route) -> Span {
        if self.flood { route.group_interval.max(flood::INTERVAL) } else { route.group_interval }
    }

    /// When it is repeated, if somebody was told of an alert that still fires and nobody took it on.
    fn repeat_at(&self, route: &Route, acks: &Acks) -> Option<Timestamp> {
        let (repeat, last) = (route.repeat?, self.last?);
        self.members.values().any(|member| member.is_repeated(acks)).then(|| last + repeat.wait(self.repeats))
    }
}

impl Dispatch {
    /// An alert began to fire, or became graver.
    pub fn fire(&mut self, now: Timestamp, settings: &Settings, event: &AlertEvent) {
        let key = lineage(&event.rule, &event.subject);
        let damping = settings.routing.damping;
        self.acks.rise(&event.id, event.severity);
        let mut anew = false;
        if !self.knows(event) {
            // Getting graver is no beginning, nor are hours that open.
            anew = event.fired_at == Some(now) && self.flaps.note(now, key, damping.flaps);
        }
        self.lead(now, settings, event, true, anew);
    }

    /// An alert became milder. Where its routes lead no more it is over, as `ends` has it by the severity that was told
    /// there, but for who was told none graver than it is now; where they lead now and did not before it begins, if
    /// anybody is told now; for everybody else it goes on.
    pub fn fall(&mut self, now: Timestamp, settings: &Settings, event: &AlertEvent, ends: &[AlertEvent], begins: bool) {
        let key = lineage(&event.rule, &event.subject);
        let destinations = route::destinations(settings, event);
        let leads = |place: &Place| destinations.iter().any(|to| to.receiver == place.0);
        let places = self.places.remove(&key).unwrap_or_default();
        let fires = |place: &Place| self.member(place, key).is_some_and(|member| member.fires(&event.id));
        let (live, mut kept): (Vec<Place>, Vec<Place>) = places.into_iter().partition(fires);
        let mild =
            |place: &Place| self.member(place, key).is_some_and(|m| m.is_told() && m.told <= Some(event.severity));
        let (stay, leave): (Vec<Place>, Vec<Place>) = live.into_iter().partition(|place| leads(place) || mild(place));
        for place in stay {
            let Some(group) = self.groups.get_mut(&place) else { continue };
            let member = group.members.get_mut(&key).expect("it fires there");
            let returns = member.off_route && leads(&place);
            member.fall(event.severity, leads(&place));
            // As a reload may have its routes by now, and graver perhaps than it was told there.
            let moves = leads(&place) && group.lead(now, settings, &place, &destinations, returns);
            // Where others keep it on the route of graver ones, it may be the last of these.
            let away = destinations.iter().any(|to| to.receiver == place.0 && to.route != group.route);
            if moves || away || returns {
                group.schedule(now, route::of(settings, group.route));
            }
            kept.push(place);
        }
        kept.extend(leave.into_iter().filter(|place| self.leave(now, settings, place, event, ends, false)));
        if !kept.is_empty() {
            self.places.insert(key, kept);
        }
        if begins {
            self.lead(now, settings, event, false, false);
        }
    }

    /// Makes an alert a member of the groups that its routes lead to; where it is one already it goes on, if it `rises`.
    /// `anew`: a hold for flapping begins with this.
    fn lead(&mut self, now: Timestamp, settings: &Settings, event: &AlertEvent, rises: bool, anew: bool) {
        let key = lineage(&event.rule, &event.subject);
        let places = self.places.remove(&key).unwrap_or_default();
        let destinations = route::destinations(settings, event);
        let leads = |place: &Place| destinations.iter().any(|to| to.receiver == place.0);
        let untold = |m: &Member| m.ended.is_none() && !m.is_told();
        let waits = |place: &Place| self.member(place, key).is_some_and(untold);
        let keeps = |place: &Place| destinations.iter().any(|to| to.keeps(settings, place, self.groups.get(place)));
        // Who does not hear of this one, and waits for it, does so no more, nor in the group of another route.
        let (leave, mut places): (Vec<Place>, Vec<Place>) =
            places.into_iter().partition(|place| waits(place) && !keeps(place));
        places.extend(leave.into_iter().filter(|place| self.leave(now, settings, place, event, &[], false)));
        let known: BTreeSet<String> = places.iter().map(|(receiver, _)| receiver.clone()).collect();
        for destination in destinations.iter().filter(|to| !known.contains(&to.receiver)) {
            let place = self.open(now, settings, destination, event);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        for place in &places {
            let Some(group) = self.groups.get_mut(place) else { continue };
            let member = group.members.entry(key).or_insert_with(|| Member::new(String::new()));
            if !leads(place) {
                // Or is still to be told the end of the one before, or its own.
                member.off_route = member.ended.is_none();
                continue;
            }
            if !rises && member.fires(&event.id) {
                continue;
            }
            let returns = member.off_route;
            member.go_on(&event.id);
            if anew {
                member.held = None;
            }
            group.lead(now, settings, place, &destinations, returns);
            group.schedule(now, route::of(settings, group.route));
            if group.outgrows(event.severity) {
                group.due = Some(now);
            }
        }
        if !places.is_empty() {
            self.places.insert(key, places);
        }
    }

    /// An alert ended: those who were told of it are told so, nobody else, and not who refused to hear of it.
    /// `ends` is how it ended at other severities that somebody was told.
    pub fn end(&mut self, now: Timestamp, settings: &Settings, event: &AlertEvent, ends: &[AlertEvent]) {
        let key = lineage(&event.rule, &event.subject);
        let taken_on = self.acks.of(&event.id).is_some();
        self.acks.release(&event.id);
        let anew = self.flaps.note(now, key, settings.routing.damping.flaps);
        let places = self.places.remove(&key).unwrap_or_default();
        let kept: Vec<Place> =
            places.into_iter().filter(|place| self.leave(now, settings, place, event, ends, anew)).collect();
        // Nobody has taken on the next one, which would go on without a word.
        for place in kept.iter().filter(|_| taken_on) {
            let member = self.groups.get_mut(place).and_then(|group| group.members.get_mut(&key));
            member.into_iter().filter(|member| member.id == event.id).for_each(|member| member.again = true);
        }
        if !kept.is_empty() {
            self.places.insert(key, kept);
        }
    }

    /// That an alert is over for the receiver of a place. Whether something is still to be said or held there.
    fn leave(
        &mut self,
        now: Timestamp,
        settings: &Settings,
        place: &Place,
        event: &AlertEvent,
        ends: &[AlertEvent],
        anew: bool,
    ) -> bool {
        let key = lineage(&event.rule, &event.subject);
        let flaps = self.flaps.held_until(now, key, settings.routing.damping.flaps).is_some();
        let wanted = settings.receivers.iter().any(|r| r.name == place.0 && r.send_resolved);
        let Some(group) = self.groups.get_mut(place) else { return false };
        if let Some(member) = group.members.get_mut(&key).filter(|_| anew) {
            member.held = None;
        }
        match group.members.get_mut(&key) {
            Some(member) if member.id != event.id => return true,
            // Who was told that it flaps, and who is told no ends, is not told of a beginning again either meanwhile.
            Some(member) if (wanted && member.is_told()) || (flaps && member.held.is_some()) => {
                // Whoever keys by labels closes what it was told of, whatever a hold or a reload made of it since.
                let own = ends.iter().find(|own| Some(own.severity) == member.gravest).unwrap_or(event);
                let (severity, trend) = (member.gravest.unwrap_or(event.severity), event.trend.clone());
                let state = AlertState::Resolved;
                member.ended = Some(Box::new(AlertEvent { state, severity, trend, ..own.clone() }));
                group.schedule(now, route::of(settings, group.route));
                return true;
            }
            _ => drop(group.members.remove(&key)),
        }
        if group.members.is_empty() {
            self.groups.remove(place);
        } else if group.flood {
            // It may be the last that the end of the others waits for.
            group.schedule(now, route::of(settings, group.route));
        }
        false
    }

    fn member(&self, place: &Place, key: u64) -> Option<&Member> {
        self.groups.get(place)?.members.get(&key)
    }

    /// The members that stand for an alert, wherever it is told.
    fn members(&self, event: &AlertEvent) -> impl Iterator<Item = &Member> {
        let key = lineage(&event.rule, &event.subject);
        let places = self.places.get(&key).into_iter().flatten();
        places.filter_map(move |place| self.member(place, key)).filter(|member| member.id == event.id)
    }

    /// The severities, other than that of an alert, that somebody was told of it last or at the gravest.
    pub fn told_otherwise(&self, event: &AlertEvent) -> BTreeSet<Severity> {
        self.told_as(event).filter(|told| *told != event.severity).collect()
    }

    /// The severities that somebody was told of an alert last or at the gravest.
    pub fn told_as(&self, event: &AlertEvent) -> impl Iterator<Item = Severity> {
        self.members(event).flat_map(|member| [member.told, member.gravest]).flatten()
    }

    /// The severities below that of an alert at which somebody goes on seeing it, outside of its rule's hours or off the
    /// routes to them.
    pub fn seen_milder(&self, event: &AlertEvent) -> impl Iterator<Item = Severity> {
        let late = matches!(event.muted, Some(Muted::Hours { .. }));
        let seen = self.members(event).filter(move |member| late || member.off_route);
        seen.filter_map(|member| member.told).filter(|told| *told < event.severity)
    }

    /// Whether an alert that fires is on its way to somebody.
    pub fn knows(&self, event: &AlertEvent) -> bool {
        self.members(event).next().is_some()
    }

    /// Who is told of an alert that fires, sooner or later, and does not refuse to be.
    pub fn receivers(&self, rule: &str, subject: &Subject) -> BTreeSet<String> {
        let key = lineage(rule, subject);
        let hears = |place: &&Place| self.member(place, key).is_some_and(|m| m.ended.is_none() && !m.heard.nothing());
        let places = self.places.get(&key).into_iter().flatten().filter(hears);
        places.map(|(receiver, _)| receiver.clone()).collect()
    }

    /// Alerts of which a receiver took a message, and whose end it was not told.
    pub fn open_at(&self, receiver: &str) -> usize {
        let groups = self.groups.iter().filter(|(place, _)| place.0 == receiver);
        groups.flat_map(|(_, group)| group.members.values()).filter(|member| member.heard.something()).count()
    }

    /// Whether so many alerts like this one begin, wherever it is told, that few of them are shown.
    pub fn floods(&self, now: Timestamp, settings: &Settings, event: &AlertEvent) -> bool {
        let flood = |to: &Destination| flood::key(route::of(settings, to.route), &event.rule);
        let rages = |to: &Destination| to.labels.is_none() && self.floods.rages(now, &(to.receiver.clone(), flood(to)));
        let destinations = route::destinations(settings, event);
        !destinations.is_empty() && destinations.iter().all(rages)
    }

    /// Looks at the groups in which something was held back.
    pub fn look_again(&mut self, now: Timestamp, settings: &Settings) {
        for group in self.groups.values_mut().filter(|group| group.muted) {
            group.schedule(now, route::of(settings, group.route));
        }
    }

    /// Messages of a group to a receiver were given up: what still fires of what they told is said again.
    pub fn lost(&mut self, now: Timestamp, settings: &Settings, receiver: &str, lost: &Lost) {
        for (_, group) in self.groups.iter_mut().filter(|((to, _), group)| to == receiver && group.name == lost.group) {
            for (_, member) in group.members.iter_mut().filter(|(key, _)| lost.tells(**key)) {
                // Who has nothing of it, nor will, is not told its end either.
                if !member.heard.something() {
                    (member.told, member.gravest, member.heard) = (None, None, Heard::default());
                }
                (member.again, member.held) = (member.told.is_some(), None);
            }
            // The new incident was never opened.
            group.taken_on |= lost.reopens;
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
