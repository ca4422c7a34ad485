//! Many agents with alerts at one place are one incident: for rules that cover others.
//!
//! Such a rule counts the agents that have a pending or firing alert of a rule that it covers, against all agents
//! that those rules have data on, by what they have in common: the provider, or whatever labels it is split by. While
//! it fires, it says it all, and the covered alerts of its agents are held back. An agent is where its newest record
//! says; one with an alert where its newest failure was, so that who moves on to another provider takes no failure along.
//!
//! Counting costs nothing while no covered alert is active. While one is, agents with alerts are counted at every
//! evaluation and all others now and then, and whenever the rule would begin to hold or cease to: who has data on it
//! changes slowly, and a large fleet is not to be walked through every time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::dispatch::{Incident, Incidents};
use super::evaluate;
use super::event::AlertEvent;
use super::homes::place;
use super::names::Name;
use super::plan::{CoverPlan, Plan};
use super::reading::Reading;
use super::split::{NEVER, Split};
use super::{Engine, State};
use crate::model::{Dimension, Metric, Span, Timestamp};
use crate::rule::Input;

/// The agents that a rule counts, by its series.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Covered {
    counts: Vec<Count>,
    /// By series: all agents that there are, with and without alerts.
    all: Vec<u32>,
    /// When these were counted.
    counted: Option<Timestamp>,
    /// Agents with an alert: the series that each is counted in.
    homes: BTreeMap<Name, u32>,
}

