//! What every alert's receivers were told, and when and why they are told next.

use super::{Dispatch, Group, Member, Scene, lineage, mute, route};
use crate::engine::event::AlertEvent;
use crate::engine::view::{MessageView, ReceiverView};
use crate::model::Timestamp;
use crate::settings::Settings;

impl Dispatch {
    /// One entry per receiver of an alert.
    pub fn told(
        &self,
        now: Timestamp,
        settings: &Settings,
        scene: &Scene,
        queues: &[ReceiverView],
        event: &AlertEvent,
    ) -> Vec<MessageView> {
        let key = lineage(&event.rule, &event.subject);
        let mut found = Vec::new();
        for place in self.places.get(&key).into_iter().flatten() {
            let Some((group, member)) = self.groups.get(place).and_then(|g| Some((g, g.members.get(&key)?))) else {
                continue;
            };
            let (next, why) = self.next(now, settings, scene, group, member, event);
            let queue = queues.iter().find(|q| q.receiver == place.0 && q.queued > 0);
            let why = match queue.and_then(|q| Some((q, q.failing_since?))) {
                Some((queue, since)) => format!("{why}; {} fails since {since}: {}", place.0, queue.last_error),
                None => why,
            };
            let last = group.last.filter(|_| member.told.is_some());
            found.push(MessageView { receiver: place.0.clone(), group: group.name.clone(), last, next, why });
        }
        found
    }

    fn next(
        &self,
        now: Timestamp,
        settings: &Settings,
        scene: &Scene,
        group: &Group,
        member: &Member,
        event: &AlertEvent,
    ) -> (Option<Timestamp>, String) {
        let route = route::of(settings, group.route);
        if let Some(opens) = route::closed(route, now) {
            let why = opens.map_or("outside active hours".to_owned(), |at| format!("outside active hours until {at}"));
            return (opens, why);
        }
        if let Some(mute) = mute::of(settings, &self.silences, &scene.sources, event, now) {
            return (mute.until().filter(|_| member.told.is_none()), mute.reason());
        }
        if member.told < Some(event.severity) {
            let due = group.due.filter(|due| *due > now);
            return match due {
                Some(due) if group.last.is_none() => (Some(due), format!("waiting for its group until {due}")),
                Some(due) => (Some(due), format!("its group is told again at {due}")),
                None => (group.due, "the queue of the receiver was full".to_owned()),
            };
        }
        if let Some(ack) = self.acks.of(&event.id).filter(|_| self.acks.cover(&event.id, event.severity)) {
            let note = if ack.note.is_empty() { String::new() } else { format!(": {}", ack.note) };
            return (None, format!("acknowledged by {} at {}{note}", ack.author, ack.at));
        }
        match group.repeat_at(route, &self.acks) {
            Some(at) => (Some(at), format!("repeat at {at}")),
            None => (None, "told; nothing more until it ends".to_owned()),
        }
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
