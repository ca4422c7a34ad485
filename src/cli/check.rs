//! `evenkeel check`: every fault of configuration, rules, their tests, profiles and prices in one run.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::output::plural;
use super::recording::{self, Reading, RecordingArgs};
use super::{Exit, Failure, Output};
use crate::diagnostic::{Diagnostic, Level, SourceFile, has_errors};
use crate::engine::event::{Effect, Report};
use crate::model::{Record, Timestamp};
use crate::policy::{Kind, Policy, PolicySource, over, slip};
use crate::rehearsal::against::Sight;
use crate::replay;
use crate::rule::left_out::LeftOut;
use crate::rule::{self, load::Read};
use crate::settings::Settings;
use crate::shell::policy_files;
use crate::wire::yaml;

/// Check configuration, rules, profiles and prices: every fault in one run, with its place and
/// remedy.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  evenkeel check                   the configuration of EVENKEEL_CONFIG, else everything below this
                                   folder
  evenkeel check evenkeel.yaml     a configuration and all files that it names
  evenkeel check rules/mine.yaml   one file of rules; what it may name says the configuration
                                   of EVENKEEL_CONFIG, else evenkeel.yaml of this folder
  evenkeel check rules/mine.yaml --config etc/evenkeel.yaml
                                   under another one, which is checked too
  evenkeel check <(make-rules)     what another program writes; `-` is standard input. Paths in
                                   it are relative to this folder
  evenkeel check . --json          an array of faults with byte ranges
  evenkeel check . --against day.jsonl
                                   also what this recording has nothing for: labels, fields,
                                   rules and levels that never fired

What a file is, its keys tell. The rules of all PATHs are loaded together, as other verbs do it.
A folder may hold files of other programs: one that was found in it counts as evenkeel's if its
name begins with `evenkeel`, or if at least half of the keys at its top are evenkeel's and one
there or below is hardly found elsewhere (`condition`, `state_dir`). The others are passed over
and named, with a warning if a key is misspelt or the rules are Prometheus'; hidden files,
node_modules, site-packages and caches such as Cargo's target are not looked at. A file that is
named is always checked.
Exit codes: 0 usable (perhaps with warnings), 2 nothing to check, 78 not usable.")]
pub struct Args {
    /// Files and folders; by default the configuration that is named, else this folder.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The configuration whose budgets and labels the rules may name; it is checked too. By default
    /// EVENKEEL_CONFIG; else evenkeel.yaml of this folder, which is checked only if it is among PATH.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Recordings of executions: tells of rules and routes for which they have nothing. Files to check
    /// stand before it.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    against: Vec<PathBuf>,
}

/// Files that are passed over and named, at most.
const NAMED: usize = 3;

/// What was looked at.
#[derive(Default)]
struct Findings {
    diagnostics: Vec<Diagnostic>,
    /// Files by their real path, so that none is looked at twice.
    seen: BTreeSet<PathBuf>,
    kinds: BTreeMap<Kind, usize>,
    configs: Vec<PathBuf>,
    /// Rule files that no configuration names.
    rules: Vec<PathBuf>,
    /// Rules that the configuration at hand has nothing for.
    left_out: BTreeSet<(String, String)>,
    /// Files of folders that are not evenkeel's.
    passed_over: Vec<PathBuf>,
    /// What keeps some more from being so.
    slips: Vec<Diagnostic>,
}

