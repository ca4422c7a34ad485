//! The exact text of a target from before each change, readable by nobody else.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use super::documents::{file_name, prune, sha256, write_whole};
use crate::settings::Target;

/// Backups kept of each target; the oldest beyond them are removed.
pub const BACKUPS_KEPT: usize = 20;

/// The folder of backups, one folder per target in it.
#[derive(Debug)]
pub struct Backups {
    dir: PathBuf,
}

impl Backups {
    /// The backups in a folder, which is made when it is first needed.
    pub fn new(dir: PathBuf) -> Backups {
        Backups { dir }
    }

    /// Keeps the text from before a change and returns the backup's path.
    pub fn keep(&self, target: &Target, id: &str, text: &str) -> Result<String, String> {
        let dir = self.dir.join(file_name(&target.name));
        let path = dir.join(file_name(id));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .and_then(|()| write_whole(&path, text.as_bytes(), 0o600))
            .map_err(|error| format!("cannot write the backup {}: {error}", path.display()))?;
        let newest = file_name(id);
        for name in prune(&dir, BACKUPS_KEPT - 1, |name| (name != newest).then(|| name.to_owned())) {
            let _ = fs::remove_file(dir.join(name));
        }
        Ok(path.display().to_string())
    }

    /// Drops the backup of a change that was not made after all, so that it displaces no other.
    pub fn remove(&self, path: &str) {
        let _ = fs::remove_file(path);
    }

    /// The text of a backup, if it is still there and whole.
    pub fn text(&self, path: &str, sha256_of_text: &str) -> Option<String> {
        fs::read_to_string(path).ok().filter(|text| sha256(text.as_bytes()) == sha256_of_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Mode, TargetFormat};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_newest_are_kept_private_and_whole() {
        let state = tempfile::tempdir().expect("a folder");
        let backups = Backups::new(state.path().join("backups"));
        let target = Target {
            name: "../agents".into(),
            file: "agents.yaml".into(),
            format: TargetFormat::Yaml,
            mode: Mode::Apply,
            parameters: Vec::new(),
        };
        let kept: Vec<String> = (0..BACKUPS_KEPT + 3)
            .map(|i| {
                let path = backups.keep(&target, &format!("change-{i}"), &format!("a: {i}\n")).expect("kept");
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(i as u64);
                fs::File::options().write(true).open(&path).expect("there").set_modified(time).expect("set");
                path
            })
            .collect();
        let text = |i: usize| backups.text(&kept[i], &sha256(format!("a: {i}\n").as_bytes()));
        assert_eq!(text(2), None);
        assert_eq!(text(3).as_deref(), Some("a: 3\n"));
        assert_eq!(backups.text(&kept[3], &sha256(b"other")), None);
        let mode = |path: &str| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&kept[3]), 0o600);
        assert!(kept[3].starts_with(state.path().join("backups").to_str().expect("UTF-8")), "{}", kept[3]);
    }
}
