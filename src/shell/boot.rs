//! From the state directory to a running engine: the newest good snapshot, then the journal after it.
//!
//! An event that fells the engine would fell it again at every start, because a restart decides alike. So an
//! entry whose handling panics, or at which three starts in a row ended without a word (a stack overflow, the
//! kernel's memory killer), is copied to `state_dir/poison/` and passed over from then on. Three, not one: a
//! start may be killed for other reasons, and then the entry is innocent.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::clock::wall;
use super::fold::{self, Fold};
use super::journal::{self, Entry, Journal, JournalError, Logged, Position};
use super::log;
use super::snapshot::{self, SnapshotError};
use super::source::Checkpoint;
use crate::engine::State;
use crate::engine::event::{Command, Effect, Report};
use crate::model::Timestamp;
use crate::policy::{Policy, PolicySource};
use crate::settings::Clock;

/// Starts that may end at the same entry before it is set aside.
const STARTS: u64 = 3;
/// Entries set aside in one start before evenkeel gives up: then the fault is not in the entries.
const SET_ASIDE: usize = 16;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No snapshot can be used.
    #[error("{0}; move the state directory away to start afresh")]
    Snapshot(#[from] SnapshotError),
    /// The state directory cannot be read or written.
    #[error("cannot use {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Part of the journal is not there.
    #[error(
        "{path} is missing, and without it nothing can be decided as before; put it back, or move the state directory \
         away to start afresh"
    )]
    Missing {
        /// The segment's file.
        path: PathBuf,
    },
    /// Part of the journal cannot be read although later parts can.
    #[error(
        "{path} is damaged: its {torn} bytes from byte {offset} on are no entries, and a later segment follows; put a \
         good copy back, or move the state directory away to start afresh"
    )]
    Damaged {
        /// The segment's file.
        path: PathBuf,
        /// Where the last whole entry ends.
        offset: u64,
        /// Bytes after it.
        torn: u64,
    },
    /// A signal came before the end.
    #[error("stopped while the journal was read")]
    Stopped,
    /// One event after another fells the engine.
    #[error(
        "{0} events in a row stop the engine; they are kept in {1}. This is a fault in evenkeel: please report it, \
         and move the state directory away to start afresh"
    )]
    Hopeless(usize, PathBuf),
}

/// A running engine and the journal that it goes on writing.
#[derive(Debug)]
pub struct Boot {
    /// The engine after the last entry.
    pub fold: Fold,
    /// The journal after the last whole entry.
    pub journal: Journal,
    /// How far every file was read.
    pub checkpoints: Vec<Checkpoint>,
    /// Reports that were made again, for the history.
    pub reports: Vec<(Timestamp, Report)>,
    /// What came of the policy, which was changed while evenkeel was down: nobody has heard of it.
    pub news: Vec<(Timestamp, Report)>,
    /// How long reading the journal took.
    pub took: Duration,
    /// What lies in `state_dir/poison/`.
    pub set_aside: SetAside,
}

/// Entries that are passed over because they stopped the engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetAside {
    /// How many there are.
    pub entries: u64,
    /// Lines of sources in them.
    pub lines: u64,
    /// Where they lie.
    pub folder: PathBuf,
}

