//! What every alert's receivers were told, and when and why they are told next.

use super::mute::{self, Mute};
use super::route::{self, Destination};
use super::{AckView, Dispatch, Group, Member, Place, Scene, flap, flood, lineage};
use crate::engine::event::{Acknowledgement, AlertEvent, AlertState, Muted, Notification};
use crate::engine::notify::Queues;
use crate::engine::view::{MessageView, MuteKind, MuteView, WayView};
use crate::model::{Severity, Timestamp};
use crate::settings::{Receiver, Settings};

/// Whether a receiver is told that alerts ended.
fn hears_ends(settings: &Settings, receiver: &str) -> bool {
    settings.receivers.iter().any(|r| r.name == receiver && r.send_resolved)
}

fn at_or_now(due: Option<Timestamp>) -> String {
    due.map_or_else(|| "now".to_owned(), |due| format!("at {due}"))
}

/// What is still to come of an alert that was told, but for repeats.
struct Remainder {
    /// It may get graver than it was told, in words: than what, if it fell since.
    rises: Option<String>,
    /// Others share its messages.
    shared: bool,
    /// Its end is told.
    ends: bool,
}

impl Remainder {
    /// When it is said again after its message was refused.
    fn retrial(&self) -> String {
        let group = self.shared.then(|| "its group changes".to_owned());
        let when: Vec<String> = self.rises.iter().cloned().chain(group).collect();
        match when.is_empty() {
            false => format!("tried again when {}", when.join(" or ")),
            true if self.ends => "not tried again before it ends; correct the receiver".to_owned(),
            true => "not tried again while this lasts; correct the receiver: the next beginning is tried".to_owned(),
        }
    }

    /// When more is told.
    fn said(&self) -> String {
        match (&self.rises, self.ends) {
            (Some(rises), true) => format!("nothing more until {rises} or ends"),
            (Some(rises), false) => format!("nothing more unless {rises}: send_resolved is false"),
            (None, true) => "nothing more until it ends".to_owned(),
            (None, false) => "nothing more, nor its end: send_resolved is false".to_owned(),
        }
    }
}

impl Dispatch {
    /// One entry per receiver of an alert.
    pub fn told(
        &self,
        now: Timestamp,
        settings: &Settings,
        scene: &Scene,
        queues: &Queues<'_>,
        event: &AlertEvent,
    ) -> Vec<MessageView> {
        let key = lineage(&event.rule, &event.subject);
        let own = |place: &&Place| self.groups.get(*place)?.members.get(&key).filter(|member| member.id == event.id);
        let places = self.places.get(&key).into_iter().flatten().filter(|place| own(place).is_some());
        places.filter_map(|place| self.message_of(now, settings, scene, queues, event, place)).collect()
    }

    /// What the receiver of a place was told of an alert that is told there.
    fn message_of(
        &self,
        now: Timestamp,
        settings: &Settings,
        scene: &Scene,
        queues: &Queues<'_>,
        event: &AlertEvent,
        place: &Place,
    ) -> Option<MessageView> {
        let group = self.groups.get(place)?;
        let member = group.members.get(&lineage(&event.rule, &event.subject))?;
        let mut waiting = queues.waiting(&place.0, &group.name, &member.id);
        // Of what flaps the receiver may have heard the end since.
        let goes_on = member.ended.is_none() && member.held.is_none() && !member.again;
        if let Some(waiting) = waiting.as_mut().filter(|waiting| goes_on && waiting.state == Some(AlertState::Firing)) {
            waiting.known = member.heard.took() >= waiting.severity;
        }
        let (next, why) = match &member.ended {
            Some(ended) => {
                let goes_on = event.state == AlertState::Firing && event.id == ended.id;
                self.ending(now, settings, (place, group, member), ended, (goes_on, waiting.is_some()))
            }
            None => self.next(now, settings, scene, (place, group, member), event),
        };
        let queue = queues.views.iter().find(|q| q.receiver == place.0 && q.queued > 0 && waiting.is_none());
        let why = match queue.and_then(|q| Some((q, q.failing_since?))) {
            Some((queue, since)) => format!("{why}; {} fails since {since}: {}", place.0, queue.last_error),
            None => why,
        };
        let settled = member.told.is_some() && !member.again && waiting.is_none();
        // What is known of an alert whose end was said goes with that.
        let last = member.heard.last().max(queues.took(&place.0, &group.name, &member.id));
        let refused = member.heard.refused().filter(|_| settled).cloned();
        Some(MessageView { receiver: place.0.clone(), group: group.name.clone(), last, waiting, refused, next, why })
    }

