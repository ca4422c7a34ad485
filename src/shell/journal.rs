//! `state_dir/journal/<number>.log`: every event with its time, before the engine sees it.
//!
//! State is the fold of the journal, so what must never be lost goes through here first, and what is
//! decided twice (before and after a crash) is decided alike. Three choices need their reasons:
//!
//! - **The whole text of the lines is kept, not their place in the file.** A tailed file looks like
//!   its own log, but its writer may truncate it or rotate it away; then the places point nowhere. The
//!   text costs one more copy on disk, until the second next snapshot.
//! - **Lines and checkpoint travel in one entry.** So the position in the input and the decisions
//!   cannot disagree, at whatever byte the process is killed.
//! - **Deadlines are kept only when they handed something out.** The engine handles all deadlines up to `now`,
//!   each at its own due time, before any event, so folding the next event decides what a forgotten deadline
//!   decided, with the same ids. This holds because the shell's clock never runs back (see [`super::clock`]).
//!   But whether an attempt was handed out decides whether its receipt counts, so that is written down.
//!
//! A segment is a magic number and frames: length, CRC-32 of the payload, payload (postcard). Whatever
//! a crash leaves behind the last whole frame is cut when the journal is opened.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use super::source::Checkpoint;
use crate::engine::event::{Command, Receipt};
use crate::model::Timestamp;
use crate::policy::PolicySource;

/// Kind of file and version of the entries.
const MAGIC: &[u8; 8] = b"evkljrn\x01";
/// Bytes before a payload: its length and its checksum.
const FRAME_HEAD: usize = 8;

/// One event and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// What the shell's clock showed; see [`Pace`] for lines.
    pub now: Timestamp,
    /// What happened.
    #[serde(borrow)]
    pub event: Logged<'a>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Logged<'a> {
    /// Lines were read.
    Lines {
        /// Whole lines with their line ends.
        #[serde(borrow, serialize_with = "as_bytes")]
        text: Cow<'a, [u8]>,
        /// Lines after the text that were too long to be kept.
        oversized: u32,
        /// What moves the engine's clock.
        pace: Pace,
        /// How far the file was read; names the source.
        checkpoint: Checkpoint,
    },
    /// A person or the shell wanted something.
    Command(Command),
    /// How an effect went.
    Receipt(Receipt),
    /// Time passed, and the engine handed something out for it. The one event that is written after it was
    /// handled, because most are not worth it; until its effects are handed out nobody can tell.
    Deadline,
    /// The policy from here on; the first entry of the first segment is one.
    Policy(PolicySource),
    /// The same, of one that a start took in because its files were edited while evenkeel was down.
    Start {
        /// The policy.
        policy: PolicySource,
        /// When that was; the entry's time is that of the event before.
        at: Timestamp,
    },
}

/// What moves the engine's clock while lines are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pace {
    /// Lines just written: all at the time of the entry.
    Now,
    /// Lines of the past: each at its own time, but not after the time of the entry, so that one record from
    /// the future cannot run the clock away.
    Past,
    /// Lines of a recording that is its own clock: each at its own time, but not before the time of the entry.
    Recorded,
}

fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// The place of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment.
    pub segment: u64,
    /// Its frame's first byte.
    pub offset: u64,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk is full or gone.
    #[error("cannot {what} {path}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another version of evenkeel wrote it.
    #[error("{path} was not written by this version of evenkeel; move the state directory away to start afresh")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// An entry is whole and says nothing to this version.
    #[error(
        "the entry at byte {offset} of {path} was not written by this version of evenkeel; start the version that \
         wrote it, or move the state directory away to start afresh"
    )]
    ForeignEntry {
        /// The file.
        path: PathBuf,
        /// Its frame's first byte.
        offset: u64,
    },
}

/// How a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Bytes up to the end of the last whole frame.
    pub good: u64,
    /// Bytes after it.
    pub torn: u64,
}

/// The segment that is written to.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    segment: u64,
    file: File,
    /// Where the next frame goes. What a failed write left behind it is written over.
    length: u64,
    synced: u64,
}

