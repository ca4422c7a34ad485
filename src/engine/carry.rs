//! What a reload leaves undecided of an alert that fires.
//!
//! The windows of a changed rule may begin with the reload: then it knows too little to say that an alert is over, and
//! the alert goes on as it was judged last, in the words of then. It is judged by the changed rule as soon as that has
//! data. What only adds up, such as counts and costs, is too small in a window that is not full: where the end hangs on it
//! it waits for the full window. Whatever comes, the alert waits no longer than that.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::event::{AlertEvent, AlertState};
use super::finding::Finding;
use super::words;
use crate::model::{Subject, Timestamp};
use crate::rule::{Level, NoData, Rule};

/// A change of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When that was by the engine's clock.
    pub at: Timestamp,
    /// It was taken in by a start, because files were edited while evenkeel was down: when that was. The engine's clock
    /// stands at the last event then.
    pub start: Option<Timestamp>,
    /// It is the budget that the rule reads, and not the rule.
    pub budget: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.budget { "budget" } else { "rule" };
        write!(f, "the {what} was changed by {}", self.by())
    }
}

impl Change {
    /// When that was for people.
    pub fn when(&self) -> Timestamp {
        self.start.unwrap_or(self.at)
    }

    /// What took it in, and when.
    fn by(&self) -> String {
        self.start.map_or_else(|| format!("a reload at {}", self.at), |start| format!("the start at {start}"))
    }
}

/// What is undecided since a reload changed the rule of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// What that did.
    change: Change,
    /// Until when the rule may know too little to end it; `None` when it knows all that it can.
    pub until: Option<Timestamp>,
    /// What was said of its evidence; `None` when that is of the rule as it reads now.
    pub said: Option<Said>,
    /// Whether it held before, and has not since.
    unheld: bool,
}

/// The words that go with what an alert was judged by before its rule was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// The condition as written.
    pub condition: String,
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
    /// The text of each of their fields but those that change with time, while the alert fires and when it has ended; `None`
    /// for one that it does not have.
    pub fields: BTreeMap<String, [Option<String>; 2]>,
}

impl Carried {
    /// Whether what it ends with is the change: with it, it did not hold, or has no data since.
    pub fn ends(&self) -> bool {
        self.unheld || self.said.is_some()
    }

    /// When the change was.
    pub fn when(&self) -> Timestamp {
        self.change.when()
    }
}

impl Alert {
    /// Leaves undecided what the rule, after a change, may know too little for until `until`; `before` is how it read,
    /// and `levels` those of the alert's subject then.
    pub fn carry(
        &mut self,
        (change, until): (Change, Option<Timestamp>),
        before: &Rule,
        levels: &[Level],
        subject: &Subject,
    ) {
        if self.fired.is_none() {
            return;
        }
        let earlier = self.carried.take().and_then(|carried| carried.said);
        let said = earlier.unwrap_or_else(|| words::said(self, before, levels, subject, change.at));
        let until = until.filter(|until| *until > change.at);
        // What did not hold before is not over because of the change.
        let unheld = self.rest.over.is_none();
        self.carried = Some(Box::new(Carried { change, until, said: Some(said), unheld }));
    }

    /// Takes in how long it has waited by `now` for what the rule may know too little for.
    pub(super) fn age(&mut self, now: Timestamp, found: &Finding<'_>, rule: &Rule) {
        let Some(carried) = &mut self.carried else { return };
        let waited = carried.until.is_some();
        carried.until = carried.until.filter(|until| *until > now);
        if waited && carried.until.is_none() && found.is_lost() && rule.terms.no_data == NoData::Ok {
            // It waited long enough, and `keep_firing_for` with it.
            let since = [self.rest.over, self.rest.dry.map(|dry| dry.since)].into_iter().flatten().min();
            let since = if carried.said.is_some() { Some(carried.change.at) } else { since };
            self.cleared = self.cleared.or(since);
        }
        if carried.until.is_none() && carried.said.is_none() && !carried.unheld {
            self.carried = None;
        }
    }

    /// Whether the rule knows too little to end the alert.
    pub(super) fn waits(&self, found: &Finding<'_>, rule: &Rule) -> bool {
        self.fills_up() && (found.is_lost() || !found.any_holds() && !is_over(found, rule))
    }

    /// Whether windows of the rule as it reads now are still filling up.
    pub(super) fn fills_up(&self) -> bool {
        self.carried.as_ref().is_some_and(|carried| carried.until.is_some())
    }

    /// Takes in that the rule as it reads now has it go on.
    pub(super) fn judged(&mut self) {
        if let Some(carried) = &mut self.carried {
            (carried.said, carried.unheld) = (None, false);
        }
    }

