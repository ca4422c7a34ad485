//! Random stories of two Alertmanagers that are slow, down and picky, under reloads, restarts and too little room: what
//! the history says of each state of an alert there is what they took.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use evenkeel::engine::event::{
    AlertEvent, AlertState, Attempt, Delivery, DeliveryId, Effect, Event, NotificationReport, NotificationStatus,
    Receipt, Report,
};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Severity, Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::settings::{Channel, Receiver, Resend};
use evenkeel::wire::alertmanager::fingerprint;

use crate::seeds::{self, Random};

const START: i64 = 1_772_550_000_000;
const STEP: i64 = 5_000;
/// Steps of a story, and those of peace after it, in which everything is told or given up.
const STEPS: [i64; 2] = [240, 160];
/// How long what an Alertmanager believes may be wrong: a request on its way, and the next one.
const WRONG: i64 = 150_000;

fn policy(random: &mut Random, crowded: bool, steady: bool) -> Arc<Policy> {
    let levels = random.pick(&[
        "levels: {warning: max(price) > 10, critical: max(price) > 100}",
        "levels: {info: max(price) > 5, warning: max(price) > 10}",
        "condition: max(price) > 10, severity: high",
    ]);
    let levels = if steady { "levels: {warning: max(price) > 10, critical: max(price) > 100}" } else { levels };
    let labels = random.pick(&["", ", labels: {team: x}", ", labels: {team: y}"]);
    let dear = format!("- {{name: dear, {levels}, window: 30s, min_samples: 1{labels}}}\n");
    let dear = if random.chance(8) { String::new() } else { dear };
    let rules = format!("alerts:\n{dear}- {{name: other, condition: max(price) > 50, window: 30s, min_samples: 1}}\n");
    let source = PolicySource {
        config: Some(("evenkeel.yaml".to_owned(), "evaluation_interval: 5s\n".to_owned())),
        rules: vec![("rules.yaml".to_owned(), rules)],
        ..PolicySource::default()
    };
    let (policy, faults) = Policy::load(&source, std::path::Path::new(""));
    let mut policy = policy.unwrap_or_else(|| panic!("{faults:?}"));
    policy.settings.limits.outbox = if crowded { random.pick(&[3, 5]) } else { 1_000 };
    for name in ["am0", "am1"] {
        let resolved_for = Span::minutes(random.pick(&[0, 5]));
        let receiver = Receiver {
            name: name.into(),
            min_severity: random.pick(&[Severity::Info, Severity::Info, Severity::Warning, Severity::Critical]),
            send_resolved: random.chance(80),
            channel: Channel::Alertmanager {
                url: "http://127.0.0.1:1".into(),
                token: None,
                resend: Resend { every: Span::minutes(1), resolved_for, ahead: Span::minutes(4) },
                timeout: Span::seconds(5),
            },
        };
        if random.chance(80) {
            policy.settings.receivers.push(receiver);
        }
    }
    Arc::new(policy)
}

/// The row of what a peer is told of an alert, as the history names it.
fn row(peer: &str, event: &AlertEvent) -> DeliveryId {
    let mut hash = Sha256::new();
    for part in [peer, &event.id, event.state.as_str()] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(fingerprint(&event.identity()).to_le_bytes());
    let hex: String = hash.finalize()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    DeliveryId(format!("evk_{hex}"))
}

#[derive(Default)]
struct World {
    rows: BTreeMap<DeliveryId, Vec<NotificationReport>>,
    taken: BTreeSet<DeliveryId>,
    refused: BTreeSet<DeliveryId>,
    /// What a peer believes of an alert, by its labels: the row of that, and until when it does.
    believes: BTreeMap<(String, u64), (DeliveryId, Timestamp)>,
    crowded: bool,
    /// The rule has the same levels throughout.
    steady: bool,
    /// Requests and reloads, a line each, for who reads of a failure.
    log: Vec<String>,
    /// What a peer refused when it was told of it last, by its labels.
    declined: BTreeSet<(String, u64)>,
    /// Since when a peer that is up believes otherwise than is true, by labels.
    wrong_since: BTreeMap<(String, u64), i64>,
    /// The state that a peer took last, by labels.
    newest: BTreeMap<(String, u64), AlertState>,
    /// Requests, and when they are answered.
    flights: Vec<(i64, Delivery)>,
    down: [u64; 2],
}

