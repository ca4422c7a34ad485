//! Recorded executions for the verbs that look at files: which policy, which mapping, which order.

use std::fs::File;
use std::io::{IsTerminal as _, Read, Write as _};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};

use super::remote::CONFIG;
use super::{Failure, Output};
use crate::engine::event::Effect;
use crate::engine::{Engine, State};
use crate::model::{Record, Span, Timestamp};
use crate::policy::Policy;
use crate::replay;
use crate::settings::{Mapping, Source};
use crate::shell::policy_files;
use crate::shell::source::pattern;
use crate::wire::document::{Batch, Document, DocumentError};
use crate::wire::execution::Reader;

/// Which recording a verb looks at, and under which policy.
#[derive(Debug, Clone, clap::Args)]
pub struct RecordingArgs {
    /// Files of executions: JSON lines, or one JSON array. `-` is standard input; without any, the
    /// files of the configuration's sources are read (`why` and `alerts` ask the running daemon).
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// The configuration; its sources say how fields are named. By default EVENKEEL_CONFIG, else
    /// evenkeel.yaml of this folder, which standard error tells; without any the defaults hold and
    /// scores look at the whole recording.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The source of the configuration whose field mapping applies; by default the one whose path
    /// matches the file, else the only one.
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
}

/// What was read.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Reading {
    /// Lines or elements that became records.
    pub records: u64,
    /// Lines that could not.
    pub rejected: u64,
    /// The first of them with their reasons, `file:line: reason`.
    pub reasons: Vec<String>,
    /// Bytes read.
    pub bytes: u64,
}

/// Bytes that are read while others are decided on: enough that on a busy machine the two threads seldom wait for each
/// other to be let run.
const AHEAD: usize = 1 << 20;

/// Reasons kept for show.
const REASONS: usize = 5;