    /// Takes in that its evidence is of the rule as it reads now.
    pub(super) fn read_anew(&mut self) {
        if let Some(carried) = &mut self.carried {
            carried.said = None;
        }
    }

    /// Whether its evidence is of the rule before a reload.
    pub(super) fn is_of_before(&self) -> bool {
        self.carried.as_ref().is_some_and(|carried| carried.said.is_some())
    }

    /// Why it goes on, if a reload has to do with it; `keeps` says what keeps it without that.
    pub(super) fn undecided(&self, rule: &Rule, keeps: &str) -> Option<String> {
        let Carried { change: changed, until, said, unheld } = self.carried.as_deref()?;
        let at = changed.at;
        // What waited for data that does not come was kept meanwhile.
        let latest = |until: &Timestamp| (*until).max(at + rule.keep_firing_for);
        let waits = |until| format!("goes on as before until {} at the latest", latest(until));
        match until {
            Some(until) if said.is_some() => Some(format!("{changed} and knows too little yet: {}", waits(until))),
            None if said.is_some() && self.cleared.is_some() => Some(format!("{changed}, no data since, {keeps}")),
            None if said.is_some() => Some(format!("{changed}, not judged since")),
            Some(until) if self.cleared.is_none() && self.rest != Default::default() => {
                let since = self.rest.over.or(self.rest.dry.map(|dry| dry.since))?;
                let what = if self.rest.over.is_some() { "holds no more" } else { "no data" };
                Some(format!(
                    "{what} since {since}, but of its windows too little is known since {}: {}",
                    changed.by(),
                    waits(until)
                ))
            }
            _ if *unheld && self.rest.over.is_some() => Some(format!("{}, {keeps}", unheld_since(changed))),
            _ => None,
        }
    }

    /// Why it ends, with data or without.
    pub(super) fn ending(&self, dry: bool, rule: &Rule) -> String {
        match self.carried.as_deref() {
            Some(Carried { change, said: Some(_), .. }) if dry => {
                format!("{change} and had no data since{}", self.outdated())
            }
            Some(Carried { change, unheld: true, .. }) if !dry => unheld_since(change),
            _ if dry => self.ran_dry(rule),
            _ => String::new(),
        }
    }
}

/// Whether two rules find the same on every subject, so that a change of one into the other leaves nothing undecided.
pub(super) fn finds_alike(one: &Rule, other: &Rule) -> bool {
    let conditions = |levels: &[Level]| levels.iter().map(|level| level.condition.clone()).collect::<Vec<_>>();
    let found = |rule: &Rule| {
        let overrides = rule.terms.overrides.iter().map(|own| (own.filter.clone(), conditions(&own.levels)));
        let own = (rule.condition.clone(), conditions(&rule.terms.levels), overrides.collect::<Vec<_>>());
        let scope = (rule.window, rule.by.clone(), rule.filter.clone(), rule.min_samples, rule.budget.clone());
        (own, scope, rule.terms.no_data, rule.terms.covers.clone())
    };
    found(one) == found(other)
}

/// Whether conditions fail whatever comes of what only grows while windows fill up: sums, and what is usual.
fn is_over(found: &Finding<'_>, rule: &Rule) -> bool {
    let mut values = found.inputs.0;
    for (value, input) in values.iter_mut().zip(&rule.program.inputs) {
        *value = value.filter(|_| !input.adds_up() && input.usual().is_none());
    }
    match found.levels {
        [] => rule.program.root.eval(&values).is_some(),
        levels => levels.iter().all(|level| level.root.eval(&values).is_some()),
    }
}

fn unheld_since(change: &Change) -> String {
    let now = if change.budget { ", with which the rule does not hold" } else { " and does not hold as it reads now" };
    format!("{change}{now}")
}

/// What leaves an alert no rule at a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Gone {
    /// Its rule is gone.
    Rule,
    /// It looks at others.
    Subject,
    /// It has no level that is as mild.
    Level,
}

/// Why an alert ends at once at a change.
pub(super) fn gone(change: Change, gone: Gone) -> String {
    let text = change.to_string();
    let text = match gone {
        Gone::Rule => text.replacen("changed", "removed", 1),
        Gone::Subject => text + " and does not look at this subject any more",
        Gone::Level => text + " and has no level that is as mild any more",
    };
    text + ", the value is from before"
}

/// The end, where an alert is kept up, of one whose rule a reload makes a shadow rule.
pub(super) fn shadowed(change: Change, event: &AlertEvent) -> AlertEvent {
    let mut ended = AlertEvent { at: change.when(), state: AlertState::Resolved, ..event.clone() };
    words::explain(&mut ended, format!("its rule became a shadow rule by {}", change.by()));
    ended
}
