//! Engine, journal and clock as one: an event goes in, is written down, is handled, and its effects come out.
//!
//! Nothing that somebody else will see comes out before the journal is synced. When the journal cannot be
//! written, lines are refused (their file keeps them), other events wait in memory, and time goes on: deadlines
//! are handled all the same, because an alert about a full disk must not wait for the disk. What was handed out
//! in that state is written down as soon as that is possible again, in the order in which the engine saw it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::boot::Boot;
use super::clock::{Clock, wall};
use super::fold::{Applied, Fold};
use super::journal::{self, Entry, Journal, JournalError, Logged, Pace};
use super::snapshot::{self, Snapshot};
use super::source::{Checkpoint, Chunk};
use crate::engine::event::{Command, Effect, Event};
use crate::model::Timestamp;
use crate::policy::{Policy, PolicySource};
use crate::settings;

/// A segment of the journal longer than this ends with a snapshot.
const SEGMENT_BYTES: u64 = 32 << 20;
/// A snapshot is at most this old when something has happened since.
const SNAPSHOT_AGE: Duration = Duration::from_secs(300);
/// A journal that takes longer than this to read at a start ends with a snapshot at once: a process that is killed over
/// and over, sooner than [`SNAPSHOT_AGE`] each time, would else take longer with each start, until it never came up.
const SLOW_BOOT: Duration = Duration::from_millis(250);
/// What a machine that loses power may forget of lines that nobody was told of; their files still have them, unless
/// their writer truncated them since.
const SYNC: Duration = Duration::from_secs(1);
/// How long a journal that could not be written is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// Engine, journal and clock.
#[derive(Debug)]
pub struct Machine {
    /// The engine and what it takes to read lines.
    pub fold: Fold,
    state_dir: PathBuf,
    journal: Journal,
    /// Bytes of the segments before the one that is written to.
    old_bytes: u64,
    synced: Instant,
    clock: Clock,
    /// Old lines are being read: the clock is theirs.
    catching_up: bool,
    /// Deadlines that handed something out and are not in the journal yet.
    unwritten: VecDeque<Timestamp>,
    /// Events that are not in the journal yet and were not handled.
    waiting: VecDeque<Logged<'static>>,
    fault: Option<(String, Instant)>,
    snapshot_tried: Instant,
    /// Whether the start was slow, and no snapshot was tried since.
    snapshot_owed: bool,
    snapshot_at: Option<Timestamp>,
    snapshot_fault: Option<String>,
    clock_fault: Option<String>,
    busy: Duration,
}

impl Machine {
    /// Goes on from what the state directory holds.
    pub fn new(state_dir: &Path, boot: Boot) -> Machine {
        let kind = boot.fold.policy().settings.clock;
        let clock = Clock::new(kind, boot.fold.engine.now().unwrap_or(Timestamp::MIN));
        Machine {
            fold: boot.fold,
            state_dir: state_dir.to_owned(),
            old_bytes: journal::bytes_before(&state_dir.join("journal"), boot.journal.segment()),
            journal: boot.journal,
            synced: Instant::now(),
            clock,
            catching_up: true,
            unwritten: VecDeque::new(),
            waiting: VecDeque::new(),
            fault: None,
            snapshot_tried: Instant::now(),
            snapshot_owed: boot.took > SLOW_BOOT,
            snapshot_at: None,
            snapshot_fault: None,
            clock_fault: None,
            busy: Duration::ZERO,
        }
    }

    /// Whether old lines are being read.
    pub fn is_catching_up(&self) -> bool {
        self.catching_up
    }

    /// What keeps the journal from being written.
    pub fn journal_fault(&self) -> Option<&str> {
        self.fault.as_ref().map(|(text, _)| text.as_str())
    }

