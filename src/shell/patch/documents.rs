//! The patch documents of one change: what people and tools may apply on their own.
//!
//! | file | applied with |
//! |---|---|
//! | `<id>.diff` | `patch -p1` or `git apply` in the target's folder |
//! | `<id>.json-patch.json` | RFC 6902, on the document as JSON; a `test` of the old value comes first |
//! | `<id>.merge-patch.json` | RFC 7396, on the document as JSON |
//! | `<id>.provenance.json` | read: everything the proposal rests on |
//!
//! The documents repeat parts of the target and so get no more permissions than it has.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use similar::TextDiff;

use crate::wire::target::{Edit, Path as TargetPath, Scalar, Step};

/// Changes whose documents are kept; the oldest beyond them are removed.
pub const CHANGES_KEPT: usize = 1_000;

const DIFF: &str = "diff";
const PROVENANCE: &str = "provenance.json";
const ENDINGS: [&str; 4] = [DIFF, "json-patch.json", "merge-patch.json", PROVENANCE];

/// The folder of patch documents.
#[derive(Debug)]
pub struct Documents {
    dir: PathBuf,
}

/// What the documents of a change are made of.
pub struct Proposal<'a> {
    /// The name of the file in its folder.
    pub file_name: &'a str,
    /// Permission bits of the file.
    pub mode: u32,
    /// Its text.
    pub old_text: &'a str,
    /// The edit.
    pub edit: &'a Edit,
    /// Where the value stands.
    pub path: &'a TargetPath,
    /// The value before.
    pub old: &'a Scalar,
    /// The value after.
    pub new: &'a Scalar,
    /// Everything the proposal rests on.
    pub provenance: Value,
}

impl Documents {
    /// The documents in a folder, which is made when it is first needed.
    pub fn new(dir: PathBuf) -> Documents {
        Documents { dir }
    }

    /// Writes the four documents of a change, in place of earlier ones of the same change.
    pub fn write(&self, id: &str, proposal: &Proposal<'_>) -> Result<(), String> {
        let json = |value: Value| format!("{value:#}\n");
        let texts = [
            unified_diff(proposal.file_name, proposal.old_text, &proposal.edit.text),
            json(json_patch(proposal.path, proposal.old, proposal.new)),
            json(merge_patch(&proposal.path.0, &proposal.edit.after)),
            json(proposal.provenance.clone()),
        ];
        let failed = |path: &Path, error: io::Error| format!("cannot write the patch {}: {error}", path.display());
        fs::create_dir_all(&self.dir).map_err(|e| failed(&self.dir, e))?;
        for (ending, text) in ENDINGS.iter().zip(texts) {
            let path = self.path(id, ending);
            if let Err(error) = write_whole(&path, text.as_bytes(), proposal.mode & 0o666) {
                self.remove(id);
                return Err(failed(&path, error));
            }
        }
        self.prune(id);
        Ok(())
    }

    /// Whether the documents of a change lie there.
    pub fn has(&self, id: &str) -> bool {
        ENDINGS.iter().all(|ending| self.path(id, ending).exists())
    }

    /// Removes the documents of a change; those that are gone already do not matter.
    pub fn remove(&self, id: &str) {
        for ending in ENDINGS {
            let _ = fs::remove_file(self.path(id, ending));
        }
    }

    /// The unified diff of a change.
    pub fn diff(&self, id: &str) -> io::Result<String> {
        fs::read_to_string(self.path(id, DIFF))
    }

    fn path(&self, id: &str, ending: &str) -> PathBuf {
        self.dir.join(format!("{}.{ending}", file_name(id)))
    }

    /// Removes the oldest documents beyond [`CHANGES_KEPT`], never those of `newest`.
    fn prune(&self, newest: &str) {
        let suffix = format!(".{PROVENANCE}");
        let newest = file_name(newest);
        prune(&self.dir, CHANGES_KEPT, |name| {
            name.strip_suffix(&suffix).filter(|stem| *stem != newest).map(str::to_owned)
        })
        .iter()
        .flat_map(|stem| ENDINGS.map(|ending| self.dir.join(format!("{stem}.{ending}"))))
        .for_each(|path| drop(fs::remove_file(path)));
    }
}

/// Which of the files in a folder that `stem` accepts are the oldest beyond `keep`, by their stems.
pub(super) fn prune(dir: &Path, keep: usize, stem: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found: Vec<(SystemTime, String)> = entries
        .flatten()
        .filter_map(|entry| {
            let stem = stem(entry.file_name().to_str()?)?;
            Some((entry.metadata().ok()?.modified().ok()?, stem))
        })
        .collect();
    // One more file, the newest, may be excluded by `stem`; the bound holds to within that one.
    let excess = found.len().saturating_sub(keep);
    found.sort();
    found.truncate(excess);
    found.into_iter().map(|(_, stem)| stem).collect()
}

