//! Why a rule says what it says of a subject, read off the state without changing it.

use serde::{Deserialize, Serialize, Serializer};

use super::alert::{self, Alert};
use super::budget;
use super::event::{AlertEvent, AlertState};
use super::gaze::{Gaze, Sight};
use super::homes::Uncounted;
use super::partial::Partial;
use super::telling::Telling;
use super::{Engine, words};
use crate::model::{Severity, Span, Subject, Timestamp, Unit};
use crate::rule::names::reads_window;
use crate::rule::program::Traced;

/// A rule on one subject at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// The moment.
    pub at: Timestamp,
    /// The rule's name.
    pub rule: String,
    /// The file and line where the rule stands.
    pub place: String,
    /// The condition as written.
    pub condition: String,
    /// What it counts alone: matchers of labels; none is everything.
    #[serde(rename = "where", default)]
    pub filter: Vec<String>,
    /// How bad it is when that holds.
    pub severity: Severity,
    /// The subject.
    pub subject: Subject,
    /// The window that is looked at; absent when the condition reads none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// How long the condition must hold.
    pub hold: Span,
    /// How long the alert fires on after it holds no more.
    pub keep_firing_for: Span,
    /// What of its windows is missing since a reload began them; absent when they are full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Partial>,
    /// Agents that the rule covers and cannot count; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncounted: Option<Uncounted>,
    /// Fewer samples than this are no data.
    pub min_samples: u32,
    /// What no data means: `ok`, `alert` or `keep`.
    pub no_data: String,
    /// What the condition reads.
    pub inputs: Vec<InputView>,
    /// The condition with a value at every node, parents before children.
    pub nodes: Vec<Traced>,
    /// Whether it holds; null without data.
    pub holds: Option<bool>,
    /// Why there is no data, or what is well with a part of evenkeel; empty when there is data.
    pub lacking: String,
    /// Left side of the comparison that decides.
    pub value: Option<f64>,
    /// Right side of it.
    pub threshold: Option<f64>,
    /// The unit of both.
    pub unit: Unit,
    /// How much the value may still move before the rule holds, as a share of the threshold; negative beyond it.
    pub margin: Option<f64>,
    /// What must hold before a firing alert ends, if the rule says so.
    pub recover: Option<RecoverView>,
    /// The pending or firing alert.
    #[serde(serialize_with = "shown")]
    pub alert: Option<AlertEvent>,
    /// When time alone moves the alert on: a pending one fires, one that is kept firing ends.
    pub due: Option<Timestamp>,
    /// The subject's newest record.
    pub last_seen: Option<Timestamp>,
    /// Who is told, when, and what holds messages back.
    pub telling: Telling,
    /// The value before, oldest first: in a recording what the rule saw at each time, in the daemon
    /// what each slice of the window says for itself, or adds to a sum, and what an active alert saw since.
    pub history: Vec<Point>,
    /// What its first points are, in words; empty when all are what the rule saw.
    pub history_note: String,
    /// A recording was played under the rules of now, to receivers that take everything; absent for the daemon.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

fn shown<S: Serializer>(alert: &Option<AlertEvent>, serializer: S) -> Result<S::Ok, S::Error> {
    alert.as_ref().map(AlertEvent::shown).serialize(serializer)
}

/// What a rule saw of a subject at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The instant.
    pub at: Timestamp,
    /// Left side of the comparison that decides; null without data.
    pub value: Option<f64>,
    /// Right side of it.
    pub threshold: Option<f64>,
    /// Whether the condition held; null without data.
    pub holds: Option<bool>,
}

/// One value that a condition reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputView {
    /// Its name.
    pub name: String,
    /// Null without data.
    pub value: Option<f64>,
    /// As people write it.
    pub shown: String,
    /// Samples in the window; null for a baseline and for peers.
    pub n: Option<u64>,
}

/// The condition under which a firing alert may end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoverView {
    /// As written.
    pub condition: String,
    /// With a value at every node, parents before children.
    pub nodes: Vec<Traced>,
    /// Whether it holds; null without data.
    pub holds: Option<bool>,
}

/// Whom an inspection is of.
enum Whom {
    /// A series of the rule's split.
    Seen(usize),
    /// A subject that evenkeel or the settings name, of which nothing was seen.
    Foreseen(Subject),
}

impl Engine {
    /// What a rule says of a subject at `now`, or at the engine's clock if that is later; otherwise why
    /// there is nothing to say. `wanted` is read as [`Subject::is_meant_by`] does.
    pub fn why(&self, now: Timestamp, name: &str, wanted: &str) -> Result<Inspection, String> {
        let (index, whom) = match self.find(name, wanted) {
            Ok((index, series)) => (index, Whom::Seen(series)),
            Err(text) => {
                self.foreseen(name, wanted).map(|(index, subject)| (index, Whom::Foreseen(subject))).ok_or(text)?
            }
        };
        let now = self.state.clock.map_or(now, |clock| clock.max(now));
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        Ok(self.inspection(now, &Gaze::new(self, index, now, &budgets), whom))
    }

