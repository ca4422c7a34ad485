//! The house rules as a test: layers, bans in the pure part, sizes of files.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the bottom up; one may import its own layer and those below.
const LAYERS: [(&str, u8); 15] = [
    ("model", 0),
    ("diagnostic", 0),
    ("stats", 1),
    ("rule", 2),
    ("profile", 2),
    ("settings", 2),
    ("policy", 2),
    ("wire", 2),
    // What goes into the engine and comes out is vocabulary for everyone who talks to it.
    ("engine::event", 2),
    ("engine", 3),
    ("replay", 4),
    ("rehearsal", 4),
    ("shell", 5),
    ("cli", 6),
    ("main", 6),
];

/// What the pure layers (0 to 4) may not touch, and what to do instead.
const BANNED: [(&str, &str); 15] = [
    ("async fn", "the engine is synchronous: the shell awaits"),
    ("tokio", "the shell owns the runtime"),
    ("std::thread", "one owner, no threads"),
    ("std::sync::Mutex", "one owner, no locks"),
    ("std::sync::RwLock", "one owner, no locks"),
    ("fs::", "the shell reads and writes files"),
    ("io::stdin", "the shell reads and writes files"),
    ("std::env", "settings come in as values"),
    ("SystemTime", "`now` is an argument"),
    ("Instant::now", "`now` is an argument"),
    ("Timestamp::now", "`now` is an argument"),
    ("tracing::", "effects say what happened"),
    ("println!", "effects say what happened"),
    ("thread_rng", "randomness is seeded"),
    ("RandomState", "no result may depend on hash order: use foldhash's FixedState and do not iterate"),
];

/// The most lines of a source file, unit tests at its bottom not counted.
const WALL: usize = 500;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a folder of the repository").flatten().collect();
    entries.sort_by_key(|e| e.path());
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// A source file of the library: its module path and its text without the unit tests.
fn modules() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let module = |file: &Path| {
        let path = file.strip_prefix(&root).expect("below src").with_extension("");
        path.to_string_lossy().replace('/', "::").trim_end_matches("::mod").to_owned()
    };
    let own = |text: String| text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
    files
        .iter()
        .filter(|f| !f.file_stem().is_some_and(|s| s == "tests" || s.to_string_lossy().ends_with("_tests")))
        .map(|f| (module(f), own(fs::read_to_string(f).expect("a source file"))))
        .filter(|(module, _)| module != "lib")
        .collect()
}

fn layer(module: &str) -> Option<u8> {
    let inside = |name: &str| module == name || module.starts_with(&format!("{name}::"));
    LAYERS.iter().find(|(name, _)| inside(name)).map(|(_, layer)| *layer)
}

/// The parts of a text that are code: no comments, no documentation.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, l)| (i + 1, l)).filter(|(_, l)| !l.trim_start().starts_with("//"))
}

#[test]
fn modules_import_only_what_lies_below() {
    let mut faults = Vec::new();
    for (module, text) in modules() {
        let own = layer(&module).unwrap_or_else(|| panic!("`{module}` has no layer: give it one in this test"));
        for (number, line) in code(&text) {
            for (at, _) in line.match_indices("crate::") {
                let path = &line[at + 7..];
                // `{a, b}` groups are rare at this level; a module a line is the habit here.
                let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(path.len());
                let Some(theirs) = layer(path[..end].trim_end_matches(':')) else { continue };
                if theirs > own {
                    faults.push(format!("src/{module}:{number}: layer {own} imports layer {theirs}: {}", line.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_pure_layers_touch_nothing_outside() {
    let mut faults = Vec::new();
    for (module, text) in modules().iter().filter(|(m, _)| layer(m).is_some_and(|l| l <= 4)) {
        for (number, line) in code(text) {
            for (word, instead) in BANNED {
                if line.contains(word) {
                    faults.push(format!("src/{module}:{number}: `{word}`: {instead}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_open_with_their_purpose_and_end_before_the_wall() {
    let mut faults = Vec::new();
    for (module, text) in modules() {
        if !text.starts_with("//! ") {
            faults.push(format!("src/{module}: the first line says what the file owns (`//! ...`)"));
        }
        let lines = text.lines().count();
        if lines > WALL {
            faults.push(format!("src/{module}: {lines} lines, the wall is {WALL}: split it by idea"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_test_is_switched_off() {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let ignore = concat!("#[", "ignore");
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        assert!(!text.contains(ignore), "{} switches a test off", file.display());
    }
}
