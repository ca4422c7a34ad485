//! A target's folder, held open: reading a file in it and replacing it whole.
//!
//! Targets lie where agents may write, and the daemon may have more rights than they. So no symbolic
//! link is followed anywhere on the way, and every step after the folder was opened works on that open
//! folder instead of on a path that could be swapped meanwhile.
//!
//! A file is replaced by renaming a synced copy over it, so a crash leaves the old bytes or the new
//! ones. The advisory lock is on the folder, because the file itself is another one after the rename.
//! Between the last look at the file and the rename lie microseconds in which a foreign write would be
//! lost; no portable call closes that gap.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;
use thiserror::Error;

use crate::wire::target::MAX_TARGET_BYTES;

/// How long another process may hold a folder before a change to it is refused.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Passing through a folder needs no right to list it.
#[cfg(target_os = "linux")]
const PASS: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const PASS: OFlags = OFlags::empty();

/// Why a file was not read or replaced.
#[derive(Debug, Error)]
pub enum FileError {
    /// It is not there.
    #[error("{0} does not exist")]
    Missing(PathBuf),
    /// The file or a folder on the way to it is a symbolic link.
    #[error("{0} is a symbolic link, which is not followed; list the target by its real path")]
    Symlink(PathBuf),
    /// It is a device, a pipe or a folder.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// It has several names, of which only one would get the new bytes.
    #[error("{file} has {names} names (hard links), and replacing it would part them; edit it by hand")]
    HardLinks {
        /// The file.
        file: PathBuf,
        /// How many.
        names: u64,
    },
    /// It is too long for configuration.
    #[error("{0} is longer than the limit of {MAX_TARGET_BYTES} bytes; split the file")]
    TooLong(PathBuf),
    /// It is no text.
    #[error("{0} is not UTF-8")]
    NotUtf8(PathBuf),
    /// It changed between reading and replacing.
    #[error("{0} was changed by someone else meanwhile, and is left alone")]
    Changed(PathBuf),
    /// Another process holds the folder.
    #[error("{0} is locked by another process; try again later")]
    Locked(PathBuf),
    /// The system refused.
    #[error("cannot {action} {path}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A folder, held open.
#[derive(Debug)]
pub struct Folder {
    dir: File,
    path: PathBuf,
}

/// A file as it was when it was read.
#[derive(Debug)]
pub struct Snapshot {
    /// Its text.
    pub text: String,
    stat: Stat,
    file: File,
}

impl Snapshot {
    /// The permission bits.
    pub fn mode(&self) -> u32 {
        self.stat.st_mode & 0o7777
    }
}

impl Folder {
    /// Opens the folder at a path without following any symbolic link.
    pub fn open(path: &Path) -> Result<Folder, FileError> {
        let mut walked = PathBuf::new();
        let start = if path.is_absolute() { "/" } else { "." };
        let failed = |error: Errno, path: &Path| FileError::io("open", path, error);
        let mut dir: OwnedFd = rustix::fs::open(start, PASS | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| failed(e, Path::new(start)))?;
        for component in path.components() {
            walked.push(component);
            let name = match component {
                Component::Normal(_) | Component::ParentDir => component.as_os_str(),
                _ => continue,
            };
            let flags = PASS | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            dir = rustix::fs::openat(&dir, name, flags, Mode::empty()).map_err(|error| {
                let is_link = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_symlink());
                if is_link { FileError::Symlink(walked.clone()) } else { failed(error, &walked) }
            })?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&dir, ".", flags, Mode::empty()).map_err(|e| failed(e, path))?;
        Ok(Folder { dir: File::from(dir), path: path.to_owned() })
    }

