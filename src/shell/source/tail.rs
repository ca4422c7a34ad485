//! One file that others append to: complete lines since the last look, and nothing twice.
//!
//! A [`Checkpoint`] names the file by device and inode, not by path, so a rename is no new file. It moves
//! only past whole lines, and only by [`Tail::commit`], which the daemon calls after the lines are in the
//! journal; a crash in between reads them again. The first bytes are remembered by checksum: when they
//! differ, or the file is shorter than what was read, its writer has rewritten it in place, and it is read
//! from the start again (the engine drops records that it has seen).
//!
//! Memory is bounded by one chunk or one line of the permitted length, whichever is larger: the rest of a
//! longer line is skipped without being kept.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Bytes read at once from one file.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Leading bytes by which a rewritten file is told from a grown one.
const HEAD_BYTES: u64 = 256;
/// Bytes of a line that is too long which go to the quarantine.
const SHOWN_BYTES: usize = 512;

/// How far a file was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The source's name.
    pub source: String,
    /// Where the file was last seen.
    pub path: PathBuf,
    /// Its name without extension when it was first seen: `{file_stem}` of the field mapping.
    pub stem: String,
    /// Device of the file.
    pub dev: u64,
    /// Inode of the file.
    pub ino: u64,
    /// First byte that was not read.
    pub offset: u64,
    /// Lines before it.
    pub line: u64,
    /// Leading bytes covered by `head`; never more than `offset`.
    pub head_bytes: u64,
    /// CRC-32 of the leading bytes.
    pub head: u32,
    /// Whether `offset` stands inside a line that was too long and is being skipped.
    pub skipping: bool,
}

impl Checkpoint {
    /// What stays the same when the file grows or is renamed.
    pub fn identity(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }
}

/// A line that exceeds the limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversized {
    /// One-based line number.
    pub line: u64,
    /// Where the line starts.
    pub offset: u64,
    /// Its first bytes.
    pub start: Vec<u8>,
}

/// What was read at one go: whole lines, then perhaps one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Whole lines with their line ends; empty when only `oversized` is there.
    pub text: Vec<u8>,
    /// Where the text starts in the file.
    pub offset: u64,
    /// One-based number of the first line.
    pub line: u64,
    /// The line after the text, when it is too long.
    pub oversized: Option<Oversized>,
    /// Where to go on from once this is in the journal.
    pub checkpoint: Checkpoint,
}

impl Chunk {
    /// The part of the text from byte `from` to byte `to`, both at line ends; `before` is the checkpoint that led to
    /// the whole chunk.
    pub fn part(&self, from: usize, to: usize, before: &Checkpoint) -> Chunk {
        let lines = |text: &[u8]| memchr::memchr_iter(b'\n', text).count() as u64;
        let line = self.line + lines(&self.text[..from]);
        let text = self.text[from..to].to_vec();
        if to == self.text.len() {
            return Chunk { text, offset: self.offset + from as u64, line, ..self.clone() };
        }
        let mut checkpoint = before.clone();
        checkpoint.skipping = false;
        checkpoint.offset = self.offset + to as u64;
        checkpoint.line = line - 1 + lines(&text);
        // What was skipped of a line that is too long is not at hand: then the fingerprint stays as short as it was.
        if before.head_bytes == self.offset {
            checkpoint.head_bytes = checkpoint.offset.min(HEAD_BYTES);
            let mut hash = crc32fast::Hasher::new_with_initial_len(before.head, before.head_bytes);
            hash.update(&self.text[..(checkpoint.head_bytes - before.head_bytes) as usize]);
            checkpoint.head = hash.finalize();
        }
        Chunk { text, offset: self.offset + from as u64, line, oversized: None, checkpoint }
    }
}

/// One file.
#[derive(Debug)]
pub struct Tail {
    file: Option<File>,
    at: Checkpoint,
    /// Size and modification time at the last look that found nothing more.
    idle: Option<(u64, i64, i64)>,
    limit: usize,
}

