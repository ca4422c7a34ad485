//! Makes a test of an alert that fired in a recording: the runs that led to it, and what the rule said.
//!
//! How far back a rule's memory reaches is not computed but tried: the stretch before the alert grows,
//! from the window on, until the story plays as the recording did. What is handed out has been played.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::against::label;
use super::{play, policy};
use crate::diagnostic::SourceFile;
use crate::engine::event::{AlertEvent, AlertState};
use crate::model::{Dimension, Record, Span, Subject, Timestamp, Tokens};
use crate::rule::story::load::{self, LENGTH_LIMIT, QUIET_LIMIT};
use crate::rule::story::{Expected, MessageCheck, Run, Series, StateCheck, Story, Wanted, Whom, print};
use crate::rule::{Input, Rule, Takes};
use crate::settings::Settings;

/// The most runs of a fixture: what a person still opens in an editor.
pub const RUNS: usize = 50_000;

/// A run of the recording, as far as the rule can see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    at: Timestamp,
    labels: BTreeMap<Dimension, String>,
    run: Run,
}

/// Which runs of a recording an alert rests on.
#[derive(Debug)]
pub struct Selection {
    rule: Rule,
    subject: Subject,
    keep: BTreeSet<Dimension>,
    /// Others count too.
    peers: bool,
}

/// A test that passes.
#[derive(Debug)]
pub struct Fixture {
    /// The text of the test file.
    pub text: String,
    /// Runs in it.
    pub runs: usize,
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub to: Timestamp,
}

impl Selection {
    /// The runs that `rule` saw of `subject`; otherwise why they do not tell its story.
    pub fn new(rule: &Rule, subject: &Subject) -> Result<Selection, String> {
        let name = &rule.name;
        if rule.budget.is_some() {
            return Err(format!(
                "`{name}` reads a budget, whose use began long before the alert: write its test by hand"
            ));
        }
        let mut keep: BTreeSet<Dimension> = rule.by.iter().copied().collect();
        keep.extend(rule.filter.iter().map(|matcher| matcher.dimension));
        let elsewhere = match rule.takes() {
            Takes::Executions => None,
            Takes::Works => {
                Some("what runs repeat, which a made test does not keep: write its test with `repeat_ratio`")
            }
            Takes::Deliveries => Some("deliveries, which are in no recording: write its test with `outages`"),
            Takes::Alerts => Some("alerts of other rules: make tests of those, and write its own by hand"),
            Takes::Parts => Some("evenkeel itself, which is in no recording: write its test with `parts`"),
        };
        if let Some(elsewhere) = elsewhere {
            return Err(format!("`{name}` watches {elsewhere}"));
        }
        let reads = |wanted: fn(&Input) -> bool| rule.program.inputs.iter().any(wanted);
        let peers = reads(|input| matches!(input, Input::Peers(_) | Input::Score | Input::PeersScore));
        keep.insert(Dimension::Agent);
        if peers {
            keep.extend([Dimension::TaskType, Dimension::Model]);
        }
        Ok(Selection { rule: rule.clone(), subject: subject.clone(), keep, peers })
    }

