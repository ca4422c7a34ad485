//! Word from the kernel that a folder's files may have changed, so that lines are read when they are written and not
//! at the next poll.
//!
//! It only says when to look: what is new is found by looking, and the poll goes on beside it. So a watch that cannot be
//! set (a network file system, too many watches), or that misses something, costs time and never a line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folders in which a source's files appear.
pub fn folder_of(path: &Path) -> PathBuf {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() }
}

#[cfg(target_os = "linux")]
pub use linux::Watch;
#[cfg(not(target_os = "linux"))]
pub use nothing::Watch;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;

    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use rustix::io::Errno;
    use tokio::io::unix::AsyncFd;

    use super::*;

    /// Folders that are watched.
    #[derive(Debug, Default)]
    pub struct Watch {
        /// `None` while there is nothing to watch, or when the kernel has no more of them.
        notices: Option<AsyncFd<OwnedFd>>,
        folders: BTreeMap<PathBuf, i32>,
    }

    /// Registers the descriptor with the runtime.
    #[allow(deprecated, reason = "sound for a descriptor that is owned, and its successor is unsafe to call")]
    fn register(fd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
        AsyncFd::new(fd).ok()
    }

    impl Watch {
        /// Watches these folders from now on and no others; those that are not there are tried again by the next call.
        pub fn follow(&mut self, folders: &BTreeSet<PathBuf>) {
            let gone = |folder: &PathBuf| !folders.contains(folder);
            if self.folders.keys().any(gone) {
                *self = Watch::default();
            }
            for folder in folders {
                if self.folders.contains_key(folder) {
                    continue;
                }
                if self.notices.is_none() {
                    let made = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
                    self.notices = made.ok().and_then(register);
                }
                let Some(notices) = &self.notices else { return };
                let wanted = WatchFlags::MODIFY
                    | WatchFlags::CREATE
                    | WatchFlags::MOVED_TO
                    | WatchFlags::MOVE_SELF
                    | WatchFlags::ONLYDIR;
                if let Ok(watch) = inotify::add_watch(notices.get_ref(), folder, wanted) {
                    self.folders.insert(folder.clone(), watch);
                }
            }
        }

        /// Waits until something has changed; for ever when nothing is watched.
        pub async fn changed(&mut self) {
            let Some(notices) = &self.notices else { return std::future::pending().await };
            let Ok(mut ready) = notices.readable().await else { return std::future::pending().await };
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = Reader::new(notices.get_ref(), &mut buffer);
            loop {
                match reader.next() {
                    // The folder is gone or has another name: the next call of `follow` looks for one under its name.
                    Ok(event) if event.events().intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF) => {
                        let gone = event.wd();
                        self.folders.retain(|_, watch| *watch != gone);
                    }
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(_) => break,
                }
            }
            ready.clear_ready();
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nothing {
    use super::*;

    /// Folders that would be watched.
    #[derive(Debug, Default)]
    pub struct Watch;

    impl Watch {
        /// Does nothing: the poll finds what is new.
        pub fn follow(&mut self, _folders: &BTreeSet<PathBuf>) {}

        /// Never ends.
        pub async fn changed(&mut self) {
            std::future::pending().await
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn told(watch: &mut Watch) -> bool {
        timeout(Duration::from_secs(10), watch.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn it_tells_of_lines_and_files_and_of_a_folder_that_comes_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let logs = dir.path().join("logs");
        let folders = BTreeSet::from([folder_of(&logs.join("*.jsonl"))]);
        let mut watch = Watch::default();
        watch.follow(&folders);
        fs::create_dir(&logs).expect("made");
        watch.follow(&folders);
        fs::write(logs.join("a.jsonl"), "1\n").expect("written");
        assert!(told(&mut watch).await);
        fs::rename(&logs, dir.path().join("old")).expect("renamed");
        assert!(told(&mut watch).await);
        fs::create_dir(&logs).expect("made");
        watch.follow(&folders);
        fs::write(logs.join("b.jsonl"), "1\n").expect("written");
        assert!(told(&mut watch).await);
        watch.follow(&BTreeSet::new());
        assert!(timeout(Duration::from_millis(20), watch.changed()).await.is_err(), "nothing is watched");
    }
}