    /// What keeps journal or snapshot from being written, or time from passing.
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        self.journal_fault().into_iter().chain(self.snapshot_fault.as_deref()).chain(self.clock_fault.as_deref())
    }

    /// Time spent in the engine and in reading lines for it.
    pub fn busy(&self) -> Duration {
        self.busy
    }

    /// When the newest snapshot was written, by the wall clock.
    pub fn snapshot_at(&self) -> Option<Timestamp> {
        self.snapshot_at
    }

    /// Bytes of the journal.
    pub fn journal_bytes(&self) -> u64 {
        self.old_bytes + self.journal.length()
    }

    /// How long until time itself is an event; `None` when nothing is due, or the time is that of old lines.
    pub fn until_deadline(&mut self) -> Option<Duration> {
        if self.catching_up {
            return None;
        }
        let due = self.fold.engine.next_deadline()?;
        self.clock.until(due)
    }

    /// Takes lines in; `None` when the journal cannot be written, then they must come again.
    pub fn lines(&mut self, chunk: &Chunk) -> Option<Applied> {
        let mut begun = self.begin_backfill(chunk)?;
        let (pace, now) = match (self.fold.policy().settings.clock, self.catching_up) {
            (settings::Clock::Wall, true) => (Pace::Past, wall()),
            (settings::Clock::Wall, false) => (Pace::Now, self.clock.now()),
            (settings::Clock::Records, true) => (Pace::Recorded, self.fold.now()),
            (settings::Clock::Records, false) => (Pace::Recorded, self.clock.now()),
        };
        let event = Logged::Lines {
            text: Cow::Borrowed(&chunk.text),
            oversized: u32::from(chunk.oversized.is_some()),
            pace,
            checkpoint: chunk.checkpoint.clone(),
        };
        let mut applied = self.write(&Entry { now, event })?;
        begun.append(&mut applied.effects);
        applied.effects = self.sealed(begun);
        Some(applied)
    }

    /// Takes any other event in; when the journal cannot be written it waits, and its effects come out of a
    /// later call.
    pub fn event(&mut self, event: Logged<'static>) -> Vec<Effect> {
        self.waiting.push_back(event);
        self.catch_up_writing()
    }

    /// Handles events that were waiting for the journal.
    pub fn catch_up_writing(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while self.is_written()
            && let Some(event) = self.waiting.pop_front()
        {
            let entry = Entry { now: self.now(), event };
            match self.write(&entry) {
                Some(mut applied) => effects.append(&mut applied.effects),
                None => self.waiting.push_front(entry.event),
            }
        }
        self.sealed(effects)
    }

    /// Lets time pass.
    pub fn deadline(&mut self) -> Vec<Effect> {
        let now = self.now();
        let start = Instant::now();
        let behind = self.fold.engine.is_behind();
        let effects = self.fold.engine.handle(now, Event::Deadline);
        self.busy += start.elapsed();
        if behind || acts(&effects) {
            self.unwritten.push_back(now);
            self.is_written();
        }
        self.sealed(effects)
    }

    /// Lines have waited for long (the process was stopped, the machine slept, the disk was slow): until they are read
    /// the clock is theirs again, so that no rule is evaluated before what it should have seen.
    pub fn fall_behind(&mut self) -> Vec<Effect> {
        self.catching_up = true;
        if self.fold.policy().settings.clock == settings::Clock::Records {
            return Vec::new();
        }
        let entry = Entry { now: self.now(), event: Logged::Command(Command::FallBehind) };
        let effects = self.write(&entry).unwrap_or_default().effects;
        self.sealed(effects)
    }

    /// Whether the clock is that of the records and there was none yet: then there is no time to speak of.
    pub fn is_without_time(&self) -> bool {
        self.fold.policy().settings.clock == settings::Clock::Records && self.fold.engine.now().is_none()
    }

    /// All old lines are read: the clock is its own again, and history ends.
    pub fn caught_up(&mut self) -> Vec<Effect> {
        self.catching_up = false;
        if self.fold.backfill {
            return self.event(Logged::Command(Command::EndBackfill));
        }
        if self.fold.engine.now().is_none() {
            // Written down though nothing came of it: the lines that come from here on are no history, and a restart
            // before the first of them must know.
            let now = self.now();
            self.unwritten.push_back(now);
        }
        self.deadline()
    }

    /// Obeys another policy from now on, if that can be written down.
    pub fn reload(&mut self, source: PolicySource, policy: Arc<Policy>) -> Result<Vec<Effect>, JournalError> {
        self.write_deadlines()?;
        let now = self.now();
        self.journal.append(&Entry { now, event: Logged::Policy(source.clone()) })?;
        self.fault = None;
        self.clock.switch(policy.settings.clock);
        let effects = self.fold.adopt(now, policy, source);
        self.clock.advance(self.fold.now());
        Ok(self.sealed(effects))
    }

    /// Makes what was written survive the machine, every second or so.
    pub fn sync(&mut self) {
        if self.synced.elapsed() >= SYNC {
            self.synced = Instant::now();
            self.sync_now();
        }
    }

    fn sync_now(&mut self) {
        match self.journal.sync() {
            Ok(true) => self.fault = None,
            Ok(false) => {}
            Err(error) => self.failed(&error),
        }
    }

    /// Says so when the clock stands still, see [`Clock::behind`].
    pub fn look_at_the_clock(&mut self) {
        let Some((shown, wall)) = self.clock.behind() else {
            self.clock_fault = None;
            return;
        };
        if self.clock_fault.is_none() {
            let text = format!(
                "the system's clock shows {wall}, but events up to {shown} were handled: no rule is evaluated before \
                 that time; set the clock, or move the state directory away if the clock was wrong before"
            );
            tracing::error!("{text}");
            self.clock_fault = Some(text);
        }
    }

    /// Writes a snapshot if one is due, or `at_once` if anything happened since the last.
    pub fn snapshot(&mut self, checkpoints: impl FnOnce() -> Vec<Checkpoint>, at_once: bool) {
        let due = self.snapshot_owed
            || self.journal.length() > SEGMENT_BYTES && self.snapshot_fault.is_none()
            || self.snapshot_tried.elapsed() >= SNAPSHOT_AGE;
        // What the engine decided must not be in a snapshot before it is in the journal that precedes it.
        if self.journal.is_empty() || !(due || at_once) || !self.is_written() {
            return;
        }
        self.snapshot_tried = Instant::now();
        self.snapshot_owed = false;
        let fault = self.write_snapshot(checkpoints()).err();
        if let Some(text) = &fault {
            tracing::error!("{text}; the journal is kept until a snapshot succeeds");
        }
        self.snapshot_fault = fault;
    }

    fn write_snapshot(&mut self, checkpoints: Vec<Checkpoint>) -> Result<(), String> {
        let number = self.journal.rotate().map_err(|e| e.to_string())?;
        let snapshot = Snapshot {
            policy: self.fold.source.clone(),
            checkpoints,
            backfill: self.fold.backfill,
            state: self.fold.engine.state(),
        };
        let folder = self.state_dir.join("snapshot");
        snapshot::write(&folder, number, &snapshot).map_err(|e| e.to_string())?;
        self.snapshot_at = Some(wall());
        let pruned = snapshot::prune(&folder).and_then(|oldest| match oldest {
            Some(oldest) => journal::prune(&self.state_dir.join("journal"), oldest),
            None => Ok(()),
        });
        self.old_bytes = journal::bytes_before(&self.state_dir.join("journal"), number);
        pruned.map_err(|error| format!("cannot remove old journals: {error}"))
    }

    /// What the engine is told when nothing else says the time. Never less than before.
    pub(super) fn now(&mut self) -> Timestamp {
        if self.catching_up { self.fold.now() } else { self.clock.now().max(self.fold.now()) }
    }

    /// The first lines ever are history: what fires in them is not sent, unless it still fires at their end.
    fn begin_backfill(&mut self, chunk: &Chunk) -> Option<Vec<Effect>> {
        if !self.catching_up || self.fold.backfill || self.fold.engine.now().is_some() {
            return Some(Vec::new());
        }
        let at = &chunk.checkpoint;
        let first = self.fold.first_time(&at.source, &at.stem, &chunk.text).unwrap_or_else(wall);
        let now = match self.fold.policy().settings.clock {
            settings::Clock::Wall => first.min(wall()),
            settings::Clock::Records => first,
        };
        let applied = self.write(&Entry { now, event: Logged::Command(Command::BeginBackfill) })?;
        Some(applied.effects)
    }

    /// Writes an entry and handles it; `None` when it cannot be written.
    fn write(&mut self, entry: &Entry<'_>) -> Option<Applied> {
        if !self.is_written() {
            return None;
        }
        if let Err(error) = self.journal.append(entry) {
            self.failed(&error);
            return None;
        }
        self.fault = None;
        let start = Instant::now();
        let applied = self.fold.apply(entry);
        self.busy += start.elapsed();
        self.clock.advance(self.fold.now());
        Some(applied)
    }

    /// Whether everything that the engine saw is in the journal; tries to make it so.
    fn is_written(&mut self) -> bool {
        if self.fault.as_ref().is_some_and(|(_, at)| at.elapsed() < PAUSE) {
            return false;
        }
        match self.write_deadlines() {
            Ok(()) => true,
            Err(error) => {
                self.failed(&error);
                false
            }
        }
    }

    fn write_deadlines(&mut self) -> Result<(), JournalError> {
        while let Some(now) = self.unwritten.front() {
            self.journal.append(&Entry { now: *now, event: Logged::Deadline })?;
            self.unwritten.pop_front();
            self.fault = None;
        }
        Ok(())
    }

    /// Syncs the journal when somebody else will see the effects.
    fn sealed(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        if acts(&effects) {
            self.sync_now();
        }
        effects
    }

    fn failed(&mut self, error: &JournalError) {
        let text = format!("{error}; no lines are read until it can be written");
        if self.fault.as_ref().is_none_or(|(before, _)| *before != text) {
            tracing::error!("{text}");
        }
        self.fault = Some((text, Instant::now()));
    }
}

/// Whether somebody else will see one of the effects.
fn acts(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Deliver(_) | Effect::Apply(_)))
}