/// How far apart all agents are counted.
const COUNT: Span = Span::minutes(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Count {
    /// With an alert.
    alerting: u32,
    /// All that the covered rules have data on.
    known: u32,
}

impl Covered {
    fn of(&self, series: usize) -> Count {
        self.counts.get(series).copied().unwrap_or_default()
    }

    /// The value of a metric that counts agents, if there are at least `least`, and how many there are.
    pub fn metric(&self, series: usize, metric: Metric, least: u32) -> (Option<f64>, u64) {
        let Count { alerting, known } = self.of(series);
        let alerting = f64::from(alerting);
        let value = if metric == Metric::AlertingShare { alerting / f64::from(known) } else { alerting };
        ((known >= least.max(1)).then_some(value), known.into())
    }
}

impl Engine {
    /// Counts the agents anew for every rule that covers others; what changed is looked at.
    pub(super) fn gather(&mut self, now: Timestamp) {
        for at in 0..self.plan.covering.len() {
            let plan = self.plan.covering[at].clone();
            if !self.counts(&plan) {
                continue;
            }
            let before = std::mem::take(&mut self.state.rules[plan.rule].covered);
            let turn = |at: Timestamp| at.0.div_euclid(COUNT.0);
            let whole = before.counted.is_none_or(|at| turn(at) != turn(now));
            let (mut covered, mut agents) = self.census(&plan, now, whole, &before);
            // What begins or ends an alert is counted at that moment.
            if !whole && self.would_change(plan.rule, &covered) {
                (covered, agents) = self.census(&plan, now, true, &before);
            }
            let State { splits, rules, dispatch, .. } = &mut self.state;
            // The alerts of who left an incident are held back no longer.
            let open =
                |series: u32| rules[plan.rule].alerts.get(series as usize).is_some_and(|alert| alert.fired.is_some());
            let left = |(agent, series): (&Name, &u32)| {
                covered.homes.get(agent) != Some(series) && agents.get(agent) == Some(&true) && open(*series)
            };
            if before.homes.iter().any(left) {
                dispatch.look_again(now, &self.policy.settings);
            }
            let split = &mut splits[self.plan.rules[plan.rule].split];
            for series in 0..split.series.len() {
                if covered.of(series) != before.of(series) {
                    split.run_from(series, now);
                }
            }
            rules[plan.rule].covered = covered;
        }
    }

    /// The agents of a rule by its series, and all that were counted with whether they have an alert: those with alerts,
    /// and if this is the `whole` census all others, else as many of these as `before`.
    fn census(
        &mut self,
        CoverPlan { rule, covered }: &CoverPlan,
        now: Timestamp,
        whole: bool,
        before: &Covered,
    ) -> (Covered, BTreeMap<Name, bool>) {
        for rule in covered.iter().filter(|_| whole) {
            let plan = &self.plan.rules[*rule];
            // Windows in which nothing can turn wait before they lose what is old.
            self.state.splits[plan.split].age(plan.counted_in().0, now);
        }
        let agents = if whole { self.judged(now, covered) } else { self.alerting(covered) };
        let index = self.plan.rules[*rule].split;
        let limit = self.policy.settings.limits.series;
        let State { names, splits, homes, .. } = &mut self.state;
        let mut counts: BTreeMap<usize, Count> = BTreeMap::new();
        let mut here: BTreeMap<Name, u32> = BTreeMap::new();
        for (agent, alerting) in &agents {
            let Some(known) = splits[Plan::AGENTS].find(*agent) else { continue };
            let split = &mut splits[index];
            let all = homes.of(known, *alerting);
            let Some(labels) = place(&split.spec.by, &all).filter(|_| split.admits(&all, names)) else { continue };
            let series = split.series_of(&labels, now, limit);
            let count = counts.entry(series).or_default();
            count.known += 1;
            count.alerting += u32::from(*alerting);
            if *alerting {
                here.insert(*agent, series as u32);
            }
        }
        let series = 0..splits[index].series.len();
        let of = |series: usize| counts.get(&series).copied().unwrap_or_default();
        let (all, counted) = match whole {
            true => (series.clone().map(|series| of(series).known).collect(), Some(now)),
            false => (before.all.clone(), before.counted),
        };
        let count = |series: usize| {
            let Count { alerting, known } = of(series);
            // Where there was no alert and is none, nothing is said.
            let told = alerting > 0 || before.of(series).alerting > 0;
            let all = all.get(series).copied().unwrap_or_default().max(known);
            if told { Count { alerting, known: all } } else { Count::default() }
        };
        (Covered { counts: series.map(count).collect(), all, counted, homes: here }, agents)
    }

    /// Whether a rule would begin to hold or cease to with these counts.
    fn would_change(&self, index: usize, covered: &Covered) -> bool {
        let rule = &self.policy.rules[index];
        let (split, alerts) = (&self.state.splits[self.plan.rules[index].split], &self.state.rules[index].alerts);
        (0..split.series.len()).any(|series| {
            let value = |input: &Input| match input {
                Input::Metric(metric, _) if metric.is_of_alerts() => {
                    covered.metric(series, *metric, rule.min_samples).0
                }
                _ => None,
            };
            let values: Vec<Option<f64>> = rule.program.inputs.iter().map(value).collect();
            let case = evaluate::case(rule, split, series, &self.state.names);
            evaluate::holds(rule, case, &values[..]) != alerts.has(series)
        })
    }

    /// Whether a rule that covers others has anything to count.
    fn counts(&self, plan: &CoverPlan) -> bool {
        let counted = &self.state.rules[plan.rule].covered.counts;
        counted.iter().any(|count| count.alerting > 0)
            || plan.covered.iter().any(|rule| self.state.rules[*rule].alerts.iter().next().is_some())
    }

    /// When all agents are counted next after `last`.
    pub(super) fn next_census(&self, last: Timestamp) -> Timestamp {
        let counts = self.plan.covering.iter().any(|plan| self.counts(plan));
        if counts { Timestamp((last.0.div_euclid(COUNT.0) + 1).saturating_mul(COUNT.0)) } else { NEVER }
    }

    /// The agents that some rules have alerts on.
    fn alerting(&self, rules: &[usize]) -> BTreeMap<Name, bool> {
        let alerts = rules.iter().flat_map(|rule| {
            let split = &self.state.splits[self.plan.rules[*rule].split];
            let raised = self.state.rules[*rule].alerts.iter();
            raised.filter_map(|(series, _)| split.label(series, Dimension::Agent))
        });
        alerts.filter(|name| *name != Name::OVERFLOW).map(|name| (name, true)).collect()
    }

    /// The agents that some rules have data on, and whether any of them has an alert.
    pub(super) fn judged(&self, now: Timestamp, rules: &[usize]) -> BTreeMap<Name, bool> {
        let mut agents: BTreeMap<Name, bool> = BTreeMap::new();
        // The longest window first: who has data there need not be looked at in the others.
        let mut rules = rules.to_vec();
        rules.sort_by_key(|rule| Reverse(self.policy.rules[*rule].window));
        for index in rules {
            let (rule, plan) = (&self.policy.rules[index], &self.plan.rules[index]);
            let (split, alerts) = (&self.state.splits[plan.split], &self.state.rules[index].alerts);
            let (window, metric) = plan.counted_in();
            for series in 0..split.series.len() {
                let agent = split.label(series, Dimension::Agent).filter(|name| *name != Name::OVERFLOW);
                let samples = || Reading::of((split, series), window, now).samples(metric);
                let alerting = alerts.has(series);
                let Some(agent) = agent else { continue };
                if let Some(own) = agents.get_mut(&agent) {
                    *own |= alerting;
                } else if alerting || samples() >= u64::from(rule.min_samples) {
                    agents.insert(agent, alerting);
                }
            }
        }
        agents
    }

    /// Whether a rule covers others.
    pub(super) fn covers(&self, rule: &str) -> bool {
        self.policy.rules.iter().any(|known| known.name == rule && !known.terms.covers.is_empty())
    }

    /// The incidents that fire and which of these firing alerts they cover.
    pub(super) fn incidents(&self, firing: &[AlertEvent]) -> Incidents {
        let mut incidents = Incidents::default();
        for CoverPlan { rule: index, covered: children } in &self.plan.covering {
            let (rule, plan, state) = (&self.policy.rules[*index], &self.plan.rules[*index], &self.state.rules[*index]);
            let split = &self.state.splits[plan.split];
            if rule.terms.shadow {
                continue;
            }
            let mut open = BTreeMap::new();
            for (series, _) in state.alerts.iter().filter(|(_, alert)| alert.fired.is_some()) {
                let subject = split.subject(series, &self.state.names);
                let receivers = self.state.dispatch.receivers(&rule.name, &subject);
                open.insert(series, incidents.open.len());
                incidents.open.push(Incident { by: format!("{} on {subject}", rule.name), receivers });
            }
            if open.is_empty() {
                continue;
            }
            let children: BTreeSet<&str> = children.iter().map(|rule| self.policy.rules[*rule].name.as_str()).collect();
            for event in firing.iter().filter(|event| children.contains(event.rule.as_str())) {
                if let Some(incident) = self.home(event, split).and_then(|series| open.get(&series)) {
                    incidents.covering.entry(event.id.clone()).or_default().push(*incident);
                }
            }
        }
        incidents
    }

    /// The series that the agent of an alert is counted in.
    fn home(&self, event: &AlertEvent, split: &Split) -> Option<usize> {
        let agent = self.state.names.find(event.subject.get(Dimension::Agent.as_str())?)?;
        let agent = self.state.splits[Plan::AGENTS].find(agent)?;
        let labels = place(&split.spec.by, &self.state.homes.of(agent, true))?;
        split.at(|dimension| labels[dimension.place()])
    }
}