/// Checks and reports.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    if let Some(text) = args.against.iter().find(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml")) {
        let text = text.display();
        return Err(Failure::Usage(format!(
            "--against takes recordings of executions, and {text} is YAML: name a configuration with \
             `--config {text}`, and other files to check before --against"
        )));
    }
    let of_environment = recording::of_environment().filter(|_| args.config.is_none());
    let named = args.config.clone().or_else(|| of_environment.clone());
    let config = named.clone().or_else(recording::at_hand);
    let mut findings = examine(&args.paths, named, config.as_deref());
    // Who names rules alone hears whose budgets and labels they may name, as with other verbs.
    let alone = findings.configs.is_empty() && !findings.rules.is_empty();
    if let Some(config) = config.as_ref().filter(|_| of_environment.is_some() || alone && args.config.is_none()) {
        writeln!(Output::stderr(false), "under {}; --config names another configuration", config.display())?;
    }
    let read = match (args.against.is_empty(), has_errors(&findings.diagnostics)) {
        (false, false) => Some(findings.hold_against(&args, config)?),
        _ => None,
    };
    // A configuration may have named them.
    let unseen = |path: &Path| path.canonicalize().map_or(true, |path| !findings.seen.contains(&path));
    findings.passed_over.retain(|path| unseen(path));
    findings.diagnostics.extend(findings.slips.into_iter().filter(|slip| unseen(Path::new(&slip.file))));
    let exit = match has_errors(&findings.diagnostics) {
        true => Exit::Configuration,
        false if findings.kinds.is_empty() => Exit::NotEnoughData,
        false => Exit::Ok,
    };
    if out.json {
        out.json(&findings.diagnostics)?;
        return Ok(exit);
    }
    out.diagnostics(&findings.diagnostics)?;
    let looked_at = findings.kinds.iter().map(|(kind, n)| {
        plural(
            *n,
            match kind {
                Kind::Config => "configuration",
                Kind::Rules => "rule file",
                Kind::Profile => "profile file",
                Kind::Prices => "price table",
                Kind::Tests => "test file",
            },
        )
    });
    let looked_at: Vec<String> = looked_at.collect();
    if looked_at.is_empty() {
        if findings.diagnostics.is_empty() {
            writeln!(out, "nothing to check: none of the files is evenkeel's")?;
        }
    } else if exit == Exit::Ok {
        writeln!(out, "{} {}", out.green("ok:"), looked_at.join(", "))?;
    } else {
        writeln!(out, "checked {}", looked_at.join(", "))?;
    }
    if !findings.left_out.is_empty() {
        writeln!(out, "{} left out for want of what they read", plural(findings.left_out.len(), "rule"))?;
    }
    if !findings.passed_over.is_empty() {
        let files = plural(findings.passed_over.len(), "file");
        let mut names: Vec<String> = findings.passed_over.iter().map(|path| path.display().to_string()).collect();
        names.sort();
        if names.len() > NAMED {
            let more = names.split_off(NAMED).len();
            names.push(format!("{more} more"));
        }
        let names = names.join(", ");
        writeln!(out, "passed over {files} not recognisably evenkeel's ({names}); a file that is named is checked")?;
    }
    if let Some(reading) = read {
        writeln!(out, "held against {}", plural(reading.records as usize, "record"))?;
        for reason in reading.reasons {
            writeln!(out, "not a record: {reason}")?;
        }
    }
    Ok(exit)
}

