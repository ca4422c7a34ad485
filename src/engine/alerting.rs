//! What follows from a change of an alert's state: history, messages, and which agents have
//! something firing.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::alert::Alert;
use super::carry::{Change, Gone};
use super::dispatch::{Manner, Scene, Sources};
use super::evaluate;
use super::event::{Acknowledgement, AlertEvent, AlertState, Effect, GOES_ON, Message, Muted, Report};
use super::gaze::Gaze;
use super::names::Name;
use super::rules::Transition;
use super::{Engine, State, budget, carry, words};
use crate::model::{Dimension, Severity, Timestamp};
use crate::rule::Rule;
use crate::settings::Channel;
use crate::wire::notice::PICTURED;

impl Engine {
    /// Takes a change of state in; whether what it held back may go out.
    pub(super) fn transition(&mut self, now: Timestamp, transition: Transition, effects: &mut Vec<Effect>) -> bool {
        let Transition { rule: index, series, state, alert, fell } = transition;
        let rule = &self.policy.rules[index];
        let split = &self.state.splits[self.plan.rules[index].split];
        let subject = split.subject(series, &self.state.names);
        let levels = evaluate::levels(rule, split, series, &self.state.names);
        let mut event = words::event(state, &alert, rule, levels, &subject, now);
        let mut ends = self.ends((now, index, series), &alert, &event);
        let mirrored = self.state.mirror.severity(&event.id);
        let own = ends.iter().find(|end| Some(end.severity) == mirrored).cloned();
        if let Some(before) = fell {
            effects.push(Effect::Report(Report::Regraded { alert: event.clone(), before }));
            // To an Alertmanager, and to who is told of the graver ones alone, that is over; what it inhibited may go out.
            let goes_on = format!("{GOES_ON} as severity={}", event.severity.as_str());
            ends.iter_mut().for_each(|end| words::explain(end, goes_on.clone()));
            // While history is read nobody is told of a beginning.
            let begins = !self.state.backfill && event.muted.is_none();
            self.state.dispatch.fall(now, &self.policy.settings, &event, &ends, begins);
            if self.state.mirror.knows(&event.id) {
                self.state.mirror.refresh(&event, own, self.policy.settings.limits.outbox, effects);
            }
            return true;
        }
        // Becoming graver, or its hours having begun, is no new alert.
        let began = alert.fired == Some(now);
        let (shadow, covers) = (rule.terms.shadow, !rule.terms.covers.is_empty());
        let agent = split.label(series, Dimension::Agent);
        effects.push(Effect::Report(Report::Alert(event.clone())));
        match state {
            AlertState::Firing => {
                self.state.counters.fired += u64::from(began);
                if began {
                    Engine::note_for_digests(&mut self.state, &event);
                }
                if began
                    && !shadow
                    && !self.state.backfill
                    && self.shows_trends()
                    && !self.state.dispatch.floods(now, &self.policy.settings, &event)
                {
                    self.look_back(now, index, series);
                }
                if let Some(agent) = agent.filter(|_| began && !shadow) {
                    *self.state.active.entry(agent).or_default() += 1;
                }
                if !self.state.backfill && event.muted.is_none() {
                    self.state.mirror.fire(&event, own, self.policy.settings.limits.outbox, effects);
                    self.state.dispatch.fire(now, &self.policy.settings, &event);
                    false
                } else {
                    // Graver, but outside of its hours: it inhibits nothing from now on.
                    !began
                }
            }
            AlertState::Resolved => {
                self.state.counters.resolved += 1;
                Engine::note_for_digests(&mut self.state, &event);
                if let Some(agent) = agent.filter(|_| !shadow) {
                    self.release(agent);
                }
                self.state.mirror.end(&event, own, effects);
                event.trend = self.shows_trends().then(|| Box::new(alert.trend));
                self.state.dispatch.end(now, &self.policy.settings, &event, &ends);
                covers || !self.policy.settings.routing.inhibitions.is_empty()
            }
            AlertState::Pending | AlertState::Inactive => false,
        }
    }

