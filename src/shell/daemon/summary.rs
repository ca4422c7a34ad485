//! What a person who watches is shown once: all that was there is read and its patches are written.

use std::time::{Duration, Instant};

use super::Daemon;

/// How long `--once` waits for receivers.
const ONCE_GRACE: Duration = Duration::from_secs(30);
/// How long the summary waits for patches that were just asked for.
const SETTLE: Duration = Duration::from_secs(3);

/// Where the loop is with its summary.
#[derive(Debug, PartialEq)]
pub(super) enum Summary {
    /// Old lines are still being read.
    Reading,
    /// Patches are still being written.
    Settling(Instant),
    /// It was shown.
    Shown(Instant),
}

impl Daemon {
    /// Whether the summary is due: once, when the patches that were asked for are written; at an end that comes with it
    /// only when rules have judged all that was read.
    pub(super) fn is_to_be_shown(&mut self) -> bool {
        let interval = Duration::from_millis(self.settings().evaluation_interval.0.unsigned_abs());
        let engine = &self.machine.fold.engine;
        // A clock that stands still comes to no evaluation.
        let judged = |since: Instant| engine.is_judged() || since.elapsed() > interval;
        match self.summary {
            Summary::Settling(since)
                if (self.targets.in_flight == 0 || since.elapsed() > SETTLE)
                    && (!self.options.once || judged(since)) =>
            {
                self.summary = Summary::Shown(Instant::now());
                true
            }
            _ => false,
        }
    }

    /// Whether `--once` has nothing left to wait for.
    pub(super) fn is_done(&self) -> bool {
        match self.summary {
            Summary::Shown(at) => {
                // A message whose attempt is to be repeated is in no attempt.
                at.elapsed() > ONCE_GRACE
                    || self.attempts.is_empty()
                        && self.machine.fold.engine.view().receivers.iter().all(|r| r.queued == 0)
            }
            _ => false,
        }
    }
}
