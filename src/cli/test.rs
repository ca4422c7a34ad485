//! `evenkeel test`: plays the tests beside the rules and says what they do not cover.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::ProgressBar;
use serde::Serialize;

use super::output::plural;
use super::{Exit, Failure, Output, junit};
use crate::diagnostic::{Diagnostic, Level, SourceFile, has_errors};
use crate::policy::Kind;
use crate::rehearsal::{self, coverage};
use crate::rule::left_out::LeftOut;
use crate::rule::load::Read;
use crate::rule::story::StoryFile;
use crate::rule::{self, Rule};
use crate::shell::policy_files;

const EXAMPLES: &str = "\
Examples:
  evenkeel test                        every *.test.yaml below this folder
  evenkeel test rules/mine.test.yaml   one file
  evenkeel test --junit report.xml     for a build server
  evenkeel test --strict               a rule without a test is a failure, too

A test is a story: what agents do, minute by minute, and which alerts and messages shall come of it.
docs/testing.md shows how to write one. The engine is that of `evenkeel run`.
Exit codes: 0 all tests pass, 1 some do not, 78 a file is wrong.";

/// Run the tests of rules, and say which rules and thresholds no test watches.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Test files, or folders with `*.test.yaml` files.
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,

    /// Only tests with this text in their name.
    #[arg(long, value_name = "TEXT")]
    run: Option<String>,

    /// Write the results as JUnit XML, too.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// Move thresholds by a tenth to see whether a test notices, however long it takes. Without
    /// this it is done when it is quick.
    #[arg(long)]
    mutate: bool,

    /// Rules without a test and thresholds that no test notices are failures.
    #[arg(long)]
    strict: bool,
}

/// Runs that the moving of thresholds may play without being asked for.
const CHEAP: usize = 3_000_000;

/// What became of one test.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// The test file.
    pub file: String,
    /// The test's name.
    pub name: String,
    /// `file:line`.
    pub place: String,
    /// What came out otherwise than wanted; empty when it passes.
    pub failures: Vec<rehearsal::Failure>,
}

/// All that is said.
#[derive(Debug, Default, Serialize)]
struct Summary {
    tests: Vec<Verdict>,
    passed: usize,
    failed: usize,
    /// Rules that no test asserts on.
    untested: Vec<String>,
    /// Thresholds that can move without a test noticing.
    unnoticed: Vec<String>,
    /// Moved thresholds that were tried; null when it would have taken long.
    moved: Option<usize>,
}

/// Rules and the test files about them.
struct Suite {
    rules: Vec<Rule>,
    /// Rules that the settings of the tests have nothing for.
    left_out: Vec<LeftOut>,
    files: Vec<StoryFile>,
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let (suites, diagnostics) = load(&args.paths);
    if has_errors(&diagnostics) {
        return Err(Failure::Configuration(diagnostics));
    }
    let mut summary = Summary::default();
    for suite in &suites {
        play(suite, &args, &mut summary);
        if args.run.is_none() {
            cover(suite, &args, &mut summary);
        }
    }
    if summary.tests.is_empty() {
        let why = match &args.run {
            Some(text) => format!("no test has `{text}` in its name"),
            None => "there is no test: a folder has none in files named *.test.yaml".to_owned(),
        };
        return Err(Failure::Usage(why));
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::report(&summary.tests))
            .map_err(|e| Failure::Machine(format!("cannot write {}: {e}", path.display())))?;
    }
    if out.json {
        out.json(&summary)?;
    } else {
        text(out, &summary)?;
    }
    let gaps = args.strict && !(summary.untested.is_empty() && summary.unnoticed.is_empty());
    Ok(if summary.failed > 0 || gaps { Exit::Finding } else { Exit::Ok })
}

/// Reads test files and the rules that they are about.
fn load(paths: &[PathBuf]) -> (Vec<Suite>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    // Other settings may make other rules of the same files.
    let mut suites: BTreeMap<(Vec<PathBuf>, String), Suite> = BTreeMap::new();
    let found: Vec<PathBuf> = paths.iter().flat_map(|path| policy_files::tests_of(path, &mut diagnostics)).collect();
    for path in found {
        // What is found below the working folder is named as one would type it.
        let path = path.strip_prefix("./").map_or(path.clone(), Path::to_owned);
        let file = match policy_files::read_file(&path) {
            Ok(file) => file,
            Err(fault) => {
                diagnostics.push(*fault);
                continue;
            }
        };
        let named = path.to_string_lossy().contains(".test.");
        if let Some(kind) = Kind::of(&file).filter(|kind| !named && *kind != Kind::Tests) {
            diagnostics.push(no_tests(&file, kind));
            continue;
        }
        let (named, Read { rules, left_out, diagnostics: faults }) = policy_files::rules_of_test(&file);
        let whole = !has_errors(&faults);
        let (story, also) = rule::story::load::load_beside(&file, &rules, &left_out, whole);
        // The rules have their own check; here only what stops the tests counts.
        diagnostics.extend(faults.into_iter().filter(|fault| fault.level == Level::Error));
        diagnostics.extend(also);
        let settings = rule::story::load::settings_of(&file);
        let under = format!("{:?}{:?}{:?}", settings.evaluation_interval, settings.labels(), settings.budgets);
        let suite = suites.entry((named, under)).or_insert_with(|| Suite { rules, left_out, files: Vec::new() });
        suite.files.extend(story);
    }
    (suites.into_values().collect(), diagnostics)
}

