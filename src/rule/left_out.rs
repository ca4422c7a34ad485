//! Rules that are right and read what the configuration at hand does not have, such as a budget: they are left out
//! and said, so that one folder of rules serves several configurations, and verbs that read none.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Input;
use super::load::RuleReader;
use crate::diagnostic::did_you_mean;
use crate::settings::budget::Budget;
use crate::wire::fields::{Fields, one_of};

/// A rule that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub rule: String,
    /// File and line.
    pub place: String,
    /// What is not there.
    pub why: String,
}

/// What a rule names and no configuration has: where, what, and what there is.
pub(super) type Missing = (Range<usize>, String, String);

impl RuleReader<'_> {
    /// Remembers that the configuration has no `what`, and what there is; the first is told.
    pub(super) fn lacks(&self, bytes: &Range<usize>, what: String, known: String) {
        self.missing.borrow_mut().get_or_insert_with(|| (bytes.clone(), what, known));
    }

    /// Whether the rule that was just read is left out; says so.
    pub(super) fn leave_out(&self, name: Option<&str>, place: &str) -> bool {
        let Some((bytes, what, known)) = self.missing.take() else { return false };
        let Some(name) = name else { return true };
        let (why, help) = match self.config {
            Some(config) => (format!("{config} has no {what}"), format!("add it there, or delete the rule{known}")),
            None => (
                format!("no configuration was read that has a {what}"),
                format!("name the configuration that has it by --config{known}"),
            ),
        };
        self.faults.warning(bytes, format!("the rule `{name}` is left out: {why}"), help);
        self.left_out.borrow_mut().push(LeftOut { rule: name.to_owned(), place: place.to_owned(), why });
        true
    }

    /// The budget that the rule reads; it says who is looked at.
    pub(super) fn budget(&self, fields: &Fields<'_>) -> Option<&Budget> {
        let name = fields.text("budget")?;
        for key in ["by", "where"] {
            if fields.node(key).is_some() {
                let message = format!("a rule about a budget has no `{key}` of its own");
                self.faults.error(fields.place(key), message, "the budget says who is looked at; delete it");
            }
        }
        let names = || self.budgets.iter().map(|budget| budget.name.as_str());
        let found = self.budgets.iter().find(|budget| budget.name == name.value);
        if found.is_none() && did_you_mean(&name.value, names()).is_some() {
            // A slip of the finger must not cost the rule in silence.
            let help = one_of(&name.value, names());
            self.faults.error(name.bytes, format!("there is no budget `{}`", name.value), help);
        } else if found.is_none() {
            let known: Vec<&str> = names().collect();
            let known = if known.is_empty() { String::new() } else { format!("; there is {}", known.join(", ")) };
            self.lacks(&name.bytes, format!("budget `{}`", name.value), known);
        }
        found
    }

    /// Conditions read `budget` when and only when the rule names one.
    pub(super) fn budget_is_read(&self, fields: &Fields<'_>, inputs: &[Input]) {
        let reads = inputs.contains(&Input::Budget);
        if reads && fields.node("budget").is_none() {
            let place = if fields.node("levels").is_some() { "levels" } else { "condition" };
            let message = "the condition reads `budget` and the rule names none";
            let help = "add `budget: NAME`, one of the configuration's `budgets:`";
            self.faults.error(fields.place(place), message, help);
        } else if let Some(name) = fields.text("budget").filter(|_| !reads && !inputs.is_empty()) {
            let message = "the condition does not read `budget`";
            self.faults.error(name.bytes, message, "compare it: `budget > 80%`");
        }
    }
}
