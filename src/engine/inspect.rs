//! Why a rule says what it says of a subject, read off the state without changing it.
//!
//! The inputs are read and the condition is walked by the code that evaluates rules; there is no
//! second opinion here. What is read is what an evaluation at the given instant would read: windows
//! that nobody ages between the steps are aged in a copy.

use serde::{Deserialize, Serialize, Serializer};

use super::alert::{self, Alert};
use super::budget::{self, Read};
use super::evaluate::{self, Judged};
use super::event::{AlertEvent, AlertState};
use super::finding::{Context, Finding};
use super::partial::Partial;
use super::plan::{Plan, RulePlan};
use super::reading::Reading;
use super::rules::{Evaluation, INPUTS, Inputs, RuleState};
use super::split::Split;
use super::telling::Telling;
use super::{Engine, words};
use crate::model::{Metric, Severity, Span, Subject, Timestamp, Unit};
use crate::rule::names::reads_window;
use crate::rule::program::{Margin, Traced};
use crate::rule::{Input, Level, NoData, Node, Recover, Rule, Takes};

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

/// A rule and all that an evaluation of it reads.
pub(super) struct Gaze<'a> {
    pub rule: &'a Rule,
    pub plan: &'a RulePlan,
    pub split: &'a Split,
    pub state: &'a RuleState,
    index: usize,
    evaluation: Evaluation<'a>,
}

/// What a rule finds on one subject.
pub(super) struct Sight<'a> {
    pub values: Inputs,
    pub judged: Judged<'a>,
    /// Of several levels, that of an alert that fires; else the gravest that holds, else the mildest.
    pub level: usize,
    pub root: &'a Node,
    /// Whether it holds; `None` without data.
    pub holds: Option<bool>,
    pub margin: Option<Margin>,
}

impl Sight<'_> {
    /// Fewest samples behind the comparison that the margin is of.
    pub fn samples(&self, rule: &Rule) -> u64 {
        let slots = self.root.deciding(&self.values.0).map(Node::slots).unwrap_or_default();
        let fewest = slots.iter().filter_map(|slot| self.values.1[*slot]).min();
        fewest.unwrap_or_else(|| evaluate::behind(rule, Some(self.root), &self.values).0)
    }
}

impl<'a> Gaze<'a> {
    pub fn new(engine: &'a Engine, index: usize, now: Timestamp, budgets: &'a [Read<'a>]) -> Gaze<'a> {
        let plan = &engine.plan.rules[index];
        let evaluation = engine.evaluation(now, plan.split, budgets);
        let (split, state) = (&engine.state.splits[plan.split], &engine.state.rules[index]);
        Gaze { rule: &engine.policy.rules[index], plan, split, state, index, evaluation }
    }

    /// What the rule finds on a series of its split.
    pub fn at(&self, series: usize) -> Sight<'a> {
        let aged = self.split.aged(series, self.evaluation.now);
        let (split, own) = aged.as_ref().map_or((self.split, series), |alone| (alone, 0));
        let reading = Reading::of((split, own), self.plan.window, self.evaluation.now);
        let values = self.evaluation.read(self.index, &reading, self.rule.min_samples, series, self.state);
        let case = evaluate::case(self.rule, self.split, series, self.evaluation.names);
        self.sight(self.rule.terms.case(case), values, self.alert(series))
    }

    /// What it finds on a subject of which nothing was seen yet.
    fn at_unseen(&self, subject: &Subject) -> Sight<'a> {
        let mut values = ([None; INPUTS], [None; INPUTS]);
        for (input, n) in self.rule.program.inputs.iter().zip(&mut values.1) {
            *n = (matches!(input, Input::Metric(..) | Input::Field { .. }) && !input.runs()).then_some(0);
        }
        self.sight(self.rule.terms.case_of(subject), values, None)
    }

