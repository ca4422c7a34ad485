//! `evenkeel why`: why a rule fires on a subject at a time, or does not, and who is told.

mod picture;
mod show;

use std::collections::VecDeque;
use std::path::PathBuf;

use super::recording::{self, RecordingArgs};
use super::remote::{self, Call, DaemonArgs};
use super::{Exit, Failure, Output};
use crate::engine::Engine;
use crate::engine::inspect::{Inspection, Point};
use crate::model::{Span, Timestamp, Unit};
use crate::replay;

const EXAMPLES: &str = "\
Examples:
  evenkeel why error_burst reviewer                     of the running daemon, now
  evenkeel why error_burst reviewer runs.jsonl          at the end of a recording
  evenkeel why error_burst agent=reviewer --at 2026-03-05T14:30:00Z runs.jsonl
  evenkeel why cost_jump reviewer --at 2026-03-05T14:30:00Z
                                             in the files of the configuration's sources

It shows the condition with a value at every node, the samples in its window, how far `for` has
come, what holds messages back (silence, maintenance, inhibition, hours, shadow, flapping,
acknowledgement, flood; with author and end), the routes, and when each receiver is told next.

The daemon only knows the present: with --at, --rules or FILEs the same engine plays a recording.
It is replayed with today's rules; receivers are assumed to take everything. What a receiver did
take is in the table `deliveries` of evenkeel.db.
Exit codes: 0 the rule does not hold, 1 it holds, 2 there is no data, 64 no such rule or subject,
74 no daemon answers.";

/// Show why a rule fires on a subject, or does not, and who is told when.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The rule's name.
    rule: String,

    /// Whom: `agent=reviewer`, several labels with a comma between them, or the value of a label alone;
    /// `fleet` for a rule that is not split.
    subject: String,

    #[command(flatten)]
    recording: RecordingArgs,

    /// The time, as RFC 3339.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// Rule files or folders, instead of those of the configuration.
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
}

/// Runs the verb.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let live = args.recording.files.is_empty() && args.at.is_none() && args.rules.is_empty();
    let daemon = live.then(|| DaemonArgs::of(args.recording.config.as_deref()));
    let inspection = match &daemon {
        Some(daemon) => of_daemon(daemon, &args)?,
        None => of_recording(&args)?,
    };
    if out.json {
        out.json(&inspection)?;
    } else {
        show::text(out, &inspection)?;
        daemon.map_or(Ok(()), |daemon| daemon.notes(out))?;
    }
    Ok(match inspection.holds {
        Some(true) => Exit::Finding,
        Some(false) => Exit::Ok,
        None => Exit::NotEnoughData,
    })
}

fn of_daemon(daemon: &DaemonArgs, args: &Args) -> Result<Inspection, Failure> {
    let path = remote::query("/api/v1/why", &[("rule", &args.rule), ("subject", &args.subject)]);
    remote::read(daemon.call(&path, Call::Get).map_err(remote::or_files)?)
}

fn of_recording(args: &Args) -> Result<Inspection, Failure> {
    let at = match &args.at {
        Some(text) => Some(Timestamp::parse(text, &jiff::tz::TimeZone::UTC).ok_or_else(|| {
            Failure::Usage(format!("--at is `{text}`, not a time: write it like 2026-03-05T14:30:00Z"))
        })?),
        None => None,
    };
    let mut recording = args.recording.clone();
    if recording.files.is_empty() && recording.config.is_none() {
        recording.config = Some(DaemonArgs::of(None).config().to_owned());
    }
    let policy = recording::policy(recording.config.as_deref(), &args.rules)?;
    let mut past = Past::new(&policy, args, at);
    let (engine, _) = recording::read_until(policy, &recording, at, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |_, _| {});
        past.look(engine, now);
    })?;
    let now = engine.now().unwrap_or_default();
    let mut inspection = engine.why(now, &args.rule, &args.subject).map_err(Failure::Usage)?;
    // Of several comparisons those that measure something else are left out.
    let alike = |(point, unit): (Point, Unit)| (point.value.is_none() || unit == inspection.unit).then_some(point);
    let history = past.points.into_iter().filter_map(alike).collect();
    (inspection.history, inspection.history_note, inspection.replayed) = (history, String::new(), true);
    Ok(inspection)
}

/// The value in the time before, as the rule saw it then.
struct Past<'a> {
    rule: &'a str,
    subject: &'a str,
    /// Where the subject is, once it is there.
    place: Option<(usize, usize)>,
    from: Timestamp,
    spacing: Span,
    points: VecDeque<(Point, Unit)>,
}

impl<'a> Past<'a> {
    fn new(policy: &crate::policy::Policy, args: &'a Args, at: Option<Timestamp>) -> Past<'a> {
        let rule = policy.rules.iter().find(|rule| rule.name == args.rule);
        let reach = rule.map_or(Span::ZERO, |rule| Span(2 * rule.reach().0 + 2 * rule.hold.0));
        let spacing = Span((reach.0 / picture::COLUMNS as i64).max(policy.settings.evaluation_interval.0));
        let from = at.map_or(Timestamp::MIN, |at| at - Span(spacing.0 * picture::COLUMNS as i64));
        Past { rule: &args.rule, subject: &args.subject, place: None, from, spacing, points: VecDeque::new() }
    }

    fn look(&mut self, engine: &Engine, now: Timestamp) {
        let soon = self.points.back().is_some_and(|(last, _)| now.since(last.at) < self.spacing);
        if now < self.from || soon {
            return;
        }
        self.place = self.place.or_else(|| engine.find(self.rule, self.subject).ok());
        let Some((rule, series)) = self.place else { return };
        if self.points.len() == picture::COLUMNS {
            self.points.pop_front();
        }
        self.points.push_back(engine.point(now, rule, series));
    }
}
