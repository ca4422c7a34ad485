//! What a reload leaves undecided of an alert that fires.
//!
//! The windows of a changed rule may begin with the reload: then it knows too little to say that an alert is over, and
//! the alert goes on as it was judged last, in the words of then. It is judged by the changed rule as soon as that has
//! data. What only adds up, such as counts and costs, is too small in a window that is not full: where the end hangs on it
//! it waits for the full window. Whatever comes, the alert waits no longer than that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert::{Alert, Finding};
use super::event::AlertState;
use super::words;
use crate::model::{Subject, Timestamp};
use crate::rule::{Level, Rule};

/// What is undecided since a reload changed the rule of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// When that was.
    pub at: Timestamp,
    /// Until when the rule may know too little to end it; `None` when it knows all that it can.
    pub until: Option<Timestamp>,
    /// What was said of its evidence; `None` when that is of the rule as it reads now.
    pub said: Option<Said>,
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
    /// Leaves undecided what the rule, changed at `now`, may know too little for until `until`; `before` is how it read,
    /// and `levels` those of the alert's subject then.
    pub fn carry(
        &mut self,
        (now, until): (Timestamp, Option<Timestamp>),
        before: &Rule,
        levels: &[Level],
        subject: &Subject,
    ) {
        if self.fired.is_none() {
            return;
        }
        let earlier = self.carried.take().and_then(|carried| carried.said);
        let said = earlier.unwrap_or_else(|| words::said(self, before, levels, subject, now));
        let until = until.filter(|until| *until > now);
        self.carried = Some(Box::new(Carried { at: now, until, said: Some(said) }));
    }

    /// Whether the rule knows too little at `now` to end the alert.
    pub(super) fn is_undecided(&mut self, now: Timestamp, found: &Finding<'_>, lost: bool, rule: &Rule) -> bool {
        let Some(carried) = &mut self.carried else { return false };
        carried.until = carried.until.filter(|until| *until > now);
        if carried.until.is_none() && carried.said.is_none() {
            self.carried = None;
        }
        let waits = self.waits(found, lost, rule);
        if waits {
            (self.cleared, self.lapsed) = (None, None);
        }
        waits
    }

    /// The same of what was last known of its time.
    pub(super) fn waits(&self, found: &Finding<'_>, lost: bool, rule: &Rule) -> bool {
        let young = self.carried.as_ref().is_some_and(|carried| carried.until.is_some());
        let holds = || found.verdicts.iter().flatten().any(|verdict| verdict.holds);
        young && (lost || !holds() && !is_over(found, rule))
    }

    /// Takes in that the rule as it reads now holds; whether its windows are still filling up.
    pub(super) fn judged(&mut self) -> bool {
        let Some(carried) = &mut self.carried else { return false };
        carried.said = None;
        carried.until.is_some()
    }

    /// Why an alert is in its state, if not because its condition holds or does not; else empty.
    pub(super) fn why(&self, state: AlertState) -> String {
        let undecided = self.carried.as_deref().filter(|carried| carried.said.is_some());
        match undecided.filter(|_| state == AlertState::Firing) {
            None => self.reason.clone(),
            Some(Carried { at, until: None, .. }) => {
                format!("the rule was changed by a reload at {at} and has not held as it reads now")
            }
            Some(Carried { at, until: Some(until), .. }) => format!(
                "the rule was changed by a reload at {at} and knows too little yet: goes on as before until {until} at the latest"
            ),
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

/// Why an alert ends, with data or without.
pub(super) fn reason(carried: Option<&Carried>, lost: bool) -> String {
    match (carried.filter(|carried| carried.said.is_some()), lost) {
        (None, false) => String::new(),
        (None, true) => "no data any more, the value is from before".to_owned(),
        (Some(Carried { at, .. }), false) => {
            format!("the rule was changed by a reload at {at} and does not hold as it reads now")
        }
        (Some(Carried { at, .. }), true) => {
            format!("the rule was changed by a reload at {at} and had no data since, the value is from before")
        }
    }
}

/// Why an alert ends at once at the reload at `now`: its rule is gone, or is but looks at others.
pub(super) fn gone(now: Timestamp, removed: bool) -> String {
    let what = if removed { "removed" } else { "changed" };
    let looks = if removed { "" } else { " and does not look at this subject any more" };
    format!("the rule was {what} by a reload at {now}{looks}, the value is from before")
}
