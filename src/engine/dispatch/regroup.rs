//! Sorts the alerts anew when the policy changes, without saying anything twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dispatch, Group, Member, Place, flood, lineage, route};
use crate::engine::event::{AlertEvent, Muted};
use crate::model::Timestamp;
use crate::settings::{Receiver, Settings};

impl Dispatch {
    /// Every alert goes where the new routes have it. What a receiver was told it stays told of, in
    /// whatever group; one who was not told before is told now.
    pub fn regroup(&mut self, now: Timestamp, settings: &Settings, firing: &[AlertEvent]) {
        let old = std::mem::take(&mut self.groups);
        self.places.clear();
        // What each receiver knows, and in which group.
        let mut known: BTreeMap<(String, u64, String), Member> = BTreeMap::new();
        let mut shells: BTreeMap<Place, Group> = BTreeMap::new();
        for (place, mut group) in old {
            for (key, member) in std::mem::take(&mut group.members) {
                known.insert((place.0.clone(), key, place.1.clone()), member);
            }
            shells.insert(place, group);
        }
        let ended: Vec<AlertEvent> = known.values().filter_map(|m| m.ended.as_deref().cloned()).collect();
        let mut seen = BTreeSet::new();
        let live: BTreeSet<&str> = firing.iter().map(|event| event.id.as_str()).collect();
        for event in firing.iter().chain(&ended) {
            let key = lineage(&event.rule, &event.subject);
            if !seen.insert((event.id.clone(), key)) {
                continue;
            }
            self.acks.rise(&event.id, event.severity);
            let begins = event.muted.is_none() && live.contains(event.id.as_str());
            for destination in route::destinations(settings, event) {
                let exact = (destination.receiver.clone(), key, destination.key.clone());
                let own = |member: &Member| member.id == event.id;
                // As when it begins: where the end of the one before is not told yet, or is held, it goes on.
                let over = |member: &Member| begins && member.ended.is_some();
                let any = |pass: &dyn Fn(&Member) -> bool| {
                    let here = |at: &(String, u64, String)| at.0 == destination.receiver && at.1 == key;
                    let from = (destination.receiver.clone(), key, String::new());
                    let mut here = known.range(from..).take_while(|(at, _)| here(at));
                    here.find(|(_, member)| pass(member)).map(|(at, _)| at.clone())
                };
                let from = match known.get(&exact).is_some_and(own) {
                    true => Some(exact),
                    false => any(&own).or_else(|| any(&over)),
                };
                let mut before = from.and_then(|from| known.remove_entry(&from));
                if let Some((_, member)) = before.as_mut().filter(|(_, member)| !own(member) || over(member)) {
                    member.go_on(&event.id);
                }
                // Outside of its rule's hours it begins when they do, and goes on where its end is not told by then.
                if before.is_none() && !begins {
                    continue;
                }
                // Nobody is told any more of a beginning that was not told yet.
                if event.muted == Some(Muted::Shadow) && before.as_ref().is_none_or(|(_, known)| !known.is_told()) {
                    continue;
                }
                let at = before.as_ref().map(|((receiver, _, group), _)| (receiver.clone(), group.clone()));
                let group = |at: &Place| shells.get(at).or_else(|| self.groups.get(at));
                // Its end goes out under the key of its beginning, and after it.
                let told = before.as_ref().is_some_and(|(_, member)| member.is_told());
                let place = at
                    .filter(|at| told || destination.keeps(settings, at, group(at)))
                    .unwrap_or_else(|| (destination.receiver.clone(), destination.key.clone()));
                // What is told here for the first time may join a flood.
                let flood = flood::key(route::of(settings, destination.route), &event.rule);
                for place in [place.clone(), (destination.receiver.clone(), flood)] {
                    if let Some(shell) = shells.remove(&place) {
                        self.groups.insert(place, Group { route: destination.route, ..shell });
                    }
                }
                let place = if self.groups.contains_key(&place) {
                    place
                } else {
                    self.open(now, settings, &destination, event)
                };
                // It may stay where another of its routes leads, and is told there once.
                if before.is_none() && self.member(&place, key).is_some() {
                    continue;
                }
                let mut member = before.map(|(_, m)| m).unwrap_or_else(|| Member::new(event.id.clone()));
                member.off_route = false;
                self.settle(now, settings, place, destination.route, key, member);
            }
        }
        // Who was told hears the end, even if the new routes lead elsewhere.
        for ((receiver, key, group), mut member) in known {
            member.off_route = member.ended.is_none();
            let place = (receiver.clone(), group);
            let hears = |r: &Receiver| r.name == receiver && route::gets_messages(r);
            if member.is_told() && settings.receivers.iter().any(hears) {
                if let Some(shell) = shells.remove(&place) {
                    self.groups.insert(place.clone(), Group { route: None, ..shell });
                }
                // Others that share its group may be on a route still.
                let route = self.groups.get(&place).and_then(|group| group.route);
                self.settle(now, settings, place, route, key, member);
            }
        }
        self.groups.retain(|_, group| !group.members.is_empty());
    }

    fn settle(
        &mut self,
        now: Timestamp,
        settings: &Settings,
        place: Place,
        route: Option<u32>,
        key: u64,
        member: Member,
    ) {
        let Some(group) = self.groups.get_mut(&place) else { return };
        group.route = route;
        group.members.insert(key, member);
        group.schedule(now, route::of(settings, route));
        let places = self.places.entry(key).or_default();
        if !places.contains(&place) {
            places.push(place);
        }
    }
}
