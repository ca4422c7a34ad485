//! What is said of the groups whose time has come, and when each is looked at next.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dispatch, Group, Member, Place, Sources, flap, flood, lineage, mute, route};
use crate::engine::event::{AlertEvent, AlertState, Notification};
use crate::engine::split::NEVER;
use crate::model::{Severity, Span, Timestamp};
use crate::settings::routing::Route;
use crate::settings::{Receiver, Settings};
use crate::wire::notice;

/// Alerts that one message of a group shows, at most.
pub const SHOWN: usize = 100;
/// A message that found a full queue is made anew after this long at the earliest.
const FULL: Span = Span::minutes(1);

/// How a message is said.
#[derive(Debug, Clone, Default)]
pub struct Manner {
    /// Its group found the queue full before.
    pub again: bool,
    /// It is about what the receiver has not heard of yet and only messages before it tell.
    pub hinges: bool,
    /// When the receiver took its newest message about each alert that ended, by its id.
    pub took: BTreeMap<String, Timestamp>,
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
    /// Per alert that somebody sees as milder than it is, for a flush: what is known of it at its milder severities.
    pub milder: BTreeMap<String, Vec<AlertEvent>>,
}

/// A group that followed an alert to the route of graver ones is on its own again when none of that route fires in it.
fn go_home(now: Timestamp, settings: &Settings, scene: &Scene, place: &Place, group: &mut Group) {
    let own = |route: &Route| route::is_of(place, route);
    let Some(home) = settings.routing.routes.iter().position(own).map(|index| index as u32) else { return };
    if group.route == Some(home) || route::closed(route::of(settings, Some(home)), now).is_some() {
        return;
    }
    let led = |event: &AlertEvent| {
        let mut destinations = route::destinations(settings, event).into_iter();
        destinations.any(|to| to.receiver == place.0 && to.route == group.route)
    };
    let firing = group.members.values().filter(|member| member.ended.is_none());
    if !firing.filter_map(|member| scene.firing.get(&member.id)).any(led) {
        group.route = Some(home);
    }
}