    fn sight(&self, terms: (&'a [Level], Option<&'a Recover>), values: Inputs, alert: Option<&Alert>) -> Sight<'a> {
        let judged = evaluate::judge(self.rule, terms, &values.0);
        let levels = judged.levels;
        let gravest = || (0..levels.len()).rev().find(|at| judged.holds(*at)).unwrap_or(0);
        let level = alert.map_or_else(gravest, |alert| alert.shown(|at| judged.holds(at), levels.len()));
        let root = levels.get(level).map_or(&self.rule.program.root, |level| &level.root);
        let margin = root.margin(&values.0);
        Sight { holds: margin.map(|margin| margin.holds), margin, values, judged, level, root }
    }

    pub fn subject(&self, series: usize) -> Subject {
        self.split.subject(series, self.evaluation.names)
    }

    /// The pending or firing alert of a series.
    pub fn alert(&self, series: usize) -> Option<&'a Alert> {
        self.state.alerts.get(series)
    }

    pub fn alert_state(&self, series: usize) -> AlertState {
        match self.alert(series) {
            None => AlertState::Inactive,
            Some(alert) if alert.fired.is_some() => AlertState::Firing,
            Some(_) => AlertState::Pending,
        }
    }

    /// The alert of a series with what the rule sees now, which may be more than it has decided on.
    pub fn event(&self, series: usize) -> Option<AlertEvent> {
        let mut seen = self.seen(series)?;
        seen.drain();
        self.worded(series, &seen)
    }

    /// The same as it is told: without data with the value of before.
    pub fn newest(&self, series: usize) -> Option<AlertEvent> {
        self.worded(series, &self.seen(series)?)
    }

    /// The same as if what it was judged by before a reload were not known.
    pub fn anew(&self, series: usize) -> Option<AlertEvent> {
        let alert = self.alert(series)?;
        let evidence = self.found(series, |found| found.evidence(self.rule, Some(usize::from(alert.level))));
        let mut anew = alert.clone();
        (anew.evidence, anew.carried) = (evidence, None);
        self.worded(series, &anew)
    }

    fn worded(&self, series: usize, seen: &Alert) -> Option<AlertEvent> {
        let levels = evaluate::levels(self.rule, self.split, series, self.evaluation.names);
        let subject = self.subject(series);
        Some(words::event(self.alert_state(series), seen, self.rule, levels, &subject, self.evaluation.now))
    }

    /// The same, as evaluations keep it.
    pub fn seen(&self, series: usize) -> Option<Alert> {
        let alert = self.alert(series)?;
        Some(self.found(series, |found| alert.seen(self.evaluation.now, found, self.rule)))
    }

    /// How an alert goes on, or ends, at a severity that it is known by, which need not be that of its level; `None` when
    /// nothing is known of that by now.
    pub fn known_as(&self, series: usize, alert: &Alert, state: AlertState, severity: Severity) -> Option<AlertEvent> {
        let levels = evaluate::levels(self.rule, self.split, series, self.evaluation.names);
        let level = match levels {
            [] => (self.rule.severity == severity).then_some(0),
            levels => levels.iter().position(|level| level.severity == severity),
        }?;
        let alert = self.found(series, |found| alert.at_level(level, found, self.rule))?;
        Some(words::event(state, &alert, self.rule, levels, &self.subject(series), self.evaluation.now))
    }

    fn found<T>(&self, series: usize, take: impl FnOnce(&Finding<'_>) -> T) -> T {
        let sight = self.at(series);
        let context = match self.plan.recites {
            true => self.evaluation.context(self.index, series, &sight.values.0),
            false => Context::default(),
        };
        take(&sight.judged.finding(&sight.values, context))
    }

    /// What is well with a part of evenkeel of which there is no data: it says something only when it is not.
    fn is_well(&self, sight: &Sight<'_>) -> Option<&'static str> {
        let parts = self.split.spec.takes == Takes::Parts && self.rule.terms.no_data == NoData::Ok;
        let stale = self.rule.program.inputs.iter().any(|input| input.metric() == Some(Metric::Stale));
        let text = if stale { "it is not stale" } else { "nothing was lost" };
        (parts && sight.holds.is_none()).then_some(text)
    }

    /// Why a sight has no verdict; empty when it has one.
    pub fn lacking(&self, sight: &Sight<'_>) -> String {
        if sight.margin.is_some() {
            return String::new();
        }
        let (values, counts) = &sight.values;
        let least = u64::from(self.rule.min_samples);
        let only = self.rule.looks_only_at(false).map(|only| format!(" with {only}")).unwrap_or_default();
        let read = self.rule.program.inputs.iter().zip(values).zip(counts).filter(|((_, value), _)| value.is_none());
        let missing = read.map(|((input, _), n)| match (input, n) {
            (input, _) if input.usual().is_some() => "no run was seen yet".to_owned(),
            (Input::Baseline { .. }, _) => format!("too few past windows for the {input}"),
            (Input::Peers(_) | Input::PeersScore, _) => format!("too few others for the {input}"),
            (Input::Score, None) => "the agent has no score yet".to_owned(),
            (_, Some(n)) if *n < least => format!("{input} has {n} of {least} samples{only}"),
            (_, Some(_)) => format!("{input} has no value{only}"),
            (_, None) => format!("nothing was seen of {input}{only}"),
        });
        let missing: Vec<String> = missing.collect();
        if missing.is_empty() { "the condition comes to no number".to_owned() } else { missing.join("; ") }
    }
}

impl Engine {
    /// The pending and firing alerts that pass, with what their rules see at `now`. A first message and what inhibits
    /// hold on to what was decided on instead.
    pub(super) fn seen_alerts(&self, now: Timestamp, pass: impl Fn(&Alert) -> bool) -> Vec<AlertEvent> {
        self.look_at(now, pass, |gaze, series| gaze.event(series))
    }

    /// The same, as `one` has each.
    pub(super) fn look_at(
        &self,
        now: Timestamp,
        pass: impl Fn(&Alert) -> bool,
        one: impl Fn(&Gaze<'_>, usize) -> Option<AlertEvent>,
    ) -> Vec<AlertEvent> {
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        let mut events = Vec::new();
        for index in 0..self.policy.rules.len() {
            let gaze = Gaze::new(self, index, now, &budgets);
            let alerts = gaze.state.alerts.iter().filter(|(_, alert)| pass(alert));
            events.extend(alerts.filter_map(|(series, _)| one(&gaze, series)));
        }
        events
    }

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

    /// What evaluates the rules of a split, for those who only read.
    pub(super) fn evaluation<'a>(&'a self, now: Timestamp, split: usize, budgets: &'a [Read<'a>]) -> Evaluation<'a> {
        Evaluation {
            now,
            step: self.policy.settings.evaluation_interval,
            rules: &self.policy.rules,
            plans: &self.plan.rules,
            groups: &self.plan.splits[split].groups,
            scored: Plan::scored(split),
            everything: false,
            budgets,
            standings: (&self.state.standings, self.next_standings(now)),
            names: &self.state.names,
            asked: &self.plan.splits[split].asked,
            sheet: Default::default(),
        }
    }
}