/// Writes a file so that a crash leaves none or all of it.
pub(super) fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let _ = fs::remove_file(&temporary);
    let result = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode | 0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// A file name for an identity: itself where it is harmless, marked by a hash where it is not.
pub(super) fn file_name(id: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !id.is_empty() && id.len() <= 100 && id.chars().all(harmless) && !id.starts_with('.') {
        return id.to_owned();
    }
    let start: String = id.chars().take(40).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{start}-{}", &sha256(id.as_bytes())[..16])
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A diff that applies in the file's folder with `patch -p1`.
fn unified_diff(file: &str, old: &str, new: &str) -> String {
    // Only a line feed ends a line to the tools that apply it; a lone carriage return does not.
    let lines = |text| -> Vec<&str> { str::split_inclusive(text, '\n').collect() };
    let (old, new) = (lines(old), lines(new));
    let diff = TextDiff::configure().newline_terminated(true).diff_slices(&old, &new);
    diff.unified_diff().header(&header("a/", file), &header("b/", file)).to_string()
}

/// A file name as the header of a diff has it: quoted like C where it holds quotes or control
/// characters, followed by a tab where it holds a space.
fn header(prefix: &str, file: &str) -> String {
    let name = format!("{prefix}{file}");
    if name.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')) {
        let quoted: String = name
            .bytes()
            .map(|byte| match byte {
                b'"' | b'\\' => format!("\\{}", byte as char),
                b' '..=b'~' => (byte as char).to_string(),
                _ => format!("\\{byte:03o}"),
            })
            .collect();
        return format!("\"{quoted}\"");
    }
    if name.contains(' ') { format!("{name}\t") } else { name }
}

fn json_patch(path: &TargetPath, old: &Scalar, new: &Scalar) -> Value {
    let path = path.pointer();
    json!([
        { "op": "test", "path": path, "value": old.to_json() },
        { "op": "replace", "path": path, "value": new.to_json() },
    ])
}

/// The part of `after` that holds the value at `path`. A merge patch cannot reach into a list, so from
/// the first list on it holds the whole.
fn merge_patch(path: &[Step], after: &Value) -> Value {
    match path {
        [Step::Key(key), rest @ ..] => json!({ key: merge_patch(rest, &after[key.as_str()]) }),
        [Step::Index(_), ..] | [] => after.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_harmless_and_distinct() {
        assert_eq!(file_name("agents-timeout-a-1.2"), "agents-timeout-a-1.2");
        for hostile in ["", "../../etc/passwd", ".hidden", "a/b", "a b", "日本", &"x".repeat(300)] {
            let name = file_name(hostile);
            assert!(!name.contains(['/', ' ']) && !name.starts_with('.') && name.len() < 80, "{hostile}: {name}");
        }
        assert_ne!(file_name("a/b"), file_name("a_b"));
        assert_ne!(file_name("a/b"), file_name("a b"));
    }

    #[test]
    fn headers_are_quoted_as_git_does() {
        assert_eq!(header("a/", "agents.yaml"), "a/agents.yaml");
        assert_eq!(header("a/", "my agents.yaml"), "a/my agents.yaml\t");
        assert_eq!(header("b/", "a\"b\n.yaml"), "\"b/a\\\"b\\012.yaml\"");
    }

    #[test]
    fn a_merge_patch_holds_lists_whole() {
        let after = json!({"a": {"l": [{"t": 2, "u": null}, 5]}, "b": 1});
        let path = [Step::Key("a".into()), Step::Key("l".into()), Step::Index(0), Step::Key("t".into())];
        assert_eq!(merge_patch(&path, &after), json!({"a": {"l": [{"t": 2, "u": null}, 5]}}));
    }

    #[test]
    fn the_oldest_documents_are_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let documents = Documents::new(dir.path().to_owned());
        for i in 0..CHANGES_KEPT + 3 {
            for ending in ENDINGS {
                fs::write(documents.path(&format!("{i:05}"), ending), "").expect("written");
            }
            let file = fs::File::options().write(true).open(documents.path(&format!("{i:05}"), PROVENANCE));
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(i as u64);
            file.expect("there").set_modified(time).expect("set");
        }
        documents.prune("00000");
        assert!(documents.has("00000") && !documents.has("00001") && !documents.has("00002"));
        assert!(documents.has("00003"));
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 4 * (CHANGES_KEPT + 1));
    }
}