    /// Locks the folder against other processes of this program until it is dropped.
    pub fn lock(&self) -> Result<(), FileError> {
        let start = Instant::now();
        loop {
            match self.dir.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Err(FileError::Locked(self.path.clone())),
                Err(TryLockError::Error(error)) => {
                    return Err(FileError::Io { action: "lock", path: self.path.clone(), error });
                }
            }
        }
    }

    /// Reads a regular file in the folder.
    pub fn read(&self, name: &str) -> Result<Snapshot, FileError> {
        let path = self.path.join(name);
        // NONBLOCK: opening a pipe must not wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(&self.dir, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Err(FileError::Missing(path)),
            Err(Errno::LOOP) => return Err(FileError::Symlink(path)),
            Err(error) => return Err(FileError::io("read", &path, error)),
        };
        let stat = rustix::fs::fstat(&file).map_err(|e| FileError::io("read", &path, e))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(FileError::NotAFile(path));
        }
        let mut bytes = Vec::new();
        (&mut file).take(MAX_TARGET_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| FileError::Io {
            action: "read",
            path: path.clone(),
            error,
        })?;
        if bytes.len() > MAX_TARGET_BYTES {
            return Err(FileError::TooLong(path));
        }
        let text = String::from_utf8(bytes).map_err(|_| FileError::NotUtf8(path))?;
        Ok(Snapshot { text, stat, file })
    }

    /// Replaces a file by `text`, unless it is no longer as in `old`. Owner, mode, access lists and other
    /// extended attributes stay. On any error the file is untouched and nothing is left beside it.
    pub fn replace(&self, name: &str, old: &Snapshot, text: &str) -> Result<(), FileError> {
        let path = self.path.join(name);
        let names = old.stat.st_nlink;
        if names > 1 {
            return Err(FileError::HardLinks { file: path, names });
        }
        let temporary = format!(".{name}.evenkeel.tmp");
        let result = self.write_beside(&temporary, old, text).and_then(|()| {
            let now = self.read(name)?;
            let same_file = (now.stat.st_dev, now.stat.st_ino) == (old.stat.st_dev, old.stat.st_ino);
            if !same_file || now.text != old.text {
                return Err(FileError::Changed(path.clone()));
            }
            rustix::fs::renameat(&self.dir, &*temporary, &self.dir, name)
                .map_err(|e| FileError::io("replace", &path, e))
        });
        if let Err(error) = result {
            let _ = rustix::fs::unlinkat(&self.dir, &*temporary, AtFlags::empty());
            return Err(error);
        }
        if let Err(error) = self.dir.sync_all() {
            // The new bytes are in force; only a power cut could still bring the old ones back.
            tracing::warn!(folder = %self.path.display(), %error, "cannot sync the folder of a target");
        }
        Ok(())
    }

    /// Writes a synced file with the owner, mode and attributes of `old`. The name is always the same, so
    /// a crash leaves one file behind at most, and the next change clears it away.
    fn write_beside(&self, temporary: &str, old: &Snapshot, text: &str) -> Result<(), FileError> {
        let path = self.path.join(temporary);
        let failed = |action: &'static str| {
            let path = path.clone();
            move |error: Errno| FileError::io(action, &path, error)
        };
        match rustix::fs::unlinkat(&self.dir, temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed("remove the leftover")(error)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(&self.dir, temporary, flags, Mode::RUSR | Mode::WUSR).map_err(failed("create"))?;
        let mut file = File::from(file);
        let io = |error| FileError::Io { action: "write", path: path.clone(), error };
        file.write_all(text.as_bytes()).map_err(io)?;
        let new = rustix::fs::fstat(&file).map_err(failed("examine"))?;
        if (new.st_uid, new.st_gid) != (old.stat.st_uid, old.stat.st_gid) {
            let (owner, group) = (Uid::from_raw(old.stat.st_uid), Gid::from_raw(old.stat.st_gid));
            rustix::fs::fchown(&file, Some(owner), Some(group)).map_err(failed("keep the owner of the target on"))?;
        }
        copy_attributes(&old.file, &file).map_err(failed("keep the extended attributes of the target on"))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(old.stat.st_mode & 0o7777)).map_err(failed("set the mode of"))?;
        file.sync_all().map_err(io)
    }
}

/// Copies extended attributes, access control lists among them, where the file system has any.
fn copy_attributes(from: &File, to: &File) -> rustix::io::Result<()> {
    let mut names = vec![0_u8; 64 << 10];
    let length = match rustix::fs::flistxattr(from, &mut names) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(()),
        Err(error) => return Err(error),
    };
    for name in names[..length].split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let name = std::ffi::OsStr::from_bytes(name);
        let (mut wanted, mut present) = (vec![0_u8; 64 << 10], vec![0_u8; 64 << 10]);
        let length = rustix::fs::fgetxattr(from, name, &mut wanted)?;
        let wanted = &wanted[..length];
        // Labels of the security module are often set already, and setting them may be forbidden.
        let set = rustix::fs::fgetxattr(to, name, &mut present).is_ok_and(|n| present[..n] == *wanted);
        if !set {
            rustix::fs::fsetxattr(to, name, wanted, XattrFlags::empty())?;
        }
    }
    Ok(())
}

