//! The sign of life that a watcher elsewhere waits for; when it stays out, the watcher tells somebody.
//!
//! It is given by the loop itself, each time it has gone round: a loop that hangs, a process that is gone and a
//! machine that is off all look alike to the watcher. It is withheld while journal or snapshot cannot be written or time stands
//! still, since alerts cannot be relied on then. It is no message and takes no part in decisions, so the engine
//! does not know of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::sink::Sinks;
use crate::engine::event::Attempt;
use crate::settings;

/// How soon a sign that did not arrive is given again, if the interval is not shorter.
const RETRY: Duration = Duration::from_secs(10);

/// Gives the sign.
#[derive(Debug)]
pub struct Heartbeat {
    plan: Option<settings::Heartbeat>,
    due: Instant,
    /// One at most.
    flight: JoinSet<Attempt>,
    trouble: Option<String>,
}

impl Heartbeat {
    /// The first sign is due at once; without a plan there is none.
    pub fn new(plan: Option<&settings::Heartbeat>) -> Heartbeat {
        Heartbeat { plan: plan.cloned(), due: Instant::now(), flight: JoinSet::new(), trouble: None }
    }

    /// Takes a changed plan over.
    pub fn reload(&mut self, plan: Option<&settings::Heartbeat>) {
        if self.plan.as_ref() != plan {
            *self = Heartbeat::new(plan);
        }
    }

    /// Gives the sign when it is due; to be called whenever the loop has gone round.
    pub fn beat(&mut self, healthy: bool, sinks: &Arc<Sinks>) {
        let Some(plan) = &self.plan else { return };
        while let Some(attempt) = self.flight.try_join_next() {
            let reason = match attempt {
                Ok(Attempt::Done) => None,
                Ok(Attempt::Retry { reason, .. } | Attempt::Refuse { reason }) => Some(reason),
                Err(error) => Some(error.to_string()),
            };
            if let Some(reason) = &reason {
                self.due = self.due.min(Instant::now() + RETRY);
                if self.trouble.is_none() {
                    tracing::warn!(reason, "the heartbeat does not arrive");
                }
            } else if self.trouble.is_some() {
                tracing::info!("the heartbeat arrives again");
            }
            self.trouble = reason.map(|reason| format!("heartbeat: {reason}"));
        }
        if healthy && self.flight.is_empty() && Instant::now() >= self.due {
            self.due = Instant::now() + plan.interval.to_std();
            let (sinks, plan) = (Arc::clone(sinks), plan.clone());
            self.flight.spawn(async move { sinks.knock(&plan).await });
        }
    }

    /// Why the last sign did not arrive.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }
}
