//! Who is told of a rule on a subject, on which way, when, and what holds messages back: for people who ask.
//!
//! Decides nothing: routes, mutes and times are those of the dispatcher that sends.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::dispatch::{AckView, Dispatch, Scene, gets_messages};
use super::event::{AlertEvent, AlertState, Muted};
use super::notify::Queues;
use super::view::{MuteKind, MuteView, ReceiverView, WayView};
use super::{Engine, words};
use crate::model::{Severity, Timestamp};
use crate::settings::Settings;

/// Alerts that ended and are shown, at most.
const ENDED: usize = 1_000;

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
    /// What it does not have yet of the messages about it.
    pub waiting: Option<WaitingView>,
    /// The receiver refused the newest one; null when it took it.
    pub refused: Option<RefusedView>,
    /// When the next message goes; `None` when only news sends one.
    pub next: Option<Timestamp>,
    /// Why then, or why not now.
    pub why: String,
}

/// Messages about an alert that a receiver does not have yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitingView {
    /// When the oldest was decided.
    pub since: Timestamp,
    /// What it says of the alert; null when it only counts it.
    pub state: Option<AlertState>,
    /// How bad it says that is.
    pub severity: Option<Severity>,
    /// The receiver has that already: the message is about others of the group, or repeats it.
    #[serde(default)]
    pub known: bool,
    /// Attempts at it so far, one in flight included.
    pub attempts: u32,
    /// What the newest attempt of the receiver's queue that failed saw; empty while the receiver takes messages.
    pub error: String,
    /// When the receiver is tried next; null while an attempt is under way.
    pub next: Option<Timestamp>,
    /// The messages after it that say something else, in order.
    pub then: Vec<FollowingView>,
}

/// A message that waits behind another one about its alert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FollowingView {
    /// When it was decided.
    pub since: Timestamp,
    /// What it says of the alert.
    pub state: AlertState,
    /// How bad it says that is.
    pub severity: Severity,
}

impl fmt::Display for WaitingView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WaitingView { since, state, attempts, error, next, then, .. } = self;
        f.write_str(if *state == Some(AlertState::Resolved) { "its end is " } else { "" })?;
        match (attempts, error.is_empty()) {
            (_, true) => write!(f, "being sent since {since}"),
            (0, false) => write!(f, "waiting since {since}, not tried yet; the message before it: {error}"),
            (1, false) => write!(f, "being tried since {since}, 1 attempt: {error}"),
            (_, false) => write!(f, "being tried since {since}, {attempts} attempts: {error}"),
        }?;
        next.map_or(Ok(()), |next| write!(f, "; next attempt at {next}"))?;
        then.iter().try_for_each(|after| match after.state {
            AlertState::Resolved => write!(f, "; then that it ended"),
            _ => write!(f, "; then that it is {} since {}", after.severity.as_str(), after.since),
        })
    }
}

/// A receiver says that messages about an alert are wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedView {
    /// When it refused one first, since it took any.
    pub since: Timestamp,
    /// What it said to the newest one.
    pub reason: String,
}

impl fmt::Display for RefusedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused since {}: {}", self.since, self.reason)
    }
}

