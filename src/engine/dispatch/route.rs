//! Which receivers an alert goes to, and in which group.
//!
//! An alert takes the first route that matches, and further ones where that says `continue`; what no
//! route matches goes to every receiver, alone and at once: a hole in the routes must not swallow it.

use std::collections::BTreeMap;

use super::{Dispatch, Group, Place, flood, lineage, short};
use crate::engine::event::AlertEvent;
use crate::model::{Span, Timestamp, hours};
use crate::settings::routing::Route;
use crate::settings::{Receiver, Settings};
use crate::wire::matcher::all_match;

/// How alerts are told that no route matches.
static OPEN: Route = Route {
    matchers: Vec::new(),
    receivers: Vec::new(),
    proceed: false,
    group_by: None,
    group_wait: Span::ZERO,
    group_interval: Span::ZERO,
    repeat: None,
    active_hours: Vec::new(),
    mute: Vec::new(),
};

/// One receiver of an alert, and the group it is told in.
pub struct Destination {
    pub receiver: String,
    pub route: Option<u32>,
    /// What tells the group from the others of this receiver.
    pub key: String,
    /// The labels of the group; `None`: the alert is alone.
    pub labels: Option<BTreeMap<String, String>>,
}

impl Destination {
    /// Whether an alert that is told in a place stays there: in this group, in a flood, or in the group of the severity
    /// that it had when it began.
    pub(super) fn keeps(&self, settings: &Settings, place: &Place, group: Option<&Group>) -> bool {
        let (Some(now), Some(then)) = (&self.labels, group.map(|group| &group.labels)) else {
            let flood = || place.1.starts_with(&flood::begin(of(settings, self.route)));
            return place.0 == self.receiver && (place.1 == self.key || flood());
        };
        place.0 == self.receiver
            && is_of(place, of(settings, self.route))
            && lasting(then.iter()).eq(lasting(now.iter()))
    }
}

/// Whether a place is that of a group of several alerts of a route.
pub fn is_of(place: &Place, route: &Route) -> bool {
    place.1.strip_prefix(&route.key()).is_some_and(|rest| rest.starts_with(':'))
}

/// Labels without what may change while an alert fires.
fn lasting<'a>(
    labels: impl Iterator<Item = (&'a String, &'a String)>,
) -> impl Iterator<Item = (&'a String, &'a String)> {
    labels.filter(|(name, _)| *name != "severity")
}

/// Whether a receiver is told in messages of its own, rather than kept in line with every alert.
pub fn gets_messages(receiver: &Receiver) -> bool {
    receiver.resend().is_none()
}

/// The route of an index that a group keeps.
pub fn of(settings: &Settings, route: Option<u32>) -> &Route {
    route.and_then(|index| settings.routing.routes.get(index as usize)).unwrap_or(&OPEN)
}

/// `None` while a route speaks; else when it speaks again, if ever.
pub fn closed(route: &Route, now: Timestamp) -> Option<Option<Timestamp>> {
    let shut = |at| {
        (!route.active_hours.is_empty() && !hours::within(&route.active_hours, at)) || hours::within(&route.mute, at)
    };
    shut(now).then(|| hours::first([&route.active_hours, &route.mute], now, |at| !shut(at)))
}

/// Why a route that is [closed] says nothing, and until when if it speaks again.
pub fn closing(route: &Route, now: Timestamp, opens: Option<Timestamp>) -> String {
    let (active, mute) = (hours::shown(&route.active_hours), hours::shown(&route.mute));
    match (hours::within(&route.mute, now), opens) {
        (true, Some(at)) => format!("muted until {at}"),
        (false, Some(at)) => format!("outside active hours until {at}"),
        (true, None) if hours::first([&[], &route.mute], now, |at| !hours::within(&route.mute, at)).is_none() => {
            format!("muted by `mute: {mute}` of the route, which has no end")
        }
        (_, None) if mute.is_empty() => format!("outside `active_hours: {active}` of the route, which come no more"),
        (_, None) => {
            format!("kept by `active_hours: {active}` of the route, which come no more without its `mute: {mute}`")
        }
    }
}

/// The routes that an alert with these labels takes, by their index.
fn taken(settings: &Settings, labels: &BTreeMap<String, String>) -> Vec<u32> {
    let mut taken = Vec::new();
    for (index, route) in settings.routing.routes.iter().enumerate() {
        if all_match(&route.matchers, labels) {
            taken.push(index as u32);
            if !route.proceed {
                break;
            }
        }
    }
    taken
}

