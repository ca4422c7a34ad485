//! The one thread that reads and edits targets: one change after another, so that two never meet in a file.
//!
//! It looks at the targets every [`LOOK`] and tells the engine of values that differ from what it was told
//! before, so that an edit by hand is known before the next change is decided.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::journal::Logged;
use super::patch::Patcher;
use super::store::{self, StoreError};
use crate::engine::event::{Change, ChangeResult, Command, CurrentValue, Receipt};
use crate::settings::{Mode, Settings};

/// How often the targets are looked at.
const LOOK: Duration = Duration::from_secs(2);

enum Work {
    Change(Box<Change>),
    Settings(Box<Settings>),
}

/// Why there is no patcher.
#[derive(Debug, thiserror::Error)]
pub enum TargetsError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger in it cannot be used.
    #[error("cannot use the ledger: {0}")]
    Ledger(#[from] rusqlite::Error),
}

/// The way to the thread and back.
#[derive(Debug)]
pub struct Targets {
    // Bounded by the engine: it hands out one change per value and so many per hour.
    work: Sender<Work>,
    thread: JoinHandle<()>,
    done: UnboundedReceiver<Logged<'static>>,
    /// Changes that have no receipt yet.
    pub in_flight: usize,
}

impl Targets {
    /// Starts the thread, after a first look at the targets.
    pub fn start(settings: &Settings) -> Result<Targets, TargetsError> {
        let patcher = Patcher::new(settings, store::connect(&settings.state_dir)?)?;
        let (work, orders) = channel();
        let (results, done) = unbounded_channel();
        let mut bench =
            Bench { settings: settings.clone(), patcher, told: BTreeMap::new(), troubles: BTreeMap::new(), results };
        bench.look();
        let thread = std::thread::spawn(move || bench.work(&orders));
        Ok(Targets { work, thread, done, in_flight: 0 })
    }

    /// What keeps targets from being read and edited at all.
    pub fn trouble(&self) -> Option<&'static str> {
        let text = "the thread that edits targets has ended, which is a fault in evenkeel: report it, and restart";
        self.thread.is_finished().then_some(text)
    }

    /// Queues a change.
    pub fn change(&mut self, change: Change) {
        self.in_flight += 1;
        // A thread that has ended is told by `trouble`; the engine waits for its receipts.
        let _ = self.work.send(Work::Change(Box::new(change)));
    }

    /// Obeys other settings from now on.
    pub fn reload(&self, settings: &Settings) {
        let _ = self.work.send(Work::Settings(Box::new(settings.clone())));
    }

    /// The next receipt, or values that are new.
    pub async fn next(&mut self) -> Option<Logged<'static>> {
        let event = self.done.recv().await;
        self.count(event)
    }

    /// The same, of what is there already.
    pub fn try_next(&mut self) -> Option<Logged<'static>> {
        let event = self.done.try_recv().ok();
        self.count(event)
    }

    fn count(&mut self, event: Option<Logged<'static>>) -> Option<Logged<'static>> {
        if matches!(event, Some(Logged::Receipt(_))) {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        event
    }
}

struct Bench {
    settings: Settings,
    patcher: Patcher,
    told: BTreeMap<String, Vec<CurrentValue>>,
    /// What keeps a target from being read, so that it is said once.
    troubles: BTreeMap<PathBuf, String>,
    results: UnboundedSender<Logged<'static>>,
}

impl Bench {
    fn work(mut self, orders: &Receiver<Work>) {
        loop {
            match orders.recv_timeout(LOOK) {
                Ok(Work::Change(change)) => {
                    let result = self.patcher.carry_out(&change);
                    say(&change, &result);
                    let _ = self.results.send(Logged::Receipt(Receipt::Change { id: change.id, result }));
                    self.look();
                }
                Ok(Work::Settings(settings)) => {
                    match store::connect(&settings.state_dir)
                        .map_err(TargetsError::from)
                        .and_then(|connection| Ok(Patcher::new(&settings, connection)?))
                    {
                        Ok(patcher) => self.patcher = patcher,
                        Err(error) => tracing::error!(%error, "changes go on under the old settings"),
                    }
                    self.settings = *settings;
                    self.told.clear();
                    self.look();
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self) {
        for target in self.settings.tune.targets.iter().filter(|t| t.mode != Mode::Off) {
            match self.patcher.current_values(target) {
                Ok(values) => {
                    self.troubles.remove(&target.file);
                    if self.told.get(&target.name) != Some(&values) {
                        self.told.insert(target.name.clone(), values.clone());
                        let _ =
                            self.results.send(Logged::Command(Command::Target { target: target.name.clone(), values }));
                    }
                }
                Err(error) => complain(&mut self.troubles, &target.file, error.to_string()),
            }
        }
    }
}

/// An edit is worth a line whatever the level, a patch for people one for those who ask for detail.
fn say(change: &Change, result: &ChangeResult) {
    let (id, advice) = (&change.id.0, &change.recommendation);
    let (target, agent, parameter) = (&advice.target, &advice.agent, advice.parameter.as_str());
    match result {
        ChangeResult::Applied => {
            tracing::info!(id, target, agent, parameter, reason = advice.reason, "target is edited");
        }
        ChangeResult::Suggested => tracing::debug!(id, target, agent, parameter, "patch is written"),
        ChangeResult::Refused { reason } => {
            tracing::warn!(id, target, agent, parameter, reason, "change was not made");
        }
    }
}

fn complain(troubles: &mut BTreeMap<PathBuf, String>, file: &Path, text: String) {
    if troubles.get(file) != Some(&text) {
        tracing::warn!(file = %file.display(), "{text}");
        troubles.insert(file.to_owned(), text);
    }
}