/// That a file holds something else than tests, and where those of it are or belong.
fn no_tests(file: &SourceFile, kind: Kind) -> Diagnostic {
    let path = Path::new(&file.path);
    let what = match kind {
        Kind::Rules => "alert rules",
        Kind::Config => "a configuration",
        Kind::Profile => "a model profile",
        Kind::Prices | Kind::Tests => "prices",
    };
    let own = path.with_extension("test.yaml");
    let help = match kind {
        Kind::Rules if own.exists() => format!("its tests are run by `evenkeel test {}`", own.display()),
        Kind::Rules => format!(
            "write its tests to {}, as docs/testing.md shows; `evenkeel replay --fixture` makes one of an alert",
            own.display()
        ),
        _ => "name a file of tests, *.test.yaml, or a folder with such files".to_owned(),
    };
    Diagnostic::of_file(Level::Error, &file.path, format!("the file holds {what} and no `tests:`"), help)
}

fn play(suite: &Suite, args: &Args, summary: &mut Summary) {
    for file in &suite.files {
        let policy = Arc::new(rehearsal::policy(file, suite.rules.clone()));
        let wanted = |name: &str| args.run.as_ref().is_none_or(|text| name.contains(text.as_str()));
        for story in file.stories.iter().filter(|story| wanted(&story.name)) {
            let failures = rehearsal::play(&policy, story);
            summary.passed += usize::from(failures.is_empty());
            summary.failed += usize::from(!failures.is_empty());
            let (name, place) = (story.name.clone(), story.place.clone());
            summary.tests.push(Verdict { file: file.path.clone(), name, place, failures });
        }
    }
}

fn cover(suite: &Suite, args: &Args, summary: &mut Summary) {
    let stories = || suite.files.iter().flat_map(|file| &file.stories);
    let asserted = coverage::asserted(stories());
    let untested = suite.rules.iter().filter(|rule| !asserted.contains(rule.name.as_str()));
    summary.untested.extend(untested.map(|rule| format!("{} ({})", rule.name, rule.place)));
    let left_out = suite.left_out.iter();
    summary.untested.extend(left_out.map(|left| format!("{} ({}), left out: {}", left.rule, left.place, left.why)));
    if summary.failed > 0 {
        return;
    }
    let mut mutants = coverage::mutants(&suite.rules);
    mutants.retain(|mutant| asserted.contains(suite.rules[mutant.rule].name.as_str()));
    let runs: usize = stories().flat_map(|story| &story.series).map(|series| series.runs.len()).sum();
    let cost: usize = mutants.len().saturating_mul(runs / suite.rules.len().max(1));
    if !args.mutate && cost > CHEAP {
        return;
    }
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(mutants.len() as u64).with_message("moving thresholds")
    } else {
        ProgressBar::hidden()
    };
    *summary.moved.get_or_insert(0) += mutants.len();
    for mutant in &mutants {
        if !mutant.noticed(&suite.rules, &suite.files) {
            summary.unnoticed.push(mutant.describe(&suite.rules));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
}

fn text(out: &mut Output, summary: &Summary) -> Result<(), Failure> {
    for test in &summary.tests {
        let word = if test.failures.is_empty() { out.green("ok  ") } else { out.red("FAIL") };
        writeln!(out, "{word}  {}: {}", test.file, test.name)?;
        for failure in &test.failures {
            writeln!(out, "      {}  {}", failure.place, out.bold(&failure.about))?;
            writeln!(out, "        expected  {}", failure.expected)?;
            writeln!(out, "        found     {}", failure.found)?;
            for line in &failure.timeline {
                writeln!(out, "        {}", out.dim(line))?;
            }
        }
    }
    writeln!(out)?;
    for rule in &summary.untested {
        writeln!(out, "{} no test asserts on the rule {rule}", out.yellow("untested:"))?;
    }
    for mutant in &summary.unnoticed {
        writeln!(out, "{} {mutant}", out.yellow("no test notices:"))?;
    }
    let count = plural(summary.tests.len(), "test");
    let line = format!("{count}, {} passed, {} failed", summary.passed, summary.failed);
    writeln!(out, "{}", if summary.failed > 0 { out.red(line) } else { out.green(line) })?;
    match summary.moved {
        Some(0) => {}
        Some(n) => {
            let noticed = n - summary.unnoticed.len();
            writeln!(out, "{} moved by 10%, {noticed} noticed", plural(n, "threshold"))?;
        }
        None if summary.failed > 0 => {}
        None => writeln!(out, "thresholds were not moved: --mutate does it, however long it takes")?,
    }
    Ok(())
}
