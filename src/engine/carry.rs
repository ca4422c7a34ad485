//! What a reload leaves undecided of an alert that fires.
//!
//! The windows of a changed rule may begin with the reload: then it knows too little to say that an alert is over, and
//! the alert goes on as it was judged last, in the words of then. It is judged by the changed rule as soon as that has
//! data. What only adds up, such as counts and costs, is too small in a window that is not full: where the end hangs on it
//! it waits for the full window. Whatever comes, the alert waits no longer than that.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::alert::{Alert, Finding};
use super::words;
use crate::model::{Subject, Timestamp};
use crate::rule::{Level, Rule};

/// A change of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When that was.
    pub at: Timestamp,
    /// Nothing happened since the event before, which may be long ago: files may have been edited while evenkeel was
    /// down.
    pub after: bool,
    /// It is the budget that the rule reads, and not the rule.
    pub budget: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.budget { "budget" } else { "rule" };
        let when = if self.after { "or a start after" } else { "at" };
        write!(f, "the {what} was changed by a reload {when} {}", self.at)
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
    /// Whether it has not held since.
    unheld: bool,
}

/// The words that go with what an alert was judged by before its rule was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// The condition as written.
    pub condition: String,
    /// The annotations, filled in but for what changes with time.
    pub annotations: BTreeMap<String, String>,
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
        self.carried = Some(Box::new(Carried { change, until, said: Some(said), unheld: true }));
    }

    /// Whether the rule knows too little at `now` to end the alert.
    pub(super) fn is_undecided(&mut self, now: Timestamp, found: &Finding<'_>, lost: bool, rule: &Rule) -> bool {
        let Some(carried) = &mut self.carried else { return false };
        let waited = carried.until.is_some();
        carried.until = carried.until.filter(|until| *until > now);
        if waited && carried.until.is_none() && lost {
            // It waited long enough, and `keep_firing_for` with it.
            let since = [self.rest.over, self.rest.dry].into_iter().flatten().min();
            let since = if carried.said.is_some() { Some(carried.change.at) } else { since };
            self.cleared = self.cleared.or(since);
        }
        if carried.until.is_none() && carried.said.is_none() && !carried.unheld {
            self.carried = None;
        }
        let waits = self.waits(found, lost, rule);
        if waits {
            self.look(now, found, lost, rule);
            (self.cleared, self.lapsed) = (None, None);
        }
        waits
    }

    /// The same of what was last known of its time.
    pub(super) fn waits(&self, found: &Finding<'_>, lost: bool, rule: &Rule) -> bool {
        let young = self.carried.as_ref().is_some_and(|carried| carried.until.is_some());
        young && (lost || !found.any_holds() && !is_over(found, rule))
    }

    /// Takes in that the rule as it reads now holds; whether its windows are still filling up.
    pub(super) fn judged(&mut self) -> bool {
        let Some(carried) = &mut self.carried else { return false };
        (carried.said, carried.unheld) = (None, false);
        carried.until.is_some()
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

    /// Why it goes on, if a reload has to do with it; `kept` says what keeps it without that.
    pub(super) fn undecided(&self, rule: &Rule, kept: &str) -> Option<String> {
        let Carried { change: changed, until, said, unheld } = self.carried.as_deref()?;
        let at = changed.at;
        // What waited for data that does not come was kept meanwhile.
        let latest = |until: &Timestamp| (*until).max(at + rule.keep_firing_for);
        let waits = |until| format!("goes on as before until {} at the latest", latest(until));
        match until {
            Some(until) if said.is_some() => Some(format!("{changed} and knows too little yet: {}", waits(until))),
            None if said.is_some() && self.cleared.is_some() => Some(format!("{changed}, no data since, {kept}")),
            None if said.is_some() => Some(format!("{changed}, not judged since")),
            Some(until) if self.cleared.is_none() && self.rest != Default::default() => {
                let since = self.rest.over.or(self.rest.dry)?;
                let what = if self.rest.over.is_some() { "holds no more" } else { "no data" };
                Some(format!(
                    "{what} since {since}, but of its windows too little is known since a reload at {at}: {}",
                    waits(until)
                ))
            }
            _ if *unheld && self.rest.over.is_some() => Some(format!("{}, {kept}", unheld_since(changed))),
            _ => None,
        }
    }

    /// Why it ends, with data or without.
    pub(super) fn ending(&self, lost: bool) -> String {
        match self.carried.as_deref() {
            Some(Carried { change, said: Some(_), .. }) if lost => {
                format!("{change} and had no data since{}", self.of_what())
            }
            Some(Carried { change, unheld: true, .. }) if !lost => unheld_since(change),
            _ if lost => self.ran_dry(),
            _ => String::new(),
        }
    }
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

/// Why an alert ends at once at a change: its rule is gone, or is but looks at others.
pub(super) fn gone(change: Change, removed: bool) -> String {
    let text = change.to_string();
    match removed {
        true => text.replacen("changed", "removed", 1) + ", the value is from before",
        false => text + " and does not look at this subject any more, the value is from before",
    }
}
