//! What a receiver has of an alert: the messages that it took, and those that it refused for good.
//!
//! A refusal is no reason to say the same at once again: the next message of the group, because something
//! changed or is repeated, tries again. Who took nothing of an alert is not told its end.

use serde::{Deserialize, Serialize};

use super::{Dispatch, Member, Place, lineage};
use crate::engine::event::{AlertState, Notification};
use crate::engine::view::RefusedView;
use crate::model::{Severity, Timestamp};

/// What a receiver has of one alert.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Heard {
    /// At which severity it took its newest message, and when.
    took: Option<(Severity, Timestamp)>,
    /// It refused the newest message that was settled.
    refused: Option<RefusedView>,
    /// When the first and the newest message about it were made.
    said: Option<(Timestamp, Timestamp)>,
    /// When the newest of those was made that were taken or refused.
    settled: Option<Timestamp>,
}

impl Heard {
    /// When it took its newest message.
    pub fn last(&self) -> Option<Timestamp> {
        self.took.map(|(_, at)| at)
    }

    /// Since when and why it refuses, if nothing else is on its way.
    pub fn refused(&self) -> Option<&RefusedView> {
        self.refused.as_ref().filter(|_| !self.waits())
    }

    /// Whether the newest message about it is on its way.
    pub fn waits(&self) -> bool {
        self.said.map(|(_, newest)| newest) > self.settled
    }

    /// Whether it refused all that it was told.
    pub fn nothing(&self) -> bool {
        self.took.is_none() && self.refused().is_some()
    }

    /// Whether it has taken anything yet.
    pub fn something(&self) -> bool {
        self.took.is_some()
    }

    /// The severity that it took last.
    pub fn took(&self) -> Option<Severity> {
        self.took.map(|(severity, _)| severity)
    }

    /// A message about it was queued.
    pub fn said(&mut self, now: Timestamp) {
        self.said = Some((self.said.map_or(now, |(first, _)| first), now));
    }

    /// Whether a message that was made then may be about it, rather than about one before it.
    fn knows_of(&self, made: Timestamp) -> bool {
        self.said.is_some_and(|(first, _)| first <= made)
    }
}

impl Dispatch {
    /// A receiver took a message, or refused it for the given reason.
    pub fn settled(&mut self, now: Timestamp, receiver: &str, said: &Notification, refused: Option<&str>) {
        if said.acknowledged.is_some() {
            return;
        }
        let own = |place: &&Place| {
            place.0 == receiver && self.groups.get(*place).is_some_and(|group| group.name == said.group)
        };
        let place = said.alerts.iter().find_map(|alert| {
            self.places.get(&lineage(&alert.rule, &alert.subject)).and_then(|places| places.iter().find(own))
        });
        let Some(group) = place.cloned().and_then(|place| self.groups.get_mut(&place)) else { return };
        // The new incident was never opened.
        group.taken_on |= said.reopens && refused.is_some();
        let settle = |member: &mut Member, severity: Severity| {
            let heard = &mut member.heard;
            if !heard.knows_of(said.at) {
                return;
            }
            heard.settled = Some(said.at);
            match refused {
                None => {
                    heard.took = Some((severity, now));
                    heard.refused = None;
                }
                Some(reason) => {
                    let since = heard.refused.as_ref().map_or(now, |before| before.since);
                    heard.refused = Some(RefusedView { since, reason: reason.to_owned() });
                    // Who has nothing of it was not told that it flaps either.
                    member.held = member.held.filter(|_| !member.heard.nothing());
                    // Who refused to hear that it is milder takes it for as grave as before.
                    if member.heard.refused().is_some() {
                        member.told = member.told.max(member.heard.took());
                    }
                }
            }
        };
        if said.truncated > 0 {
            // Those that it does not show it tells of all the same.
            let told = group.members.values_mut().filter_map(|member| member.told.map(|told| (member, told)));
            return told.for_each(|(member, told)| settle(member, told));
        }
        for alert in said.alerts.iter().filter(|alert| alert.state != AlertState::Resolved) {
            let member = group.members.get_mut(&lineage(&alert.rule, &alert.subject));
            if let Some(member) = member.filter(|member| member.told.is_some()) {
                settle(member, alert.severity);
            }
        }
    }
}