/// The configuration that EVENKEEL_CONFIG names.
pub fn of_environment() -> Option<PathBuf> {
    std::env::var_os("EVENKEEL_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from)
}

/// The configuration that holds where none is named: that of the environment, else of this folder.
pub fn at_hand() -> Option<PathBuf> {
    of_environment().or_else(|| Some(PathBuf::from(CONFIG)).filter(|path| path.exists()))
}

/// The policy of a verb that looks at files.
pub fn policy(config: Option<&Path>, rules: &[PathBuf]) -> Result<Policy, Failure> {
    let found = config.is_none().then(at_hand).flatten();
    if let Some(found) = &found {
        writeln!(Output::stderr(false), "under {}; --config names another configuration", found.display())?;
    }
    let config = config.or(found.as_deref());
    let policy = load(config, rules)?;
    if !rules.is_empty() && policy.rules.is_empty() && policy.left_out.is_empty() {
        let paths: Vec<String> = rules.iter().map(|path| path.display().to_string()).collect();
        let paths = paths.join(", ");
        return Err(Failure::Usage(format!(
            "there is no rule in {paths}: name files of rules, which have `alerts:` or `slos:`"
        )));
    }
    for left in &policy.left_out {
        writeln!(Output::stderr(false), "warning: {}: the rule `{}` is left out: {}", left.place, left.rule, left.why)?;
    }
    Ok(policy)
}

/// [`policy`] of a verb that says by itself what is left out, under this configuration and no other.
pub fn load(config: Option<&Path>, rules: &[PathBuf]) -> Result<Policy, Failure> {
    let mut policy = policy_files::load(config, rules).map_err(Failure::Configuration)?.policy;
    if config.is_none() {
        // A recording is looked at whole unless somebody said otherwise.
        policy.settings.scores.window = Span::days(3_650);
    }
    Ok(policy)
}

/// Feeds every file into a new engine, as history or as it would have been handled live.
pub fn read(
    policy: Policy,
    args: &RecordingArgs,
    on_effects: impl FnMut(&mut Engine, Timestamp, Vec<Effect>),
) -> Result<(Engine, Reading), Failure> {
    read_until(policy, args, None, on_effects)
}

/// [`read`], but only what happened before `until`, which is where the clock ends.
pub fn read_until(
    policy: Policy,
    args: &RecordingArgs,
    until: Option<Timestamp>,
    on_effects: impl FnMut(&mut Engine, Timestamp, Vec<Effect>),
) -> Result<(Engine, Reading), Failure> {
    read_seeing(policy, args, until, |_| (), on_effects)
}

/// [`read_until`], with a look at every record before it is fed.
pub fn read_seeing(
    policy: Policy,
    args: &RecordingArgs,
    until: Option<Timestamp>,
    mut see: impl FnMut(&Record<'_>),
    mut on_effects: impl FnMut(&mut Engine, Timestamp, Vec<Effect>),
) -> Result<(Engine, Reading), Failure> {
    let policy = Arc::new(policy);
    let mut engine = Engine::new(policy.clone(), State::default());
    // One record of next century must not age all others out of their windows.
    let latest = Timestamp(jiff::Timestamp::now().as_millisecond()) + Span::days(1);
    let fields = engine.fields().to_vec();
    let reading = each(&policy, args, &fields, |records| {
        records.retain(|record| until.is_none_or(|end| record.at.is_none_or(|at| at < end)));
        records.iter().for_each(&mut see);
        replay::feed_awake(&mut engine, records, Timestamp::MIN..=latest, &mut on_effects);
    })?;
    match until {
        Some(end) => replay::wake(&mut engine, end, &mut on_effects),
        None => replay::finish(&mut engine, &mut on_effects),
    }
    Ok((engine, reading))
}

/// Shows every record to `see`, in the order of the files, without an engine.
pub fn scan(policy: &Policy, args: &RecordingArgs, mut see: impl FnMut(&[Record<'_>])) -> Result<Reading, Failure> {
    let engine = Engine::new(Arc::new(policy.clone()), State::default());
    each(policy, args, engine.fields(), |records| see(records))
}

fn each(
    policy: &Policy,
    args: &RecordingArgs,
    fields: &[String],
    mut see: impl FnMut(&mut Vec<Record<'_>>),
) -> Result<Reading, Failure> {
    let files = files(policy, args)?;
    let bar = progress(&files);
    let mut reading = Reading::default();
    for file in &files {
        let source = source(policy, args, file)?;
        let reader = Reader::new(&source, &policy.prices, fields)
            .map_err(|e| Failure::Usage(e.to_string()))?
            .with_line_limit(policy.settings.limits.line_bytes);
        let stem = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let input = open(file)?;
        let mut take = |mut batch: Batch<'_>| {
            bar.inc(batch.bytes.len() as u64);
            reading.bytes += batch.bytes.len() as u64;
            reading.records += batch.chunk.records.len() as u64;
            reading.rejected += batch.chunk.rejected.len() as u64;
            for rejected in &batch.chunk.rejected {
                if reading.reasons.len() < REASONS {
                    let line = batch.first + rejected.line as u64;
                    reading.reasons.push(format!("{}:{line}: {}", file.display(), rejected.reason));
                }
            }
            see(&mut batch.chunk.records);
        };
        ahead(&reader, input, &stem, &mut take)
            .map_err(|e| Failure::Machine(format!("cannot read {}: {e}", file.display())))?;
    }
    bar.finish_and_clear();
    Ok(reading)
}

/// Shows every batch of a document to `take`, in its order, while another thread reads the one after it. A batch
/// borrows from the text that it was read from, so there are two buffers, and each is taken before it is read into again.
fn ahead(
    reader: &Reader,
    input: impl Read + Send,
    stem: &str,
    take: &mut impl FnMut(Batch<'_>),
) -> Result<(), DocumentError> {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let mut document = Document::open(input, AHEAD)?;
    let mut batch = document.next(reader, stem, &mut one)?;
    while let Some(first) = batch {
        let Some(second) = beside(|| document.next(reader, stem, &mut other), || take(first))? else { break };
        batch = beside(|| document.next(reader, stem, &mut one), || take(second))?;
    }
    Ok(())
}

/// Does two things at the same time, `here` in this thread; what `there` gives.
fn beside<T: Send>(there: impl FnOnce() -> T + Send, here: impl FnOnce()) -> T {
    thread::scope(|scope| {
        let there = scope.spawn(there);
        here();
        there.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// The files that are named, or those of the configuration's sources that are there.
fn files(policy: &Policy, args: &RecordingArgs) -> Result<Vec<PathBuf>, Failure> {
    if !args.files.is_empty() {
        return Ok(args.files.clone());
    }
    let Some(config) = args.config.clone().or_else(at_hand) else {
        let why = format!(
            "no FILE is given, and there is no {CONFIG} in this folder: name the executions to look at, - for standard \
             input, or a configuration by --config"
        );
        return Err(Failure::Usage(why));
    };
    let sources = match &args.source {
        Some(_) => vec![source(policy, args, Path::new("-"))?],
        None => policy.settings.sources.clone(),
    };
    let mut files = Vec::new();
    for source in &sources {
        let found = pattern::matching(&source.path);
        files.extend(found.map_err(|e| Failure::Usage(format!("cannot list {}: {e}", source.path.display())))?);
    }
    if files.is_empty() {
        return Err(Failure::Usage(nothing_there(&config, &sources)));
    }
    Ok(files)
}

/// Where executions were looked for, and what to do.
fn nothing_there(config: &Path, sources: &[Source]) -> String {
    let config = config.display();
    if sources.is_empty() {
        return format!(
            "no FILE is given, and {config} has no `sources`: name the executions to look at, or add a source"
        );
    }
    let looked: Vec<String> =
        sources.iter().map(|source| format!("{} (source `{}`)", source.path.display(), source.name)).collect();
    format!(
        "no FILE is given, and nothing is there yet where {config} has its sources: {}; name the executions to look at, \
         or mend `path`",
        looked.join(", ")
    )
}

fn open(file: &Path) -> Result<Box<dyn Read + Send>, Failure> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    let input = File::open(file).map_err(|e| Failure::Usage(format!("cannot open {}: {e}", file.display())))?;
    if input.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(Failure::Usage(format!("{} is a directory: name the files in it", file.display())));
    }
    Ok(Box::new(input))
}

/// The source whose mapping a file is read with.
fn source(policy: &Policy, args: &RecordingArgs, file: &Path) -> Result<Source, Failure> {
    let sources = &policy.settings.sources;
    if let Some(name) = &args.source {
        let names = || match sources.is_empty() {
            true => "it has none; --config names one that has it".to_owned(),
            false => format!("it has {}", sources.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ")),
        };
        return sources
            .iter()
            .find(|s| s.name == *name)
            .cloned()
            .ok_or_else(|| Failure::Usage(format!("there is no source `{name}` in the configuration: {}", names())));
    }
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let means = |s: &&Source| pattern::matching(&s.path).unwrap_or_default().iter().any(|p| real(p) == real(file));
    let matching = sources.iter().find(means);
    let stem = || file.file_stem().map_or_else(|| "stdin".to_owned(), |s| s.to_string_lossy().into_owned());
    Ok(match (matching, sources.as_slice()) {
        (Some(source), _) | (None, [source]) => source.clone(),
        _ => Source { name: stem(), path: file.to_owned(), mapping: Mapping::default() },
    })
}

/// A bar on standard error where a person looks; nothing elsewhere.
fn progress(files: &[PathBuf]) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let total = files.iter().filter_map(|f| std::fs::metadata(f).ok()).map(|m| m.len()).sum();
    let style = ProgressStyle::with_template("reading {bar:30} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}");
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
