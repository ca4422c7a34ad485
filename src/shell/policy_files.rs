//! Reads the files of a policy: configuration, rules, profiles, prices.
//!
//! Only texts are read here, meaning is for [`Policy::load`]; but the configuration must be understood
//! far enough to know which files it names. A file that cannot be read is a diagnostic like a fault
//! in it, so that one run tells everything.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Level, SourceFile, has_errors};
use crate::policy::{Kind, Policy, PolicySource};
use crate::rule::{self, load::Read};
use crate::settings::Settings;
use crate::wire::yaml::BYTES_LIMIT;

/// How deep folders may nest; symbolic links are followed.
const DEPTH_LIMIT: usize = 8;
/// Folders that hold other people's packages, with thousands of files that are none of evenkeel's.
const DEPENDENCIES: [&str; 2] = ["node_modules", "site-packages"];
/// What marks a folder that a program can make anew, such as Cargo's `target`: <https://bford.info/cachedir/>.
const CACHE: &str = "CACHEDIR.TAG";
/// The most folders that are looked into below one: a slip such as `check /` must not read a whole disk.
const FOLDERS_LIMIT: usize = 10_000;
/// The most files of one folder.
const FILES_LIMIT: usize = 1_000;

/// A policy that can be obeyed, and what it was made of.
#[derive(Debug)]
pub struct Loaded {
    /// What the engine obeys.
    pub policy: Policy,
    /// Every text behind it, for the journal.
    pub source: PolicySource,
    /// What is probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// Reads and checks a policy. Without a configuration the defaults hold; `rules` replace the ones
/// that the configuration names, without either the shipped ones are used.
///
/// # Errors
/// Every fault of every file, unreadable ones included.
pub fn load(config: Option<&Path>, rules: &[PathBuf]) -> Result<Loaded, Vec<Diagnostic>> {
    let (source, mut diagnostics) = read(config, rules);
    let (policy, faults) = Policy::load(&source, source.base_dir());
    diagnostics.extend(faults);
    match policy {
        Some(policy) if !has_errors(&diagnostics) => Ok(Loaded { policy, source, warnings: diagnostics }),
        _ => Err(diagnostics),
    }
}

/// Reads every file of a policy, see [`load`]; what cannot be read is left out and said.
pub fn read(config: Option<&Path>, rules: &[PathBuf]) -> (PolicySource, Vec<Diagnostic>) {
    match config.map(read_file).transpose() {
        Ok(config) => read_under(config.as_ref(), rules),
        Err(fault) => {
            let (source, faults) = read_under(None, rules);
            (source, std::iter::once(*fault).chain(faults).collect())
        }
    }
}

/// The same of a configuration that is read already.
pub fn read_under(config: Option<&SourceFile>, rules: &[PathBuf]) -> (PolicySource, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut source = PolicySource::default();
    let mut settings = Settings::default();
    if let Some(file) = config {
        source.config = Some((file.path.clone(), file.text.to_string()));
        // Its faults are said when the whole is checked.
        settings = Settings::salvage(file, source.base_dir()).0;
    }
    let named = if rules.is_empty() { &settings.rules } else { rules };
    if named.is_empty() {
        let shipped = rule::shipped::default_pack();
        let of_budgets = rule::shipped::budget_pack(settings.budgets.iter().map(|budget| budget.name.as_str()));
        for pack in std::iter::once(shipped).chain(of_budgets) {
            source.rules.push((pack.path, pack.text.to_string()));
        }
    }
    for file in texts(named, is_of_rules, &mut diagnostics) {
        source.rules.push((file.path, file.text.to_string()));
    }
    // A folder of profiles may hold price tables, as the shipped one does.
    for file in texts(&settings.profiles, |_| true, &mut diagnostics) {
        let prices = Kind::of(&file) == Some(Kind::Prices);
        let place = if prices { &mut source.prices } else { &mut source.profiles };
        place.push((file.path, file.text.to_string()));
    }
    for file in texts(&settings.prices, |_| true, &mut diagnostics) {
        source.prices.push((file.path, file.text.to_string()));
    }
    (source, diagnostics)
}

/// Whether a file in a folder of rules is read as one: a configuration, profiles and prices may lie beside them.
fn is_of_rules(file: &SourceFile) -> bool {
    !matches!(Kind::among(file), Some(Kind::Config | Kind::Profile | Kind::Prices))
}

/// The texts of files, and of the YAML and JSON files in folders that are wanted, each once.
fn texts(paths: &[PathBuf], wanted: fn(&SourceFile) -> bool, diagnostics: &mut Vec<Diagnostic>) -> Vec<SourceFile> {
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for path in paths {
        let (found, faults) = files_of(path);
        diagnostics.extend(faults);
        for file in found.into_iter().filter(|path| seen.insert(path.clone())) {
            match read_file(&file) {
                Ok(text) if file == *path || wanted(&text) => files.push(text),
                Ok(_) => {}
                Err(fault) => diagnostics.push(*fault),
            }
        }
    }
    files
}

/// The file itself, or the YAML and JSON files of a folder and its sub-folders in the order of
/// their paths; hidden ones, rule tests (`*.test.yaml`) and
/// packages (`node_modules`) and caches (`target`) are left out.
pub fn files_of(path: &Path) -> (Vec<PathBuf>, Vec<Diagnostic>) {
    if !path.is_dir() {
        return (vec![path.to_owned()], Vec::new());
    }
    let (files, mut faults) = Walk::through(path, false, FOLDERS_LIMIT);
    if files.is_empty() && faults.is_empty() {
        let message = "the folder holds no YAML or JSON file";
        faults.push(Diagnostic::of_file(Level::Warning, shown(path), message, "add one, or name another folder"));
    }
    (files, faults)
}

/// The file itself, or the rule tests (`*.test.yaml`) of a folder and its sub-folders.
pub fn tests_of(path: &Path, faults: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let (files, found) = Walk::through(path, true, FOLDERS_LIMIT);
    // The walk for the other files may have told them, and how many there are may have changed.
    let told = |fault: &Diagnostic| faults.iter().any(|known| (&known.file, &known.help) == (&fault.file, &fault.help));
    let new: Vec<Diagnostic> = found.into_iter().filter(|fault| !told(fault)).collect();
    faults.extend(new);
    files
}

/// The files of rules that a test file is about, and what is read from them under its settings.
pub fn rules_of_test(file: &SourceFile) -> (Vec<PathBuf>, Read) {
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let named: Vec<PathBuf> = rule::story::load::rules_of(file).iter().map(|path| folder.join(path)).collect();
    let mut faults = Vec::new();
    let files = texts(&named, is_of_rules, &mut faults);
    let settings = rule::story::load::settings_of(file);
    let mut read = rule::load::load_with(&files, &settings, Some(&file.path));
    faults.append(&mut read.diagnostics);
    (named, Read { diagnostics: faults, ..read })
}

/// A walk through a folder and its sub-folders.
struct Walk {
    /// Whether it looks for tests of rules instead of all other files.
    tests: bool,
    /// How many folders it looks into below the first.
    folders: usize,
    /// The real paths of those that it looked into: a symbolic link may lead back.
    seen: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
    faults: Vec<Diagnostic>,
    /// Folders that could not be read, and why.
    unreadable: Vec<(PathBuf, io::Error)>,
    /// What there is more of than it reads, which stopped it.
    excess: Option<String>,
}

impl Walk {
    /// The files of a folder in the order of their paths, and what kept others from being found.
    fn through(folder: &Path, tests: bool, folders: usize) -> (Vec<PathBuf>, Vec<Diagnostic>) {
        let (seen, files, faults, unreadable, excess) = Default::default();
        let mut walk = Walk { tests, folders, seen, files, faults, unreadable, excess };
        walk.look(folder, DEPTH_LIMIT);
        walk.faults.extend(unreadable_folders(folder, &walk.unreadable));
        if let Some(excess) = walk.excess {
            let message = format!("the folder holds more than {excess}");
            let help = "name the files and folders that are meant";
            walk.faults.push(Diagnostic::of_file(Level::Error, shown(folder), message, help));
        }
        walk.files.sort();
        (walk.files, walk.faults)
    }

