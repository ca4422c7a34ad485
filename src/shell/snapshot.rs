//! `state_dir/snapshot/<number>.bin`: everything the engine knew when segment `<number>` of the journal began.
//!
//! A snapshot saves time, not knowledge: two generations are kept, and the journal from the older one on,
//! so a bad one is passed over and the fold starts further back. It holds the text of the policy, because
//! the events after it must be folded under the policy that was in force.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::journal::{numbered, sync_folder};
use super::source::Checkpoint;
use crate::engine::State;
use crate::policy::PolicySource;

/// Kind of file and version of what is in it; the version changes with the shape of [`State`].
const MAGIC: &[u8; 8] = b"evklsnp\x35";
/// Snapshots kept.
const GENERATIONS: usize = 2;

/// Everything that a restart needs; `S` is [`State`], or a reference to it when it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot<S = State> {
    /// The policy in force.
    pub policy: PolicySource,
    /// How far every file was read.
    pub checkpoints: Vec<Checkpoint>,
    /// Whether history was still being read.
    pub backfill: bool,
    /// The engine's state.
    pub state: S,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
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
    /// It is cut, or changed on disk.
    #[error("the snapshot {path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Another version of evenkeel wrote it.
    #[error("the snapshot {path} was not written by this version of evenkeel")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
}

/// Writes a snapshot whole or not at all: beside, synced, renamed.
pub fn write(folder: &Path, number: u64, snapshot: &Snapshot<&State>) -> Result<(), SnapshotError> {
    let path = path_of(folder, number);
    let payload = postcard::to_allocvec(snapshot).expect("states hold nothing that postcard cannot write");
    let all = || -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".snapshot").tempfile_in(folder)?;
        file.write_all(MAGIC)?;
        file.write_all(&crc32fast::hash(&payload).to_le_bytes())?;
        file.write_all(&payload)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        sync_folder(folder)
    };
    all().map_err(|error| SnapshotError::Io { what: "write", path: path.clone(), error })
}

/// Reads one snapshot.
pub fn read(folder: &Path, number: u64) -> Result<Snapshot, SnapshotError> {
    let path = path_of(folder, number);
    let bytes = std::fs::read(&path).map_err(|error| SnapshotError::Io { what: "read", path: path.clone(), error })?;
    let Some((magic, rest)) = bytes.split_first_chunk::<8>() else { return Err(SnapshotError::Damaged { path }) };
    if magic != MAGIC {
        return Err(SnapshotError::Foreign { path });
    }
    match rest.split_first_chunk::<4>() {
        Some((checksum, payload)) if crc32fast::hash(payload) == u32::from_le_bytes(*checksum) => {
            postcard::from_bytes(payload).map_err(|_| SnapshotError::Foreign { path })
        }
        _ => Err(SnapshotError::Damaged { path }),
    }
}

/// The numbers of the snapshots that are there, newest first.
pub fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = numbered(folder, "bin")?;
    numbers.reverse();
    Ok(numbers)
}

/// Removes all but the two newest; returns the number of the oldest that is left.
pub fn prune(folder: &Path) -> io::Result<Option<u64>> {
    let numbers = numbers(folder)?;
    for old in numbers.iter().skip(GENERATIONS) {
        std::fs::remove_file(path_of(folder, *old))?;
    }
    Ok(numbers.get(GENERATIONS - 1).copied())
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot<S>(n: i64, state: S) -> Snapshot<S> {
        let policy = PolicySource { rules: vec![("a.yaml".into(), n.to_string())], ..Default::default() };
        Snapshot { policy, checkpoints: vec![], backfill: true, state }
    }

    #[test]
    fn what_was_written_is_read_and_two_are_kept() {
        let dir = tempfile::tempdir().expect("dir");
        let state = State::default();
        for number in 1..=4 {
            write(dir.path(), number, &snapshot(number as i64, &state)).expect("writes");
        }
        assert_eq!(prune(dir.path()).expect("prunes"), Some(3));
        assert_eq!(numbers(dir.path()).expect("listed"), [4, 3]);
        let read = read(dir.path(), 4).expect("reads");
        assert_eq!((read.backfill, read.policy.rules[0].1.as_str()), (true, "4"));
        prune(dir.path()).expect("prunes");
        assert_eq!(numbers(dir.path()).expect("listed"), [4, 3]);
    }

    #[test]
    fn a_changed_or_cut_file_is_damaged_and_another_kind_is_foreign() {
        let dir = tempfile::tempdir().expect("dir");
        let state = State::default();
        write(dir.path(), 1, &snapshot(1, &state)).expect("writes");
        let path = path_of(dir.path(), 1);
        let whole = std::fs::read(&path).expect("there");
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).expect("cut");
            assert!(matches!(read(dir.path(), 1), Err(SnapshotError::Damaged { .. })), "{length}");
        }
        for at in 8..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).expect("changed");
            assert!(matches!(read(dir.path(), 1), Err(SnapshotError::Damaged { .. })), "{at}");
        }
        std::fs::write(&path, "something else").expect("write");
        assert!(matches!(read(dir.path(), 1), Err(SnapshotError::Foreign { .. })));
    }
}
