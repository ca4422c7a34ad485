//! Which files a source means: one file, a folder (its `*.jsonl`), or a glob in the last component.

use std::io;
use std::path::{Path, PathBuf};

/// The files that are there at this moment, in the order of their names; none is no error, because a
/// file may appear later. Only an unreadable folder is.
pub fn matching(path: &Path) -> io::Result<Vec<PathBuf>> {
    let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
    if name.contains(['*', '?']) {
        return listed(path.parent().unwrap_or(Path::new(".")), &name);
    }
    match std::fs::metadata(path) {
        Ok(about) if about.is_dir() => listed(path, "*.jsonl"),
        Ok(_) => Ok(vec![path.to_owned()]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn listed(folder: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
        // What starts with a dot is hidden from globs, as in the shell.
        let hidden = name.starts_with('.') && !pattern.starts_with('.');
        if !hidden && matches(pattern.as_bytes(), name.as_bytes()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether `name` fits `pattern`, where `*` is any run of bytes and `?` any one byte. Linear in practice:
/// only the last `*` is ever tried again.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&b) if b == b'?' || b == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    p = *at + 1;
                    n = *taken;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, name, expected) in [
            ("*.jsonl", "a.jsonl", true),
            ("*.jsonl", "a.jsonl.1", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("day-?.log", "day-7.log", true),
            ("day-?.log", "day-17.log", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn files_folders_and_globs() {
        let dir = tempfile::tempdir().expect("dir");
        for name in ["b.jsonl", "a.jsonl", "notes.txt", ".hidden.jsonl"] {
            std::fs::write(dir.path().join(name), "").expect("write");
        }
        let names = |path: &str| -> Vec<String> {
            let found = matching(&dir.path().join(path)).expect("readable");
            found.iter().map(|p| p.file_name().expect("name").to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(""), ["a.jsonl", "b.jsonl"]);
        assert_eq!(names("*.txt"), ["notes.txt"]);
        assert_eq!(names("notes.txt"), ["notes.txt"]);
        assert_eq!(names("later.jsonl"), Vec::<String>::new());
        assert_eq!(names("later/*.jsonl"), Vec::<String>::new());
        assert!(matching(&dir.path().join("notes.txt/*.jsonl")).is_err(), "not a folder");
    }
}