    fn look(&mut self, folder: &Path, depth: usize) {
        if !self.seen.insert(folder.canonicalize().unwrap_or_else(|_| folder.to_owned())) {
            return;
        }
        let mut entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable.push((folder.to_owned(), error)),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with('.') || self.excess.is_some() {
                continue;
            }
            if path.is_dir() {
                if depth == 0 || DEPENDENCIES.contains(&name.as_str()) || path.join(CACHE).exists() {
                    continue;
                }
                // The first one is among those that were seen.
                match self.seen.len() <= self.folders {
                    true => self.look(&path, depth - 1),
                    false => self.excess = Some(format!("{} folders; the others are not looked into", self.folders)),
                }
                continue;
            }
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            if matches!(extension.as_str(), "yaml" | "yml" | "json") && name.contains(".test.") == self.tests {
                match self.files.len() < FILES_LIMIT {
                    true => self.files.push(path),
                    false => {
                        self.excess = Some(format!("{FILES_LIMIT} YAML and JSON files; the others are not read"));
                    }
                }
            }
        }
    }
}

/// The text of a file.
///
/// # Errors
/// A file that is missing, unreadable, no regular one, too large, not UTF-8, or holds a NUL byte.
pub fn read_file(path: &Path) -> Result<SourceFile, Box<Diagnostic>> {
    let fault = |message: String, help: &str| Box::new(Diagnostic::of_file(Level::Error, shown(path), message, help));
    let failed = |error| Box::new(unreadable(path, &error));
    let about = fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        // A pipe without a writer would be waited for, a device may have no end.
        let what = if about.is_dir() { "a folder" } else { "a pipe, a socket or a device" };
        return Err(fault(format!("it is {what}, not a file"), "write the text to a file and name that"));
    }
    let size = about.len();
    if size > BYTES_LIMIT as u64 {
        return Err(fault(
            format!("the file has {size} bytes, the limit is {BYTES_LIMIT}"),
            "split it into several files",
        ));
    }
    text(&shown(path), fs::read(path).map_err(failed)?)
}

