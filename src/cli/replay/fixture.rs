//! `replay --fixture`: an alert of the recording as a test of its rule.

use std::collections::{BTreeSet, VecDeque};
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::super::output::plural;
use super::super::recording::{self, RecordingArgs};
use super::super::{Exit, Failure, Output};
use crate::engine::event::{AlertEvent, AlertState, Effect, Report};
use crate::model::Timestamp;
use crate::policy::Policy;
use crate::rehearsal::fixture::{RUNS, Selection, Taken};
use crate::replay;

/// What was made.
#[derive(Debug, Serialize)]
struct Made {
    file: PathBuf,
    rule: String,
    subject: String,
    alert: String,
    runs: usize,
    from: Timestamp,
    to: Timestamp,
}

/// Writes the test of the alert whose id begins with `start` to a file.
pub fn run(
    policy: Policy,
    start: &str,
    to: Option<PathBuf>,
    args: &RecordingArgs,
    out: &mut Output,
) -> Result<Exit, Failure> {
    if args.files.iter().any(|file| file.as_os_str() == "-") {
        return Err(Failure::Usage("--fixture reads the recording twice: name files, not standard input".into()));
    }
    let course = course(policy.clone(), start, args)?;
    let (alert, name) = (course[0].id.clone(), &course[0].rule);
    let rule = policy.rules.iter().find(|rule| rule.name == *name).expect("it fired");
    let of_rule = Path::new(rule.place.rsplit_once(':').map_or(rule.place.as_str(), |(file, _)| file));
    if !of_rule.exists() {
        let why = format!("`{name}` is a shipped rule: copy its file and name that with --rules, so that the test can");
        return Err(Failure::Usage(why));
    }
    let selection = Selection::new(rule, &course[0].subject).map_err(Failure::Usage)?;
    let end = course.last().map_or(Timestamp::MIN, |event| event.at);
    let taken = taken(&policy, &selection, end, args)?;
    let to = to.unwrap_or_else(|| PathBuf::from(format!("{name}-{}.test.yaml", &alert[..8])));
    if to.exists() {
        return Err(Failure::Usage(format!("{} is there already: name another file with --to", to.display())));
    }
    let rules = from(to.parent().unwrap_or(Path::new("")), of_rule);
    let fixture = selection.fixture(&policy.settings, &rules, &course, &taken);
    let fixture = fixture.map_err(|why| Failure::Usage(format!("alert {alert} makes no test: {why}")))?;
    std::fs::write(&to, &fixture.text)
        .map_err(|error| Failure::Machine(format!("cannot write {}: {error}", to.display())))?;
    let (rule, subject) = (name.clone(), course[0].subject.to_string());
    let made = Made { file: to, rule, subject, alert, runs: fixture.runs, from: fixture.from, to: fixture.to };
    if out.json {
        out.json(&made)?;
    } else {
        let runs = plural(made.runs, "run");
        writeln!(out, "{}: {runs} of {} from {} to {}", made.file.display(), made.subject, made.from, made.to)?;
        writeln!(out, "it passes: evenkeel test {}", made.file.display())?;
    }
    Ok(Exit::Ok)
}

/// Every change of state of the one alert that is meant.
fn course(policy: Policy, start: &str, args: &RecordingArgs) -> Result<Vec<AlertEvent>, Failure> {
    let mut course: Vec<AlertEvent> = Vec::new();
    recording::read(policy, args, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |_, effect| {
            if let Effect::Report(Report::Alert(event)) = effect
                && event.id.starts_with(start)
            {
                course.push(event.clone());
            }
        });
    })?;
    let ids: BTreeSet<&str> = course.iter().map(|event| event.id.as_str()).collect();
    if ids.len() > 1 {
        let why = format!("{} alerts have an id that begins with `{start}`; write more of it", ids.len());
        return Err(Failure::Usage(why));
    }
    if !course.iter().any(|event| event.state == AlertState::Firing) {
        let why = format!("no alert with an id that begins with `{start}` fired; `evenkeel replay` shows the ids");
        return Err(Failure::Usage(why));
    }
    Ok(course)
}

/// The newest runs up to the end that the alert could rest on, doubles left out.
fn taken(policy: &Policy, of: &Selection, end: Timestamp, args: &RecordingArgs) -> Result<Vec<Taken>, Failure> {
    let mut taken = VecDeque::new();
    let mut seen = BTreeSet::new();
    recording::scan(policy, args, |records| {
        for record in records.iter().filter(|record| record.at.is_some_and(|at| at <= end)) {
            let mut fresh = || record.id.is_none_or(|id| seen.insert(id));
            if let Some(run) = of.take(record).filter(|_| fresh()) {
                taken.push_back(run);
            }
            if taken.len() > RUNS + 1 {
                taken.pop_front();
            }
        }
    })?;
    Ok(taken.into())
}

/// How a file is named from a folder.
fn from(folder: &Path, file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let full = |path: &Path| {
        let path = here.join(path);
        path.canonicalize().unwrap_or(path)
    };
    let (folder, file) = (full(folder), full(file));
    let (from, to): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (folder.components().collect(), file.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from[common..].iter().map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(to[common..].iter().copied()).collect();
    path.to_string_lossy().into_owned()
}