    /// Where an alert goes, or would go if it fired: one entry per receiver and group.
    pub fn ways(
        &self,
        now: Timestamp,
        settings: &Settings,
        scene: &Scene,
        queues: &Queues<'_>,
        event: &AlertEvent,
    ) -> Vec<WayView> {
        let mut places = self.places.get(&lineage(&event.rule, &event.subject)).cloned().unwrap_or_default();
        let message = |place: &Place| self.message_of(now, settings, scene, queues, event, place);
        let way = |route: Option<u32>, receiver: &str, group_labels, message: Option<MessageView>, why: String| {
            let matchers = &route::of(settings, route).matchers;
            let active = message.is_some() && event.state == AlertState::Firing;
            let newest = || queues.newest_of(receiver, &event.rule, &event.subject).unzip();
            let (last, waiting, refused, next, why) = match message {
                Some(m) => (m.last, m.waiting, m.refused, m.next, m.why),
                None => {
                    let (last, waiting) = newest();
                    (last.flatten(), waiting, None, None, why)
                }
            };
            let before = if active { queues.before(receiver, event) } else { None };
            WayView {
                receiver: receiver.to_owned(),
                route: route.map(|index| index + 1),
                matchers: matchers.iter().map(|matcher| matcher.to_string()).collect(),
                group_labels,
                last,
                waiting,
                before,
                refused,
                next,
                why,
                active,
                ends: hears_ends(settings, receiver),
            }
        };
        let mut ways = Vec::new();
        let destinations = route::destinations(settings, event);
        for to in &destinations {
            let is = |to: &Destination, place: &Place| *place == (to.receiver.clone(), to.key.clone());
            let keeps = |to: &Destination, place: &Place| to.keeps(settings, place, self.groups.get(place));
            let exact = places.iter().position(|place| is(to, place));
            let kept = || places.iter().position(|place| keeps(to, place));
            // Over a reload that groups otherwise it stays where it was told.
            let free = |place: &Place| destinations.iter().all(|other| !is(other, place) && !keeps(other, place));
            let stays = || places.iter().position(|place| place.0 == to.receiver && free(place));
            let place = exact.or_else(kept).or_else(stays).map(|at| places.remove(at));
            let alone = |place: &Place| ["alert:", flood::KIND].iter().any(|kind| place.1.starts_with(kind));
            let labels = match &place {
                Some(place) => self.groups.get(place).filter(|_| !alone(place)).map(|group| group.labels.clone()),
                None => to.labels.clone(),
            };
            let told = place.and_then(|place| message(&place));
            let route = route::of(settings, to.route);
            let closing = |opens| format!("its route is {}", route::closing(route, now, opens));
            let why = route::closed(route, now).map_or_else(String::new, closing);
            ways.push(way(to.route, &to.receiver, labels, told, why));
        }
        for place in places {
            ways.push(way(None, &place.0, None, message(&place), String::new()));
        }
        let spared = route::spared(settings, event);
        // Whoever was told while it was graver stands there already.
        let spared = spared.into_iter().filter(|spared| ways.iter().all(|way| way.receiver != spared.receiver.name));
        for route::Spared { receiver, route, labels } in spared.collect::<Vec<_>>() {
            let why = format!("takes `{}` alerts and graver ones only", receiver.min_severity.as_str());
            ways.push(way(route, &receiver.name, labels, None, why));
        }
        // Whoever it is over for, as it falls off its routes, may not know that yet.
        let others = settings.receivers.iter().filter(|r| ways.iter().all(|way| way.receiver != r.name));
        let others = others.filter(|r| route::gets_messages(r)).collect::<Vec<_>>();
        for receiver in others {
            let Some(end) = queues.end_of(&receiver.name, &event.rule, &event.subject) else { continue };
            let goes_on = event.state == AlertState::Firing && event.id == end.id;
            let why = if goes_on { end.over_as() } else { format!("its end at {}", end.at) };
            ways.push(way(None, &receiver.name, None, None, why));
        }
        for receiver in settings.receivers.iter().filter(|receiver| !route::gets_messages(receiver)) {
            let why = match event.severity < receiver.min_severity {
                true => format!("takes `{}` alerts and graver ones only", receiver.min_severity.as_str()),
                // What mutes it is said once for all.
                false if event.state == AlertState::Firing && event.muted.is_some() => String::new(),
                false => "an Alertmanager: kept up while the alert fires, it routes by itself".to_owned(),
            };
            ways.push(way(None, &receiver.name, None, None, why));
        }
        ways
    }