/// The text of a file that is named on the command line, or of a pipe that the shell opened for that: `-` is standard
/// input, `<(...)` a descriptor. A pipe is read once, and what it names is relative to the working folder.
///
/// # Errors
/// As [`read_file`].
pub fn read_named(path: &Path) -> Result<SourceFile, Box<Diagnostic>> {
    let (name, pipe): (_, Box<dyn io::Read>) = match path.to_str() {
        Some("-" | "/dev/stdin") => ("<stdin>".to_owned(), Box::new(io::stdin())),
        Some(word) if is_pipe(path) => match ["/dev/fd/", "/proc/self/fd/"].iter().find_map(|at| word.strip_prefix(at))
        {
            Some(number) => {
                let pipe = fs::File::open(path).map_err(|error| Box::new(unreadable(path, &error)))?;
                (format!("<fd {number}>"), Box::new(pipe))
            }
            None => return read_file(path),
        },
        _ => return read_file(path),
    };
    let mut bytes = Vec::new();
    let read = pipe.take(BYTES_LIMIT as u64 + 1).read_to_end(&mut bytes);
    let failed = |message: String, help: &str| Box::new(Diagnostic::of_file(Level::Error, &name, message, help));
    read.map_err(|error| {
        failed(format!("cannot read {}: {error}", shown(path)), "write the text to a file and name that")
    })?;
    if bytes.len() > BYTES_LIMIT {
        let message = format!("it has more bytes than the limit of {BYTES_LIMIT}");
        return Err(failed(message, "split it into several files"));
    }
    text(&name, bytes)
}

