//! Plays tests of rules on the real engine and says what came out otherwise than it was wanted.
//!
//! Time passes here as in the daemon: the engine is woken at its own deadlines and records come one
//! by one, so that a test sees the decisions of a live run. Nothing is decided here.

pub mod against;
pub mod coverage;
pub mod fixture;
mod judge;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::event::{AlertEvent, Attempt, Delivery, Effect, Event, Report};
use crate::engine::verdicts::Said;
use crate::engine::{Engine, State};
use crate::model::{Span, Timestamp};
use crate::policy::Policy;
use crate::replay;
use crate::rule::Rule;
use crate::rule::story::{Story, StoryFile};

/// A wish of a test that did not come true.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Failure {
    /// `file:line` of the expectation.
    pub place: String,
    /// The rule and whom.
    pub about: String,
    /// What was wanted.
    pub expected: String,
    /// What came.
    pub found: String,
    /// State over time, one text per subject; empty for messages.
    pub timeline: Vec<String>,
}

/// What happened in a story.
#[derive(Debug, Default)]
struct Course {
    /// Pending and firing alerts at the times of the checks, in their order.
    seen: Vec<Vec<AlertEvent>>,
    /// What the rule of a check says of every subject then, where the check asks for it.
    said: Vec<Vec<Said>>,
    /// Every change of state.
    transitions: Vec<AlertEvent>,
    /// Every message by its first attempt.
    messages: Vec<Delivery>,
}

/// The policy under which a file's stories are played with these rules.
pub fn policy(file: &StoryFile, rules: Vec<Rule>) -> Policy {
    Policy { settings: file.settings.clone(), rules, ..Policy::default() }
}

/// Plays a story; what came out otherwise, in the order of the file.
pub fn play(policy: &Arc<Policy>, story: &Story) -> Vec<Failure> {
    let looks: Vec<Look<'_>> = story
        .states
        .iter()
        .map(|check| (story.start + check.at, check.asks_the_rule().then_some(check.whom.rule.as_str())))
        .collect();
    let course = run(policy, story, &looks);
    judge::failures(story, &course, |check| judge::timeline(policy, story, check))
}

/// When to look, and which rule is asked then.
type Look<'a> = (Timestamp, Option<&'a str>);

/// Lets the story happen and looks at the alerts at each of `looks`.
fn run(policy: &Arc<Policy>, story: &Story, looks: &[Look<'_>]) -> Course {
    let mut engine = Engine::new(policy.clone(), State::default());
    let (seen, said) = (vec![Vec::new(); looks.len()], vec![Vec::new(); looks.len()]);
    let mut course = Course { seen, said, ..Course::default() };
    let (mut transitions, mut messages, mut told) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut on_effects = |engine: &mut Engine, now: Timestamp, effects: Vec<Effect>| {
        let mut see = |_: Timestamp, effect: &Effect| match effect {
            Effect::Report(Report::Alert(event)) => transitions.push(event.clone()),
            Effect::Deliver(delivery) if told.insert(delivery.id.clone()) => messages.push(delivery.clone()),
            _ => {}
        };
        replay::answer(engine, now, effects, &mut see, |delivery| attempt(story, now, delivery));
    };
    let mut order: Vec<usize> = (0..looks.len()).collect();
    order.sort_by_key(|check| looks[*check].0);
    let records = story.records();
    let mut rest = records.as_slice();
    let mut mishaps = story.mishaps.iter().peekable();
    let begun = engine.handle(story.start, Event::Deadline);
    on_effects(&mut engine, story.start, begun);
    let mut until = |engine: &mut Engine, end: Timestamp| {
        loop {
            let record = rest.split_first().map(|(record, more)| (record.at.unwrap_or(end), record, more));
            let record = record.filter(|(at, ..)| *at < end);
            let until = record.map_or(end, |(at, ..)| at);
            let mishap = mishaps.next_if(|mishap| story.start + mishap.at < until);
            let (at, event) = match (mishap, record) {
                (Some(mishap), _) => (story.start + mishap.at, Event::Command(mishap.command.clone())),
                (None, Some((at, record, more))) => {
                    rest = more;
                    (at, Event::Records(std::slice::from_ref(record)))
                }
                (None, None) => break,
            };
            replay::wake(engine, at, &mut on_effects);
            let effects = engine.handle(at, event);
            on_effects(engine, at, effects);
        }
        replay::wake(engine, end, &mut on_effects);
    };
    for check in order {
        let (at, rule) = looks[check];
        until(&mut engine, at);
        course.seen[check] = engine.alerts();
        course.said[check] = rule.map(|rule| engine.said_by(rule)).unwrap_or_default();
    }
    // Messages of the last moments may be held back for a while.
    until(&mut engine, story.start + Span(story.length.0.max(latest(story))));
    course.transitions = transitions;
    course.messages = messages;
    course
}

fn latest(story: &Story) -> i64 {
    story
        .messages
        .iter()
        .filter_map(|check| check.at)
        .chain(story.states.iter().map(|check| check.at))
        .max()
        .map_or(0, |s| s.0 + 1)
}

fn attempt(story: &Story, now: Timestamp, delivery: &Delivery) -> Attempt {
    let since = now.since(story.start);
    let down = story.outages.iter().any(|o| o.receiver == delivery.receiver && o.during.contains(&since));
    if down { Attempt::Retry { reason: "the story lets it fail".into(), after: None } } else { Attempt::Done }
}