    /// Everything that holds messages about an alert back, or makes them fewer.
    pub fn mutes(&self, now: Timestamp, settings: &Settings, scene: &Scene, event: &AlertEvent) -> Vec<MuteView> {
        let key = lineage(&event.rule, &event.subject);
        let mut mutes: Vec<MuteView> =
            mute::everywhere(settings, &self.silences, &scene.sources, event, now).map(|mute| mute.view()).collect();
        let receivers = self.receivers(&event.rule, &event.subject);
        for incident in scene.sources.incidents(&event.id) {
            let held: Vec<&str> = receivers.intersection(&incident.receivers).map(String::as_str).collect();
            let mut mute = Mute::Inhibited(&incident.by).view();
            if held.len() < receivers.len() {
                mute.why += &format!(", at {}", held.join(", "));
            }
            mutes.extend(Some(mute).filter(|_| !held.is_empty()));
        }
        let mut add = |kind, why: String, author: Option<&String>, until| {
            mutes.push(MuteView { kind, why, author: author.cloned(), id: None, until });
        };
        let flaps = settings.routing.damping.flaps;
        if let Some(until) = self.flaps.held_until(now, key, flaps) {
            let why = format!("flapping: {}", flap::said(flaps, until));
            add(MuteKind::Flapping, why, None, Some(until));
        }
        if let Some(ack) = self.taken_on_by(event) {
            let graver = if ack.graver { ", but it got graver since" } else { "" };
            let why = format!("{ack}; not repeated until it ends{graver}");
            add(MuteKind::Acknowledgement, why, Some(&ack.author), None);
        }
        if self.places.get(&key).into_iter().flatten().any(|place| place.1.starts_with(flood::KIND)) {
            let why = format!("a flood: one message stands for all alerts of `{}`", event.rule);
            add(MuteKind::Flood, why, None, None);
        }
        mutes
    }

