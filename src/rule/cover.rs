//! Reads `covers`: which rules a rule counts the alerts of, and that it can.

use std::collections::BTreeMap;

use super::load::RuleReader;
use super::{Rule, Takes};
use crate::diagnostic::{Diagnostic, SourceFile};
use crate::model::Dimension;
use crate::wire::fields::{Faults, Fields, Spanned, one_of};

/// What the rules of one file cover, with the place of every name.
pub(super) type Covering<'a> = (&'a SourceFile, Vec<Spanned<String>>);

impl RuleReader<'_> {
    /// The names in `covers`.
    pub(super) fn covers(&self, fields: &Fields<'_>) -> Vec<Spanned<String>> {
        let names = fields.texts("covers").unwrap_or_default();
        if names.is_empty() && fields.node("covers").is_some() {
            let message = "`covers` names no rule";
            self.faults.error(fields.place("covers"), message, "write `covers: [error_burst]`, or leave it out");
        }
        names
    }

    /// What many agents have in common is no label that tells each of them apart.
    pub(super) fn commonly(&self, fields: &Fields<'_>, by: &[Dimension], takes: Takes) {
        if let Some(own) = by.iter().find(|label| takes == Takes::Alerts && !takes.has(**label)) {
            let place = if fields.node("by").is_some() { "by" } else { "covers" };
            let message = format!("a rule that covers others counts agents and cannot be split by `{}`", own.as_str());
            self.faults.error(fields.place(place), message, "write what they have in common, such as `by: provider`");
        }
    }
}

/// Leaves out rules that cover what cannot be covered, and says so; `names` are all that were given to rules.
pub(super) fn check(
    covering: Vec<Covering<'_>>,
    names: &BTreeMap<String, String>,
    rules: &mut Vec<Rule>,
) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut refused = Vec::new();
    for (file, wanted) in covering {
        let faults = Faults::new(file);
        for Spanned { value, bytes } in wanted {
            let found = rules.iter().find(|rule| rule.name == value);
            let fault = match found {
                Some(rule) if rule.takes() != Takes::Executions || !rule.by.contains(&Dimension::Agent) => {
                    let help = "cover rules that are split by `agent`".to_owned();
                    Some((format!("the rule `{value}` looks at no single agents"), help))
                }
                // A rule with a fault of its own says so itself.
                None if !names.contains_key(&value) => {
                    Some((format!("there is no rule `{value}`"), one_of(&value, names.keys().map(String::as_str))))
                }
                _ => None,
            };
            if let Some((message, help)) = fault {
                faults.error(bytes, message, help);
                refused.push(value);
            }
        }
        diagnostics.extend(faults.into_diagnostics());
    }
    rules.retain(|rule| !rule.terms.covers.iter().any(|name| refused.contains(name)));
    diagnostics
}