impl Journal {
    /// Goes on writing `segment` after its first `good` bytes; begins it when it is not there.
    pub fn open(folder: &Path, segment: u64, good: u64) -> Result<Journal, JournalError> {
        let path = path_of(folder, segment);
        let io = |what| move |error| JournalError::Io { what, path: path_of(folder, segment), error };
        std::fs::create_dir_all(folder).map_err(io("create the folder of"))?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(io("open"))?;
        let mut length = good;
        if good < MAGIC.len() as u64 {
            file.write_all_at(MAGIC, 0).map_err(io("write"))?;
            length = MAGIC.len() as u64;
        }
        file.set_len(length).map_err(io("cut"))?;
        file.sync_all().map_err(io("sync"))?;
        sync_folder(folder).map_err(io("sync the folder of"))?;
        Ok(Journal { folder: folder.to_owned(), segment, file, length, synced: length })
    }

    /// The number of the segment.
    pub fn segment(&self) -> u64 {
        self.segment
    }

    /// Bytes in the segment.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether the segment holds any entry.
    pub fn is_empty(&self) -> bool {
        self.length <= MAGIC.len() as u64
    }

    /// Adds an entry; it survives the process, but the machine only after [`Journal::sync`]. After an error
    /// the journal is as before.
    pub fn append(&mut self, entry: &Entry<'_>) -> Result<(), JournalError> {
        let mut frame = vec![0; FRAME_HEAD];
        frame = postcard::to_extend(entry, frame).expect("entries hold nothing that postcard cannot write");
        let payload = &frame[FRAME_HEAD..];
        let head = ((payload.len() as u32).to_le_bytes(), crc32fast::hash(payload).to_le_bytes());
        frame[..4].copy_from_slice(&head.0);
        frame[4..FRAME_HEAD].copy_from_slice(&head.1);
        if let Err(error) = self.file.write_all_at(&frame, self.length) {
            // Gives the blocks back, so that a full disk is not kept full by half a frame.
            let _ = self.file.set_len(self.length);
            return Err(self.failed("write", error));
        }
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Makes every entry survive the machine; whether there was anything to do.
    pub fn sync(&mut self) -> Result<bool, JournalError> {
        if self.synced == self.length {
            return Ok(false);
        }
        self.file.sync_data().map_err(|e| self.failed("sync", e))?;
        self.synced = self.length;
        Ok(true)
    }

    /// Begins the next segment and returns its number.
    pub fn rotate(&mut self) -> Result<u64, JournalError> {
        // What a failed write left behind would look like a torn frame, and only the last segment may have one.
        self.file.set_len(self.length).map_err(|e| self.failed("cut", e))?;
        self.sync()?;
        *self = Journal::open(&self.folder, self.segment + 1, 0)?;
        Ok(self.segment)
    }

    fn failed(&self, what: &'static str, error: io::Error) -> JournalError {
        JournalError::Io { what, path: path_of(&self.folder, self.segment), error }
    }
}

/// The numbers of the segments that are there, ascending.
pub fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    numbered(folder, "log")
}

/// Removes the segments before `segment`.
pub fn prune(folder: &Path, segment: u64) -> io::Result<()> {
    for old in segments(folder)?.into_iter().filter(|s| *s < segment) {
        std::fs::remove_file(path_of(folder, old))?;
    }
    Ok(())
}

/// Bytes of the segments before `segment`; those that cannot be looked at count nothing.
pub fn bytes_before(folder: &Path, segment: u64) -> u64 {
    let old = segments(folder).unwrap_or_default().into_iter().filter(|s| *s < segment);
    old.filter_map(|s| std::fs::metadata(path_of(folder, s)).ok()).map(|about| about.len()).sum()
}

