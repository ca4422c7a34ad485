//! What the window of a rule held, slice by slice, when an alert began to fire.
//!
//! Read by the code that evaluates rules, so that a picture cannot say what the rule does not. Costs a
//! copy of the window's slices, so it is done once per alert and only where somebody is shown a picture.

use std::collections::{BTreeMap, BTreeSet};

use super::evaluate;
use super::event::AlertEvent;
use super::reading::Reading;
use super::{Engine, budget};
use crate::model::{Timestamp, Trend};
use crate::rule::{Input, Node};
use crate::settings::Channel;

impl Engine {
    /// Whether any receiver is shown how values went.
    pub(super) fn shows_trends(&self) -> bool {
        self.policy.settings.receivers.iter().any(|receiver| matches!(receiver.channel, Channel::Email { .. }))
    }

    /// Adds to the wanted events how their values went.
    pub(super) fn add_trends(&self, events: &mut [AlertEvent], wanted: &BTreeSet<String>) {
        let alerts = self.state.rules.iter().flat_map(|rule| rule.alerts.iter().map(|(_, alert)| alert));
        let trends: BTreeMap<&str, &Trend> =
            alerts.filter(|alert| wanted.contains(&alert.id)).map(|alert| (alert.id.as_str(), &alert.trend)).collect();
        for event in events {
            event.trend = trends.get(event.id.as_str()).map(|trend| Box::new((*trend).clone()));
        }
    }

    /// Notes how the value of an alert that begins to fire came about.
    pub(super) fn look_back(&mut self, now: Timestamp, rule: usize, series: usize) {
        let Some(found) = self.slices(now, rule, series) else { return };
        if let Some(alert) = self.state.rules[rule].alerts.get_mut(series) {
            alert.trend = Trend { values: std::mem::take(&mut alert.trend.values), ..found };
        }
    }

    /// What each slice of a rule's window says for itself, or what they add up to when the rule reads
    /// a sum; `None` for a rule that reads what slices do not have.
    pub(super) fn slices(&self, now: Timestamp, index: usize, series: usize) -> Option<Trend> {
        let (rule, plan, state) = (&self.policy.rules[index], &self.plan.rules[index], &self.state.rules[index]);
        if rule.program.inputs.iter().any(|input| matches!(input, Input::Budget | Input::Score) || input.runs()) {
            return None;
        }
        // Windows in which nothing can turn wait for the next record before they lose what is old.
        let aged = self.state.splits[plan.split].aged(series, now);
        let (split, own) = aged.as_ref().map_or((&self.state.splits[plan.split], series), |alone| (alone, 0));
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        let evaluation = self.evaluation(now, plan.split, &budgets);
        let read = |reading: &Reading<'_>| evaluation.read(index, reading, 1, series, state).0;
        let case = evaluate::case(rule, split, own, &self.state.names);
        let whole = read(&Reading::of((split, own), plan.window, now));
        let (levels, _) = rule.terms.case(case);
        let level = levels.iter().rfind(|level| level.root.eval(&whole).is_some_and(|v| v.holds)).or(levels.first());
        let root = level.map_or(&rule.program.root, |level| &level.root);
        // The value that messages show, in each slice of its own window.
        let shown = root.deciding(&whole);
        let window = shown.and_then(Node::first_slot).map_or(plan.window, |slot| usize::from(plan.windows[slot]));
        let adds_up = match shown {
            Some(Node::Compare { left, .. }) => left.slots().iter().any(|slot| rule.program.inputs[*slot].adds_up()),
            _ => rule.program.inputs.iter().any(Input::adds_up),
        };
        let look = split.look(own, window);
        let mut trend = Trend { slice: look.shape.pane, adds_up, ..Trend::default() };
        look.each_pane(adds_up, |end, look| {
            let reading = Reading { look, counts: look.counts(), ..Reading::of((split, own), window, end.min(now)) };
            let values = read(&reading);
            let value = shown.or_else(|| root.deciding(&values)).and_then(|shown| shown.left(&values));
            trend.slices.extend(value.filter(|value| value.is_finite()).map(|value| (reading.now, value)));
        });
        Some(trend)
    }
}