/// Looks at the configuration that is `named`, and at the files of `paths`; `config` is what holds for rules of no
/// configuration's own.
fn examine(paths: &[PathBuf], named: Option<PathBuf>, config: Option<&Path>) -> Findings {
    // One with faults of shape says nothing of what it has.
    let readable = config.and_then(|path| policy_files::read_file(path).ok()).filter(|file| yaml::parse(file).is_ok());
    let settings = readable.map(|file| (Settings::salvage(&file, Path::new("")).0, file.path));
    let mut findings = Findings::default();
    let mut files: Vec<(SourceFile, Kind)> = Vec::new();
    let folder = (paths.is_empty() && named.is_none()).then(|| PathBuf::from("."));
    for path in named.iter().chain(paths).chain(&folder) {
        let folder = path.is_dir();
        let (found, faults) = policy_files::files_of(path);
        findings.diagnostics.extend(faults);
        let tests = if folder { policy_files::tests_of(path, &mut findings.diagnostics) } else { Vec::new() };
        for path in found.into_iter().chain(tests) {
            // What is found below the working folder is named as one would type it.
            let path = path.strip_prefix("./").map_or(path.clone(), Path::to_owned);
            let named_here = !folder && paths.contains(&path);
            let read = if named_here { policy_files::read_named(&path) } else { policy_files::read_file(&path) };
            if folder && !policy_files::is_own(&path, read.as_ref().ok()) {
                match read.ok().and_then(|file| slip(Level::Warning, &file)) {
                    Some(fault) => {
                        let message = format!("passed over: {}", fault.message);
                        findings.slips.push(Diagnostic { message, ..fault });
                    }
                    None => findings.passed_over.push(path),
                }
                continue;
            }
            match read {
                Ok(file) => match Kind::of(&file).or((named.as_ref() == Some(&path)).then_some(Kind::Config)) {
                    Some(kind) => files.push((file, kind)),
                    None => findings.diagnostics.push(unknown(&file)),
                },
                Err(fault) => findings.diagnostics.push(*fault),
            }
        }
    }
    // Configurations first: they know which of the other files belong together.
    files.sort_by_key(|(_, kind)| *kind != Kind::Config);
    let mut loose: Vec<SourceFile> = Vec::new();
    let mut others: Vec<(SourceFile, Kind)> = Vec::new();
    for (file, kind) in files {
        let path = PathBuf::from(&file.path);
        if !findings.first_look(&path, kind) {
            continue;
        }
        match kind {
            Kind::Config => {
                findings.policy(&file);
                findings.configs.push(path);
            }
            Kind::Rules => {
                findings.rules.push(path);
                loose.push(file);
            }
            _ => others.push((file, kind)),
        }
    }
    // Together, as other verbs load them: a name stands once, and rules may cover those of another file.
    let read = match &settings {
        Some((settings, path)) => rule::load::load_with(&loose, settings, Some(path)),
        None => rule::load::load_with(&loose, &Settings::default(), None),
    };
    findings.leave_out(read.left_out);
    findings.add(read.diagnostics);
    for (file, kind) in others {
        findings.alone(file, kind);
    }
    findings
}

fn unknown(file: &SourceFile) -> Diagnostic {
    if file.text.trim().is_empty() {
        return Diagnostic::of_file(Level::Error, &file.path, "the file is empty", "write to it, or leave it out");
    }
    let others = || {
        Diagnostic::of_file(
            Level::Error,
            &file.path,
            "the keys of this file are none of evenkeel's",
            "rules have `alerts:`, their tests `tests:`, profiles `model:`, price tables `prices:`, a configuration `sources:` and others",
        )
    };
    slip(Level::Error, file).unwrap_or_else(others)
}

impl Findings {
    /// Whether the file was not looked at before; from now on it was.
    fn first_look(&mut self, path: &Path, kind: Kind) -> bool {
        let first = self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        *self.kinds.entry(kind).or_default() += usize::from(first);
        first
    }

    /// Checks a configuration with all the files that it names.
    fn policy(&mut self, config: &SourceFile) {
        let (source, unreadable) = policy_files::read_under(Some(config), &[]);
        for (files, kind) in
            [(&source.rules, Kind::Rules), (&source.profiles, Kind::Profile), (&source.prices, Kind::Prices)]
        {
            for (path, _) in files.iter().filter(|(path, _)| Path::new(path).exists()) {
                self.first_look(Path::new(path), kind);
            }
        }
        let (policy, faults) = Policy::load(&source, source.base_dir());
        let now = Timestamp(jiff::Timestamp::now().as_millisecond());
        let config = source.config.as_ref().map(|(path, text)| SourceFile::new(path, text.as_str()));
        let past = config.zip(policy.as_ref()).map(|(config, policy)| over(&config, &policy.settings, now));
        self.leave_out(policy.map(|policy| policy.left_out).unwrap_or_default());
        self.add(unreadable.into_iter().chain(faults).chain(past.into_iter().flatten()));
    }