impl World {
    fn see(&mut self, now: i64, effects: Vec<Effect>, random: &mut Random) {
        for effect in effects {
            match effect {
                Effect::Deliver(delivery) => {
                    let slow = if random.chance(40) { random.below(60_000) } else { 0 };
                    self.flights.push((now + i64::try_from(slow).expect("it is small"), delivery));
                }
                Effect::Report(Report::Notification(report)) => self.note(report),
                _ => {}
            }
        }
    }

    fn note(&mut self, report: NotificationReport) {
        let rows = self.rows.entry(report.id.clone()).or_default();
        let before = rows.last().is_some_and(|last| last.status == NotificationStatus::Delivered);
        let told = before && report.status != NotificationStatus::Delivered;
        let believed = self.believes.values().any(|(row, until)| *row == report.id && report.at < *until);
        // What is forgotten is queued anew: an end that was told, and what gave way to others.
        let known = report.state == Some(AlertState::Firing) && !self.crowded;
        assert!(!(told && believed && known), "it believes that still: {report:?} after {rows:?}");
        rows.push(report);
    }

    /// The answer to a request whose time has come.
    fn answer(&mut self, now: i64) -> Option<Receipt> {
        let at = self.flights.iter().position(|(at, _)| *at <= now)?;
        let (_, delivery) = self.flights.remove(at);
        let result = match self.down[usize::from(delivery.receiver == "am1")] {
            0 => Attempt::Done,
            1 => Attempt::Retry { reason: "down".into(), after: None },
            _ => Attempt::Refuse { reason: "400".into() },
        };
        for alert in &delivery.notification().expect("about alerts").alerts {
            self.check_numbers(alert);
            let (second, name, labels) = ((now - START) / 1_000, &delivery.receiver, fingerprint(&alert.identity()));
            let AlertEvent { id, rule, subject, state, severity, .. } = alert;
            let severity = severity.as_str();
            self.log.push(format!(
                "{second} {name} {result:?} {rule} {subject} {state:?} {severity} labels {labels} episode {}",
                &id[..4]
            ));
            let of = (name.clone(), labels);
            match result {
                Attempt::Done => drop((self.declined.remove(&of), self.newest.insert(of, *state))),
                Attempt::Refuse { .. } => drop(self.declined.insert(of)),
                Attempt::Retry { .. } => {}
            }
            let id = row(&delivery.receiver, alert);
            match result {
                Attempt::Done => {
                    let of = (delivery.receiver.clone(), fingerprint(&alert.identity()));
                    self.believes.insert(of, (id.clone(), delivery.message.at() + Span::minutes(4)));
                    self.taken.insert(id);
                }
                Attempt::Refuse { .. } => drop(self.refused.insert(id)),
                Attempt::Retry { .. } => {}
            }
        }
        Some(Receipt::Delivery { id: delivery.id, result })
    }

    /// What is said at a level is of that level: its threshold, and a value that it holds of or does not.
    fn check_numbers(&self, alert: &AlertEvent) {
        if !self.steady || alert.rule != "dear" {
            return;
        }
        let limit = if alert.severity == Severity::Critical { 100.0 } else { 10.0 };
        let (Some(value), Some(threshold)) = (alert.value, alert.threshold) else {
            assert!(!alert.reason.is_empty(), "{alert:#?}");
            return;
        };
        assert_eq!(threshold, limit, "{alert:#?}");
        assert!((value > threshold) == (alert.state == AlertState::Firing) || !alert.reason.is_empty(), "{alert:#?}");
    }

    /// Soon everything is true that Alertmanagers believe that are up and do not refuse it.
    fn check_true(&mut self, engine: &Engine, now: i64) {
        let mut wrong = BTreeSet::new();
        let alerts = engine.alerts();
        let firing: BTreeMap<u64, &AlertEvent> =
            alerts.iter().filter(|a| a.state == AlertState::Firing).map(|a| (fingerprint(&a.identity()), a)).collect();
        for (at, name) in ["am0", "am1"].into_iter().enumerate() {
            let receiver = engine.policy().settings.receivers.iter().find(|r| r.name == name);
            let up = receiver.is_some() && self.down[at] == 0;
            let Some(receiver) = receiver.filter(|_| up) else { continue };
            for (key, alert) in &firing {
                let key = (name.to_owned(), *key);
                let believes = self.newest.get(&key) == Some(&AlertState::Firing)
                    && self.believes.get(&key).is_some_and(|(_, until)| until.0 > now);
                if alert.severity >= receiver.min_severity && !believes {
                    wrong.insert(key);
                }
            }
            for (key, (_, until)) in &self.believes {
                let over = firing.get(&key.1).is_none_or(|alert| alert.severity < receiver.min_severity);
                let believes = key.0 == name && until.0 > now && self.newest.get(key) == Some(&AlertState::Firing);
                if receiver.send_resolved && believes && over {
                    wrong.insert(key.clone());
                }
            }
        }
        wrong.retain(|key| !self.declined.contains(key));
        self.wrong_since.retain(|key, _| wrong.contains(key));
        for key in wrong {
            let since = *self.wrong_since.entry(key.clone()).or_insert(now);
            let alert = firing.get(&key.1);
            let log = || {
                let of = |line: &&String| line.contains("reload") || line.contains(&format!(" {} ", key.0));
                self.log.iter().filter(of).cloned().collect::<Vec<_>>().join("\n")
            };
            let (from, to) = ((since - START) / 1_000, (now - START) / 1_000);
            assert!(now - since < WRONG, "wrong from {from} to {to}: {key:?} {alert:#?}\n{}", log());
        }
    }