/// Makes an engine from a state directory; `policy` is the one on disk, and is written to the journal when it is
/// not the one in force there. Gives up after the entry at which `stop` is set.
pub fn boot(
    state_dir: &Path,
    source: &PolicySource,
    policy: &Arc<Policy>,
    stop: &AtomicBool,
) -> Result<Boot, BootError> {
    let journals = state_dir.join("journal");
    let mut poison = Poison::open(state_dir)?;
    let mut set_aside = 0;
    let start = Instant::now();
    let (mut folding, segment, good) = loop {
        let mut folding = Folding::begin(state_dir, policy)?;
        let segments = segments_from(&journals, folding.first)?;
        let newest = segments.last().copied();
        let mut last = (folding.first, 0);
        let mut at = None;
        let folded = catch_unwind(AssertUnwindSafe(|| -> Result<(), BootError> {
            for segment in segments {
                let end = journal::read(&journals, segment, |position, entry, payload| {
                    if stop.load(Ordering::Relaxed) {
                        return Err(BootError::Stopped);
                    }
                    at = Some((position, payload.to_vec()));
                    if poison.begin(position, payload)? {
                        folding.apply(&entry);
                    } else {
                        folding.pass_over(&entry);
                    }
                    Ok(())
                })?;
                if end.torn > 0 && Some(segment) != newest {
                    let path = journal::path_of(&journals, segment);
                    return Err(BootError::Damaged { path, offset: end.good, torn: end.torn });
                }
                if end.torn > 0 {
                    tracing::warn!(segment, bytes = end.torn, "cut the torn end of the journal");
                }
                last = (segment, end.good);
            }
            Ok(())
        }));
        match (folded, at) {
            (Ok(Ok(())), _) => break (folding, last.0, last.1),
            (Ok(Err(error)), _) => {
                poison.end();
                return Err(error);
            }
            (Err(panic), Some((position, payload))) if set_aside < SET_ASIDE => {
                set_aside += 1;
                poison.set_aside(position, &payload, &message(&*panic))?;
            }
            (Err(_), _) => return Err(BootError::Hopeless(set_aside, poison.folder)),
        }
    };
    let set_aside = poison.counts();
    poison.end();
    let took = start.elapsed();
    let mut journal = Journal::open(&journals, segment.max(1), good)?;
    let reports = std::mem::take(&mut folding.reports);
    let fold = match folding.fold.take() {
        Some(mut fold) => {
            // By the clock of records there is no time in which evenkeel was down.
            if fold.engine.now().is_some() && policy.settings.clock == Clock::Wall {
                let entry = Entry { now: fold.now(), event: Logged::Command(Command::FallBehind) };
                journal.append(&entry)?;
                folding.keep_reports(fold.now(), fold.apply(&entry).effects);
            }
            if fold.source != *source {
                for (receiver, alerts) in fold.engine.left_open_by(&policy.settings) {
                    log::stays_open(receiver, alerts);
                }
                let now = fold.now();
                let at = if policy.settings.clock == Clock::Wall { wall() } else { now };
                journal.append(&Entry { now, event: Logged::Start { policy: source.clone(), at } })?;
                let effects = fold.start(at, Arc::clone(policy), source.clone());
                folding.keep_reports(now, effects);
            }
            fold
        }
        None => {
            journal.append(&Entry { now: Timestamp(0), event: Logged::Policy(source.clone()) })?;
            Fold::new(Arc::clone(policy), source.clone(), State::default(), false)
        }
    };
    let checkpoints = folding.checkpoints.into_values().collect();
    Ok(Boot { fold, journal, checkpoints, reports, news: folding.reports, took, set_aside })
}

/// The segments from `first` on (0: from the beginning); none of them may be missing.
fn segments_from(journals: &Path, first: u64) -> Result<Vec<u64>, BootError> {
    let mut segments = journal::segments(journals).map_err(io_at(journals))?;
    segments.retain(|segment| *segment >= first);
    match (first.max(1)..).zip(&segments).find(|(expected, segment)| expected != *segment) {
        Some((missing, _)) => Err(BootError::Missing { path: journal::path_of(journals, missing) }),
        None => Ok(segments),
    }
}

/// The fold on its way through the journal.
struct Folding {
    fold: Option<Fold>,
    /// The policy on disk, for when that of the past cannot be read any more.
    policy: Arc<Policy>,
    /// The segment to begin with.
    first: u64,
    checkpoints: BTreeMap<(String, u64, u64), Checkpoint>,
    reports: Vec<(Timestamp, Report)>,
}

impl Folding {
    /// From the newest snapshot that is good, else from the beginning.
    fn begin(state_dir: &Path, policy: &Arc<Policy>) -> Result<Folding, BootError> {
        let folder = state_dir.join("snapshot");
        let mut folding = Folding {
            fold: None,
            policy: Arc::clone(policy),
            first: 0,
            checkpoints: BTreeMap::new(),
            reports: Vec::new(),
        };
        let mut bad = None;
        for number in snapshot::numbers(&folder).map_err(io_at(&folder))? {
            match snapshot::read(&folder, number) {
                Ok(snapshot) => {
                    folding.first = number;
                    let policy = fold::recall(&snapshot.policy);
                    for (rule, alerts) in snapshot.state.without_rule(&policy) {
                        tracing::error!(
                            rule,
                            alerts,
                            "no rule of before is known for alerts that fire: nobody is told their end"
                        );
                    }
                    folding.fold = Some(Fold::new(policy, snapshot.policy, snapshot.state, snapshot.backfill));
                    for checkpoint in snapshot.checkpoints {
                        folding.keep(checkpoint);
                    }
                    return Ok(folding);
                }
                Err(error) => {
                    tracing::error!("{error}; going further back");
                    bad = Some(error);
                }
            }
        }
        // Without any snapshot the journal must be there from its first segment on.
        match bad {
            Some(error) if !journal::path_of(&state_dir.join("journal"), 1).exists() => Err(error.into()),
            _ => Ok(folding),
        }
    }

    fn apply(&mut self, entry: &Entry<'_>) {
        if let Logged::Lines { checkpoint, .. } = &entry.event {
            self.keep(checkpoint.clone());
        }
        match (&mut self.fold, &entry.event) {
            (Some(fold), _) => {
                let effects = fold.apply(entry).effects;
                let now = fold.now();
                self.keep_reports(now, effects);
            }
            (None, Logged::Policy(source) | Logged::Start { policy: source, .. }) => {
                self.fold = Some(Fold::new(fold::recall(source), source.clone(), State::default(), false));
            }
            // The policy was set aside, for every other journal begins with one.
            (None, _) => {
                let policy = Arc::clone(&self.policy);
                self.fold = Some(Fold::new(policy, PolicySource::default(), State::default(), false));
                self.apply(entry);
            }
        }
    }