    fn leave_out(&mut self, rules: Vec<LeftOut>) {
        self.left_out.extend(rules.into_iter().map(|left| (left.place, left.rule)));
    }

    /// Checks a file of something else than rules on its own.
    fn alone(&mut self, file: SourceFile, kind: Kind) {
        if kind == Kind::Tests {
            // Its rules are looked at under their own name, if that is among what is checked.
            let (_, Read { rules, left_out, diagnostics: faults }) = policy_files::rules_of_test(&file);
            let of_tests = rule::story::load::load_beside(&file, &rules, &left_out, !has_errors(&faults)).1;
            let looked_at = |path: &str| Path::new(path).canonicalize().is_ok_and(|path| self.seen.contains(&path));
            let untold = |fault: &Diagnostic| fault.level == Level::Error && !looked_at(&fault.file);
            let of_rules: Vec<Diagnostic> = faults.into_iter().filter(untold).collect();
            self.add(of_rules.into_iter().chain(of_tests));
            return;
        }
        let text = vec![(file.path, file.text.to_string())];
        let mut source = PolicySource::default();
        match kind {
            Kind::Config => source.config = text.into_iter().next(),
            Kind::Profile => source.profiles = text,
            Kind::Prices => source.prices = text,
            Kind::Rules | Kind::Tests => {}
        }
        self.add(Policy::load(&source, Path::new("")).1);
    }

    /// Lets the engine play recordings under the one configuration, or the rules alone; `at_hand` is the
    /// configuration that holds where none is among what was checked.
    fn hold_against(&mut self, args: &Args, at_hand: Option<PathBuf>) -> Result<Reading, Failure> {
        let (config, rules) = match (&args.config, &self.configs[..]) {
            (Some(config), _) => (Some(config.clone()), self.rules.clone()),
            (None, [config]) => (Some(config.clone()), Vec::new()),
            (None, []) => (at_hand, self.rules.clone()),
            (None, [first, second, ..]) => {
                let (first, second) = (first.display(), second.display());
                let why = format!(
                    "--against needs one configuration, and there are {first} and {second}: name one with --config"
                );
                return Err(Failure::Usage(why));
            }
        };
        if config.is_none() && rules.is_empty() {
            return Err(Failure::Usage("--against needs rules: name a configuration or rule files".into()));
        }
        if let Some(pipe) = rules.iter().chain(&config).find(|path| policy_files::is_of_pipe(path)) {
            let why = format!(
                "--against reads what it checks once more, and {} is a pipe: write it to a file",
                pipe.display()
            );
            return Err(Failure::Usage(why));
        }
        let (source, _) = policy_files::read(config.as_deref(), &rules);
        let policy = recording::load(config.as_deref(), &rules)?;
        let sight = RefCell::new(Sight::new(&policy));
        let args = RecordingArgs { files: args.against.clone(), config, source: None };
        let see = |record: &Record<'_>| sight.borrow_mut().record(record);
        let (_, reading) = recording::read_seeing(policy.clone(), &args, None, see, |engine, now, effects| {
            replay::perfect_world(engine, now, effects, &mut |_, effect| {
                if let Effect::Report(Report::Alert(event)) = effect {
                    sight.borrow_mut().alert(event);
                }
            });
        })?;
        if reading.records == 0 {
            let why = reading.reasons.first().map_or("the files are empty", String::as_str);
            return Err(Failure::Usage(format!("--against: no record could be read: {why}")));
        }
        let file = |(path, text): &(String, String)| SourceFile::new(path, text.as_str());
        let files: Vec<SourceFile> = source.rules.iter().map(file).collect();
        let found = sight.borrow().faults(source.config.as_ref().map(file).as_ref(), &files);
        self.add(found);
        Ok(reading)
    }

    /// Two configurations may name one file with faults.
    fn add(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        for diagnostic in diagnostics {
            if !self.diagnostics.contains(&diagnostic) {
                self.diagnostics.push(diagnostic);
            }
        }
    }
}
