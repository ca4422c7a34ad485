//! When something of what is shown changes by time alone: a silence, maintenance or hours begin or end.
//!
//! Decides nothing. Who shows the state of the engine asks when to look again although nothing happens.

use super::Engine;
use crate::model::{Timestamp, hours};

impl Engine {
    /// The first instant after `now` at which that is so.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let routing = &self.policy.settings.routing;
        let planned = routing.maintenance.iter().map(|window| &window.hours);
        let told = routing.routes.iter().flat_map(|route| [&route.active_hours, &route.mute]);
        let planned = planned.chain(told).filter_map(|hours| hours::next_change(hours, now));
        let rules = self.policy.rules.iter().filter_map(|rule| rule.terms.active_hours.as_ref()?.changes_after(now));
        self.state.dispatch.silences.next_change(now).into_iter().chain(planned).chain(rules).min()
    }
}
