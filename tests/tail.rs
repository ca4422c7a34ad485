//! Following real files through everything that writers and log rotation do to them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use evenkeel::shell::source::tailer::{QUIET, SCAN};
use evenkeel::shell::source::{Checkpoint, Tailer};

/// A folder with a source on it; time is given, never waited for.
struct Story {
    dir: tempfile::TempDir,
    pattern: &'static str,
    tailer: Tailer,
    now: Instant,
}

impl Story {
    fn new(pattern: &'static str) -> Story {
        let dir = tempfile::tempdir().expect("dir");
        let tailer = Tailer::new("s", &dir.path().join(pattern), 1 << 20, &[]);
        Story { dir, pattern, tailer, now: Instant::now() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).expect("open");
        file.write_all(text.as_bytes()).expect("append");
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).expect("rename");
    }

    fn wait(&mut self, span: Duration) {
        self.now += span;
    }

    /// All that is new, lines separated by blanks.
    fn read(&mut self) -> String {
        let mut all = Vec::new();
        self.now += SCAN;
        while let Some(chunk) = self.tailer.poll_at(self.now) {
            all.extend(chunk.text.clone());
            self.tailer.commit(chunk.checkpoint);
        }
        String::from_utf8(all).expect("UTF-8").trim_end().replace('\n', " ")
    }

    fn restart(&mut self) {
        let checkpoints: Vec<Checkpoint> = self.tailer.checkpoints().cloned().collect();
        self.tailer = Tailer::new("s", &self.path(self.pattern), 1 << 20, &checkpoints);
    }
}

#[test]
fn a_file_may_appear_later() {
    let mut story = Story::new("log");
    assert_eq!(story.read(), "");
    story.append("log", "a\n");
    assert_eq!(story.read(), "a");
    assert_eq!(story.read(), "");
}

#[test]
fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
    let mut story = Story::new("log");
    story.append("log", "a\n");
    assert_eq!(story.read(), "a");
    story.append("log", "b\n");
    story.rename("log", "log.1");
    story.append("log", "d\n");
    story.append("log.1", "c\n");
    assert_eq!(story.read(), "b c d");
    // Its writer has not noticed the rename yet.
    story.wait(QUIET / 2);
    story.append("log.1", "late\n");
    story.append("log", "e\n");
    assert_eq!(story.read(), "late e");
    story.wait(QUIET / 2);
    story.append("log.1", "later, no line end");
    assert_eq!(story.read(), "");
    story.wait(QUIET / 2);
    assert_eq!(story.read(), "later, no line end", "the end of a file that is done counts as a line");
    story.wait(QUIET);
    assert_eq!(story.read(), "");
    story.append("log.1", "\nnever seen\n");
    story.append("log", "f\n");
    assert_eq!(story.read(), "f");
    assert_eq!(story.tailer.checkpoints().count(), 1);
}

#[test]
fn renamed_while_nobody_looked() {
    let mut story = Story::new("log");
    story.append("log", "a\n");
    assert_eq!(story.read(), "a");
    story.append("log", "b\n");
    story.rename("log", "log.1");
    story.append("log", "c\n");
    story.restart();
    assert_eq!(story.read(), "b c");
}

#[test]
fn deleted_while_nobody_looked() {
    let mut story = Story::new("log");
    story.append("log", "a\n");
    assert_eq!(story.read(), "a");
    std::fs::remove_file(story.path("log")).expect("remove");
    story.append("log", "new file\n");
    story.restart();
    assert_eq!(story.read(), "new file");
}