/// Everyone who is to be told of an alert.
pub fn destinations(settings: &Settings, event: &AlertEvent) -> Vec<Destination> {
    let labels = event.identity();
    let takes = |receiver: &&Receiver| gets_messages(receiver) && event.severity >= receiver.min_severity;
    let own = || format!("alert:{:016x}", lineage(&event.rule, &event.subject));
    let mut found: Vec<Destination> = Vec::new();
    let taken = taken(settings, &labels);
    for &index in &taken {
        let route = of(settings, Some(index));
        let group = group_labels(route, event);
        let key = group.as_ref().map_or_else(own, |group| format!("{}:{group:?}", route.key()));
        for receiver in settings.receivers.iter().filter(takes).filter(|r| route.receivers.contains(&r.name)) {
            if !found.iter().any(|d| d.receiver == receiver.name && d.key == key) {
                let (receiver, key) = (receiver.name.clone(), key.clone());
                found.push(Destination { receiver, route: Some(index), key, labels: group.clone() });
            }
        }
    }
    if taken.is_empty() {
        let to = |receiver: &Receiver| Destination {
            receiver: receiver.name.clone(),
            route: None,
            key: own(),
            labels: None,
        };
        found.extend(settings.receivers.iter().filter(takes).map(to));
    }
    found
}

/// The labels of the group of an alert on a route; `None`: it is alone.
fn group_labels(route: &Route, event: &AlertEvent) -> Option<BTreeMap<String, String>> {
    let labels = event.identity();
    let names = route.group_by.as_ref()?;
    if names.iter().any(|name| name == "...") {
        return Some(alone(event));
    }
    let value = |name: &String| labels.get(name).map(|value| (name.clone(), value.clone()));
    Some(names.iter().filter_map(value).collect())
}

/// The labels of the group of one alert: those that stay when it gets graver.
fn alone(event: &AlertEvent) -> BTreeMap<String, String> {
    let labels = event.identity();
    lasting(labels.iter()).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A receiver on the routes of an alert that is not told because it is too mild for it.
pub struct Spared<'a> {
    pub receiver: &'a Receiver,
    pub route: Option<u32>,
    /// The labels of the group that it would be told in.
    pub labels: Option<BTreeMap<String, String>>,
}

/// Receivers on the routes of an alert that are not told because it is too mild for them.
pub fn spared<'a>(settings: &'a Settings, event: &AlertEvent) -> Vec<Spared<'a>> {
    let taken = taken(settings, &event.identity());
    let mild = |r: &&Receiver| gets_messages(r) && event.severity < r.min_severity;
    let leads = |index: &u32, to: &Receiver| of(settings, Some(*index)).receivers.contains(&to.name);
    let on = |receiver: &'a Receiver| {
        let route = taken.iter().copied().find(|index| leads(index, receiver));
        let labels = group_labels(of(settings, route), event);
        (route.is_some() || taken.is_empty()).then_some(Spared { receiver, route, labels })
    };
    settings.receivers.iter().filter(mild).filter_map(on).collect()
}

impl Dispatch {
    /// The group of a destination, opened if it is new; in a flood that of the flood.
    pub(super) fn open(
        &mut self,
        now: Timestamp,
        settings: &Settings,
        destination: &Destination,
        event: &AlertEvent,
    ) -> Place {
        let place = (destination.receiver.clone(), destination.key.clone());
        if destination.labels.is_none() && !self.groups.contains_key(&place) {
            let route = of(settings, destination.route);
            let flood = (destination.receiver.clone(), flood::key(route, &event.rule));
            self.floods.note(now, &flood, settings.routing.damping.flood);
            if self.groups.contains_key(&flood) || self.floods.rages(now, &flood) {
                self.swell(settings, &flood, destination.route, &event.rule);
                return flood;
            }
        }
        let route = destination.route;
        let new = || match &destination.labels {
            Some(labels) => {
                let matched = of(settings, route).matched();
                Group { matched, ..Group::new(short(&destination.key), labels.clone(), route) }
            }
            None => Group::new(event.id.clone(), alone(event), route),
        };
        self.groups.entry(place.clone()).or_insert_with(new);
        place
    }
}

impl Group {
    pub(super) fn new(name: String, labels: BTreeMap<String, String>, route: Option<u32>) -> Group {
        Group {
            name,
            matched: String::new(),
            labels,
            route,
            flood: false,
            gravest: None,
            members: BTreeMap::new(),
            due: None,
            last: None,
            repeats: 0,
            muted: false,
            full: false,
            taken_on: false,
        }
    }
}