    fn next(
        &self,
        now: Timestamp,
        settings: &Settings,
        scene: &Scene,
        (place, group, member): (&Place, &Group, &Member),
        event: &AlertEvent,
    ) -> (Option<Timestamp>, String) {
        let route = route::of(settings, group.route);
        let rest = if hears_ends(settings, &place.0) { "nothing but its end" } else { "nothing more" };
        if event.muted == Some(Muted::Shadow) {
            return (None, format!("{rest}: its rule tells nobody any more"));
        }
        let receiver = settings.receivers.iter().find(|receiver| receiver.name == place.0);
        let least = receiver.map(|receiver| receiver.min_severity).filter(|least| event.severity < *least);
        if let Some(least) = least.filter(|_| member.off_route) {
            return (None, format!("{rest}: takes `{}` alerts and graver ones only", least.as_str()));
        }
        if member.off_route {
            return (None, format!("{rest}: no route leads a {} alert like it here", event.severity.as_str()));
        }
        if let Some(opens) = route::closed(route, now) {
            return (opens, route::closing(route, now, opens));
        }
        if let Some(mute) = mute::of(settings, &self.silences, &scene.sources, (&place.0, event), now) {
            return (mute.until().filter(|_| member.told.is_none() || member.again), mute.reason());
        }
        let key = lineage(&event.rule, &event.subject);
        let flaps = self.flaps.held_until(now, key, settings.routing.damping.flaps);
        let news = member.told.is_none() || member.again;
        if let Some(until) = flaps.filter(|_| news && member.holds(event.severity)) {
            let last = if member.told.is_none() { "; its end was told last" } else { "" };
            let why = format!("it flaps, so its beginning is held until {until} at least{last}");
            return (Some(until), why);
        }
        let opens = |_: &Muted| member.waits(event) || group.repeat_at(route, &self.acks).is_none();
        if let Some(Muted::Hours { until }) = event.muted.filter(opens) {
            return (Some(until), Muted::Hours { until }.to_string());
        }
        if member.is_news(event) {
            let due = group.due.filter(|due| *due > now);
            return match due {
                _ if group.full => (due, format!("the queue of the receiver was full; tried again {}", at_or_now(due))),
                Some(due) if group.last.is_none() => (Some(due), format!("waiting for its group until {due}")),
                Some(due) => (Some(due), format!("its group is told again at {due}")),
                None => (group.due, "its group is told now".to_owned()),
            };
        }
        // It may have fallen since: to come back to what its receiver knows is no news.
        let told = member.told.map_or(event.severity, |told| told.max(event.severity));
        if let Some(ack) = self.acks.view(&event.id).filter(|ack| !ack.graver) {
            return (None, ack.to_string());
        }
        let (refused, ends) = (member.heard.refused().is_some(), hears_ends(settings, &place.0));
        let than = if told > event.severity { format!(" than {}", told.as_str()) } else { String::new() };
        let rises = scene.gravest.get(&event.id).is_some_and(|gravest| *gravest > told);
        let rest = Remainder {
            rises: rises.then(|| format!("it gets graver{than}")),
            shared: !place.1.starts_with("alert:"),
            ends: ends && (!refused || member.heard.something()),
        };
        // One that falls due while the message before it is on its way is looked at again later.
        let later = |at: Timestamp| group.due.filter(|_| at <= now).unwrap_or(at);
        let (next, why) = match group.repeat_at(route, &self.acks).map(later) {
            Some(at) if refused => (Some(at), format!("tried again at {at}")),
            None if refused => (None, rest.retrial()),
            Some(at) => (Some(at), format!("repeat at {at}")),
            None => (None, rest.said()),
        };
        let holds = || !ends || self.holds_ends(now, settings.routing.damping.flaps, group);
        match flaps.filter(|_| member.held.is_some() && holds()) {
            Some(until) if ends => (next, format!("{why}; it flaps, so its end is held until {until} at least")),
            Some(until) => (next, format!("{why}; it flaps, so the next beginning is held until {until} at least")),
            None => (next, why),
        }
    }

    /// When the end of an alert is told that is not told yet, and why then.
    fn ending(
        &self,
        now: Timestamp,
        settings: &Settings,
        (place, group, member): (&Place, &Group, &Member),
        ended: &AlertEvent,
        (goes_on, waits): (bool, bool),
    ) -> (Option<Timestamp>, String) {
        let (at, due) = (ended.at, group.due.filter(|due| *due > now));
        // It fires on, as a milder one that is not told here.
        let what = if goes_on { format!(" as severity={}", ended.severity.as_str()) } else { String::new() };
        let its_end = format!("its end{what} at {at}");
        let key = lineage(&ended.rule, &ended.subject);
        let held = self.flaps.held_until(now, key, settings.routing.damping.flaps).filter(|_| member.held.is_some());
        let holds = || !hears_ends(settings, &place.0) || self.holds_ends(now, settings.routing.damping.flaps, group);
        let held = held.filter(|_| holds());
        let burns = group.burns();
        let route = route::of(settings, group.route);
        match (held, route::closed(route, now)) {
            (Some(until), _) if !hears_ends(settings, &place.0) => {
                (None, format!("told no ends; it flaps, so the next beginning is held until {until} at least"))
            }
            (Some(until), _) if member.told.is_none() => {
                let said = if waits { format!("it ended at {at}") } else { "its end was told".to_owned() };
                (None, format!("{said}; it flaps, so the next beginning is held until {until} at least"))
            }
            (Some(until), _) => (Some(until), format!("{its_end} is held until {until} at least because it flaps")),
            (_, Some(opens)) => (opens, format!("{its_end} is {}", route::closing(route, now, opens))),
            _ if burns => (None, format!("{its_end} is told when all of the flood ended")),
            _ if group.full => {
                let again = at_or_now(due);
                (due, format!("{its_end} found the queue of the receiver full; tried again {again}"))
            }
            _ => match due {
                Some(due) => (Some(due), format!("{its_end} is told at {due}")),
                None => (group.due, format!("{its_end} is told now")),
            },
        }
    }

