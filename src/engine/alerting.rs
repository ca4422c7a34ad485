//! What follows from a change of an alert's state: history, messages, and which agents have
//! something firing.

use std::collections::BTreeSet;

use super::Engine;
use super::alert::{self, Alert};
use super::event::{AlertEvent, AlertState, Effect, Report};
use super::names::Name;
use super::rules::Transition;
use crate::model::{Dimension, Timestamp};

impl Engine {
    /// Takes a change of state in.
    pub(super) fn transition(&mut self, now: Timestamp, transition: Transition, effects: &mut Vec<Effect>) {
        let Transition { rule: index, series, state, alert } = transition;
        let rule = &self.policy.rules[index];
        let split = &self.state.splits[self.plan.rules[index].split];
        let subject = split.subject(series, &self.state.names);
        let event = alert::event(state, &alert, rule, &subject, now);
        let agent = split.label(series, Dimension::Agent);
        effects.push(Effect::Report(Report::Alert(event.clone())));
        match state {
            AlertState::Firing => {
                self.state.counters.fired += 1;
                if let Some(agent) = agent {
                    *self.state.active.entry(agent).or_default() += 1;
                }
                if !self.state.backfill {
                    self.state.mirror.fire(&event, self.policy.settings.limits.outbox);
                    self.tell(index, series, &event, effects);
                }
            }
            AlertState::Resolved => {
                self.state.counters.resolved += 1;
                if let Some(agent) = agent {
                    self.release(agent);
                }
                self.state.mirror.end(&event);
                self.tell_end(&alert, &event, effects);
            }
            AlertState::Pending | AlertState::Inactive => {}
        }
    }

    /// Tells every receiver that wants this severity, and remembers whom.
    fn tell(&mut self, rule: usize, series: usize, event: &AlertEvent, effects: &mut Vec<Effect>) {
        let settings = &self.policy.settings;
        let wanting = settings.receivers.iter().filter(|r| r.resend().is_none() && event.severity >= r.min_severity);
        let told = self.state.outbox.tell(wanting, settings.limits.outbox, event, effects);
        if let Some(alert) = self.state.rules[rule].alerts.get_mut(&(series as u32)) {
            alert.told = told;
        }
    }

    /// Tells the end of an alert to those who were told that it fires, and to nobody else.
    fn tell_end(&mut self, alert: &Alert, event: &AlertEvent, effects: &mut Vec<Effect>) {
        let settings = &self.policy.settings;
        let told = settings.receivers.iter().filter(|r| r.send_resolved && alert.told.contains(&r.name));
        self.state.outbox.tell(told, settings.limits.outbox, event, effects);
    }

    /// Ends the alerts of rules that a reload removed or changed; `before` are all alerts as they
    /// were under the old policy.
    pub(super) fn end_gone(
        &mut self,
        now: Timestamp,
        before: Vec<AlertEvent>,
        gone: &[Alert],
        effects: &mut Vec<Effect>,
    ) {
        for mut event in before {
            let Some(alert) = gone.iter().find(|a| a.id == event.id) else { continue };
            let fired = event.state == AlertState::Firing;
            event.state = if fired { AlertState::Resolved } else { AlertState::Inactive };
            event.at = now;
            event.annotations.insert("reason".into(), "the rule was changed or removed".into());
            effects.push(Effect::Report(Report::Alert(event.clone())));
            if fired {
                self.state.counters.resolved += 1;
                self.state.mirror.end(&event);
                self.tell_end(alert, &event, effects);
            }
        }
    }

    fn release(&mut self, agent: Name) {
        if let Some(count) = self.state.active.get_mut(&agent) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.state.active.remove(&agent);
            }
        }
    }

    /// Counts firing alerts per agent anew.
    pub(super) fn count_active(&mut self) {
        self.state.active.clear();
        for (rule, plan) in self.state.rules.iter().zip(&self.plan.rules) {
            for (series, _) in rule.alerts.iter().filter(|(_, a)| a.fired.is_some()) {
                if let Some(agent) = self.state.splits[plan.split].label(*series as usize, Dimension::Agent) {
                    *self.state.active.entry(agent).or_default() += 1;
                }
            }
        }
    }

    /// Every pending or firing alert with its newest evidence.
    pub(super) fn active_alerts(&self) -> Vec<AlertEvent> {
        self.active_among(|_| true)
    }

    /// Hands out what Alertmanagers are to be told.
    pub(super) fn mirror(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.state.mirror.deadline() > now {
            return;
        }
        let mut mirror = std::mem::take(&mut self.state.mirror);
        let newest = |ids: &BTreeSet<&str>| self.active_among(|a| a.fired.is_some() && ids.contains(a.id.as_str()));
        mirror.pump(now, newest, effects);
        self.state.mirror = mirror;
    }

    fn active_among(&self, wanted: impl Fn(&Alert) -> bool) -> Vec<AlertEvent> {
        let now = self.state.clock.unwrap_or_default();
        let mut events = Vec::new();
        for ((rule, plan), state) in self.policy.rules.iter().zip(&self.plan.rules).zip(&self.state.rules) {
            let split = &self.state.splits[plan.split];
            for (series, alert) in state.alerts.iter().filter(|(_, alert)| wanted(alert)) {
                let subject = split.subject(*series as usize, &self.state.names);
                let to = if alert.fired.is_some() { AlertState::Firing } else { AlertState::Pending };
                events.push(alert::event(to, alert, rule, &subject, now));
            }
        }
        events
    }

    fn firing(&self) -> Vec<AlertEvent> {
        self.active_alerts().into_iter().filter(|e| e.state == AlertState::Firing).collect()
    }

    /// Tells receivers of alerts that began to fire while history was read and still do.
    pub(super) fn tell_untold(&mut self, effects: &mut Vec<Effect>) {
        let untold: Vec<(usize, usize)> = self
            .state
            .rules
            .iter()
            .enumerate()
            .flat_map(|(rule, s)| s.alerts.iter().map(move |(series, alert)| (rule, *series as usize, alert)))
            .filter(|(_, _, alert)| alert.fired.is_some() && alert.told.is_empty())
            .map(|(rule, series, _)| (rule, series))
            .collect();
        let firing = self.firing();
        let mirror = &mut self.state.mirror;
        for event in &firing {
            if !mirror.knows(&event.id) {
                mirror.fire(event, self.policy.settings.limits.outbox);
            }
        }
        for (rule, series) in untold {
            let id = &self.state.rules[rule].alerts[&(series as u32)].id;
            if let Some(event) = firing.iter().find(|e| e.id == *id) {
                self.tell(rule, series, event, effects);
            }
        }
    }
}