/// Whether a text was read from a pipe, by the name that it has then.
pub fn is_of_pipe(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path == "<stdin>" || path.starts_with("<fd "))
}

fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo())
}

/// What was read, if it is a text.
fn text(name: &str, bytes: Vec<u8>) -> Result<SourceFile, Box<Diagnostic>> {
    let fault =
        |message| Box::new(Diagnostic::of_file(Level::Error, name, message, "write the file anew as UTF-8 text"));
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(fault(format!("byte {at} is NUL: this is no text")));
    }
    let text = String::from_utf8(bytes);
    text.map(|text| SourceFile::new(name, text))
        .map_err(|error| fault(format!("byte {} is not UTF-8", error.utf8_error().valid_up_to())))
}

/// Whether a file that was found in a folder is recognisably evenkeel's; `read` is its text, if it could be read as
/// one. Of what cannot be opened nobody knows, so that it counts as such.
pub fn is_own(path: &Path, read: Option<&SourceFile>) -> bool {
    let own = |file: &SourceFile| Kind::among(file).is_some();
    match read {
        Some(file) => own(file),
        None if fs::metadata(path).is_ok_and(|about| !about.is_file()) => false,
        None => {
            let mut bytes = Vec::new();
            let begin = fs::File::open(path).and_then(|file| file.take(BYTES_LIMIT as u64).read_to_end(&mut bytes));
            begin.is_err() || own(&SourceFile::new(shown(path), String::from_utf8_lossy(&bytes)))
        }
    }
}

