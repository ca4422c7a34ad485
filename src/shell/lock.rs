//! One state directory, one process: an advisory lock on `state_dir/lock`.
//!
//! The kernel drops the lock with the process, however that ends, so a stale file never blocks a
//! start. The process id and the address inside are for people; they are not what is locked.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
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
    file: File,
}

/// The process that says it has a state directory, while it runs, and where it serves its API.
pub fn holder(dir: &Path) -> Option<(String, Option<String>)> {
    let text = std::fs::read_to_string(dir.join("lock")).ok()?;
    let mut lines = text.lines();
    let pid = lines.next()?.trim().to_owned();
    let runs = !pid.is_empty() && Path::new("/proc").join(&pid).exists();
    runs.then(|| (pid, lines.next().map(str::to_owned)))
}

impl StateLock {
    /// Creates the directory if it is not there, and takes it.
    pub fn take(dir: &Path) -> Result<StateLock, LockError> {
        let failed = |error| LockError::Io { dir: dir.to_owned(), error };
        // What agents did is nobody else's business.
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let path = dir.join("lock");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = (&file).take(100).read_to_string(&mut pid);
                let pid = pid.lines().next().map_or("", str::trim);
                let pid = if pid.is_empty() { "unknown".to_owned() } else { pid.to_owned() };
                return Err(LockError::Taken { dir: dir.to_owned(), pid });
            }
        }
        let mut lock = StateLock { file };
        lock.say(None);
        Ok(lock)
    }

    /// Notes where the process serves its API. On a full disk what a second process says of this one is not whole,
    /// nothing else.
    pub fn say(&mut self, address: Option<SocketAddr>) {
        let address = address.map_or_else(String::new, |address| format!("{address}\n"));
        let text = format!("{}\n{address}", std::process::id());
        let file = &mut self.file;
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
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
        let mut first = StateLock::take(&state).expect("free");
        assert_eq!(state.metadata().expect("there").permissions().mode() & 0o777, 0o700);
        let error = StateLock::take(&state).expect_err("taken").to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        let pid = std::process::id().to_string();
        assert_eq!(holder(&state), Some((pid.clone(), None)));
        first.say(Some("127.0.0.1:9533".parse().expect("an address")));
        assert_eq!(holder(&state), Some((pid, Some("127.0.0.1:9533".to_owned()))));
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
