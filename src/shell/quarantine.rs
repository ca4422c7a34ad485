//! `state_dir/quarantine.jsonl`: lines that could not become records, with place and reason.
//!
//! For people to look at; nothing reads it back, and decisions do not rest on it (the counts come from
//! the journal). So it may lose its last line in a crash, and a full disk only costs the copy.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::model::Timestamp;

/// Characters of a line that are kept.
const TEXT_CHARS: usize = 512;
/// How often the log tells of a source's lines at most.
const PAUSE: Duration = Duration::from_secs(60);

/// A line that was set aside.
#[derive(Debug, Serialize)]
pub struct Rejected<'a> {
    /// When it was read, by the wall clock.
    #[serde(serialize_with = "as_rfc3339")]
    pub at: Timestamp,
    /// The source's name.
    pub source: &'a str,
    /// The file.
    pub file: &'a Path,
    /// One-based line number.
    pub line: u64,
    /// Where the line starts, in bytes.
    pub offset: u64,
    /// Why it is no record.
    pub reason: &'a str,
    /// The line, cut at 512 characters, bytes that are no UTF-8 replaced.
    #[serde(serialize_with = "as_text")]
    pub text: &'a [u8],
}

fn as_rfc3339<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn as_text<S: serde::Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    // A character has at most four bytes, so the cut before the decoding loses none that is shown.
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * TEXT_CHARS)]);
    serializer.collect_str(&text.chars().take(TEXT_CHARS).collect::<String>())
}

/// The file; the older half is dropped when it exceeds its bound.
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    bound: u64,
}

impl Quarantine {
    /// The quarantine of a state directory, of at most `bound` bytes.
    pub fn new(state_dir: &Path, bound: u64) -> Quarantine {
        Quarantine { path: state_dir.join("quarantine.jsonl"), bound }
    }

    /// Adds lines.
    pub fn add<'a>(&mut self, lines: impl IntoIterator<Item = Rejected<'a>>) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(&text)?;
        if file.metadata()?.len() > self.bound {
            self.halve()?;
        }
        Ok(())
    }

    fn halve(&self) -> io::Result<()> {
        let mut old = BufReader::new(File::open(&self.path)?);
        let size = old.seek(SeekFrom::End(0))?;
        old.seek(SeekFrom::Start(size - (self.bound / 2).min(size)))?;
        // Whatever line we landed in is gone.
        old.read_until(b'\n', &mut Vec::new())?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        io::copy(&mut old, &mut new)?;
        new.persist(&self.path)?;
        Ok(())
    }
}

/// What the log is still to say of a source's lines: of the first at once, of further ones when a minute has passed.
#[derive(Debug, Clone, Default)]
pub struct Notice {
    lines: u64,
    first: String,
    said: Option<Instant>,
}

impl Notice {
    /// Counts lines of a file, the first of which is `line`.
    pub fn count(&mut self, lines: u64, file: &Path, line: u64, reason: &str) {
        if self.lines == 0 {
            self.first = format!("{}:{line}: {reason}", file.display());
        }
        self.lines += lines;
    }

    /// What is to be said now; at the end there is no later time for it.
    pub fn take(&mut self, now: Instant, end: bool) -> Option<String> {
        let early = self.said.is_some_and(|said| now.duration_since(said) < PAUSE);
        if self.lines == 0 || early && !end {
            return None;
        }
        self.said = Some(now);
        let lines = std::mem::take(&mut self.lines);
        let what = if lines == 1 { "line" } else { "lines" };
        Some(format!("{lines} {what} in quarantine, first: {}", self.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: u64, text: &[u8]) -> Rejected<'_> {
        let file = Path::new("a.jsonl");
        Rejected { at: Timestamp(0), source: "s", file, line, offset: 7, reason: "not JSON", text }
    }

    #[test]
    fn lines_are_json_whatever_they_hold() {
        let dir = tempfile::tempdir().expect("dir");
        let mut quarantine = Quarantine::new(dir.path(), 1 << 20);
        let long = vec![b'x'; 10 << 20];
        quarantine.add([line(1, b"\xff\0\n"), line(2, &long)]).expect("written");
        let text = std::fs::read_to_string(dir.path().join("quarantine.jsonl")).expect("UTF-8");
        let read: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        assert_eq!(read[0]["text"], "\u{fffd}\0\n");
        assert_eq!(read[0]["at"], "1970-01-01T00:00:00.000Z");
        assert_eq!(read[1]["text"].as_str().map(str::len), Some(512));
        assert_eq!((&read[1]["line"], &read[1]["reason"]), (&2.into(), &"not JSON".into()));
    }

    #[test]
    fn the_older_half_is_dropped() {
        let dir = tempfile::tempdir().expect("dir");
        let mut quarantine = Quarantine::new(dir.path(), 4_000);
        for i in 0..500 {
            quarantine.add([line(i, b"text")]).expect("written");
            let size = std::fs::metadata(dir.path().join("quarantine.jsonl")).expect("there").len();
            assert!(size <= 4_000, "{size}");
        }
        let text = std::fs::read_to_string(dir.path().join("quarantine.jsonl")).expect("UTF-8");
        let last: serde_json::Value = serde_json::from_str(text.lines().last().expect("some")).expect("whole lines");
        assert_eq!(last["line"], 499);
        assert!(text.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
    }

    #[test]
    fn the_log_tells_of_lines_once_a_minute() {
        let (mut notice, start) = (Notice::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let file = Path::new("a.jsonl");
        assert_eq!(notice.take(start, true), None, "there is nothing to tell");
        notice.count(3, file, 6233, "`agent_name` is missing");
        let text = "3 lines in quarantine, first: a.jsonl:6233: `agent_name` is missing";
        assert_eq!(notice.take(start, false).as_deref(), Some(text));
        notice.count(1, file, 6240, "not JSON");
        notice.count(1, file, 6250, "empty");
        assert_eq!(notice.take(after(59), false), None);
        let text = "2 lines in quarantine, first: a.jsonl:6240: not JSON";
        assert_eq!(notice.take(after(60), false).as_deref(), Some(text));
        assert_eq!(notice.take(after(200), false), None);
        notice.count(1, file, 6260, "not JSON");
        assert!(notice.take(after(61), true).is_some(), "the end does not wait");
    }
}