/// Reads a segment from its start, entry by entry, up to the last whole frame or the first error of `each`. A segment
/// that is not there is empty.
pub fn read<E: From<JournalError>>(
    folder: &Path,
    segment: u64,
    mut each: impl FnMut(Position, Entry<'_>, &[u8]) -> Result<(), E>,
) -> Result<End, E> {
    let path = path_of(folder, segment);
    let io = |error| JournalError::Io { what: "read", path: path.clone(), error };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(End { good: 0, torn: 0 }),
        Err(error) => return Err(io(error).into()),
    };
    let size = file.metadata().map_err(io)?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut magic = [0; MAGIC.len()];
    if size < MAGIC.len() as u64 {
        return Ok(End { good: 0, torn: size });
    }
    reader.read_exact(&mut magic).map_err(io)?;
    // A machine that lost power may leave zeros where the magic number was not yet written.
    if magic == [0; MAGIC.len()] {
        return Ok(End { good: 0, torn: size });
    }
    if magic != *MAGIC {
        return Err(JournalError::Foreign { path }.into());
    }
    let mut good = MAGIC.len() as u64;
    let mut payload = Vec::new();
    while size - good >= FRAME_HEAD as u64 {
        let mut head = [0; FRAME_HEAD];
        reader.read_exact(&mut head).map_err(io)?;
        let length = u64::from(u32::from_le_bytes(head[..4].try_into().expect("four bytes")));
        let checksum = u32::from_le_bytes(head[4..].try_into().expect("four bytes"));
        // Zeros after a power loss would be frames of length 0 with a right checksum.
        if length == 0 || length > size - good - FRAME_HEAD as u64 {
            break;
        }
        payload.resize(length as usize, 0);
        reader.read_exact(&mut payload).map_err(io)?;
        if crc32fast::hash(&payload) != checksum {
            break;
        }
        let Ok(entry) = postcard::from_bytes(&payload) else {
            return Err(JournalError::ForeignEntry { path, offset: good }.into());
        };
        each(Position { segment, offset: good }, entry, &payload)?;
        good += FRAME_HEAD as u64 + length;
    }
    Ok(End { good, torn: size - good })
}

/// The file of a segment.
pub fn path_of(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:08}.log"))
}

