//! All files of one source: found, followed through rotation, and let go.
//!
//! A file is who its inode says, so all ways of rotating come out right without being told apart: a renamed
//! file is read to its end before the new one under its name is begun, a copied and truncated one starts
//! over, a file renamed to another name that the source also matches is not read twice. A file whose name is
//! gone is kept until it has been quiet for [`QUIET`], since its writer may not have noticed yet.
//!
//! What is new is found by polling: a poll costs one `stat` per file, works on every file system, and cannot overflow a
//! queue of events. [`super::watch`] only says when to.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::pattern::matching;
use super::tail::{CHUNK_BYTES, Checkpoint, Chunk, Tail, begins_with};

/// How long a file without a name must be quiet before it is let go.
pub const QUIET: Duration = Duration::from_secs(5);
/// Descriptors held per source; further files are opened when they grow.
const OPEN_FILES: usize = 64;
/// How often the folder is looked at.
pub const SCAN: Duration = Duration::from_millis(100);
/// The same when it holds many files.
const SLOW_SCAN: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Followed {
    tail: Tail,
    /// Since when the file has no name that the source matches.
    unnamed_since: Option<Instant>,
}

/// One source.
#[derive(Debug)]
pub struct Tailer {
    source: String,
    path: PathBuf,
    line_bytes: usize,
    /// In the order of reading: files without a name, then by name.
    files: Vec<Followed>,
    /// From before the restart, for files that were not seen since.
    remembered: Vec<Checkpoint>,
    looked: Option<Instant>,
    scanned: Option<Instant>,
    trouble_of_scan: Option<String>,
    trouble: Option<String>,
}

impl Tailer {
    /// Follows `path` (a file, a folder, a glob) from the checkpoints of this source.
    pub fn new(source: &str, path: &Path, line_bytes: usize, checkpoints: &[Checkpoint]) -> Tailer {
        Tailer {
            source: source.to_owned(),
            path: path.to_owned(),
            line_bytes,
            files: Vec::new(),
            remembered: checkpoints.iter().filter(|c| c.source == source).cloned().collect(),
            looked: None,
            scanned: None,
            trouble_of_scan: None,
            trouble: None,
        }
    }

    /// What keeps the source from being read, if anything does.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// How far every file was read.
    pub fn checkpoints(&self) -> impl Iterator<Item = &Checkpoint> {
        self.files.iter().map(|f| f.tail.checkpoint()).chain(&self.remembered)
    }

    /// Whole lines that are new, from the first file that has some; `None` when all are read. The same again
    /// until [`Tailer::commit`].
    pub fn poll(&mut self) -> Option<Chunk> {
        self.poll_at(Instant::now())
    }

    /// [`Tailer::poll`] at a given instant.
    pub fn poll_at(&mut self, now: Instant) -> Option<Chunk> {
        let mut found = None;
        self.look(
            now,
            CHUNK_BYTES,
            |_| true,
            |chunk| {
                found = Some(chunk);
                false
            },
        );
        found
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Goes on from a chunk's checkpoint.
    pub fn commit(&mut self, checkpoint: Checkpoint) {
        if let Some(file) = self.files.iter_mut().find(|f| f.tail.checkpoint().identity() == checkpoint.identity()) {
            // A name that went away is told by silence, and this was none.
            file.unnamed_since = file.unnamed_since.and(self.looked);
            file.tail.commit(checkpoint);
        }
    }

    /// Whole lines that are new in one file, about `bytes`; what keeps it from being read is for the next look to say.
    pub fn again(&mut self, file: (u64, u64), bytes: usize) -> Option<Chunk> {
        let file = self.files.iter_mut().find(|f| f.tail.checkpoint().identity() == file)?;
        let was_open = file.tail.is_open();
        let chunk = file.tail.poll(bytes).ok().flatten();
        if !was_open && file.unnamed_since.is_none() {
            file.tail.close();
        }
        chunk
    }

    /// Whole lines that are new, about `bytes` of each file that is `wanted`, until `take` has enough.
    pub fn look(
        &mut self,
        now: Instant,
        bytes: usize,
        wanted: impl Fn(&Checkpoint) -> bool,
        mut take: impl FnMut(Chunk) -> bool,
    ) {
        let pause = if self.files.len() <= OPEN_FILES { SCAN } else { SLOW_SCAN };
        let mut trouble = None;
        self.looked = Some(now);
        if self.scanned.is_none_or(|at| now.saturating_duration_since(at) >= pause) {
            self.scanned = Some(now);
            self.trouble_of_scan =
                self.scan(now).err().map(|e| format!("cannot look for {}: {e}", self.path.display()));
        }
        let mut done = Vec::new();
        let mut open = self.files.iter().filter(|f| f.tail.is_open()).count();
        for (index, file) in self.files.iter_mut().enumerate() {
            if !wanted(file.tail.checkpoint()) {
                continue;
            }
            open -= usize::from(file.tail.is_open());
            let quiet = file.unnamed_since.is_some_and(|since| now.saturating_duration_since(since) >= QUIET);
            let looked = match file.tail.poll(bytes) {
                Ok(None) if quiet => file.tail.rest(),
                looked => looked,
            };
            // A file without a name could not be opened again.
            if open >= OPEN_FILES && file.unnamed_since.is_none() {
                file.tail.close();
            }
            open += usize::from(file.tail.is_open());
            match looked {
                Ok(Some(chunk)) => {
                    if !take(chunk) {
                        break;
                    }
                }
                Ok(None) if quiet => done.push(index),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // With a name it was renamed between the scan and now; the next scan sees it.
                    if file.unnamed_since.is_some() {
                        done.push(index);
                    }
                }
                Err(error) => {
                    trouble = Some(format!("cannot read {}: {error}", file.tail.checkpoint().path.display()));
                }
            }
        }
        for index in done.into_iter().rev() {
            self.files.remove(index);
        }
        self.complain(self.trouble_of_scan.clone().or(trouble));
    }