impl Dispatch {
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
                Some(receiver) => {
                    go_home(now, settings, scene, &place, &mut group);
                    self.look(now, settings, scene, receiver, &mut group, say);
                }
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
            let Some(newest) = scene.firing.get(&member.id) else { continue };
            let milder = scene.milder.get(&member.id).map_or(&[][..], Vec::as_slice);
            let Some(event) = member.sees(newest, milder) else { continue };
            if let Some(mute) = mute::of(settings, &self.silences, &scene.sources, (&receiver.name, event), now) {
                group.muted = true;
                next = next.min(mute.until().unwrap_or(NEVER));
                continue;
            }
            let begins = member.told.is_none() || member.again;
            if let Some(until) = steady.filter(|_| begins && member.holds(event.severity)) {
                next = next.min(until);
                continue;
            }
            let mut event = AlertEvent { trend: newest.trend.clone(), ..event.clone() };
            if let Some(ack) = self.acks.of(&member.id).filter(|_| self.acks.cover(&member.id)) {
                event.annotations.insert(notice::ACKNOWLEDGED.to_owned(), notice::taken_on(ack));
            }
            event.annotations.extend(flapping.map(|text| (notice::FLAPPING.to_owned(), text)));
            let new = member.is_news(&event);
            if new { news.push((*key, event)) } else { known.push((*key, event)) }
        }
        over.iter().for_each(|key| drop(group.members.remove(key)));
        // A flood that ebbs is over when all of it is that was told, or is now.
        if group.flood && !news.is_empty() || group.burns() {
            ended.clear();
        }
        let fresh = !news.is_empty() || !ended.is_empty();
        let open = |(key, _): &(u64, AlertEvent)| group.members.get(key).is_some_and(|m| m.is_repeated(&self.acks));
        let mut repeat = known.iter().any(open) && group.repeat_at(route, &self.acks).is_some_and(|at| at <= now);
        let waits = |(key, _): &(u64, AlertEvent)| group.members.get(key).is_some_and(|member| member.heard.waits());
        if let Some(again) = route.repeat.filter(|_| repeat && !fresh && known.iter().any(waits)) {
            // What says the same is on its way: whoever was down for long wants to hear it once.
            (repeat, next) = (false, next.min(now + again.wait(group.repeats)));
        }
        if fresh || repeat {
            for alerts in [&mut news, &mut ended, &mut known] {
                alerts.sort_by_key(|(key, event)| (std::cmp::Reverse(event.severity), *key));
            }
            let tells = |(key, event): &(u64, AlertEvent)| (*key, event.severity);
            let firing: Vec<(u64, Severity)> = news.iter().chain(&known).map(tells).collect();
            let gone: Vec<u64> = ended.iter().map(|(key, _)| *key).collect();
            let reopens = self.reopens(group, &news, &known);
            let alerts = [news, ended, known].concat().into_iter().map(|(_, event)| event).collect();
            let message =
                Notification { reopens, ..self.message(now, group, scene, (firing.len(), gone.len()), alerts) };
            let taken_on = self.taken_on_before(group, receiver, &firing, &message);
            let unheard = |key: &u64| group.members.get(key).is_some_and(|member| !member.heard.something());
            let hinges = firing.is_empty() && gone.iter().all(unheard);
            let over = gone.iter().filter_map(|key| group.members.get(key));
            let took = over.filter_map(|member| Some((member.id.clone(), member.heard.last()?))).collect();
            let manner = Manner { again: group.full, hinges, took };
            let whole = message.truncated == 0;
            let some = message.alerts.iter().filter(|_| !whole);
            let some: BTreeSet<u64> = some.map(|alert| lineage(&alert.rule, &alert.subject)).collect();
            let shown = |key: &u64| whole || some.contains(key);
            // Who is not shown was not said to flap; the message of a flood stands for all of it.
            let says = |key: &u64| group.flood || shown(key);
            let flaps = |key: u64| self.flaps.held_until(now, key, damping.flaps);
            let closes = firing.is_empty();
            group.full = !say(receiver, message, manner);
            if group.full {
                next = next.min(now + FULL);
            } else {
                for (key, severity) in firing {
                    group.gravest = group.gravest.max(Some(severity));
                    let member = group.members.get_mut(&key).expect("it was found there");
                    member.said(now, severity, shown(&key));
                    member.held =
                        flaps(key).and(if says(&key) { member.gravest.max(member.held) } else { member.held });
                }
                for key in gone {
                    let Some(member) = group.members.remove(&key) else { continue };
                    let steady = flaps(key).filter(|_| says(&key) && !group.flood);
                    if let Some(until) = steady {
                        next = next.min(until);
                        let (id, ended, held) = (member.id, member.ended, member.gravest.max(member.held));
                        group.members.insert(key, Member { ended, held, ..Member::new(id) });
                    }
                }
                // Whoever closes what is open by that takes them for over, too: what a hold kept out of it is told after that.
                if closes {
                    group.gravest = None;
                    let open = group.members.values_mut().filter(|member| member.told.is_some());
                    open.for_each(|member| member.again = true);
                }
                group.taken_on = group.taken_on && !closes && !reopens || taken_on.is_some();
                if let Some(taken_on) = taken_on {
                    say(receiver, taken_on, Manner { hinges: true, ..Manner::default() });
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
            _ if truncated > 0 => {
                let ended = if ended > 0 { format!(" and {ended} ended") } else { String::new() };
                format!("{firing} alerts fire{ended}, {shown} shown")
            }
            _ => String::new(),
        };
        let (group, matched, group_labels) = (group.name.clone(), group.matched.clone(), group.labels.clone());
        Notification {
            at,
            group,
            matched,
            group_labels,
            alerts,
            truncated: truncated as u64,
            summary,
            acknowledged: None,
            reopens: false,
        }
    }
}