impl FileError {
    fn io(action: &'static str, path: &Path, error: Errno) -> FileError {
        FileError::Io { action, path: path.to_owned(), error: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    fn check_refused<T: std::fmt::Debug>(result: Result<T, FileError>, part: &str) {
        let error = result.expect_err("refused").to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, "a: 1\n").expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("set");
        std::fs::write(dir.path().join(".a.yaml.evenkeel.tmp"), "leftover of a crash").expect("written");
        let folder = Folder::open(dir.path()).expect("opened");
        folder.lock().expect("free");
        let old = folder.read("a.yaml").expect("read");
        folder.replace("a.yaml", &old, "a: 2\n").expect("replaced");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "a: 2\n");
        assert_eq!(std::fs::metadata(&file).expect("there").mode() & 0o7777, 0o640);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn an_edit_in_between_wins() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("a.yaml");
        let folder = Folder::open(dir.path()).expect("opened");
        std::fs::write(&file, "a: 1\n").expect("written");
        let old = folder.read("a.yaml").expect("read");
        std::fs::write(&file, "a: 3\n").expect("written");
        check_refused(folder.replace("a.yaml", &old, "a: 2\n"), "changed by someone else");
        // The same bytes in another file: an editor saved between, and may save again.
        std::fs::write(&file, "a: 1\n").expect("written");
        let old = folder.read("a.yaml").expect("read");
        std::fs::write(dir.path().join("new"), "a: 1\n").expect("written");
        std::fs::rename(dir.path().join("new"), &file).expect("renamed");
        check_refused(folder.replace("a.yaml", &old, "a: 2\n"), "changed by someone else");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "a: 1\n");
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn links_devices_and_binaries_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("real")).expect("made");
        std::fs::write(at("real/a"), "a: 1\n").expect("written");
        symlink(at("real"), at("link")).expect("linked");
        symlink(at("real/a"), at("real/soft")).expect("linked");
        std::fs::write(at("real/binary"), [0xff, 0xfe]).expect("written");
        let folder = Folder::open(&at("real")).expect("opened");
        check_refused(Folder::open(&at("link")), "link is a symbolic link");
        check_refused(Folder::open(&at("absent")), "No such file");
        check_refused(folder.read("soft"), "soft is a symbolic link");
        check_refused(folder.read("absent"), "does not exist");
        check_refused(folder.read("."), "not a regular file");
        check_refused(folder.read("binary"), "not UTF-8");
        std::fs::hard_link(at("real/a"), at("other")).expect("linked");
        let old = folder.read("a").expect("read");
        check_refused(folder.replace("a", &old, "a: 2\n"), "2 names");
    }

    #[test]
    fn a_folder_that_is_swapped_after_opening_is_not_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        for name in ["agents", "secret"] {
            std::fs::create_dir(at(name)).expect("made");
            std::fs::write(at(name).join("a"), "a: 1\n").expect("written");
        }
        let folder = Folder::open(&at("agents")).expect("opened");
        let old = folder.read("a").expect("read");
        std::fs::rename(at("agents"), at("moved")).expect("moved");
        symlink(at("secret"), at("agents")).expect("linked");
        folder.replace("a", &old, "a: 2\n").expect("replaced");
        assert_eq!(std::fs::read_to_string(at("secret/a")).expect("read"), "a: 1\n");
        assert_eq!(std::fs::read_to_string(at("moved/a")).expect("read"), "a: 2\n");
    }

    #[test]
    fn a_folder_that_is_held_is_waited_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let first = Folder::open(dir.path()).expect("opened");
        first.lock().expect("free");
        let second = Folder::open(dir.path()).expect("opened");
        let release = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(first);
        });
        second.lock().expect("free in the end");
        release.join().expect("joined");
    }
}
