//! Tests of rules, written as small stories beside them: what happens to an agent, minute by
//! minute, and what the rules shall have said of it at which time.
//!
//! Here a `*.test.yaml` is read and checked; [`crate::rehearsal`] plays it. The runs of a story are
//! made so that they have exactly the values that the story names, and a value that no number of
//! runs can have is a fault of the file: a test that is nearly right proves nothing.

pub mod load;
mod mishap;
pub mod print;
mod run;
mod step;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::engine::event::{AlertState, Command};
use crate::model::{Dimension, Nanodollars, Outcome, Quality, Record, Severity, Span, Subject, Timestamp, Tokens};
use crate::settings::Settings;

/// A checked test file.
#[derive(Debug, Clone)]
pub struct StoryFile {
    /// Its path, for messages.
    pub path: String,
    /// The settings under which the stories are played.
    pub settings: Settings,
    /// The stories in their order.
    pub stories: Vec<Story>,
}

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// Its name.
    pub name: String,
    /// When it begins.
    pub start: Timestamp,
    /// How long it lasts.
    pub length: Span,
    /// What happens, each subject on its own.
    pub series: Vec<Series>,
    /// When receivers take nothing.
    pub outages: Vec<Outage>,
    /// What befalls evenkeel itself, in the order of time.
    pub mishaps: Vec<Mishap>,
    /// What the rules shall have said.
    pub states: Vec<StateCheck>,
    /// What receivers shall have got.
    pub messages: Vec<MessageCheck>,
    /// `file:line` where it stands.
    pub place: String,
}

/// What one subject does.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The labels of its runs.
    pub labels: BTreeMap<Dimension, String>,
    /// Its runs by the time since the start, in order.
    pub runs: Vec<(Span, Run)>,
}

impl Series {
    /// Its labels that the settings define.
    fn own_labels(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let own = self.labels.iter().filter(|(dimension, _)| matches!(dimension, Dimension::Custom(_)));
        own.map(|(dimension, value)| (dimension.as_str(), Cow::Borrowed(value.as_str())))
    }
}

/// One run of a story.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// Wall time in milliseconds.
    pub duration_ms: Option<f64>,
    /// Whether the duration was cut off.
    pub censored: bool,
    /// What it cost.
    pub cost: Option<Nanodollars>,
    /// Its tokens.
    pub tokens: Option<Tokens>,
    /// A judge's points.
    pub quality: Option<f32>,
    /// A hash of what it does.
    pub work: Option<u64>,
    /// Other numeric fields.
    pub fields: Vec<(String, f64)>,
}

/// A receiver that takes nothing for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The receiver's name.
    pub receiver: String,
    /// From when to when, since the start.
    pub during: Range<Span>,
}

/// Something that befalls evenkeel itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Mishap {
    /// Since the start.
    pub at: Span,
    /// As the engine is told.
    pub command: Command,
}

/// Which alerts a check is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whom {
    /// The rule's name.
    pub rule: String,
    /// Labels that the subject has.
    pub labels: BTreeMap<Dimension, String>,
}

impl Whom {
    /// Whether an alert of `rule` on `subject` is meant.
    pub fn means(&self, rule: &str, subject: &Subject) -> bool {
        self.rule == rule && self.labels.iter().all(|(d, value)| subject.get(d.as_str()) == Some(value))
    }
}

/// A state that is wanted at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct StateCheck {
    /// Since the start.
    pub at: Span,
    /// Of whom.
    pub whom: Whom,
    /// The state.
    pub state: Expected,
    /// The numbers wanted beside it.
    pub wanted: Wanted,
    /// `file:line` where it stands.
    pub place: String,
}

/// A state of a rule on a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// That of its alert.
    Alert(AlertState),
    /// The rule has no data to decide on, whatever its alert does.
    NoData,
}

impl Expected {
    /// The words of test files.
    pub const ALL: [Expected; 5] = [
        Expected::Alert(AlertState::Inactive),
        Expected::Alert(AlertState::Pending),
        Expected::Alert(AlertState::Firing),
        Expected::Alert(AlertState::Resolved),
        Expected::NoData,
    ];

    /// The word of test files.
    pub fn as_str(self) -> &'static str {
        match self {
            Expected::Alert(state) => state.as_str(),
            Expected::NoData => "no_data",
        }
    }
}

impl StateCheck {
    /// Whether it takes what the rule says of subjects without an alert.
    pub fn asks_the_rule(&self) -> bool {
        let numbers = self.wanted != Wanted::default();
        self.state == Expected::NoData || (self.state == Expected::Alert(AlertState::Inactive) && numbers)
    }
}

/// Messages that are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct MessageCheck {
    /// To whom; `None`: to any receiver.
    pub receiver: Option<String>,
    /// About what.
    pub whom: Whom,
    /// Firing or resolved.
    pub state: AlertState,
    /// How many.
    pub count: u64,
    /// When each was decided on, since the start; `None`: at any time.
    pub at: Option<Span>,
    /// The numbers wanted in each.
    pub wanted: Wanted,
    /// `file:line` where it stands.
    pub place: String,
}

/// Numbers that an alert shall show; compared as people see them, to three digits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// The value, in the base of its unit, and as it is written.
    pub value: Option<(f64, String)>,
    /// The threshold.
    pub threshold: Option<(f64, String)>,
    /// Samples in the window.
    pub n: Option<u64>,
    /// How bad the alert is.
    pub severity: Option<Severity>,
}

impl Story {
    /// Every run of the story as a record, in the order of time, then of the series.
    pub fn records(&self) -> Vec<Record<'_>> {
        let mut records: Vec<Record<'_>> = Vec::new();
        for series in &self.series {
            let label = |d| series.labels.get(&d).map(|text| text.as_str().into());
            for (at, run) in &series.runs {
                let source = series.labels.get(&Dimension::Source).map_or("story", String::as_str);
                let agent = series.labels.get(&Dimension::Agent).map_or("agent", String::as_str);
                records.push(Record {
                    model: label(Dimension::Model),
                    task_type: label(Dimension::TaskType),
                    workflow: label(Dimension::Workflow),
                    provider: label(Dimension::Provider),
                    tenant: label(Dimension::Tenant),
                    error_class: label(Dimension::ErrorClass).filter(|_| run.outcome != Outcome::Ok),
                    duration_ms: run.duration_ms,
                    censored: run.censored,
                    tokens: run.tokens,
                    cost: run.cost,
                    quality: run.quality.map(Quality),
                    work: run.work,
                    labels: series.own_labels().collect(),
                    extra: run.fields.iter().map(|(name, value)| (name.as_str(), *value)).collect(),
                    ..Record::new(source, agent, Some(self.start + *at), run.outcome)
                });
            }
        }
        records.sort_by_key(|record| record.at);
        records
    }
}
