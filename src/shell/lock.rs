//! One state directory, one process: an advisory lock on `state_dir/lock`.
//!
//! The kernel drops the lock with the process, however that ends, so a stale file never blocks a
//! start. The process id inside is for people; it is not what is locked.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Why a state directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the state directory {dir} is in use by process {pid}; stop that one or give this one its own `state_dir`")]
    Taken {
        /// The directory.
        dir: PathBuf,
        /// What the other process wrote into the lock file.
        pid: String,
    },
    /// The directory or the file in it cannot be made.
    #[error("cannot write to the state directory {dir}: {error}; make it writable or set another `state_dir`")]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A state directory that is ours until this value is dropped.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Creates the directory if it is not there, and takes it.
    pub fn take(dir: &Path) -> Result<StateLock, LockError> {
        let failed = |error| LockError::Io { dir: dir.to_owned(), error };
        // What agents did is nobody else's business.
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let path = dir.join("lock");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = (&file).take(20).read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
                return Err(LockError::Taken { dir: dir.to_owned(), pid });
            }
        }
        // On a full disk the id is missing from the message of a second process, nothing else.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(StateLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_second_process_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().expect("dir");
        let state = dir.path().join("state");
        let first = StateLock::take(&state).expect("free");
        assert_eq!(state.metadata().expect("there").permissions().mode() & 0o777, 0o700);
        let error = StateLock::take(&state).expect_err("taken").to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        StateLock::take(&state).expect("free again");
    }

    #[test]
    fn a_directory_that_cannot_be_made_says_so() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("write");
        let error = StateLock::take(&file.join("state")).expect_err("not a directory").to_string();
        assert!(error.contains("state_dir"), "{error}");
    }
}