/// What is said of the folders in one that could not be read: one line for all, for below /proc there are hundreds.
fn unreadable_folders(folder: &Path, found: &[(PathBuf, io::Error)]) -> Option<Diagnostic> {
    match found {
        [] => None,
        [(path, error)] => Some(unreadable(path, error)),
        [(path, error), ..] => {
            let message = format!("cannot read {} folders in it, the first {}: {error}", found.len(), shown(path));
            let help = "let the user that evenkeel runs as read them, or name the folders that are meant";
            Some(Diagnostic::of_file(Level::Error, shown(folder), message, help))
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "check the path; in a configuration it is relative to the folder of that file",
        io::ErrorKind::PermissionDenied => "let the user that evenkeel runs as read it",
        _ => "check the path",
    };
    Diagnostic::of_file(Level::Error, shown(path), format!("cannot read {}: {error}", shown(path)), help)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_from_all_its_files() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &[u8]| fs::write(dir.path().join(name), text).expect("written");
        fs::create_dir(dir.path().join("profiles")).expect("a folder");
        write("evenkeel.yaml", b"rules: [r.yaml]\nprofiles: [profiles]\n");
        write("r.yaml", b"alerts:\n- name: a\n  condition: error_rate > 10%\n");
        write("profiles/.hidden.yaml", b"model: [");
        write("profiles/p.yaml", b"prices:\n- models: [mine]\n  periods: [{input: 1, output: 2}]\n");
        write("profiles/m.json", b"{\"model\": \"mine\"}");
        let loaded = load(Some(&dir.path().join("evenkeel.yaml")), &[]).expect("no errors");
        assert_eq!(loaded.policy.rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(loaded.policy.profiles.resolve("mine").0.model, "mine");
        assert!(loaded.policy.prices.resolve("mine").is_some());
        assert_eq!((loaded.source.profiles.len(), loaded.source.prices.len(), loaded.warnings.len()), (1, 1, 1));
        let shipped = load(None, &[]).expect("no errors");
        assert!(shipped.policy.rules.len() > 1);
        let replaced = load(None, &[dir.path().join("r.yaml")]).expect("no errors");
        assert_eq!(replaced.policy.rules.len(), 1);
    }

    #[test]
    fn a_walk_looks_into_so_many_folders_and_into_none_that_hold_what_programs_made() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["a/b", "c", "target/debug", "node_modules/x", ".git"] {
            fs::create_dir_all(dir.path().join(name)).expect("a folder");
        }
        fs::write(dir.path().join("target/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n")
            .expect("written");
        for name in ["a/b/1.yaml", "c/2.yaml", "target/debug/3.yaml", "node_modules/x/4.yaml", ".git/5.yaml"] {
            fs::write(dir.path().join(name), "alerts: []\n").expect("written");
        }
        let walk = |folders| Walk::through(dir.path(), false, folders);
        let (files, faults) = walk(10);
        assert_eq!(files, ["a/b/1.yaml", "c/2.yaml"].map(|name| dir.path().join(name)));
        assert_eq!(faults, []);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("c/loop")).expect("a link");
        assert_eq!(walk(10), (files, Vec::new()), "a link that leads back adds nothing");
        fs::remove_file(dir.path().join("c/loop")).expect("removed");
        assert_eq!(walk(3), walk(10), "as many folders as it may look into are no fault");
        let (files, faults) = walk(2);
        assert!(files.len() < 2 && faults.len() == 1, "{files:?}");
        assert_eq!(faults[0].message, "the folder holds more than 2 folders; the others are not looked into");
    }

    #[test]
    fn a_walk_reads_so_many_files() {
        let dir = tempfile::tempdir().expect("a folder");
        let walk = || Walk::through(dir.path(), false, 1);
        let file = |n: usize| fs::write(dir.path().join(format!("{n}.yaml")), "").expect("written");
        (0..FILES_LIMIT).for_each(file);
        assert_eq!((walk().0.len(), walk().1), (FILES_LIMIT, Vec::new()));
        file(FILES_LIMIT);
        let (files, faults) = walk();
        assert_eq!((files.len(), faults.len()), (FILES_LIMIT, 1));
        assert_eq!(faults[0].message, "the folder holds more than 1000 YAML and JSON files; the others are not read");
    }

    #[test]
    fn folders_that_cannot_be_read_are_counted() {
        let error = |_: usize| (PathBuf::from("proc/1/map_files"), io::Error::from(io::ErrorKind::PermissionDenied));
        let said = |n: usize| unreadable_folders(Path::new("/"), &(0..n).map(error).collect::<Vec<_>>());
        assert_eq!(said(0), None);
        assert_eq!(said(1).expect("a fault").message, "cannot read proc/1/map_files: permission denied");
        let many = said(300).expect("a fault");
        assert_eq!(many.message, "cannot read 300 folders in it, the first proc/1/map_files: permission denied");
        assert_eq!((many.file.as_str(), many.level), ("/", Level::Error));
    }

    #[test]
    fn every_unreadable_file_is_said_beside_the_faults() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &[u8]| fs::write(dir.path().join(name), text).expect("written");
        write("evenkeel.yaml", b"rules: [none.yaml, nul.yaml, latin.yaml, large.yaml, empty]\nclok: wall\n");
        write("nul.yaml", b"a: \0\n");
        write("latin.yaml", b"a: \xe4\n");
        write("large.yaml", &vec![b'#'; BYTES_LIMIT + 1]);
        fs::create_dir(dir.path().join("empty")).expect("a folder");
        let faults = load(Some(&dir.path().join("evenkeel.yaml")), &[]).expect_err("faults");
        let said = |text: &str| faults.iter().any(|fault| fault.message.contains(text));
        for text in [
            "none.yaml: No such file",
            "byte 3 is NUL",
            "byte 3 is not UTF-8",
            "1048577 bytes",
            "holds no YAML",
            "no field `clok`",
        ] {
            assert!(said(text), "{text}: {faults:?}");
        }
        assert_eq!(faults.len(), 6);
    }
}