/// The numbers of the files `<number>.<extension>` in a folder, ascending; a folder that is not there is empty.
pub fn numbered(folder: &Path, extension: &str) -> io::Result<Vec<u64>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension)
            && let Some(number) = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok())
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes the names in a folder survive the machine.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(n: u64) -> Entry<'static> {
        let checkpoint = Checkpoint {
            source: "s".into(),
            path: "a.jsonl".into(),
            stem: "a".into(),
            dev: 1,
            ino: 2,
            offset: n,
            line: n,
            head_bytes: 0,
            head: 0,
            skipping: false,
        };
        let text = Cow::Owned(format!("{{\"n\":{n}}}\n\u{ff}").into_bytes());
        let lines = Logged::Lines { text, oversized: 0, pace: Pace::Now, checkpoint };
        let other = Logged::Command(Command::Quarantined { source: "s".into(), lines: n });
        Entry { now: Timestamp(n as i64), event: if n.is_multiple_of(3) { other } else { lines } }
    }

    fn all(folder: &Path, segment: u64) -> (Vec<Entry<'static>>, End) {
        let mut entries = Vec::new();
        let end = read(folder, segment, |_, entry, payload| {
            assert_eq!(postcard::to_allocvec(&entry).expect("writes"), payload);
            entries.push(postcard::from_bytes::<Entry<'_>>(payload).map(owned).expect("reads"));
            Ok::<_, JournalError>(())
        });
        (entries, end.expect("readable"))
    }

    fn owned(entry: Entry<'_>) -> Entry<'static> {
        let event = match entry.event {
            Logged::Lines { text, oversized, pace, checkpoint } => {
                Logged::Lines { text: Cow::Owned(text.into_owned()), oversized, pace, checkpoint }
            }
            Logged::Command(command) => Logged::Command(command),
            Logged::Receipt(receipt) => Logged::Receipt(receipt),
            Logged::Deadline => Logged::Deadline,
            Logged::Policy(policy) => Logged::Policy(policy),
            Logged::Start { policy, at } => Logged::Start { policy, at },
        };
        Entry { now: entry.now, event }
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().expect("dir");
        let folder = dir.path().join("journal");
        let mut journal = Journal::open(&folder, 1, 0).expect("opens");
        assert!(journal.is_empty());
        for n in 0..10 {
            journal.append(&entry(n)).expect("writes");
        }
        assert_eq!(journal.rotate().expect("rotates"), 2);
        journal.append(&entry(10)).expect("writes");
        assert_eq!(all(&folder, 1).0, (0..10).map(entry).collect::<Vec<_>>());
        assert_eq!(all(&folder, 2), (vec![entry(10)], End { good: journal.length(), torn: 0 }));
        assert!(bytes_before(&folder, 2) > 100);
        assert_eq!(bytes_before(&folder, 1), 0);
        assert_eq!(all(&folder, 3), (vec![], End { good: 0, torn: 0 }));
        prune(&folder, 2).expect("prunes");
        assert_eq!(segments(&folder).expect("listed"), [2]);
    }

    #[test]
    fn another_kind_of_file_is_refused() {
        let dir = tempfile::tempdir().expect("dir");
        std::fs::write(dir.path().join("00000001.log"), "something else").expect("write");
        let pass = |_: Position, _: Entry<'_>, _: &[u8]| Ok::<_, JournalError>(());
        let error = read(dir.path(), 1, pass).expect_err("refused");
        assert!(matches!(error, JournalError::Foreign { .. }), "{error}");
        // A whole frame of another version is no torn one: it is not cut.
        let payload = [0xff; 30];
        let mut text = MAGIC.to_vec();
        text.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        text.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
        text.extend_from_slice(&payload);
        std::fs::write(dir.path().join("00000001.log"), text).expect("write");
        let error = read(dir.path(), 1, pass).expect_err("refused");
        assert!(matches!(error, JournalError::ForeignEntry { offset: 8, .. }), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Killed at any byte, with or without garbage behind it: the whole frames before are read, the journal goes on.
        #[test]
        fn a_torn_end_is_cut(cut in 0.0..1.0f64, garbage in proptest::collection::vec(any::<u8>(), 0..40), zeros in any::<bool>()) {
            let dir = tempfile::tempdir().expect("dir");
            let mut journal = Journal::open(dir.path(), 1, 0).expect("opens");
            let mut ends = vec![journal.length()];
            for n in 0..6 {
                journal.append(&entry(n)).expect("writes");
                ends.push(journal.length());
            }
            let keep = (journal.length() as f64 * cut) as u64;
            let garbage = if zeros { vec![0; garbage.len()] } else { garbage };
            let mut cut_off = vec![0; (journal.length() - keep) as usize];
            journal.file.read_exact_at(&mut cut_off, keep).expect("reads");
            journal.file.set_len(keep).expect("cut");
            journal.file.write_all_at(&garbage, keep).expect("garbage");
            drop(journal);
            // Garbage that happens to be what was cut off restores it.
            let restored = keep + cut_off.iter().zip(&garbage).take_while(|(was, is)| was == is).count() as u64;
            let whole = ends.iter().filter(|e| **e <= restored).count().saturating_sub(1);
            // Garbage inside the magic number makes the file one of another kind.
            prop_assume!(keep >= 8 || zeros || garbage.is_empty());
            prop_assume!(keep >= 8 || keep == 0 || garbage.len() + (keep as usize) < 8);
            let (entries, end) = all(dir.path(), 1);
            prop_assert_eq!(&entries, &(0..whole as u64).map(entry).collect::<Vec<_>>());
            let mut journal = Journal::open(dir.path(), 1, end.good).expect("opens");
            journal.append(&entry(99)).expect("writes");
            let (entries, end) = all(dir.path(), 1);
            prop_assert_eq!(entries.len(), whole + 1);
            prop_assert_eq!(end.torn, 0);
        }
    }
}