/// What was said to a receiver of an alert that began at `began`, in words; empty when nothing was.
pub fn told(
    last: Option<Timestamp>,
    began: Option<Timestamp>,
    waiting: Option<&WaitingView>,
    refused: Option<&RefusedView>,
) -> String {
    // To whom something was told before, it matters what is said next.
    let news = |waiting: &WaitingView| match (last, waiting.state, waiting.severity) {
        (Some(_), Some(AlertState::Firing), _) if waiting.known => format!("a message of its group is {waiting}"),
        (Some(_), Some(AlertState::Firing), Some(severity)) => format!("that it is {} is {waiting}", severity.as_str()),
        _ => waiting.to_string(),
    };
    // One that begins before the end of the one before was told goes on there without a word.
    let of = |last| if began.is_some_and(|began| last < began) { " of the alert before" } else { "" };
    let parts =
        [last.map(|last| format!("told {last}{}", of(last))), waiting.map(news), refused.map(ToString::to_string)];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

impl Engine {
    /// What is told of an alert; one that does not fire is taken as if it began to.
    pub(super) fn telling(&self, now: Timestamp, event: &AlertEvent) -> Telling {
        let (scene, settings) = (self.scene(None), &self.policy.settings);
        let dispatch = &self.state.dispatch;
        let mutes = self.mutes(now, &scene, event);
        let receivers = self.receivers();
        let mut ways = dispatch.ways(now, settings, &scene, &self.state.outbox.queues(now, &receivers), event);
        let kept = self.kept_up(event);
        let ended = if kept.is_empty() { self.state.mirror.end_of(now, event) } else { Vec::new() };
        for (active, told) in kept.into_iter().chain(ended.into_iter().map(|told| (false, told))) {
            if let Some(way) = ways.iter_mut().find(|way| way.receiver == told.receiver) {
                (way.last, way.refused, way.next, way.why) = (told.last, told.refused, told.next, told.why);
                way.active = active;
            }
        }
        // Of an alert that does not fire yet what matters is that nobody would be told of it, either.
        let early = matches!(event.state, AlertState::Inactive | AlertState::Pending);
        let shadow = event.muted == Some(Muted::Shadow);
        // Nobody is told of that but those who were told before.
        let mirrored = |way: &WayView| {
            settings.receivers.iter().any(|receiver| receiver.name == way.receiver && receiver.resend().is_some())
        };
        let says = |way: &WayView| way.last.is_some() || way.waiting.is_some() || !early;
        ways.retain(|way| !shadow || says(way) && (way.last.is_some() || !mirrored(way)));
        let why = match ways.is_empty() {
            true if shadow => String::new(),
            true if early => Dispatch::untold(settings, event),
            _ => self.untold(event),
        };
        Telling { mutes, ways, why }
    }

    /// What holds messages about an alert back, or makes them fewer.
    fn mutes(&self, now: Timestamp, scene: &Scene, event: &AlertEvent) -> Vec<MuteView> {
        let mut mutes = self.state.dispatch.mutes(now, &self.policy.settings, scene, event);
        if self.state.backfill {
            let why = "history is being read: what still fires at its end is told then".to_owned();
            mutes.insert(0, MuteView { kind: MuteKind::History, why, author: None, id: None, until: None });
        }
        if let Some(muted) = event.muted {
            let (kind, until) = kind(muted);
            mutes.insert(0, MuteView { kind, why: muted.to_string(), author: None, id: None, until });
        }
        mutes
    }

    /// Of every alert: who was told, and who is told when.
    pub(super) fn messages(&self, alerts: &[AlertEvent], receivers: &[ReceiverView]) -> Vec<AlertMessages> {
        let now = self.state.clock.unwrap_or_default();
        let (scene, queues) = (self.scene(None), self.state.outbox.queues(now, receivers));
        let over = queues.endings();
        let one = |event: &AlertEvent| {
            let mut messages = self.messages_of(now, &scene, &queues, event);
            // It is over for who takes graver ones alone, and does not know that yet.
            if let Some((_, over)) = over.get(event.id.as_str()) {
                messages.add(over.iter().cloned());
            }
            messages
        };
        alerts.iter().map(one).collect()
    }

    fn messages_of(&self, now: Timestamp, scene: &Scene, queues: &Queues<'_>, event: &AlertEvent) -> AlertMessages {
        let dispatch = &self.state.dispatch;
        let mut receivers = dispatch.told(now, &self.policy.settings, scene, queues, event);
        receivers.extend(self.kept_up(event).into_iter().map(|(_, message)| message));
        AlertMessages {
            alert: event.id.clone(),
            receivers,
            mutes: self.mutes(now, scene, event),
            why: self.untold(event),
            acknowledged: dispatch.taken_on_by(event),
        }
    }

    /// Alerts that ended of which somebody is not told so yet, because its group or a flood waits, its message is on
    /// the way or an Alertmanager has not heard of it; each with its newest end, at the gravest severity that is told of
    /// that; the gravest first, then the newest.
    pub(super) fn ended(&self, receivers: &[ReceiverView]) -> Vec<EndedView> {
        let now = self.state.clock.unwrap_or_default();
        let queues = self.state.outbox.queues(now, receivers);
        let (queued, kept) = (queues.endings(), self.state.mirror.endings(now));
        let to_come = self.state.dispatch.endings(&self.policy.settings);
        let mut found = BTreeMap::<&str, &AlertEvent>::new();
        for event in to_come.into_iter().chain(queued.values().chain(kept.values()).map(|(event, _)| *event)) {
            let known = found.entry(event.id.as_str()).or_insert(event);
            // To who takes graver ones alone it may have been over before; of those that are told of its end some may
            // know it as a graver one than others.
            if (known.at, known.severity) < (event.at, event.severity) {
                *known = event;
            }
        }
        if found.is_empty() {
            return Vec::new();
        }
        // What is over for some receivers, to whom it got too mild, may fire on.
        let alerts = self.state.rules.iter().flat_map(|rule| rule.alerts.iter());
        for (_, alert) in alerts.filter(|(_, alert)| alert.fired.is_some()) {
            found.remove(alert.id.as_str());
        }
        let mut ended: Vec<&AlertEvent> = found.into_values().collect();
        ended.sort_by(|a, b| (b.severity, b.at, &a.rule, &a.subject).cmp(&(a.severity, a.at, &b.rule, &b.subject)));
        ended.truncate(ENDED);
        let scene = self.scene(None);
        let view = |event: &AlertEvent| {
            let mut messages = self.messages_of(now, &scene, &queues, event);
            for (_, more) in [queued.get(event.id.as_str()), kept.get(event.id.as_str())].into_iter().flatten() {
                messages.add(more.iter().cloned());
            }
            let mut alert = AlertEvent { trend: None, ..event.clone() };
            if alert.goes_on() {
                // As it was over for some, which it is for all by now.
                words::explain(&mut alert, String::new());
            }
            EndedView { alert, messages }
        };
        ended.into_iter().map(view).collect()
    }

    /// Why nobody is told of an alert now; empty when somebody is or was.
    pub(super) fn untold(&self, event: &AlertEvent) -> String {
        if let (AlertState::Firing, Some(muted)) = (event.state, event.muted) {
            return muted.to_string();
        }
        match event.state {
            AlertState::Firing if self.state.backfill => "history is being read".to_owned(),
            AlertState::Firing
                if self.state.dispatch.knows(event) || self.kept_up(event).iter().any(|(fires, _)| *fires) =>
            {
                String::new()
            }
            AlertState::Firing => Dispatch::untold(&self.policy.settings, event),
            AlertState::Pending => "pending: nobody is told before it fires".to_owned(),
            AlertState::Inactive => "inactive: there is nothing to tell".to_owned(),
            _ => String::new(),
        }
    }

    /// What the Alertmanagers were told of an alert, and when they are told again: one entry per one that takes it, or
    /// took it and does not know that it is over there, which the first says.
    pub(super) fn kept_up(&self, event: &AlertEvent) -> Vec<(bool, MessageView)> {
        let owed = event.state == AlertState::Firing && event.muted.is_none() && !self.state.backfill;
        self.state.mirror.told(self.state.clock.unwrap_or_default(), event, owed)
    }

    /// The receivers that a policy has not, or has as Alertmanagers, and the alerts that each was told of and is not told
    /// the end of then.
    pub fn left_open_by(&self, settings: &Settings) -> Vec<(&str, usize)> {
        let gets = |name: &str| settings.receivers.iter().any(|r| r.name == name && gets_messages(r));
        let gone = self.policy.settings.receivers.iter().filter(|receiver| !gets(&receiver.name));
        let open = gone.map(|receiver| (receiver.name.as_str(), self.state.dispatch.open_at(&receiver.name)));
        open.filter(|(_, alerts)| *alerts > 0).collect()
    }

    /// The receivers and their queues.
    pub(super) fn receivers(&self) -> Vec<ReceiverView> {
        let settings = &self.policy.settings;
        let receivers = self.state.outbox.view(&settings.receivers).into_iter().zip(&settings.receivers);
        receivers.map(|(view, receiver)| self.state.mirror.view(receiver).unwrap_or(view)).collect()
    }
}

impl AlertMessages {
    /// What more receivers are told; one that is there already says it better.
    fn add(&mut self, more: impl Iterator<Item = MessageView>) {
        for message in more {
            if self.receivers.iter().all(|k| (&k.receiver, &k.group) != (&message.receiver, &message.group)) {
                self.receivers.push(message);
            }
        }
    }
}

fn kind(muted: Muted) -> (MuteKind, Option<Timestamp>) {
    match muted {
        Muted::Shadow => (MuteKind::Shadow, None),
        Muted::Hours { until } => (MuteKind::ActiveHours, Some(until)),
    }
}
