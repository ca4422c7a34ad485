//! Who is told of a rule on a subject, on which way, when, and what holds messages back: for people who ask.
//!
//! Decides nothing: routes, mutes and times are those of the dispatcher that sends.

use serde::{Deserialize, Serialize};

use super::Engine;
use super::dispatch::{AckView, Dispatch, Scene};
use super::event::{AlertEvent, AlertState, Muted};
use super::view::{MuteKind, MuteView, ReceiverView, RefusedView, WaitingView, WayView};
use crate::model::Timestamp;

/// What is told of an alert, or would be if it fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Telling {
    /// What holds messages back.
    pub mutes: Vec<MuteView>,
    /// Where it goes.
    pub ways: Vec<WayView>,
    /// Why nobody is told now; empty when somebody is.
    pub why: String,
}

/// Who knows of an alert, and who is told of it when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertMessages {
    /// The alert's id.
    pub alert: String,
    /// One entry per receiver on its routes.
    pub receivers: Vec<MessageView>,
    /// What holds messages back, or makes them fewer.
    pub mutes: Vec<MuteView>,
    /// Why nobody is told; empty when somebody is.
    pub why: String,
    /// Who took it on; the API shows it beside the alert.
    #[serde(skip)]
    pub acknowledged: Option<AckView>,
}

/// An alert that ended, of which some receiver is not told so yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndedView {
    /// How it ended.
    pub alert: AlertEvent,
    /// Who was told of it, and when its end is told.
    pub messages: AlertMessages,
}

/// What one receiver was told of an alert, and what comes next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessageView {
    /// The receiver.
    pub receiver: String,
    /// The group that it is told in; its own name for an Alertmanager, which groups by itself.
    pub group: String,
    /// When the receiver took the newest message of those that it has; `None`: it has none.
    pub last: Option<Timestamp>,
    /// The oldest message about it that the receiver does not have yet.
    pub waiting: Option<WaitingView>,
    /// The receiver refused the newest one; null when it took it.
    pub refused: Option<RefusedView>,
    /// When the next message goes; `None` when only news sends one.
    pub next: Option<Timestamp>,
    /// Why then, or why not now.
    pub why: String,
}

impl Engine {
    /// What is told of an alert; one that does not fire is taken as if it began to.
    pub(super) fn telling(&self, now: Timestamp, event: &AlertEvent) -> Telling {
        let (scene, settings) = (self.scene(None), &self.policy.settings);
        let dispatch = &self.state.dispatch;
        let mutes = self.mutes(now, &scene, event);
        let receivers = self.receivers();
        let mut ways = dispatch.ways(now, settings, &scene, &self.state.outbox.queues(&receivers), event);
        for told in self.kept_up(event) {
            if let Some(way) = ways.iter_mut().find(|way| way.receiver == told.receiver) {
                (way.last, way.refused, way.next, way.why) = (told.last, told.refused, told.next, told.why);
            }
        }
        // Of an alert that does not fire yet what matters is that nobody would be told of it, either.
        let early = matches!(event.state, AlertState::Inactive | AlertState::Pending);
        let why = if early && ways.is_empty() { Dispatch::untold(settings, event) } else { self.untold(event) };
        Telling { mutes, ways, why }
    }

    /// What holds messages about an alert back, or makes them fewer.
    fn mutes(&self, now: Timestamp, scene: &Scene, event: &AlertEvent) -> Vec<MuteView> {
        let mut mutes = self.state.dispatch.mutes(now, &self.policy.settings, scene, event);
        if self.state.backfill {
            let why = "history is being read: what still fires at its end is told then".to_owned();
            mutes.insert(0, MuteView { kind: MuteKind::History, why, author: None, id: None, until: None });
        }
        if let Some((kind, until)) = event.muted.map(kind) {
            mutes.insert(0, MuteView { kind, why: muting(event), author: None, id: None, until });
        }
        mutes
    }

    /// Of every alert: who was told, and who is told when.
    pub(super) fn messages(&self, alerts: &[AlertEvent], receivers: &[ReceiverView]) -> Vec<AlertMessages> {
        let now = self.state.clock.unwrap_or_default();
        let (scene, settings) = (self.scene(None), &self.policy.settings);
        let queues = self.state.outbox.queues(receivers);
        let one = |event: &AlertEvent| {
            let mut receivers = self.state.dispatch.told(now, settings, &scene, &queues, event);
            receivers.extend(self.kept_up(event));
            AlertMessages {
                alert: event.id.clone(),
                receivers,
                mutes: self.mutes(now, &scene, event),
                why: self.untold(event),
                acknowledged: self.state.dispatch.acks.view(&event.id, event.severity),
            }
        };
        alerts.iter().map(one).collect()
    }

    /// Alerts that ended of which somebody is not told so yet.
    pub(super) fn ended(&self, receivers: &[ReceiverView]) -> Vec<EndedView> {
        let ended = self.state.dispatch.endings(&self.policy.settings);
        if ended.is_empty() {
            return Vec::new();
        }
        let messages = self.messages(&ended, receivers);
        ended.into_iter().zip(messages).map(|(alert, messages)| EndedView { alert, messages }).collect()
    }

    /// Why nobody is told of an alert now; empty when somebody is or was.
    pub(super) fn untold(&self, event: &AlertEvent) -> String {
        match event.state {
            AlertState::Firing if event.muted.is_some() => muting(event),
            AlertState::Firing if self.state.backfill => "history is being read".to_owned(),
            AlertState::Firing if self.state.dispatch.knows(event) || !self.kept_up(event).is_empty() => String::new(),
            AlertState::Firing => Dispatch::untold(&self.policy.settings, event),
            AlertState::Pending => "pending: nobody is told before it fires".to_owned(),
            AlertState::Inactive => "inactive: there is nothing to tell".to_owned(),
            _ => String::new(),
        }
    }

    /// What the Alertmanagers were told of an alert, and when they are told again: one entry per one that takes it.
    pub(super) fn kept_up(&self, event: &AlertEvent) -> Vec<MessageView> {
        let owed = event.state == AlertState::Firing && event.muted.is_none() && !self.state.backfill;
        self.state.mirror.told(self.state.clock.unwrap_or_default(), event, owed)
    }

    /// The receivers and their queues.
    pub(super) fn receivers(&self) -> Vec<ReceiverView> {
        let settings = &self.policy.settings;
        let receivers = self.state.outbox.view(&settings.receivers).into_iter().zip(&settings.receivers);
        receivers.map(|(view, receiver)| self.state.mirror.view(receiver).unwrap_or(view)).collect()
    }
}

fn kind(muted: Muted) -> (MuteKind, Option<Timestamp>) {
    match muted {
        Muted::Shadow => (MuteKind::Shadow, None),
        Muted::Hours { until } => (MuteKind::ActiveHours, Some(until)),
    }
}

/// Why the rule has nobody told, in words.
fn muting(event: &AlertEvent) -> String {
    match event.muted {
        Some(Muted::Shadow) => "a shadow rule tells nobody".to_owned(),
        Some(Muted::Hours { until }) => format!("outside of the rule's active hours until {}", until.to_rfc3339()),
        None => String::new(),
    }
}