    /// How an alert ends, or ended, at the other severities that Alertmanagers know it by or somebody was told.
    fn ends(
        &self,
        (now, index, series): (Timestamp, usize, usize),
        alert: &Alert,
        event: &AlertEvent,
    ) -> Vec<AlertEvent> {
        let mut told = self.state.dispatch.told_otherwise(event);
        told.extend(self.state.mirror.severity(&event.id).filter(|known| *known != event.severity));
        if told.is_empty() {
            return Vec::new();
        }
        let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
        let gaze = Gaze::new(self, index, now, &budgets);
        told.into_iter().filter_map(|told| gaze.known_as(series, alert, AlertState::Resolved, told)).collect()
    }

    /// By alert that came to its severity outside of its rule's hours, or off somebody's routes: what is known of it at
    /// milder ones, for those who were told these before.
    fn milder<'a>(
        &self,
        now: Timestamp,
        firing: impl Iterator<Item = &'a AlertEvent>,
    ) -> BTreeMap<String, Vec<AlertEvent>> {
        let told = firing.flat_map(|event| self.state.dispatch.seen_milder(event).map(|told| (&event.id, told)));
        let told: BTreeSet<(&String, Severity)> = told.collect();
        let mut milder = BTreeMap::<String, Vec<AlertEvent>>::new();
        for severity in Severity::ALL.into_iter().filter(|_| !told.is_empty()) {
            let events = self.look_at(
                now,
                |alert| told.contains(&(&alert.id, severity)),
                |gaze, series| gaze.known_as(series, &gaze.seen(series)?, AlertState::Firing, severity),
            );
            events.into_iter().for_each(|event| milder.entry(event.id.clone()).or_default().push(event));
        }
        milder
    }

    /// How all ends that Alertmanagers know to fire, at the severity that they know, before the policy changes.
    pub(super) fn all_at_alertmanagers(&self, now: Timestamp) -> BTreeMap<String, AlertEvent> {
        let known = self.state.mirror.severities();
        if known.is_empty() {
            return BTreeMap::new();
        }
        let one = |gaze: &Gaze<'_>, series: usize| {
            let seen = gaze.seen(series)?;
            gaze.known_as(series, &seen, AlertState::Resolved, known[&seen.id])
        };
        let all = self.look_at(now, |alert| known.contains_key(&alert.id), one);
        all.into_iter().map(|event| (event.id.clone(), event)).collect()
    }

    /// By alert: how these `endings` are at the severities that somebody was told, before the policy changes.
    pub(super) fn told_ends(&self, now: Timestamp, endings: &[AlertEvent]) -> BTreeMap<String, Vec<AlertEvent>> {
        let told = endings.iter().map(|end| (end, self.state.dispatch.told_as(end)));
        let told = told.flat_map(|(end, told)| told.map(move |told| (end.id.as_str(), told)));
        let told: BTreeSet<(&str, Severity)> = told.collect();
        let severities: BTreeSet<Severity> = told.iter().map(|(_, severity)| *severity).collect();
        let mut ends = BTreeMap::<String, Vec<AlertEvent>>::new();
        for severity in severities {
            let known =
                |gaze: &Gaze<'_>, series| gaze.known_as(series, &gaze.seen(series)?, AlertState::Resolved, severity);
            let all = self.look_at(now, |alert| told.contains(&(&alert.id[..], severity)), known);
            all.into_iter().for_each(|end| ends.entry(end.id.clone()).or_default().push(end));
        }
        ends
    }

    /// Puts what is to be said by `now` into the outbox.
    pub(super) fn say(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.state.backfill || self.state.judged(self.state.dispatch.deadline()) > now {
            return;
        }
        // What is said again is true of now; only time may have changed it since it was decided on.
        let again = self.state.dispatch.repeated(now);
        if !again.is_empty() {
            self.look_at_alerts(now, |alert| again.contains(&alert.id));
        }
        let scene = self.scene(Some(self.state.dispatch.wanted(now)));
        let settings = &self.policy.settings;
        let State { dispatch, outbox, .. } = &mut self.state;
        dispatch.flush(now, settings, &scene, &mut |receiver, mut notification, manner| {
            let limit = settings.limits.outbox;
            // What found no room before and finds none now is no further loss.
            if manner.again && outbox.is_full(&receiver.name, limit) {
                return false;
            }
            let pictured = if let Channel::Email { .. } = receiver.channel { PICTURED } else { 0 };
            notification.keep_trends(pictured);
            outbox.push(&receiver.name, limit, Message::Alerts(notification), manner, effects)
        });
    }

    /// Lets the alerts that pass say what their rules see at `now`. An evaluation leaves alone what only time has
    /// changed, and between the end of a recording and now there may be years; whether an alert holds it decides alone.
    fn look_at_alerts(&mut self, now: Timestamp, pass: impl Fn(&Alert) -> bool) {
        for index in 0..self.policy.rules.len() {
            let budgets = budget::read_by_rules(&self.policy, &self.state.budgets);
            let gaze = Gaze::new(self, index, now, &budgets);
            // What goes on in the words of before a reload goes on with the value that they are of.
            let alerts = gaze.state.alerts.iter().filter(|(_, alert)| pass(alert) && !alert.is_of_before());
            let known = |seen: &Alert, alert: &Alert| seen.rest == alert.rest && seen.rest.dry.is_none();
            let seen = |(series, alert)| Some((series, gaze.seen(series).filter(|seen| known(seen, alert))?));
            let seen: Vec<(usize, Alert)> = alerts.filter_map(seen).collect();
            for (series, found) in seen {
                let alert = self.state.rules[index].alerts.get_mut(series).expect("it has one");
                (alert.evidence, alert.by_level) = (found.evidence, found.by_level);
            }
        }
    }

    /// What the dispatcher needs to know of firing alerts: of these, or of all.
    pub(super) fn scene(&self, wanted: Option<BTreeSet<String>>) -> Scene {
        let inhibitions = &self.policy.settings.routing.inhibitions;
        let only = wanted.as_ref().filter(|_| inhibitions.is_empty());
        let mut firing =
            self.events(|alert| alert.fired.is_some() && only.as_ref().is_none_or(|ids| ids.contains(&alert.id)));
        if let Some(wanted) = wanted.as_ref().filter(|_| self.shows_trends()) {
            self.add_trends(&mut firing, wanted);
        }
        // A rule on trial inhibits nothing.
        firing.retain(|event| event.muted != Some(Muted::Shadow));
        let subjects = self.policy.rules.iter().zip(&self.plan.rules).map(|(rule, plan)| {
            let noun = match rule.by[..] {
                [dimension] => format!("{}s", dimension.as_str().replace('_', " ")),
                _ => "subjects".to_owned(),
            };
            (rule.name.clone(), (self.state.splits[plan.split].series.len() as u64, noun))
        });
        let now = self.state.clock.unwrap_or_default();
        Scene {
            subjects: subjects.collect(),
            milder: if wanted.is_some() { self.milder(now, firing.iter()) } else { BTreeMap::new() },
            gravest: if wanted.is_none() { self.gravest(&firing) } else { BTreeMap::new() },
            sources: Sources::new(inhibitions, &firing, self.incidents(&firing)),
            firing: firing.into_iter().map(|event| (event.id.clone(), event)).collect(),
        }
    }

    /// By alert: the gravest severity that it may come to.
    fn gravest(&self, firing: &[AlertEvent]) -> BTreeMap<String, Severity> {
        let rules: BTreeMap<&str, &Rule> = self.policy.rules.iter().map(|rule| (rule.name.as_str(), rule)).collect();
        let of = |event: &AlertEvent| {
            let (levels, _) = rules.get(event.rule.as_str())?.terms.case_of(&event.subject);
            Some((event.id.clone(), levels.iter().map(|level| level.severity).max()?))
        };
        firing.iter().filter_map(of).collect()
    }

    /// Ends the alerts that a reload leaves no rule for; `before` are the [endings](Engine::endings) of all alerts under
    /// the old policy, `told` those [as somebody was told](Engine::told_ends), and `own` those
    /// [at Alertmanagers](Engine::all_at_alertmanagers).
    pub(super) fn end_gone(
        &mut self,
        change: Change,
        (before, told): (&[AlertEvent], &BTreeMap<String, Vec<AlertEvent>>),
        own: &mut BTreeMap<String, AlertEvent>,
        gone: &[(String, Gone)],
        effects: &mut Vec<Effect>,
    ) {
        for event in before {
            let Some((_, why)) = gone.iter().find(|(id, _)| *id == event.id) else { continue };
            let mut event = AlertEvent { at: change.when(), ..event.clone() };
            let fired = event.state == AlertState::Resolved;
            words::explain(&mut event, carry::gone(change, *why));
            effects.push(Effect::Report(Report::Alert(event.clone())));
            if fired {
                self.state.counters.resolved += 1;
                self.state.mirror.end(&event, own.remove(&event.id), effects);
                let mut ends = told.get(&event.id).cloned().unwrap_or_default();
                ends.iter_mut().for_each(|end| {
                    end.at = event.at;
                    words::explain(end, event.reason.clone());
                });
                self.state.dispatch.end(change.at, &self.policy.settings, &event, &ends);
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
        let rules = self.state.rules.iter().zip(&self.plan.rules).zip(&self.policy.rules);
        for ((rule, plan), _) in rules.filter(|(_, rule)| !rule.terms.shadow) {
            for (series, _) in rule.alerts.iter().filter(|(_, a)| a.fired.is_some()) {
                if let Some(agent) = self.state.splits[plan.split].label(series, Dimension::Agent) {
                    *self.state.active.entry(agent).or_default() += 1;
                }
            }
        }
    }

    /// Every pending or firing alert with its newest evidence.
    pub(super) fn active_alerts(&self) -> Vec<AlertEvent> {
        self.events(|_| true)
    }

    /// The same as if they ended.
    pub(super) fn endings(&self) -> Vec<AlertEvent> {
        self.events_as([AlertState::Resolved, AlertState::Inactive], |_| true)
    }

    /// Every alert that fires.
    pub(super) fn firing(&self) -> Vec<AlertEvent> {
        self.events(|alert| alert.fired.is_some())
    }

    /// Hands out what Alertmanagers are to be told.
    pub(super) fn mirror(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.state.judged(now) > now {
            return;
        }
        let limit = self.policy.settings.limits.outbox;
        if self.state.mirror.has_room_again(limit) {
            let mut waiting = self.events(|alert| self.state.mirror.waits(&alert.id));
            waiting.retain(|event| event.state == AlertState::Firing && event.muted.is_none());
            waiting.sort_by_key(|event| Reverse(event.severity));
            waiting.iter().for_each(|event| self.state.mirror.fire(event, None, limit, effects));
        }
        if self.state.mirror.deadline() > now {
            return;
        }
        let mut mirror = std::mem::take(&mut self.state.mirror);
        // Of one that rose outside of its hours what it was told as goes on.
        let newest = |known: &BTreeMap<&str, Severity>| {
            let one = |gaze: &Gaze<'_>, series: usize| {
                let newest = gaze.newest(series)?;
                match known[newest.id.as_str()] {
                    severity if severity == newest.severity => Some(newest),
                    severity => gaze.known_as(series, &gaze.seen(series)?, AlertState::Firing, severity),
                }
            };
            self.look_at(now, |a| a.fired.is_some() && known.contains_key(a.id.as_str()), one)
        };
        mirror.pump(now, newest, effects);
        self.state.mirror = mirror;
    }

    /// The pending and firing alerts that pass, with their newest evidence.
    fn events(&self, pass: impl Fn(&Alert) -> bool) -> Vec<AlertEvent> {
        self.events_as([AlertState::Firing, AlertState::Pending], pass)
    }

    /// The same as if those that fire, and those that are pending, changed to these states.
    fn events_as(&self, [fires, pends]: [AlertState; 2], pass: impl Fn(&Alert) -> bool) -> Vec<AlertEvent> {
        let now = self.state.clock.unwrap_or_default();
        let mut events = Vec::new();
        for ((rule, plan), state) in self.policy.rules.iter().zip(&self.plan.rules).zip(&self.state.rules) {
            let split = &self.state.splits[plan.split];
            for (series, alert) in state.alerts.iter().filter(|(_, alert)| pass(alert)) {
                let subject = split.subject(series, &self.state.names);
                let ends = fires == AlertState::Resolved;
                let alert = if ends { Cow::Owned(alert.stopped()) } else { Cow::Borrowed(alert) };
                let to = if alert.fired.is_some() { fires } else { pends };
                let levels = evaluate::levels(rule, split, series, &self.state.names);
                events.push(words::event(to, &alert, rule, levels, &subject, now));
            }
        }
        events
    }

    /// Tells receivers of alerts that began to fire while history was read and still do.
    pub(super) fn tell_untold(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.look_at_alerts(now, |_| true);
        let mut own = self.all_at_alertmanagers(now);
        for event in self.firing().into_iter().filter(|event| event.muted.is_none()) {
            let (limit, own) = (self.policy.settings.limits.outbox, own.remove(&event.id));
            self.state.mirror.refresh(&event, own, limit, effects);
            if !self.state.dispatch.knows(&event) {
                self.state.dispatch.fire(now, &self.policy.settings, &event);
            }
        }
    }

    /// Somebody takes an alert on that fires.
    pub(super) fn acknowledge(&mut self, now: Timestamp, ack: Acknowledgement, effects: &mut Vec<Effect>) {
        let found = self.events(|alert| alert.id == ack.alert && alert.fired.is_some());
        let Some(event) = found.first() else { return };
        let milder = self.milder(now, found.iter()).remove(&event.id).unwrap_or_default();
        let settings = &self.policy.settings;
        let State { dispatch, outbox, backfill, .. } = &mut self.state;
        let before = dispatch.acks.of(&ack.alert);
        let said = before.is_some_and(|before| (&before.author, &before.note) == (&ack.author, &ack.note));
        dispatch.acks.add(event.severity, ack.clone());
        if said || *backfill {
            return;
        }
        for (receiver, notification) in dispatch.taken_on(now, settings, (event, &milder), &ack) {
            outbox.push(&receiver, settings.limits.outbox, Message::Alerts(notification), Manner::default(), effects);
        }
    }

    /// That alerts are milder since a reload than they `were`, for who is told of graver ones alone: `over` is how they
    /// would have ended before it.
    pub(super) fn fall_by(
        &mut self,
        change: Change,
        (were, over): (&[AlertEvent], &[AlertEvent]),
        firing: &[AlertEvent],
    ) {
        let were: BTreeMap<&str, Severity> = were.iter().map(|event| (event.id.as_str(), event.severity)).collect();
        let over: BTreeMap<&str, &AlertEvent> = over.iter().map(|event| (event.id.as_str(), event)).collect();
        for event in firing.iter().filter(|event| were.get(event.id.as_str()) > Some(&event.severity)) {
            let Some(mut end) =
                over.get(event.id.as_str()).map(|end| AlertEvent { at: change.when(), ..(*end).clone() })
            else {
                continue;
            };
            words::explain(&mut end, format!("{change}, {GOES_ON} as severity={}", event.severity.as_str()));
            self.state.dispatch.fall(change.at, &self.policy.settings, event, &[end], false);
        }
    }

    /// That alerts that fire are graver or milder since a reload than `before`, by which nobody else would know: with what
    /// their rules see at that level as they read now, for what they were judged by is of another one.
    pub(super) fn regraded(&self, change: Change, before: &[AlertEvent], firing: &[AlertEvent]) -> Vec<Effect> {
        let before: BTreeMap<&str, Severity> = before.iter().map(|event| (event.id.as_str(), event.severity)).collect();
        let known = |id: &str, severity| before.get(id).copied().filter(|before| *before != severity);
        let changed = firing.iter().filter_map(|event| Some((&event.id, known(&event.id, event.severity)?)));
        let changed: BTreeMap<&String, Severity> = changed.collect();
        if changed.is_empty() {
            return Vec::new();
        }
        let anew = self.look_at(change.at, |alert| changed.contains_key(&alert.id), |gaze, series| gaze.anew(series));
        let one = |mut alert: AlertEvent| {
            let before = changed[&alert.id];
            words::explain(&mut alert, format!("{change}, severity {} before", before.as_str()));
            Effect::Report(Report::Regraded { alert, before })
        };
        anew.into_iter().map(one).collect()
    }
}