    /// What the rule that was [found](Engine::find) sees of its subject, and the unit of it.
    pub fn point(&self, now: Timestamp, index: usize, series: usize) -> (Point, Unit) {
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        let Sight { margin, holds, .. } = Gaze::new(self, index, now, &budgets).at(series);
        let (value, threshold) = (margin.map(|margin| margin.value), margin.map(|margin| margin.threshold));
        (Point { at: now, value, threshold, holds }, margin.map_or(Unit::Any, |margin| margin.unit))
    }

    fn inspection(&self, now: Timestamp, gaze: &Gaze<'_>, whom: Whom) -> Inspection {
        let rule = gaze.rule;
        let (series, subject, sight) = match whom {
            Whom::Seen(series) => (Some(series), gaze.subject(series), gaze.at(series)),
            Whom::Foreseen(subject) => (None, subject.clone(), gaze.at_unseen(&subject)),
        };
        let (values, counts) = &sight.values;
        let read = rule.program.inputs.iter().zip(values).zip(counts);
        let inputs = read.map(|((input, value), n)| InputView {
            name: input.to_string(),
            value: *value,
            shown: value.map_or_else(|| "no data".to_owned(), |v| input.unit().show(v)),
            n: *n,
        });
        let level = sight.judged.levels.get(sight.level);
        let recover = sight.judged.recover.map(|recover| RecoverView {
            condition: recover.condition.clone(),
            nodes: rule.program.trace(&recover.root, values),
            holds: recover.root.eval(values).map(|verdict| verdict.holds),
        });
        let alert = series.and_then(|series| gaze.event(series));
        let telling = match &alert {
            Some(event) => self.telling(now, event),
            None => {
                let imagined = Alert::imagined(now, rule, sight.judged.levels, sight.level, &sight.values);
                let event = words::event(AlertState::Inactive, &imagined, rule, sight.judged.levels, &subject, now);
                self.telling(now, &event)
            }
        };
        let threshold = sight.margin.map(|margin| margin.threshold);
        let trend = series.and_then(|series| self.slices(now, gaze.index, series));
        let history_note = match &trend {
            Some(trend) if trend.adds_up => "the window as it filled up".to_owned(),
            Some(trend) => format!("each {} of the window for itself", trend.slice),
            None => String::new(),
        };
        let active = series.and_then(|series| gaze.alert(series));
        let began = active.map(|alert| alert.since);
        let slices = trend.iter().flat_map(|trend| &trend.slices);
        let before = slices.filter(|(at, _)| began.is_none_or(|began| *at <= began));
        let since = active.into_iter().flat_map(|alert| &alert.trend.values);
        let history =
            before.chain(since).map(|(at, value)| Point { at: *at, value: Some(*value), threshold, holds: None });
        let condition = level.map_or(&rule.condition, |level| &level.condition).clone();
        let well = gaze.is_well(&sight);
        let lacking = match series {
            _ if well.is_some() => well.unwrap_or_default().to_owned(),
            None => format!("nothing was seen of {subject} yet"),
            Some(_) => gaze.lacking(&sight),
        };
        Inspection {
            at: now,
            rule: rule.name.clone(),
            place: rule.place.clone(),
            filter: rule.filter.iter().map(ToString::to_string).collect(),
            severity: level.map_or(rule.severity, |level| level.severity),
            window: reads_window(&condition).then_some(rule.window),
            condition,
            hold: level.map_or(rule.hold, |level| level.hold),
            keep_firing_for: rule.keep_firing_for,
            partial: self.state.partial(now, rule, &self.plan, gaze.index),
            uncounted: self.uncounted(now, gaze.index),
            min_samples: rule.min_samples,
            no_data: rule.terms.no_data.as_str().to_owned(),
            inputs: inputs.collect(),
            nodes: rule.program.trace(sight.root, values),
            holds: sight.holds.or(well.map(|_| false)),
            lacking,
            value: sight.margin.map(|margin| margin.value),
            threshold,
            unit: sight.margin.map_or(Unit::Any, |margin| margin.unit),
            margin: sight.margin.map(|margin| margin.share).filter(|share| share.is_finite()),
            recover,
            due: active.and_then(|alert| alert::due(alert, rule, sight.judged.levels, now)),
            alert,
            last_seen: series.and_then(|series| gaze.split.series[series].newest()),
            telling,
            history: history.collect(),
            history_note,
            replayed: false,
            subject,
        }
    }
}
