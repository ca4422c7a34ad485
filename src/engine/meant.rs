//! Whom somebody means who asks about a rule and a subject; where there is none, what there is instead.

use super::Engine;
use super::plan::Plan;
use crate::model::{Dimension, Part, Subject};
use crate::rule::{Rule, Takes};
use crate::settings::CELL;
use crate::wire::fields::one_of;

/// Subjects that a message names.
const NAMED: usize = 20;

impl Engine {
    /// The rule, and the one subject that is meant of those that evenkeel and the settings name: it is looked at before
    /// anything was seen of it.
    pub(super) fn foreseen(&self, name: &str, wanted: &str) -> Option<(usize, Subject)> {
        let index = self.policy.rules.iter().position(|rule| rule.name == name)?;
        let (rule, settings) = (&self.policy.rules[index], &self.policy.settings);
        let mut subjects = vec![Subject::default()];
        for dimension in &rule.by {
            let known: Vec<&str> = match dimension {
                Dimension::Part => Part::ALL.iter().map(|part| part.as_str()).collect(),
                Dimension::Receiver => settings.receivers.iter().map(|receiver| receiver.name.as_str()).collect(),
                Dimension::Source => settings.sources.iter().map(|source| source.name.as_str()).collect(),
                _ => return None,
            };
            let looked_at = |value: &&&str| {
                rule.filter
                    .iter()
                    .filter(|matcher| matcher.dimension == *dimension)
                    .all(|matcher| matcher.matches(value))
            };
            let known: Vec<&&str> = known.iter().filter(looked_at).collect();
            let with = |subject: &Subject, value: &str| {
                let mut subject = subject.clone();
                subject.0.insert(dimension.as_str().to_owned(), value.to_owned());
                subject
            };
            subjects = subjects.iter().flat_map(|one| known.iter().map(move |value| with(one, value))).collect();
        }
        let mut meant = subjects.into_iter().filter(|subject| subject.is_meant_by(wanted));
        match (meant.next(), meant.next()) {
            (Some(subject), None) => Some((index, subject)),
            _ => None,
        }
    }

    /// Where the rule and its subject are; otherwise what there is instead.
    pub fn find(&self, name: &str, wanted: &str) -> Result<(usize, usize), String> {
        let names = || self.policy.rules.iter().map(|rule| rule.name.as_str());
        let Some(index) = names().position(|rule| rule == name) else {
            return Err(format!("there is no rule `{name}`: {}", one_of(name, names())));
        };
        let (rule, split) = (&self.policy.rules[index], &self.state.splits[self.plan.rules[index].split]);
        let subjects: Vec<Subject> =
            (0..split.series.len()).map(|series| split.subject(series, &self.state.names)).collect();
        let found: Vec<usize> = (0..subjects.len()).filter(|series| subjects[*series].is_meant_by(wanted)).collect();
        let listed = |all: &[usize]| {
            let shown: Vec<String> = all.iter().take(NAMED).map(|series| subjects[*series].to_string()).collect();
            let more = all.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}{more}", shown.join("; "))
        };
        match found[..] {
            [series] => Ok((index, series)),
            [] if subjects.is_empty() => Err(self.nothing_seen(index, wanted)),
            [] => {
                let known = listed(&Vec::from_iter(0..subjects.len()));
                let why = self.passed_over(rule, wanted);
                let uncounted = self.uncounted(self.now().unwrap_or_default(), index);
                let uncounted = uncounted.map(|uncounted| format!(": {uncounted}")).unwrap_or_default();
                Err(format!("the rule `{name}` has seen no `{wanted}` yet{why}{uncounted}; it looks at: {known}"))
            }
            _ => Err(format!("`{wanted}` may be any of: {}", listed(&found))),
        }
    }

    /// That a rule has no subject yet, and why if more is known than that; `wanted` is whom somebody means.
    pub(super) fn nothing_seen(&self, index: usize, wanted: &str) -> String {
        let rule = &self.policy.rules[index];
        if let Some(uncounted) = self.uncounted(self.now().unwrap_or_default(), index) {
            return format!("the rule `{}` has counted no agent with an alert yet: {uncounted}", rule.name);
        }
        let what = match rule.takes() {
            Takes::Deliveries => "delivery to a receiver",
            Takes::Alerts => "alert of the rules that it covers",
            Takes::Parts => "loss",
            Takes::Executions | Takes::Works => "record",
        };
        format!("the rule `{}` has seen no {what} yet{}", rule.name, self.passed_over(rule, wanted))
    }

    /// That a subject ran, and the rule's `where` counts none of it; empty for a rule that looks at everything.
    fn passed_over(&self, rule: &Rule, wanted: &str) -> String {
        let Some(all) = rule.looks_only_at(true) else { return String::new() };
        let cells = &self.state.splits[Plan::CELLS];
        let known = |dimension: &Dimension| CELL.contains(dimension);
        let runs = matches!(rule.takes(), Takes::Executions | Takes::Works) && rule.by.iter().all(known);
        let (mut subject, mut ran, mut counted) = (None, 0, 0);
        let told = runs && rule.looks_only_at(false).is_some();
        for (cell, series) in cells.series.iter().enumerate().filter(|_| told) {
            let labels = cells.subject(cell, &self.state.names);
            let own = rule.by.iter().filter_map(|by| Some((by.as_str(), labels.get(by.as_str())?)));
            let own: Subject = own.collect();
            if !own.is_meant_by(wanted) || subject.as_ref().is_some_and(|first| *first != own) {
                continue;
            }
            let value = |dimension: Dimension| labels.get(dimension.as_str()).unwrap_or_default();
            let hit = rule.filter.iter().filter(|m| known(&m.dimension)).all(|m| m.matches(value(m.dimension)));
            ran += series.total;
            counted += if hit { series.total } else { 0 };
            subject = Some(own);
        }
        let times = if ran == 1 { "once".to_owned() } else { format!("{ran} times") };
        match subject {
            // Cells do not have every label, and a reload may have brought the rule since.
            Some(subject) if counted == 0 => format!(": {subject} ran {times}, never with {all}"),
            Some(subject) => format!(": {subject} ran {times}, and the rule looks only at {all}"),
            None => format!(": it looks only at {all}"),
        }
    }
}