    fn check(&self) {
        assert!(self.taken.iter().all(|id| self.rows.contains_key(id)), "what was taken has a row");
        for (id, rows) in &self.rows {
            let (taken, refused) = (self.taken.contains(id), self.refused.contains(id));
            let settled = match rows.last().expect("it has one").status {
                NotificationStatus::Queued | NotificationStatus::Expired => false,
                NotificationStatus::Delivered => taken,
                NotificationStatus::Refused => refused,
                _ => true,
            };
            assert!(settled, "taken: {taken}, refused: {refused}, {rows:#?}");
        }
    }
}

/// The rows that a story has.
fn story(seed: u64) -> usize {
    let random = &mut Random(seed);
    let crowded = seed.is_multiple_of(3);
    let steady = seed.is_multiple_of(2);
    let mut under = policy(random, crowded, steady);
    let mut engine = Engine::new(Arc::clone(&under), State::default());
    let mut world = World { crowded, steady, ..World::default() };
    let mut prices = [0.0; 4];
    for step in 1..STEPS[0] + STEPS[1] {
        let now = START + step * STEP;
        while let Some(due) = engine.next_deadline().filter(|due| due.0 <= now) {
            let effects = engine.handle(due, Event::Deadline);
            world.see(due.0, effects, random);
        }
        while let Some(receipt) = world.answer(now) {
            let effects = engine.handle(Timestamp(now), Event::Receipt(receipt));
            world.see(now, effects, random);
        }
        if step > STEPS[0] {
            (world.down, prices) = ([0; 2], [0.0; 4]);
        } else {
            if random.chance(10) {
                world.down = [random.below(3), random.below(3)];
            }
            for price in &mut prices {
                if random.chance(12) {
                    *price = random.pick(&[0.0, 0.0, 7.0, 20.0, 60.0, 200.0]);
                }
            }
            if random.chance(3) {
                under = policy(random, crowded, steady);
                let effects = engine.reload(Timestamp(now), Arc::clone(&under));
                let peer = |r: &Receiver| format!("{} {:?} ends {}", r.name, r.min_severity, r.send_resolved);
                let peers: Vec<String> = under.settings.receivers.iter().map(peer).collect();
                world.log.push(format!("{} reload {peers:?}", (now - START) / 1_000));
                world.see(now, effects, random);
                let known = |name: &str| under.settings.receivers.iter().any(|receiver| &*receiver.name == name);
                world.believes.retain(|(peer, _), _| known(peer));
                // What is on its way to one that goes is nobody's business.
                world.flights.retain(|(_, delivery)| known(&delivery.receiver));
            }
            if random.chance(3) {
                engine = Engine::new(Arc::clone(&under), engine.state().clone());
            }
        }
        let record = |(agent, price): (&'static str, &f64)| {
            let mut record = Record::new("test", agent, Some(Timestamp(now)), Outcome::Ok);
            record.extra.extend([("price", *price)]);
            record
        };
        let records: Vec<Record<'_>> = ["a", "b", "c", "d"].into_iter().zip(&prices).map(record).collect();
        let effects = engine.handle(Timestamp(now), Event::Records(&records));
        world.see(now, effects, random);
        if !crowded {
            world.check_true(&engine, now);
        }
    }
    world.check();
    world.rows.len()
}

#[test]
fn the_history_of_alertmanagers_is_what_they_took() {
    let (_, rows) = seeds::tell(40, story);
    assert!(rows.iter().sum::<usize>() > 10 * rows.len(), "much happens in them: {rows:?}");
}