    /// Brings the list of files up to what is in the folder.
    fn scan(&mut self, now: Instant) -> io::Result<()> {
        let mut unnamed: Vec<Followed> = Vec::new();
        let mut known = std::mem::take(&mut self.files);
        let paths = match matching(&self.path) {
            Ok(paths) => paths,
            Err(error) => {
                self.files = known;
                return Err(error);
            }
        };
        let mut failed = None;
        for path in paths {
            let about = match std::fs::metadata(&path) {
                Ok(about) if about.is_file() => about,
                // A folder, a socket, a pipe that would block.
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            let identity = (about.dev(), about.ino());
            if self.files.iter().any(|f| f.tail.checkpoint().identity() == identity) {
                continue;
            }
            match known.iter().position(|f| f.tail.checkpoint().identity() == identity) {
                Some(index) => {
                    let mut file = known.swap_remove(index);
                    file.tail.moved_to(&path);
                    file.unnamed_since = None;
                    self.files.push(file);
                }
                None => {
                    let checkpoint = self.remembered_of(&path, &about);
                    let tail = Tail::new(&self.source, &path, &about, checkpoint, self.line_bytes);
                    self.files.push(Followed { tail, unnamed_since: None });
                }
            }
        }
        for mut file in known {
            if !file.tail.is_open()
                && let Some(path) = renamed(file.tail.checkpoint())
            {
                file.tail.moved_to(&path);
            }
            file.unnamed_since.get_or_insert(now);
            unnamed.push(file);
        }
        // Files that lost their name while nobody looked: renamed beside the old place, or gone.
        for checkpoint in std::mem::take(&mut self.remembered) {
            let Some(path) = renamed(&checkpoint) else {
                if is_away(&checkpoint) {
                    self.remembered.push(checkpoint);
                    continue;
                }
                tracing::info!(source = self.source, file = %checkpoint.path.display(), offset = checkpoint.offset,
                    "file is gone; lines that were added after this offset, if any, are lost");
                continue;
            };
            // Renamed once more at this moment: the next scan looks again.
            let Ok(about) = std::fs::metadata(&path) else {
                self.remembered.push(checkpoint);
                continue;
            };
            let tail = Tail::new(&self.source, &path, &about, Some(checkpoint), self.line_bytes);
            unnamed.push(Followed { tail, unnamed_since: Some(now) });
        }
        unnamed.append(&mut self.files);
        self.files = unnamed;
        failed.map_or(Ok(()), Err)
    }

    /// The checkpoint from before the restart that is of this file: by its inode, else, since a file system that is
    /// mounted again or copied to another disk numbers its files anew, by its path and its first bytes.
    fn remembered_of(&mut self, path: &Path, about: &Metadata) -> Option<Checkpoint> {
        let identity = (about.dev(), about.ino());
        if let Some(index) = self.remembered.iter().position(|c| c.identity() == identity) {
            return Some(self.remembered.swap_remove(index));
        }
        let index = self.remembered.iter().position(|c| {
            // Rotated away by rename, the file of the checkpoint is another one.
            c.path == path && about.size() >= c.offset && renamed(c).is_none() && begins_with(path, c)
        })?;
        tracing::info!(file = %path.display(), "file has another inode but begins alike, reading on where it was left");
        let (dev, ino) = identity;
        Some(Checkpoint { dev, ino, ..self.remembered.swap_remove(index) })
    }

    /// Says what is wrong when that changes, not at every poll.
    fn complain(&mut self, trouble: Option<String>) {
        if trouble != self.trouble {
            match &trouble {
                Some(text) => tracing::warn!(source = self.source, "{text}; trying again at every poll"),
                None => tracing::info!(source = self.source, "readable again"),
            }
            self.trouble = trouble;
        }
    }
}

/// Whether the folder of a checkpoint's file is missing or empty, as before its file system is mounted.
fn is_away(checkpoint: &Checkpoint) -> bool {
    let entries = checkpoint.path.parent().map(std::fs::read_dir);
    !entries.is_some_and(|entries| entries.is_ok_and(|mut entries| entries.next().is_some()))
}

/// Where the file of a checkpoint is, if it is still in its folder under another name.
fn renamed(checkpoint: &Checkpoint) -> Option<PathBuf> {
    let entries = std::fs::read_dir(checkpoint.path.parent()?).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| {
        // Not through links: a link of another name may lead to another folder.
        std::fs::symlink_metadata(path)
            .is_ok_and(|about| about.is_file() && (about.dev(), about.ino()) == checkpoint.identity())
    })
}