impl Tail {
    /// A file as `about` describes it, from `checkpoint` if that is of this file, else from its start.
    pub fn new(source: &str, path: &Path, about: &Metadata, checkpoint: Option<Checkpoint>, line_bytes: usize) -> Tail {
        let start = || Checkpoint {
            source: source.to_owned(),
            path: path.to_owned(),
            stem: stem_of(path),
            dev: about.dev(),
            ino: about.ino(),
            offset: 0,
            line: 0,
            head_bytes: 0,
            head: 0,
            skipping: false,
        };
        let mut at = checkpoint.filter(|c| c.identity() == (about.dev(), about.ino())).unwrap_or_else(start);
        at.path = path.to_owned();
        Tail { file: None, at, idle: None, limit: line_bytes.max(1) }
    }

    /// How far the file was read.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.at
    }

    /// Where the file is now.
    pub fn moved_to(&mut self, path: &Path) {
        if self.at.path != path {
            self.at.path = path.to_owned();
        }
    }

    /// Opens the file if it is not. The error of a file that was replaced in the meantime is `NotFound`.
    pub fn open(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let file = File::open(&self.at.path)?;
            let about = file.metadata()?;
            if (about.dev(), about.ino()) != self.at.identity() {
                return Err(io::ErrorKind::NotFound.into());
            }
            self.file = Some(file);
        }
        Ok(())
    }

    /// Gives the file descriptor back; the next look opens the file again.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Whether a descriptor is held.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Whole lines that are new, about `bytes` of them or one longer line; the same again until [`Tail::commit`].
    pub fn poll(&mut self, bytes: usize) -> io::Result<Option<Chunk>> {
        self.open()?;
        let file = self.file.as_ref().expect("just opened");
        let about = file.metadata()?;
        let stamp = (about.size(), about.mtime(), about.mtime_nsec());
        if self.idle == Some(stamp) {
            return Ok(None);
        }
        if about.size() < self.at.offset || head(file, self.at.head_bytes)? != self.at.head {
            tracing::info!(file = %self.at.path.display(), read = self.at.offset, size = about.size(),
                "file was rewritten in place, reading it from the start");
            // It may be another file that was given the inode of one that is gone, so the name counts anew.
            let stem = stem_of(&self.at.path);
            self.at =
                Checkpoint { stem, offset: 0, line: 0, head_bytes: 0, head: 0, skipping: false, ..self.at.clone() };
        }
        if !self.skip_rest()? {
            self.idle = Some(stamp);
            return Ok(None);
        }
        let chunk = self.read_lines(bytes)?;
        if chunk.is_none() {
            self.idle = Some(stamp);
        }
        Ok(chunk)
    }

    /// The end of a file that nobody will append to any more: a last line without a line end counts as
    /// one.
    pub fn rest(&mut self) -> io::Result<Option<Chunk>> {
        self.open()?;
        if self.at.skipping {
            return Ok(None);
        }
        let mut text = self.read(self.limit)?;
        if text.is_empty() || text.contains(&b'\n') {
            return Ok(None);
        }
        let size = text.len() as u64;
        text.push(b'\n');
        let checkpoint = self.checkpoint_at(self.at.offset + size, self.at.line + 1, false)?;
        Ok(Some(Chunk { text, offset: self.at.offset, line: self.at.line + 1, oversized: None, checkpoint }))
    }

    /// Goes on from a chunk's checkpoint.
    pub fn commit(&mut self, checkpoint: Checkpoint) {
        self.at = checkpoint;
    }

    /// Skips the rest of a line that is too long; false when its end is not there yet.
    fn skip_rest(&mut self) -> io::Result<bool> {
        while self.at.skipping {
            let bytes = self.read(CHUNK_BYTES)?;
            match memchr::memchr(b'\n', &bytes) {
                Some(end) => {
                    self.at.offset += end as u64 + 1;
                    self.at.line += 1;
                    self.at.skipping = false;
                }
                None if bytes.is_empty() => return Ok(false),
                // Not journalled: a restart skips these bytes once more.
                None => self.at.offset += bytes.len() as u64,
            }
        }
        Ok(true)
    }

    fn read_lines(&mut self, bytes: usize) -> io::Result<Option<Chunk>> {
        let mut text = self.read(bytes)?;
        if text.len() == bytes && self.limit >= bytes && !text.contains(&b'\n') {
            // The line end may stand right behind the longest line that is permitted.
            text = self.read(self.limit + 1)?;
        }
        let start = self.at.offset;
        let (mut end, mut line) = (0, self.at.line);
        let mut long = None;
        for newline in memchr::memchr_iter(b'\n', &text) {
            if newline - end > self.limit {
                long = Some((newline + 1, false));
                break;
            }
            end = newline + 1;
            line += 1;
        }
        if long.is_none() && text.len() - end > self.limit {
            long = Some((text.len(), true));
        }
        if end == 0 && long.is_none() {
            return Ok(None);
        }
        let first_line = self.at.line + 1;
        let oversized = long.map(|(past, _)| Oversized {
            line: line + 1,
            offset: start + end as u64,
            start: text[end..past.min(end + SHOWN_BYTES)].to_vec(),
        });
        let checkpoint = match long {
            None => self.checkpoint_at(start + end as u64, line, false)?,
            Some((past, false)) => self.checkpoint_at(start + past as u64, line + 1, false)?,
            Some((past, true)) => self.checkpoint_at(start + past as u64, line, true)?,
        };
        text.truncate(end);
        Ok(Some(Chunk { text, offset: start, line: first_line, oversized, checkpoint }))
    }

    fn checkpoint_at(&self, offset: u64, line: u64, skipping: bool) -> io::Result<Checkpoint> {
        let file = self.file.as_ref().expect("open while it is read");
        let head_bytes = offset.min(HEAD_BYTES);
        Ok(Checkpoint { offset, line, skipping, head_bytes, head: head(file, head_bytes)?, ..self.at.clone() })
    }

    /// Up to `bytes` bytes from where we stand; fewer only at the end of the file.
    fn read(&self, bytes: usize) -> io::Result<Vec<u8>> {
        let file = self.file.as_ref().expect("open while it is read");
        read_at(file, self.at.offset, bytes)
    }
}

