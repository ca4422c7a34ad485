//! Where agents are: what their newest record said, and what their newest failure said, for rules that count them by it.
//!
//! Kept whether or not a rule counts agents by it yet, so that a rule that a reload brings finds a fleet where it is: the
//! provider and the source of every agent, and every label that any rule reads. Other labels are not even read; what
//! they are of an agent is known from its next record on, and until then rules say that it is not.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::digest::plural;
use super::names::Name;
use super::plan::{CoverPlan, Plan};
use super::split::Labels;
use crate::model::{Dimension, Outcome, Timestamp};

/// What the records of agents said last.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Homes {
    /// The labels that are kept.
    labels: Vec<Dimension>,
    /// By series of the agents' split: as many of the newest record, then of the newest failure; [`Name::UNREAD`] where
    /// there was none since the label is read.
    names: Vec<Name>,
}

impl Homes {
    /// Keeps these labels from now on, and of those that it has what it knows.
    pub fn keep(&mut self, labels: &[Dimension]) {
        let (old, width) = (std::mem::take(self), labels.len());
        let rows = old.names.len() / old.labels.len().max(1);
        let mut names = vec![Name::UNREAD; rows * width];
        // Equal by names; where a label is found depends on the settings.
        for (at, known) in labels.iter().enumerate().filter_map(|(at, label)| Some((at, old.place(*label)?))) {
            let own = old.names.iter().skip(known).step_by(old.labels.len());
            names.iter_mut().skip(at).step_by(width).zip(own).for_each(|(name, own)| *name = *own);
        }
        *self = Homes { labels: labels.to_vec(), names };
    }

    /// Takes in where an execution of an agent was.
    #[inline]
    pub fn see(&mut self, agent: usize, labels: &Labels, outcome: Outcome) {
        let width = self.labels.len();
        let first = agent * width * 2;
        if self.names.len() < first + width * 2 {
            self.names.resize(first + width * 2, Name::UNREAD);
        }
        let (newest, failed) = self.names[first..first + width * 2].split_at_mut(width);
        let fails = !matches!(outcome, Outcome::Ok | Outcome::Unknown);
        for ((newest, failed), label) in newest.iter_mut().zip(failed).zip(&self.labels) {
            *newest = labels[label.place()];
            if fails {
                *failed = *newest;
            }
        }
    }

    /// The labels of an agent; if that is asked for, those that its newest failure had.
    pub fn of(&self, agent: usize, failed: bool) -> Labels {
        let mut labels = [Name::NONE; Dimension::PLACES];
        let says = |name: &&Name| **name != Name::NONE && **name != Name::UNREAD;
        let (newest, failures) = self.names_of(agent);
        for (at, label) in self.labels.iter().enumerate() {
            let failure = failures.get(at).filter(|name| failed && says(name));
            let name = failure.or_else(|| newest.get(at).filter(says));
            labels[label.place()] = name.copied().unwrap_or(Name::NONE);
        }
        labels
    }

    /// Whether an agent has not logged since a label is read.
    fn is_unread(&self, agent: usize, label: Dimension) -> bool {
        let newest = self.names_of(agent).0;
        self.place(label).and_then(|at| newest.get(at)).is_none_or(|name| *name == Name::UNREAD)
    }

    /// The label of an agent that is missing to tell where it is among subjects that are made by some labels and picked
    /// by others.
    pub fn lacks(&self, agent: usize, by: &[Dimension], picked: impl Iterator<Item = Dimension>) -> Option<Dimension> {
        let labels = self.of(agent, false);
        let first = by.iter().find(|label| labels[label.place()] != Name::NONE || self.is_unread(agent, **label));
        first.copied().into_iter().chain(picked).find(|label| self.is_unread(agent, *label))
    }

    fn names_of(&self, agent: usize) -> (&[Name], &[Name]) {
        let width = self.labels.len();
        self.names
            .get(agent * width * 2..(agent + 1) * width * 2)
            .unwrap_or_default()
            .split_at_checked(width)
            .unwrap_or_default()
    }

    fn place(&self, label: Dimension) -> Option<usize> {
        self.labels.iter().position(|own| *own == label)
    }
}

/// What of an agent's labels makes its subject: the first of those of `by` that is known; `None` when none is.
pub fn place(by: &[Dimension], all: &Labels) -> Option<Labels> {
    let mut labels = [Name::NONE; Dimension::PLACES];
    if let Some(first) = by.iter().find(|label| all[label.place()] != Name::NONE) {
        labels[first.place()] = all[first.place()];
        return Some(labels);
    }
    by.is_empty().then_some(labels)
}

/// Agents that a rule covers and cannot count, because it is not known where they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uncounted {
    /// Labels that are read since a reload only.
    pub labels: Vec<String>,
    /// Agents that have not logged since, and count from their next record on.
    pub unread: u64,
    /// Of these, those with an alert of a rule that is covered.
    pub alerting: u64,
    /// Agents with such an alert whose records do not say where they are.
    pub unsaid: u64,
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Uncounted { labels, unread, alerting, unsaid } = self;
        if *unread > 0 {
            let agents = plural(*unread, "agent", "agents");
            let count =
                if *unread == 1 { "it counts from its next record" } else { "they count from their next record" };
            let labels = labels.join(" and ");
            write!(f, "{agents}, {alerting} with an alert, logged nothing since {labels} is read: {count}")?;
        }
        if *unsaid > 0 {
            let gap = if *unread > 0 { "; " } else { "" };
            let (are, their) = if *unsaid == 1 { ("is", "its") } else { ("are", "their") };
            let agents = plural(*unsaid, "agent", "agents");
            write!(
                f,
                "{gap}{agents} with an alert {are} not counted: {their} records say nothing that the rule counts by"
            )?;
        }
        Ok(())
    }
}

impl Engine {
    /// The agents that a rule cannot count at `now`; `None` when there is none, or when it counts no agents.
    pub(super) fn uncounted(&self, now: Timestamp, index: usize) -> Option<Uncounted> {
        let CoverPlan { covered, .. } = self.plan.covering.iter().find(|plan| plan.rule == index)?;
        let spec = &self.state.splits[self.plan.rules[index].split].spec;
        let (agents, homes) = (&self.state.splits[Plan::AGENTS], &self.state.homes);
        let mut uncounted = Uncounted::default();
        for (name, alerting) in self.judged(now, covered) {
            let Some(agent) = agents.find(name) else { continue };
            let picked = spec.filter.iter().map(|matcher| matcher.dimension);
            if let Some(label) = homes.lacks(agent, &spec.by, picked) {
                uncounted.unread += 1;
                uncounted.alerting += u64::from(alerting);
                if !uncounted.labels.iter().any(|known| known == label.as_str()) {
                    uncounted.labels.push(label.as_str().to_owned());
                }
            } else if alerting && place(&spec.by, &homes.of(agent, true)).is_none() {
                uncounted.unsaid += 1;
            }
        }
        (uncounted.unread + uncounted.unsaid > 0).then_some(uncounted)
    }

    /// The rules that cannot count agents before these log again, at the engine's clock.
    pub fn uncounted_rules(&self) -> Vec<(&str, Uncounted)> {
        let Some(now) = self.state.clock else { return Vec::new() };
        let found = self.plan.covering.iter().filter_map(|plan| {
            let uncounted = self.uncounted(now, plan.rule).filter(|uncounted| uncounted.unread > 0)?;
            Some((self.policy.rules[plan.rule].name.as_str(), uncounted))
        });
        found.collect()
    }
}
