//! Old lines of many files in the order of their times.
//!
//! While a daemon catches up, the lines are the clock. Read one file after another, the first would move it to
//! its end before the second has its say: alerts of the second file's agents would resolve for want of data and fire
//! again. So the next lines are always of the file whose next line is oldest, up to the evaluation
//! after the next line of any other. Inside one evaluation interval the order makes no difference.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::tail::{CHUNK_BYTES, Checkpoint, Chunk};
use super::tailer::Tailer;
use crate::model::{Span, Timestamp};

/// Bytes of all files that are held at a time.
const HELD_BYTES: usize = 16 << 20;
/// Bytes of one file that are held at least.
const LEAST_BYTES: usize = 4 << 10;
/// How often files that were read to their end are looked at again.
const LOOK: Duration = Duration::from_millis(100);

/// Lines of one file that are waiting for their turn.
#[derive(Debug)]
struct Head {
    source: usize,
    chunk: Chunk,
    /// The checkpoint before the chunk.
    before: Checkpoint,
    /// Bytes of the text that had their turn.
    used: usize,
    /// The time of the next line; lines without one go with those before them.
    next: Timestamp,
}

/// The waiting lines.
#[derive(Debug, Default)]
pub struct Merge {
    heads: Vec<Head>,
    looked: Option<Instant>,
    /// The file whose lines were used up by the last turn: its source and its identity.
    used_up: Option<(usize, (u64, u64))>,
}

impl Merge {
    /// The next lines and the index of their source; `None` when all files are read. `time` tells the time of a line
    /// (without its end), `step` is the evaluation interval.
    pub fn next(
        &mut self,
        tailers: &mut [Tailer],
        step: Span,
        time: impl Fn(&Checkpoint, &[u8]) -> Option<Timestamp>,
    ) -> Option<(usize, Chunk)> {
        self.refill(tailers, &time);
        let first = (0..self.heads.len()).min_by_key(|i| self.heads[*i].next)?;
        let others = self.heads.iter().enumerate().filter(|(i, _)| *i != first).map(|(_, head)| head.next).min();
        let limit = others.map(|next| Timestamp((next.0.div_euclid(step.0.max(1)) + 1).saturating_mul(step.0.max(1))));
        let head = &mut self.heads[first];
        let chunk = head.take(limit, &time);
        let source = head.source;
        if head.used == head.chunk.text.len() {
            let head = self.heads.swap_remove(first);
            // The file may have more, and then its turn is not over.
            self.used_up = Some((source, head.before.identity()));
        }
        Some((source, chunk))
    }

    fn refill(&mut self, tailers: &mut [Tailer], time: &impl Fn(&Checkpoint, &[u8]) -> Option<Timestamp>) {
        let files = tailers.iter().map(Tailer::len).sum::<usize>().max(1);
        let bytes = (HELD_BYTES / files).clamp(LEAST_BYTES, CHUNK_BYTES);
        if let Some((source, file)) = self.used_up.take()
            && let Some(chunk) = tailers[source].again(file, bytes)
        {
            self.hold(source, &tailers[source], chunk, time);
        }
        if self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        let now = Instant::now();
        self.looked = Some(now);
        let mut held: BTreeSet<(usize, u64, u64)> = BTreeSet::new();
        for head in &self.heads {
            held.insert((head.source, head.before.dev, head.before.ino));
        }
        for (source, tailer) in tailers.iter_mut().enumerate() {
            let mut chunks = Vec::new();
            let wanted = |at: &Checkpoint| !held.contains(&(source, at.dev, at.ino));
            tailer.look(now, bytes, wanted, |chunk| {
                chunks.push(chunk);
                true
            });
            for chunk in chunks {
                self.hold(source, tailer, chunk, time);
            }
        }
    }

    fn hold(
        &mut self,
        source: usize,
        tailer: &Tailer,
        chunk: Chunk,
        time: &impl Fn(&Checkpoint, &[u8]) -> Option<Timestamp>,
    ) {
        let identity = chunk.checkpoint.identity();
        let Some(before) = tailer.checkpoints().find(|c| c.identity() == identity) else { return };
        let end = memchr::memchr(b'\n', &chunk.text).unwrap_or(0);
        let next = time(before, &chunk.text[..end]).unwrap_or(Timestamp::MIN);
        self.heads.push(Head { source, before: before.clone(), chunk, used: 0, next });
    }
}

impl Head {
    /// The next line, and those after it up to the first that is not older than `limit`.
    fn take(&mut self, limit: Option<Timestamp>, time: &impl Fn(&Checkpoint, &[u8]) -> Option<Timestamp>) -> Chunk {
        let text = &self.chunk.text;
        let from = self.used;
        let mut to = text.len();
        if let Some(limit) = limit {
            let mut start = from;
            for end in memchr::memchr_iter(b'\n', &text[from..]).map(|end| from + end) {
                let at = if start == from { None } else { time(&self.before, &text[start..end]) };
                if let Some(at) = at.filter(|at| *at >= limit) {
                    to = start;
                    self.next = at;
                    break;
                }
                start = end + 1;
            }
        }
        self.used = to;
        self.chunk.part(from, to, &self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line's time is the number it begins with.
    fn time(_: &Checkpoint, line: &[u8]) -> Option<Timestamp> {
        std::str::from_utf8(line).ok()?.split(' ').next()?.parse().ok().map(Timestamp)
    }

    fn merged(files: &[&str], step: i64) -> String {
        let dir = tempfile::tempdir().expect("dir");
        for (i, text) in files.iter().enumerate() {
            std::fs::write(dir.path().join(format!("{i}.jsonl")), text).expect("write");
        }
        let mut tailers = [Tailer::new("s", dir.path(), 1 << 20, &[])];
        let mut merge = Merge::default();
        let mut turns = Vec::new();
        while let Some((source, chunk)) = merge.next(&mut tailers, Span(step), time) {
            turns.push(String::from_utf8(chunk.text).expect("UTF-8").trim_end().replace('\n', ","));
            tailers[source].commit(chunk.checkpoint);
        }
        turns.join(" | ")
    }

    #[test]
    fn lines_come_in_the_order_of_their_times() {
        for (files, step, expected) in [
            (&["1\n2\n3\n"][..], 1, "1,2,3"),
            (&["1\n3\n5\n", "2\n4\n"], 1, "1 | 2 | 3 | 4 | 5"),
            (&["1\n3\n15\n", "2\n4\n25\n"], 10, "1,3 | 2,4 | 15 | 25"),
            (&["1\n2\n3\n", "9\n"], 1, "1,2,3 | 9"),
            (&["1\nno time\n7\n", "5\n"], 1, "1,no time | 5 | 7"),
            (&["no time\n7\n", "5\n"], 1, "no time | 5 | 7"),
            (&["", "5\n"], 1, "5"),
        ] {
            assert_eq!(merged(files, step), expected, "{files:?} {step}");
        }
    }

    #[test]
    fn files_longer_than_what_is_held_keep_their_turn() {
        let file = |first: usize| (0..60_000).map(|i| format!("{} x\n", i * 2 + first)).collect::<String>();
        let turns = merged(&[&file(0), &file(1)], 1_000);
        let times: Vec<i64> = turns
            .replace(" | ", ",")
            .split(',')
            .map(|line| line.trim_end_matches(" x").parse().expect("a number"))
            .collect();
        assert_eq!(times.len(), 120_000);
        assert!(times.is_sorted_by_key(|t| t / 1_000), "evaluations see what had happened");
    }
}