    /// Who took an alert on that fires, and whether it got graver since.
    pub fn taken_on_by(&self, event: &AlertEvent) -> Option<AckView> {
        self.acks.view(&event.id)
    }

    /// Alerts that ended, of which somebody was told whose message about the end is yet to be made.
    pub fn endings(&self, settings: &Settings) -> Vec<&AlertEvent> {
        let groups = self.groups.iter().filter(|(place, _)| hears_ends(settings, &place.0));
        let members = groups.flat_map(|(_, group)| group.members.values());
        members.filter(|member| member.told.is_some()).filter_map(|member| member.ended.as_deref()).collect()
    }

    /// What is said of an alert that somebody took on just now, to those who were told of it and want to know.
    pub fn taken_on(
        &mut self,
        now: Timestamp,
        settings: &Settings,
        (event, milder): (&AlertEvent, &[AlertEvent]),
        ack: &Acknowledgement,
    ) -> Vec<(String, Notification)> {
        let key = lineage(&event.rule, &event.subject);
        let mut said = Vec::new();
        for place in self.places.get(&key).into_iter().flatten() {
            let Some(group) = self.groups.get_mut(place) else { continue };
            let receiver = settings.receivers.iter().find(|r| r.name == place.0);
            let Some(channel) = receiver.map(|r| &r.channel).filter(|c| c.hears_acknowledgements()) else { continue };
            let told = |m: &&Member| m.is_told() && m.ended.is_none();
            let open = |m: &Member| m.is_repeated(&self.acks);
            let waits = channel.has_incidents() && group.members.values().filter(told).any(open);
            let member = group.members.get(&key).filter(told);
            let Some(event) = member.filter(|_| !waits).and_then(|member| member.sees(event, milder)) else { continue };
            let notification = Notification {
                at: now,
                group: group.name.clone(),
                matched: group.matched.clone(),
                group_labels: group.labels.clone(),
                alerts: vec![event.clone()],
                truncated: 0,
                summary: String::new(),
                acknowledged: Some(ack.clone()),
                reopens: false,
            };
            group.taken_on = channel.has_incidents();
            said.push((place.0.clone(), notification));
        }
        said
    }

    /// What follows on a message that opens an incident whose alerts have all been taken on before: nobody is to be
    /// called for it.
    pub(super) fn taken_on_before(
        &self,
        group: &Group,
        receiver: &Receiver,
        firing: &[(u64, Severity)],
        said: &Notification,
    ) -> Option<Notification> {
        let covered =
            |(key, _): &(u64, Severity)| group.members.get(key).is_some_and(|member| self.acks.cover(&member.id));
        let incident = receiver.channel.has_incidents() && said.state() == AlertState::Firing;
        let lead = said.alerts.iter().find(|alert| alert.state == AlertState::Firing);
        let ack = self.acks.of(&lead.filter(|_| incident && firing.iter().all(covered))?.id)?;
        Some(Notification { acknowledged: Some(ack.clone()), reopens: false, ..said.clone() })
    }

    /// Whether a message of a group whose incident was taken on has news that nobody took on: what is added to such an
    /// incident calls nobody. What its receiver refused is news to it when it is repeated.
    pub(super) fn reopens(&self, group: &Group, news: &[(u64, AlertEvent)], known: &[(u64, AlertEvent)]) -> bool {
        let refused =
            |(key, _): &&(u64, AlertEvent)| group.members.get(key).is_some_and(|m| m.heard.refused().is_some());
        let mut news = news.iter().chain(known.iter().filter(refused));
        group.taken_on && news.any(|(_, event)| !self.acks.cover(&event.id))
    }

    /// Why nobody is told of an alert that fires.
    pub fn untold(settings: &Settings, event: &AlertEvent) -> String {
        if settings.receivers.is_empty() {
            return "there are no receivers".to_owned();
        }
        let severity = event.severity.as_str();
        format!("no receiver on its routes takes {severity} alerts")
    }
}