fn stem_of(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether the file begins as that of the checkpoint did; never when nothing of that was read.
pub fn begins_with(path: &Path, checkpoint: &Checkpoint) -> bool {
    let alike = || io::Result::Ok(head(&File::open(path)?, checkpoint.head_bytes)? == checkpoint.head);
    checkpoint.head_bytes > 0 && alike().unwrap_or(false)
}

fn head(file: &File, bytes: u64) -> io::Result<u32> {
    Ok(crc32fast::hash(&read_at(file, 0, bytes as usize)?))
}

fn read_at(file: &File, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A file with a tail on it, and what the tail has given so far.
    struct Story {
        dir: tempfile::TempDir,
        tail: Tail,
    }

    impl Story {
        fn new(text: &str, limit: usize) -> Story {
            let dir = tempfile::tempdir().expect("dir");
            std::fs::write(dir.path().join("log"), text).expect("write");
            let tail = open(&dir.path().join("log"), None, limit);
            Story { dir, tail }
        }

        fn append(&self, text: &str) {
            let path = self.dir.path().join("log");
            let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("open");
            file.write_all(text.as_bytes()).expect("append");
        }

        /// All that is new: the text, with `<line@offset>` for each line that is too long.
        fn read(&mut self) -> String {
            let mut all = String::new();
            while let Some(chunk) = self.tail.poll(CHUNK_BYTES).expect("readable") {
                all += std::str::from_utf8(&chunk.text).expect("UTF-8");
                if let Some(long) = &chunk.oversized {
                    all += &format!("<{}@{}>", long.line, long.offset);
                }
                self.tail.commit(chunk.checkpoint);
            }
            all
        }
    }

    fn open(path: &Path, checkpoint: Option<Checkpoint>, limit: usize) -> Tail {
        Tail::new("s", path, &std::fs::metadata(path).expect("there"), checkpoint, limit)
    }

    #[test]
    fn never_past_an_incomplete_line() {
        let mut story = Story::new("one\ntw", 100);
        assert_eq!(story.read(), "one\n");
        assert_eq!(story.read(), "");
        story.append("o\nthree");
        assert_eq!(story.read(), "two\n");
        assert_eq!((story.tail.checkpoint().line, story.tail.checkpoint().offset), (2, 8));
    }

    #[test]
    fn what_is_not_committed_is_read_again() {
        let mut story = Story::new("one\n", 100);
        let first = story.tail.poll(CHUNK_BYTES).expect("readable");
        assert_eq!(first, story.tail.poll(CHUNK_BYTES).expect("readable"));
        assert_eq!(story.read(), "one\n");
    }

    #[test]
    fn a_checkpoint_goes_on_in_another_process() {
        let mut story = Story::new("one\n", 100);
        story.read();
        story.append("two\n");
        let path = story.dir.path().join("log");
        story.tail = open(&path, Some(story.tail.checkpoint().clone()), 100);
        assert_eq!(story.read(), "two\n");
    }

    #[test]
    fn rewritten_in_place_is_read_from_the_start() {
        let mut story = Story::new("one\ntwo\n", 100);
        story.read();
        let path = story.dir.path().join("log");
        std::fs::write(&path, "x\n").expect("shorter");
        assert_eq!(story.read(), "x\n");
        std::fs::write(&path, "other lines, longer than before\n").expect("longer");
        assert_eq!(story.read(), "other lines, longer than before\n");
        std::fs::write(&path, "").expect("empty");
        assert_eq!(story.read(), "");
        story.append("again\n");
        assert_eq!(story.read(), "again\n");
    }

    #[test]
    fn long_lines_are_skipped_wherever_they_end() {
        let long = "x".repeat(11);
        for (text, expected) in [
            (format!("{long}\nok\n"), "<1@0>ok\n".to_owned()),
            (format!("a\n{long}\nok\n"), "a\n<2@2>ok\n".to_owned()),
            (format!("a\n{long}"), "a\n<2@2>".to_owned()),
            ("0123456789\nok\n".to_owned(), "0123456789\nok\n".to_owned()),
        ] {
            assert_eq!(Story::new(&text, 10).read(), expected, "{text:?}");
        }
        let mut story = Story::new(&long, 10);
        assert_eq!(story.read(), "<1@0>");
        story.append("yyy");
        assert_eq!(story.read(), "");
        story.append("\nnext\n");
        assert_eq!(story.read(), "next\n");
        assert_eq!(story.tail.checkpoint().line, 2);
    }

    #[test]
    fn lines_longer_than_a_chunk_are_whole_up_to_the_limit() {
        let limit = CHUNK_BYTES * 2;
        let fits = "x".repeat(limit);
        assert_eq!(Story::new(&format!("{fits}\nok\n"), limit).read(), format!("{fits}\nok\n"));
        assert_eq!(Story::new(&format!("{fits}x\nok\n"), limit).read(), "<1@0>ok\n");
        let huge = "x".repeat(10 << 20);
        assert_eq!(Story::new(&format!("a\n{huge}\nok\n"), 1 << 20).read(), "a\n<2@2>ok\n");
    }

    #[test]
    fn many_chunks_give_every_line_once_and_in_order() {
        let text: String = (0..60_000).map(|i| format!("line {i}\n")).collect();
        assert!(text.len() > 2 * CHUNK_BYTES);
        assert_eq!(Story::new(&text, 1 << 20).read(), text);
    }

    #[test]
    fn parts_lead_to_the_same_checkpoints_as_reading_them() {
        let text: String = (0..40).map(|i| format!("line number {i}\n")).collect();
        let mut story = Story::new(&text, 100);
        let whole = story.tail.poll(CHUNK_BYTES).expect("readable").expect("lines");
        let mut before = story.tail.checkpoint().clone();
        let mut from = 0;
        for to in memchr::memchr_iter(b'\n', &whole.text).map(|at| at + 1) {
            let part = whole.part(from, to, story.tail.checkpoint());
            assert_eq!((part.text.as_slice(), part.offset), (&whole.text[from..to], from as u64));
            assert_eq!(part.line, before.line + 1);
            // Another reader that gets no further than here agrees.
            std::fs::write(story.dir.path().join("log"), &text[..to]).expect("write");
            let mut other = open(&story.dir.path().join("log"), Some(before), 100);
            let read = other.poll(CHUNK_BYTES).expect("readable").expect("one line");
            assert_eq!(part, read);
            (before, from) = (part.checkpoint, to);
        }
    }

    #[test]
    fn the_rest_of_a_file_that_is_gone_counts_as_a_line() {
        let mut story = Story::new("one\ntwo", 100);
        assert_eq!(story.read(), "one\n");
        let rest = story.tail.rest().expect("readable").expect("there");
        assert_eq!(rest.text, b"two\n");
        story.tail.commit(rest.checkpoint);
        assert_eq!(story.tail.rest().expect("readable"), None);
    }
}
