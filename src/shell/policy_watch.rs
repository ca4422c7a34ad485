//! Whether the files of the policy are others than those that were loaded.
//!
//! Files are told apart by size, times and identity, so a look costs one `stat` for each. A change counts when the next
//! look finds it unchanged: whoever saves several files, or one in pieces, has until then.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::policy_files::{files_of, read_file};
use crate::settings::Settings;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A file as it was at a look; `None` when it was not there.
type Stamp = (PathBuf, Option<(u64, u64, u64, i64, i64)>);

/// See the head of this file.
#[derive(Debug)]
pub struct PolicyWatch {
    config: Option<PathBuf>,
    /// Files and folders that the configuration names.
    named: Vec<PathBuf>,
    loaded: Vec<Stamp>,
    newest: Vec<Stamp>,
    looked: Instant,
}

impl PolicyWatch {
    /// Watches a configuration and what it names; how they are now counts as loaded.
    pub fn new(config: Option<&Path>) -> PolicyWatch {
        let mut watch = PolicyWatch {
            config: config.map(Path::to_owned),
            named: Vec::new(),
            loaded: Vec::new(),
            newest: Vec::new(),
            looked: Instant::now(),
        };
        watch.load();
        watch
    }

    /// How the files are now counts as loaded, whether they had faults or not: to be called before they are read, so that
    /// what changes meanwhile is a change.
    pub fn load(&mut self) {
        self.newest = self.look();
        self.loaded.clone_from(&self.newest);
    }

    /// What is loaded is not what the files say, though they had no fault: they count as changed.
    pub fn forget(&mut self) {
        self.loaded.clear();
    }

    /// Whether the files have changed since they were loaded, and have not since the last look.
    pub fn is_due(&mut self) -> bool {
        if self.looked.elapsed() < LOOK {
            return false;
        }
        self.looked = Instant::now();
        let before = std::mem::take(&mut self.newest);
        self.newest = self.look();
        self.newest == before && self.newest != self.loaded && self.config.is_some()
    }

    fn look(&mut self) -> Vec<Stamp> {
        let Some(config) = self.config.clone() else { return Vec::new() };
        let own = stamp(config.clone());
        if self.newest.first() != Some(&own)
            && let Ok(file) = read_file(&config)
        {
            let settings = Settings::salvage(&file, config.parent().unwrap_or(Path::new(""))).0;
            self.named = [settings.rules, settings.profiles, settings.prices].concat();
        }
        let files = self.named.iter().flat_map(|path| files_of(path).0);
        std::iter::once(own).chain(files.map(stamp)).collect()
    }
}

fn stamp(path: PathBuf) -> Stamp {
    let about = std::fs::metadata(&path).ok();
    (path, about.map(|a| (a.dev(), a.ino(), a.size(), a.mtime(), a.mtime_nsec())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_change_counts_once_when_it_has_settled() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        fs::create_dir(dir.path().join("rules")).expect("made");
        write("evenkeel.yaml", "rules: [rules]\n");
        write("rules/a.yaml", "a");
        let mut watch = PolicyWatch::new(Some(&dir.path().join("evenkeel.yaml")));
        let mut looks = |count: usize| -> Vec<bool> {
            let look = |_| {
                watch.looked -= LOOK;
                let due = watch.is_due();
                if due {
                    watch.load();
                }
                due
            };
            (0..count).map(look).collect()
        };
        assert_eq!(looks(2), [false, false]);
        write("rules/a.yaml", "ab");
        assert_eq!(looks(1), [false], "it may not be saved whole");
        write("rules/a.yaml", "abc");
        assert_eq!(looks(4), [false, true, false, false]);
        write("rules/b.yaml", "new");
        assert_eq!(looks(3), [false, true, false], "a new file of a folder");
        fs::remove_file(dir.path().join("rules/b.yaml")).expect("removed");
        assert_eq!(looks(3), [false, true, false], "a file that is gone");
        write("evenkeel.yaml", "rules: [c.yaml]\n");
        assert_eq!(looks(3), [false, true, false]);
        write("c.yaml", "named by the new configuration");
        assert_eq!(looks(3), [false, true, false]);
        write("rules/a.yaml", "not named any more");
        assert_eq!(looks(3), [false, false, false]);
    }
}
