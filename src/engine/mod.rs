//! All decisions; the only owner of state.
//!
//! [`Engine::handle`] is the one door in: `(now, event)` gives effects, in the same order for the
//! same state and event. It cannot fail, cannot block, reads no clock and touches no file.

pub mod event;
pub mod tune;
pub mod view;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::policy::Policy;
use event::{Effect, Event};
use view::View;

/// Everything the engine knows; the fold of all events. Serialised for snapshots (postcard).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct State {}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    policy: Arc<Policy>,
    state: State,
}

impl Engine {
    /// An engine that goes on from `state` under `policy`. State of rules and splits that the
    /// policy no longer has is dropped, that of unchanged ones survives.
    pub fn new(policy: Arc<Policy>, state: State) -> Engine {
        Engine { policy, state }
    }

    /// Handles deadlines up to `now`, then the event. A `now` before the last one counts as the
    /// last one.
    pub fn handle(&mut self, now: Timestamp, event: Event<'_>) -> Vec<Effect> {
        let _ = (now, event, &self.policy);
        Vec::new()
    }

    /// When [`Event::Deadline`] is wanted next, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// Obeys another policy from now on.
    pub fn reload(&mut self, now: Timestamp, policy: Arc<Policy>) -> Vec<Effect> {
        let _ = now;
        self.policy = policy;
        Vec::new()
    }

    /// Effects that were handed out and have no receipt yet, for the shell after a restart.
    pub fn unsettled(&self) -> Vec<Effect> {
        Vec::new()
    }

    /// The picture for API, dashboard and CLI.
    pub fn view(&self) -> View {
        View::default()
    }

    /// The state, for a snapshot.
    pub fn state(&self) -> &State {
        &self.state
    }
}