    /// The entry is poison, but its lines count as read.
    fn pass_over(&mut self, entry: &Entry<'_>) {
        if let Logged::Lines { checkpoint, .. } = &entry.event {
            self.keep(checkpoint.clone());
        }
    }

    fn keep(&mut self, checkpoint: Checkpoint) {
        self.checkpoints.insert((checkpoint.source.clone(), checkpoint.dev, checkpoint.ino), checkpoint);
    }

    /// What was to be done is asked of the engine at the end, see [`crate::engine::Engine::unsettled`].
    fn keep_reports(&mut self, now: Timestamp, effects: Vec<Effect>) {
        self.reports.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::Report(report) => Some((now, report)),
            Effect::Deliver(_) | Effect::Apply(_) => None,
        }));
    }
}

/// The entries that are passed over, and the mark of how far this start has come.
struct Poison {
    folder: PathBuf,
    /// With the lines in each.
    known: BTreeMap<Position, u64>,
    mark: File,
    mark_path: PathBuf,
    /// Where the start before this one ended, and how many before it ended there too.
    ended: Option<(Position, u64)>,
}

impl Poison {
    fn open(state_dir: &Path) -> Result<Poison, BootError> {
        let folder = state_dir.join("poison");
        let mark_path = state_dir.join("folding");
        let mark = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&mark_path);
        let mark = mark.map_err(io_at(&mark_path))?;
        let mut words = [0; 24];
        let ended = mark.read_exact_at(&mut words, 0).ok().map(|()| {
            let word = |i: usize| u64::from_le_bytes(words[i * 8..][..8].try_into().expect("eight bytes"));
            (Position { segment: word(0), offset: word(1) }, word(2))
        });
        let mut known = BTreeMap::new();
        if let Ok(entries) = std::fs::read_dir(&folder) {
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let numbers = name.strip_suffix(".entry").and_then(|n| n.split_once('-'));
                if let Some((Ok(segment), Ok(offset))) = numbers.map(|(s, o)| (s.parse(), o.parse())) {
                    let text = std::fs::read(entry.path()).unwrap_or_default();
                    let payload = text.iter().position(|byte| *byte == b'\n').map_or(&[][..], |end| &text[end + 1..]);
                    known.insert(Position { segment, offset }, lines_in(payload));
                }
            }
        }
        Ok(Poison { folder, known, mark, mark_path, ended })
    }

    /// Marks the entry as begun; whether it is to be handled. The mark is not synced: it has to survive this
    /// process, not the machine.
    fn begin(&mut self, position: Position, payload: &[u8]) -> Result<bool, BootError> {
        if self.known.contains_key(&position) {
            return Ok(false);
        }
        let before = self.ended.filter(|(at, _)| *at == position).map_or(0, |(_, starts)| starts);
        if before >= STARTS {
            self.set_aside(position, payload, "the last starts ended here without a word")?;
            return Ok(false);
        }
        let words = [position.segment, position.offset, before + 1].map(u64::to_le_bytes).concat();
        self.mark.write_all_at(&words, 0).map_err(io_at(&self.mark_path))?;
        Ok(true)
    }

    fn set_aside(&mut self, position: Position, payload: &[u8], reason: &str) -> Result<(), BootError> {
        let path = self.folder.join(format!("{}-{}.entry", position.segment, position.offset));
        let lines = lines_in(payload);
        tracing::error!(
            entry = %path.display(), reason, lines,
            "an event stops the engine and is set aside, its lines count for nothing; please report it"
        );
        let mut text = format!("{}\n", reason.replace('\n', " ")).into_bytes();
        text.extend_from_slice(payload);
        std::fs::create_dir_all(&self.folder).and_then(|()| std::fs::write(&path, text)).map_err(io_at(&path))?;
        self.known.insert(position, lines);
        Ok(())
    }

    fn counts(&self) -> SetAside {
        let (entries, lines) = (self.known.len() as u64, self.known.values().sum());
        SetAside { entries, lines, folder: self.folder.clone() }
    }

    /// The start ends with words, good or bad ones.
    fn end(self) {
        // What is left of the mark would count one start too many, no more.
        let _ = std::fs::remove_file(&self.mark_path);
    }
}

/// How many lines of sources an entry holds.
fn lines_in(payload: &[u8]) -> u64 {
    match postcard::from_bytes(payload) {
        Ok(Entry { event: Logged::Lines { text, oversized, .. }, .. }) => {
            text.split_inclusive(|byte| *byte == b'\n').count() as u64 + u64::from(oversized)
        }
        _ => 0,
    }
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> BootError {
    move |error| BootError::Io { path: path.to_owned(), error }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the engine panicked".to_owned())
}