    /// The run of a record, if it is one of them.
    pub fn take(&self, record: &Record<'_>) -> Option<Taken> {
        let at = record.at?;
        let of_subject = |d: &Dimension| self.subject.get(d.as_str()).unwrap_or_default() == label(record, *d);
        let mine = self.rule.filter.iter().all(|matcher| matcher.matches(label(record, matcher.dimension)))
            && (self.peers || self.rule.by.iter().all(of_subject));
        if !mine {
            return None;
        }
        let labels = self.keep.iter().map(|d| (*d, label(record, *d).to_owned())).filter(|(_, text)| !text.is_empty());
        let run = Run {
            work: None,
            outcome: record.outcome,
            duration_ms: record.duration_ms,
            censored: record.censored,
            cost: record.cost,
            // Rules do not tell cached input from other.
            tokens: record.tokens.map(|t| Tokens {
                input: t.total() - t.output,
                output: t.output,
                ..Tokens::default()
            }),
            quality: record.quality.map(|quality| quality.0),
            fields: record.extra.iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        Some(Taken { at, labels: labels.collect(), run })
    }

    /// A test of the alert whose changes of state are `course`, made of `taken`, in the order of the
    /// recording; otherwise why there is none. `rules` is what the test file calls the file of the rule.
    pub fn fixture(
        &self,
        settings: &Settings,
        rules: &str,
        course: &[AlertEvent],
        taken: &[Taken],
    ) -> Result<Fixture, String> {
        let (Some(first), Some(last)) = (course.first(), course.last()) else {
            return Err("the alert has no changes of state".to_owned());
        };
        let step = settings.evaluation_interval;
        // Of `silence` the last run may lie long before the window.
        let of_subject = |t: &&Taken| {
            let own = |d: &Dimension| t.labels.get(d).map(String::as_str).unwrap_or_default();
            self.rule.by.iter().all(|d| self.subject.get(d.as_str()).unwrap_or_default() == own(d))
        };
        let before = taken.iter().filter(|taken| taken.at <= first.active_since).filter(of_subject);
        let Some(before) = before.map(|taken| taken.at).max() else {
            return Err(format!("the recording has no run of {} before it that the rule could see", self.subject));
        };
        let mut lead = Span(self.rule.reach().0 + 2 * step.0);
        let mut why = String::new();
        loop {
            let begin = before.min(first.active_since - lead);
            let all = taken.first().is_none_or(|taken| taken.at >= begin);
            let begin = if all { taken.first().map_or(begin, |taken| taken.at.min(begin)) } else { begin };
            let start = Timestamp(begin.0.div_euclid(step.0) * step.0);
            let runs: Vec<&Taken> = taken.iter().filter(|t| t.at >= start && t.at <= last.at).collect();
            let length = last.at.since(start);
            if runs.len() > RUNS || length > LENGTH_LIMIT {
                let limit = format!("{RUNS} runs and {LENGTH_LIMIT}");
                return Err(format!("it takes more than a test may hold ({limit}) to come to the same decision{why}"));
            }
            let quiet = runs.iter().map(|taken| taken.at).max().map_or(length, |newest| last.at.since(newest));
            if quiet > QUIET_LIMIT {
                return Err(format!(
                    "it ends {quiet} after the last run, and a test goes on for {QUIET_LIMIT} at most"
                ));
            }
            let count = runs.len();
            for messages in [true, false] {
                let story = self.story(start, step, course, &runs, messages);
                let text = self.text(settings, rules, &story);
                match self.played(&text)? {
                    None => return Ok(Fixture { text, runs: count, from: start, to: last.at }),
                    Some(failure) => why = format!("; with {lead} before it, {failure}"),
                }
            }
            if all {
                return Err(format!("the runs of {} alone do not lead to the same decision{why}", self.subject));
            }
            lead = Span(lead.0 * 2);
        }
    }

    fn text(&self, settings: &Settings, rules: &str, story: &Story) -> String {
        let mut own = Vec::new();
        if settings.evaluation_interval != Settings::default().evaluation_interval {
            own.push(("evaluation_interval", settings.evaluation_interval.to_string()));
        }
        let labels: Vec<String> = settings.labels().iter().map(|label| format!("{0}: {0}", label.as_str())).collect();
        if !labels.is_empty() {
            // All of them: their order is part of how rules find them.
            let labels = labels.join(", ");
            own.push(("sources", format!("[{{name: story, path: story.jsonl, labels: {{{labels}}}}}]")));
        }
        let head = "Made of a recording by `evenkeel replay --fixture`. What the rule does not read is left out.\n\
                    `evenkeel test` plays it.";
        print::print(head, &[rules.to_owned()], &own, story)
    }

    /// Plays the text as `evenkeel test` does; the first thing that comes out otherwise.
    fn played(&self, text: &str) -> Result<Option<String>, String> {
        let rules = vec![self.rule.clone()];
        let (file, faults) = load::load(&SourceFile::new("fixture.test.yaml", text), &rules);
        let Some(file) = file else {
            let faults: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
            return Err(format!("the story cannot be read back: {}", faults.join("; ")));
        };
        let policy = Arc::new(policy(&file, rules));
        let failed = file.stories.iter().flat_map(|story| play(&policy, story)).next();
        Ok(failed.map(|failure| format!("it is {} instead of {}", failure.found, failure.expected)))
    }

    fn story(&self, start: Timestamp, step: Span, course: &[AlertEvent], runs: &[&Taken], messages: bool) -> Story {
        let mut series: BTreeMap<&BTreeMap<Dimension, String>, Vec<(Span, Run)>> = BTreeMap::new();
        for taken in runs {
            series.entry(&taken.labels).or_default().push((taken.at.since(start), taken.run.clone()));
        }
        let by = self.rule.by.iter().filter_map(|d| Some((*d, self.subject.get(d.as_str())?.to_owned())));
        let whom = Whom { rule: self.rule.name.clone(), labels: by.collect() };
        let state = |at: Timestamp, state, wanted| StateCheck {
            at: at.since(start),
            whom: whom.clone(),
            state: Expected::Alert(state),
            wanted,
            place: String::new(),
        };
        let mut states = Vec::new();
        if let Some(first) = course.first().filter(|first| first.at - step >= start) {
            states.push(state(first.at - step, AlertState::Inactive, Wanted::default()));
        }
        let mut told = Vec::new();
        for event in course {
            if event.state == AlertState::Resolved {
                states.push(state(event.at - step, AlertState::Firing, Wanted::default()));
            }
            // Of an end that was seen at an evaluation between others' times only the state is sure.
            let wanted = if event.state == AlertState::Firing { numbers(event) } else { Wanted::default() };
            states.push(state(event.at, event.state, wanted.clone()));
            if matches!(event.state, AlertState::Firing | AlertState::Resolved) && event.muted.is_none() {
                told.push(MessageCheck {
                    receiver: None,
                    whom: whom.clone(),
                    state: event.state,
                    count: 1,
                    at: Some(event.at.since(start)),
                    wanted,
                    place: String::new(),
                });
            }
        }
        let lead = course.iter().find(|event| event.state == AlertState::Firing).or(course.first());
        let fired = lead.map_or_else(String::new, |event| format!(" fired at {}", event.at));
        Story {
            name: format!("{} on {}{fired}", self.rule.name, self.subject),
            start,
            length: Span::ZERO,
            series: series.into_iter().map(|(labels, runs)| Series { labels: labels.clone(), runs }).collect(),
            outages: Vec::new(),
            mishaps: Vec::new(),
            states,
            messages: if messages { told } else { Vec::new() },
            place: String::new(),
        }
    }
}

/// The numbers of an alert, as people write them where that says the same.
fn numbers(event: &AlertEvent) -> Wanted {
    let written = |value: f64| {
        let shown = event.unit.show(value);
        let read = load::quantity(&shown).map(|(read, _)| read);
        let same = read.is_some_and(|read| event.unit.show(read) == shown);
        if same { shown } else { value.to_string() }
    };
    let number = |value: Option<f64>| value.filter(|value| *value >= 0.0).map(|value| (value, written(value)));
    Wanted {
        value: number(event.value),
        threshold: number(event.threshold),
        n: Some(event.n),
        severity: Some(event.severity),
    }
}
