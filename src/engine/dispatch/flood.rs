//! Many alerts of one rule at once become one message that says how many.
//!
//! Counts, for every receiver and route, what began there within the last minute to be told alone. When that passes
//! the bound, the alerts of that rule that the receiver was not told of yet leave their own groups for that of the
//! flood, and so do all that follow until the last of them ended.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Dispatch, Group, Member, Place, Scene, flush, route, short};
use crate::model::{Span, Timestamp};
use crate::settings::Settings;
use crate::settings::routing::Route;

/// How close together the starts of a flood lie.
const WITHIN: Span = Span::minutes(1);
/// The least time between two messages about a flood.
pub const INTERVAL: Span = Span::minutes(1);
/// Alerts that a message about a flood shows.
pub const SHOWN: usize = 20;

/// The newest starts by receiver and flood, as many as tell whether there is one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Floods {
    starts: BTreeMap<Place, VecDeque<Timestamp>>,
    bound: u32,
}

impl Floods {
    /// An alert fires that is to be told alone, or with this flood; `bound` 0 counts nothing.
    pub fn note(&mut self, now: Timestamp, flood: &Place, bound: u32) {
        self.bound = bound;
        if bound == 0 {
            self.starts.clear();
            return;
        }
        self.starts.retain(|_, starts| starts.back().is_some_and(|last| now.since(*last) <= WITHIN));
        let starts = self.starts.entry(flood.clone()).or_default();
        starts.push_back(now);
        while starts.len() > bound as usize + 1 {
            starts.pop_front();
        }
    }

    /// Whether more than the bound began within the last minute.
    pub fn rages(&self, now: Timestamp, flood: &Place) -> bool {
        let full = |starts: &&VecDeque<Timestamp>| starts.len() > self.bound as usize;
        let first = self.starts.get(flood).filter(full).and_then(|starts| starts.front());
        self.bound > 0 && first.is_some_and(|first| now.since(*first) <= WITHIN)
    }
}

/// The key of a rule's flood on a route among the groups of a receiver: what other routes lead there has other hours.
pub fn key(route: &Route, rule: &str) -> String {
    format!("{}{rule}", begin(route))
}

/// How the keys of floods begin.
pub const KIND: &str = "flood:";

/// How those on a route do.
pub fn begin(route: &Route) -> String {
    format!("{KIND}{}:", route.key())
}

/// `12,345`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let cut = |(i, c): (usize, char)| {
        let comma = i > 0 && (digits.len() - i).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([c])
    };
    digits.chars().enumerate().flat_map(cut).collect()
}

/// `errors fires on 812 of 1,000 agents, 20 shown`.
pub fn summary(rule: &str, scene: &Scene, firing: usize, ended: usize, shown: usize) -> String {
    let (known, noun) = scene.subjects.get(rule).cloned().unwrap_or((0, "subjects".to_owned()));
    let known = grouped(known.max((firing + ended) as u64));
    match firing {
        0 => format!("{rule} ended on all of the {} {noun} it fired on, {shown} shown", grouped(ended as u64)),
        _ => format!("{rule} fires on {} of {known} {noun}, {shown} shown", grouped(firing as u64)),
    }
}

impl Dispatch {
    /// Whether the end of what flaps in a group is held. A flood ends as a whole: that is held while most of it flaps,
    /// by what a hundred of its alerts do, which are as good as drawn by lot.
    pub(super) fn holds_ends(&self, now: Timestamp, bound: u32, group: &Group) -> bool {
        let looked_at = group.members.iter().take(flush::SHOWN);
        let flaps = |(key, member): &(&u64, &Member)| {
            member.held.is_some() && self.flaps.held_until(now, **key, bound).is_some()
        };
        !group.flood || looked_at.clone().filter(flaps).count() * 2 > looked_at.count()
    }

    /// Opens the flood's group, and moves into it what the receiver was not told of yet on its route.
    pub(super) fn swell(&mut self, settings: &Settings, flood: &Place, route: Option<u32>, rule: &str) {
        if self.groups.contains_key(flood) {
            return;
        }
        let labels = BTreeMap::from([("alertname".to_owned(), rule.to_owned())]);
        let matched = route::of(settings, route).matched();
        let mut group = Group { matched, flood: true, ..Group::new(short(&flood.1), labels, route) };
        let untold = |(place, own): &(&Place, &Group)| {
            let fresh = own.members.values().all(|m| m.told.is_none() && m.ended.is_none());
            place.0 == flood.0
                && own.route == route
                && place.1.starts_with("alert:")
                && fresh
                && own.labels.get("alertname").is_some_and(|n| n == rule)
        };
        let places: Vec<Place> = self.groups.iter().filter(untold).map(|(place, _)| place.clone()).collect();
        for place in places {
            let Some(own) = self.groups.remove(&place) else { continue };
            for (key, member) in own.members {
                self.forget(key, &place);
                self.places.entry(key).or_default().push(flood.clone());
                group.members.insert(key, member);
            }
        }
        self.groups.insert(flood.clone(), group);
    }
}
