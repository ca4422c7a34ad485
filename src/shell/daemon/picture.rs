//! The API's picture: when it is made, and what of the daemon stands in it.

use std::time::{Duration, Instant};

use super::summary::Summary;
use super::{Daemon, Turn};
use crate::model::Timestamp;
use crate::shell::api::Picture;

/// When something has happened, the API's picture is made again if it is at least this old; else if it is as old as
/// [`STALE`], because time passes too.
const FRESH: Duration = Duration::from_millis(250);
/// See [`FRESH`].
pub(super) const STALE: Duration = Duration::from_secs(10);
/// How long after a start nobody is answered while lines are read that came meanwhile: who asks waits, and is not shown
/// what was known before.
const FIRST: Duration = Duration::from_secs(2);

impl Daemon {
    /// Makes it again when it is old enough.
    pub(super) fn publish_when_due(&mut self, turn: Turn) {
        let age = self.pictured.elapsed();
        if self.listening.is_some() {
            if turn != Turn::More || age >= FIRST {
                self.publish();
            }
            return;
        }
        // Where nothing is evaluated, silences and hours end all the same.
        let turns = self.turns_at.is_some_and(|at| self.machine.now() >= at);
        let changed = self.changed || turns || self.faults() != self.faults;
        // A large fleet's picture costs time: it gets a twentieth of it at most.
        if age >= STALE || changed && age >= FRESH.max(self.picture_cost * 20) {
            if age >= STALE || turns {
                self.deadline();
            }
            self.publish();
        }
    }

    /// Makes it again.
    pub(super) fn publish(&mut self) {
        let start = Instant::now();
        if let Some(listening) = self.listening.take() {
            self.api = Some(listening.serve(self.picture()));
        } else if self.api.is_some() {
            let picture = self.picture();
            if let Some(api) = &self.api {
                api.show(picture);
            }
        }
        self.changed = false;
        let engine = &self.machine.fold.engine;
        self.turns_at = engine.now().and_then(|now| engine.next_change(now));
        self.pictured = Instant::now();
        self.picture_cost = start.elapsed();
    }

    /// What keeps the daemon from its work.
    fn faults(&self) -> Vec<String> {
        let parts = self.heartbeat.trouble().into_iter().chain(self.store.trouble()).chain(self.targets.trouble());
        self.machine.faults().chain(self.intake.troubles()).chain(parts).map(str::to_owned).collect()
    }

    /// What the engine and the shell know now.
    fn picture(&mut self) -> Picture {
        let mut status = self.status.clone();
        status.sources = self.intake.status();
        status.journal_bytes = self.machine.journal_bytes();
        status.snapshot_at = self.machine.snapshot_at();
        status.engine_busy = self.machine.busy();
        self.faults = self.faults();
        status.faults.clone_from(&self.faults);
        if status.policy_stale {
            let at = status.policy_loaded_at;
            let text = format!("the files of the policy have faults: the policy loaded at {at} stays in force");
            status.warnings.push(format!("{text}; the log and `evenkeel check` say which"));
        }
        if self.summary == Summary::Reading && !self.machine.is_without_time() {
            let to = self.machine.now();
            let text =
                format!("what came before the start is still being read, up to {to} by now: alerts may begin or end");
            status.warnings.push(text);
        }
        for left in &self.machine.fold.engine.policy().left_out {
            status.warnings.push(format!("{}: the rule `{}` is left out: {}", left.place, left.rule, left.why));
        }
        let now = if self.machine.is_without_time() { Timestamp::MIN } else { self.machine.now() };
        let view = self.machine.fold.engine.view_at(now);
        for receiver in &view.receivers {
            let Some((how, since)) = receiver.trouble() else { continue };
            status
                .warnings
                .push(format!("receiver {} {how} since {since}: {}", receiver.receiver, receiver.last_error));
        }
        Picture::new(view, status)
    }
}