#[test]
fn copied_to_another_disk_while_nobody_looked() {
    let mut story = Story::new("logs/log");
    std::fs::create_dir(story.path("logs")).expect("folder");
    story.append("logs/log", "a\n");
    assert_eq!(story.read(), "a");
    std::fs::copy(story.path("logs/log"), story.path("logs/copy")).expect("copy");
    story.append("logs/copy", "b\n");
    std::fs::remove_file(story.path("logs/log")).expect("remove");
    story.rename("logs/copy", "logs/log");
    // At first its file system is not mounted.
    for empty in [false, true] {
        story.rename("logs", "elsewhere");
        if empty {
            std::fs::create_dir(story.path("logs")).expect("folder");
        }
        story.restart();
        assert_eq!(story.read(), "");
        let _ = std::fs::remove_dir(story.path("logs"));
        story.rename("elsewhere", "logs");
    }
    assert_eq!(story.read(), "b");
}

#[test]
fn another_file_with_the_same_inode_has_its_own_name() {
    let mut story = Story::new("*.jsonl");
    story.append("old.jsonl", "a\nb\n");
    assert_eq!(story.read(), "a b");
    // A file system hands out the inode of a file that is gone again; here the file itself plays its successor.
    story.rename("old.jsonl", "new.jsonl");
    std::fs::write(story.path("new.jsonl"), "c\n").expect("rewrites");
    assert_eq!(story.read(), "c");
    assert_eq!(story.tailer.checkpoints().map(|c| c.stem.as_str()).collect::<Vec<_>>(), ["new"]);
}

#[test]
fn copied_and_truncated() {
    let mut story = Story::new("log");
    story.append("log", "a\nb\n");
    assert_eq!(story.read(), "a b");
    std::fs::copy(story.path("log"), story.path("log.1")).expect("copy");
    std::fs::write(story.path("log"), "").expect("truncate");
    story.append("log", "c\n");
    assert_eq!(story.read(), "c");
}

#[test]
fn replaced_by_another_file_of_the_same_name() {
    let mut story = Story::new("log");
    story.append("log", "a\nb\n");
    assert_eq!(story.read(), "a b");
    story.append("log.new", "b\nc\n");
    story.rename("log.new", "log");
    assert_eq!(story.read(), "b c", "records seen before are dropped by their identity, not here");
}

#[test]
fn a_glob_reads_files_in_the_order_of_their_names_and_no_file_twice() {
    let mut story = Story::new("day-*.jsonl*");
    story.append("day-2.jsonl", "c\n");
    story.append("day-1.jsonl", "a\nb\n");
    story.append("other.jsonl", "x\n");
    assert_eq!(story.read(), "a b c");
    story.rename("day-1.jsonl", "day-1.jsonl.old");
    story.append("day-3.jsonl", "d\n");
    assert_eq!(story.read(), "d");
    story.restart();
    assert_eq!(story.read(), "");
}

#[test]
fn a_folder_means_its_jsonl_files() {
    let mut story = Story::new("metrics");
    std::fs::create_dir(story.path("metrics")).expect("folder");
    story.append("metrics/a.jsonl", "a\n");
    story.append("metrics/a.txt", "x\n");
    std::fs::create_dir(story.path("metrics/b.jsonl")).expect("folder");
    assert_eq!(story.read(), "a");
}

#[test]
fn more_files_than_descriptors() {
    let mut story = Story::new("*.jsonl");
    for n in 0..200 {
        story.append(&format!("{n:03}.jsonl"), "first\n");
    }
    assert_eq!(story.read().split(' ').count(), 200);
    for n in 0..200 {
        story.append(&format!("{n:03}.jsonl"), "second\n");
    }
    assert_eq!(story.read().split(' ').count(), 200);
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    assert!(open < 150, "{open} descriptors");
}

#[test]
fn trouble_is_said_and_goes_away() {
    let mut story = Story::new("folder/log");
    std::fs::write(story.path("folder"), "not a folder").expect("write");
    assert_eq!(story.read(), "");
    let said = story.tailer.trouble().expect("said").to_owned();
    assert!(said.contains("folder/log"), "{said}");
    std::fs::remove_file(story.path("folder")).expect("remove");
    std::fs::create_dir(story.path("folder")).expect("folder");
    story.append("folder/log", "a\n");
    assert_eq!(story.read(), "a");
    assert_eq!(story.tailer.trouble(), None);
}
