//! A rule, and what it finds on its subjects, read off the state without changing it.
//!
//! Values are read and conditions judged by the code that evaluates rules; there is no second opinion here. What is
//! read is what an evaluation at the given instant would read: windows that nobody ages between the steps are aged in
//! a copy.

use super::alert::Alert;
use super::budget::{self, Read};
use super::evaluate::{self, Judged};
use super::event::{AlertEvent, AlertState};
use super::finding::{Context, Finding};
use super::plan::{Plan, RulePlan};
use super::reading::Reading;
use super::rules::{Evaluation, INPUTS, Inputs, RuleState};
use super::split::Split;
use super::{Engine, words};
use crate::model::{Metric, Severity, Subject, Timestamp};
use crate::rule::program::Margin;
use crate::rule::{Input, Level, NoData, Node, Recover, Rule, Takes};

/// A rule and all that an evaluation of it reads.
pub(super) struct Gaze<'a> {
    pub rule: &'a Rule,
    pub plan: &'a RulePlan,
    pub split: &'a Split,
    pub state: &'a RuleState,
    pub index: usize,
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
    pub fn at_unseen(&self, subject: &Subject) -> Sight<'a> {
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
    pub fn is_well(&self, sight: &Sight<'_>) -> Option<&'static str> {
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
