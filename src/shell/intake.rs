//! All sources together: whose lines are next, what is set aside, what is counted.

use std::io;
use std::time::Instant;

use super::api::SourceStatus;
use super::clock::wall;
use super::fold::{Applied, Fold};
use super::quarantine::{Notice, Quarantine, Rejected};
use super::source::{Checkpoint, Chunk, Merge, Tailer};
use crate::engine::event::Effect;
use crate::model::Span;
use crate::settings::{Settings, Source};

/// Old lines of one file are read for so long, by their times, before another's have their turn, at least.
const TURN: Span = Span::seconds(1);

/// The sources of the settings in force.
#[derive(Debug)]
pub struct Intake {
    tailers: Vec<Tailer>,
    merge: Merge,
    /// Whose turn it is among sources that are up to date.
    turn: usize,
    counts: Vec<SourceStatus>,
    /// Per source: what the log is still to say of its bad lines.
    notices: Vec<Notice>,
    quarantine: Quarantine,
    line_bytes: u32,
    /// Why the quarantine could not be written, so that it is said once.
    quarantine_fault: Option<io::ErrorKind>,
}

impl Intake {
    /// Follows the sources from these checkpoints on.
    pub fn new(settings: &Settings, checkpoints: &[Checkpoint]) -> Intake {
        let limits = &settings.limits;
        let tailer = |s: &Source| Tailer::new(&s.name, &s.path, limits.line_bytes as usize, checkpoints);
        let count = |s: &Source| SourceStatus { source: s.name.clone(), ..SourceStatus::default() };
        Intake {
            tailers: settings.sources.iter().map(tailer).collect(),
            merge: Merge::default(),
            turn: 0,
            counts: settings.sources.iter().map(count).collect(),
            notices: vec![Notice::default(); settings.sources.len()],
            quarantine: Quarantine::new(&settings.state_dir, limits.quarantine_bytes),
            line_bytes: limits.line_bytes,
            quarantine_fault: None,
        }
    }

    /// The same under other settings: files and counts of sources that stay go on.
    pub fn reload(&mut self, settings: &Settings) {
        let mut next = Intake::new(settings, &self.checkpoints());
        self.warn(true);
        for (count, notice) in next.counts.iter_mut().zip(&mut next.notices) {
            if let Some(before) = self.counts.iter().position(|c| c.source == count.source) {
                count.clone_from(&self.counts[before]);
                notice.clone_from(&self.notices[before]);
            }
        }
        *self = next;
    }

    /// How far every file was read.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.tailers.iter().flat_map(|t| t.checkpoints().cloned()).collect()
    }

    /// The sources at a glance.
    pub fn status(&self) -> Vec<SourceStatus> {
        let failing = self.tailers.iter().map(|t| t.trouble().is_some());
        self.counts.iter().zip(failing).map(|(count, failing)| SourceStatus { failing, ..count.clone() }).collect()
    }

    /// How many files are followed.
    pub fn files(&self) -> usize {
        self.tailers.iter().map(Tailer::len).sum()
    }

    /// What keeps sources from being read.
    pub fn troubles(&self) -> impl Iterator<Item = &str> {
        self.tailers.iter().filter_map(Tailer::trouble)
    }

    /// The next lines and their source: old ones in the order of their times, else a chunk of each source in turn, so
    /// that none waits for another that is endless. `None` when all are read.
    pub fn next(&mut self, fold: &Fold, old: bool) -> Option<(usize, Chunk)> {
        if old {
            // Shorter turns than this would cost more than an order inside of them is worth.
            let step = fold.policy().settings.evaluation_interval.max(TURN);
            let time = |at: &Checkpoint, line: &[u8]| fold.first_time(&at.source, &at.stem, line);
            return self.merge.next(&mut self.tailers, step, time);
        }
        let count = self.tailers.len();
        let index = (0..count).map(|i| (self.turn + i) % count);
        let found = index.into_iter().find_map(|index| Some((index, self.tailers[index].poll()?)))?;
        self.turn = found.0 + 1;
        Some(found)
    }

    /// The lines are written down and handled: counts them, sets aside what is no record, and goes on after them.
    pub fn accepted(&mut self, index: usize, chunk: Chunk, applied: Applied) -> Vec<Effect> {
        let count = &mut self.counts[index];
        count.records += applied.records;
        count.quarantined += applied.rejected.len() as u64 + u64::from(chunk.oversized.is_some());
        count.bytes += chunk.text.len() as u64;
        let at = wall();
        let (source, file) = (&chunk.checkpoint.source, &chunk.checkpoint.path);
        let bad = applied.rejected.iter().map(|rejected| Rejected {
            at,
            source,
            file,
            line: chunk.line + rejected.line as u64,
            offset: chunk.offset + rejected.bytes.start as u64,
            reason: &rejected.reason,
            text: &chunk.text[rejected.bytes.clone()],
        });
        let reason = format!("longer than `limits.line_bytes` ({})", self.line_bytes);
        let long = chunk.oversized.iter().map(|long| Rejected {
            at,
            source,
            file,
            line: long.line,
            offset: long.offset,
            reason: &reason,
            text: &long.start,
        });
        let bad: Vec<Rejected<'_>> = bad.chain(long).collect();
        if let Some(first) = bad.first() {
            self.notices[index].count(bad.len() as u64, file, first.line, first.reason);
        }
        let fault = self.quarantine.add(bad).err();
        if let Some(error) = &fault
            && self.quarantine_fault != Some(error.kind())
        {
            tracing::warn!(%error, "cannot write to the quarantine; its lines are counted all the same");
        }
        self.quarantine_fault = fault.map(|error| error.kind());
        self.tailers[index].commit(chunk.checkpoint);
        applied.effects
    }

    /// Tells the log of bad lines when that is due, or all of them at the end.
    pub fn warn(&mut self, end: bool) {
        let now = Instant::now();
        for (count, notice) in self.counts.iter().zip(&mut self.notices) {
            if let Some(text) = notice.take(now, end) {
                tracing::warn!(source = count.source, "{text}");
            }
        }
    }

    /// The lines could not be written down: they come again.
    pub fn refused(&mut self) {
        self.merge = Merge::default();
    }
}
