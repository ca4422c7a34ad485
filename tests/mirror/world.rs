//! The engine and its peers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel::engine::event::{AlertState, Attempt, Delivery, DeliveryId, Effect, Event, Receipt, Report};
use evenkeel::engine::view::MessageView;
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Severity, Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::settings::{Channel, Receiver, Resend};
use evenkeel::shell::store::{self, Store};

pub const START: i64 = 1_700_000_000_000;

pub const RULES: &str = "
alerts:
  - name: failing
    condition: error_rate > 10%
    window: 1h
    severity: critical
    annotations: {summary: 'value {{ value }}'}
  - name: dear
    levels: {warning: mean(price) > 10, critical: mean(price) > 100}
    window: 1m
    annotations: {summary: '{{ severity }}'}
";

pub fn peer(name: &str) -> Receiver {
    Receiver {
        name: name.into(),
        min_severity: Severity::Info,
        send_resolved: true,
        channel: Channel::Alertmanager {
            url: "http://127.0.0.1:1".into(),
            token: None,
            resend: Resend { every: Span::minutes(1), resolved_for: Span::minutes(15), ahead: Span::minutes(4) },
            timeout: Span::seconds(5),
        },
    }
}

pub fn policy(peers: &[&str]) -> Arc<Policy> {
    policy_of(RULES, peers)
}

pub fn policy_of(rules: &str, peers: &[&str]) -> Arc<Policy> {
    let source = PolicySource { rules: vec![("rules.yaml".to_owned(), rules.to_owned())], ..PolicySource::default() };
    let (policy, faults) = Policy::load(&source, std::path::Path::new(""));
    let mut policy = policy.unwrap_or_else(|| panic!("{faults:?}"));
    policy.settings.receivers = peers.iter().map(|name| peer(name)).collect();
    Arc::new(policy)
}

/// A request that a peer took: when (seconds), who, and subject, state and summary of its alerts.
pub type Taken = (i64, String, Vec<(String, AlertState, String)>);

/// The same, with all that a level may say in its summary.
pub const SAID: &str = "
alerts:
  - name: failing
    condition: error_rate > 10%
    window: 1h
    annotations: {summary: '{{ value }}'}
  - name: dear
    levels: {warning: mean(price) > 10, critical: mean(price) > 100}
    window: 1m
    annotations: {summary: '{{ value }} > {{ threshold }} {{ severity }}'}
";

/// The engine and its peers.
pub struct World {
    pub engine: Engine,
    pub now: i64,
    pub down: BTreeSet<&'static str>,
    /// What is seen of those.
    pub error: &'static str,
    /// Those that say that requests are wrong.
    pub refusing: BTreeSet<&'static str>,
    pub taken: Vec<Taken>,
    /// By severity: the newest that a peer took of it, and when.
    pub last: BTreeMap<Severity, (AlertState, i64)>,
    pub attempts: BTreeMap<String, u32>,
    /// Requests that are not answered before [`World::answer_slow`]; `None`: all are at once.
    pub slow: Option<Vec<DeliveryId>>,
    pub reports: Vec<Report>,
}

impl World {
    pub fn new(peers: &[&str]) -> World {
        let engine = Engine::new(policy(peers), State::default());
        World {
            engine,
            now: 0,
            down: BTreeSet::new(),
            error: "down",
            refusing: BTreeSet::new(),
            taken: Vec::new(),
            last: BTreeMap::new(),
            attempts: BTreeMap::new(),
            slow: None,
            reports: Vec::new(),
        }
    }

    pub fn at(&self) -> Timestamp {
        Timestamp(START + self.now * 1_000)
    }

    pub fn answer(&mut self, now: Timestamp, effects: Vec<Effect>) {
        for effect in effects {
            let delivery = match effect {
                Effect::Deliver(delivery) => delivery,
                Effect::Report(report) => {
                    self.reports.push(report);
                    continue;
                }
                Effect::Apply(_) => continue,
            };
            *self.attempts.entry(delivery.receiver.clone()).or_default() += 1;
            if let Some(slow) = &mut self.slow {
                slow.push(delivery.id);
                continue;
            }
            let result = if self.down.contains(delivery.receiver.as_str()) {
                Attempt::Retry { reason: self.error.into(), after: None }
            } else if self.refusing.contains(delivery.receiver.as_str()) {
                Attempt::Refuse { reason: "400 Bad Request".into() }
            } else {
                self.take(now, &delivery);
                Attempt::Done
            };
            let effects = self.engine.handle(now, Event::Receipt(Receipt::Delivery { id: delivery.id, result }));
            self.answer(now, effects);
        }
    }

    /// The requests that were not answered yet come to this.
    pub fn answer_slow(&mut self, result: &Attempt) {
        for id in self.slow.take().unwrap_or_default() {
            let receipt = Receipt::Delivery { id, result: result.clone() };
            let effects = self.engine.handle(self.at(), Event::Receipt(receipt));
            self.answer(self.at(), effects);
        }
    }

    pub fn take(&mut self, now: Timestamp, delivery: &Delivery) {
        let alerts = delivery.notification().expect("about alerts").alerts.iter();
        self.last.extend(alerts.clone().map(|a| (a.severity, (a.state, (now.0 - START) / 1_000))));
        let said = alerts.map(|a| (a.subject.to_string(), a.state, a.annotations["summary"].clone())).collect();
        self.taken.push(((now.0 - START) / 1_000, delivery.receiver.clone(), said));
    }

    /// Lets time go on to a second.
    pub fn until(&mut self, second: i64) {
        let end = Timestamp(START + second * 1_000);
        while let Some(due) = self.engine.next_deadline().filter(|due| *due <= end) {
            let effects = self.engine.handle(due, Event::Deadline);
            self.answer(due, effects);
        }
        self.now = second;
    }

    /// Executions of an agent that end now.
    pub fn executions(&mut self, agent: &str, ok: usize, failed: usize) {
        let now = self.at();
        let record = |outcome| Record::new("test", agent, Some(now), outcome);
        let outcomes = std::iter::repeat_n(Outcome::Ok, ok).chain(std::iter::repeat_n(Outcome::Error, failed));
        let records: Vec<Record<'_>> = outcomes.map(record).collect();
        let effects = self.engine.handle(now, Event::Records(&records));
        self.answer(now, effects);
    }

    /// An execution of agent a every 10 s up to a second, at this price.
    pub fn priced(&mut self, second: i64, price: f64) {
        while self.now < second {
            let now = self.at();
            let mut record = Record::new("test", "a", Some(now), Outcome::Ok);
            record.extra.extend([("price", price)]);
            let effects = self.engine.handle(now, Event::Records(&[record]));
            self.answer(now, effects);
            self.until(self.now + 10);
        }
    }

    pub fn reload(&mut self, policy: Arc<Policy>) {
        let effects = self.engine.reload(self.at(), policy);
        self.answer(self.at(), effects);
    }

    /// What was said one after the other, without what was the mean of two prices.
    pub fn said(&self) -> Vec<&str> {
        let said = self.taken.iter().flat_map(|t| &t.2).map(|(.., summary)| summary.as_str());
        let prices = ["7", "50", "500", "700", "800"];
        let mut said: Vec<&str> = said.filter(|said| prices.contains(&said.split(' ').next().unwrap_or(""))).collect();
        said.dedup();
        said
    }

    pub fn seconds(&self, receiver: &str, state: AlertState) -> Vec<i64> {
        let of = self.taken.iter().filter(|(_, r, alerts)| r == receiver && alerts.iter().any(|a| a.1 == state));
        of.map(|(second, ..)| *second).collect()
    }
}

/// A line per peer as `alerts` has them: whether it was told, when it is told next, and why.
pub fn lines(world: &World) -> Vec<String> {
    let messages = world.engine.view().messages.remove(0);
    assert_eq!(messages.why, "", "somebody is to be told");
    let second = |at: Timestamp| (at.0 - START) / 1_000;
    let line = |m: &MessageView| format!("{:?} {:?} {}", m.last.map(second), m.next.map(second), m.why);
    // `why` says the same.
    let rule = world.engine.view().alerts.remove(0).rule;
    let why = world.engine.why(world.at(), &rule, "a").expect("it is known").telling;
    let ways: Vec<&str> = why.ways.iter().map(|way| way.why.as_str()).collect();
    assert_eq!(ways, messages.receivers.iter().map(|m| m.why.as_str()).collect::<Vec<_>>());
    messages.receivers.iter().map(line).collect()
}

/// What the history of all that happened so far answers: the columns of each row, texts as they are.
pub fn history(world: &World, query: &str) -> Vec<Vec<String>> {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::start(dir.path()).expect("starts");
    world.reports.iter().for_each(|report| store.put(world.at(), report.clone()));
    drop(store);
    let history = store::connect(dir.path()).expect("opens");
    let mut query = history.prepare(query).expect("it runs");
    let columns = query.column_count();
    let rows = query.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
    rows.expect("rows").map(|row| row.expect("texts")).collect()
}

/// A receiver that is told messages.
pub fn hook(name: &str) -> Receiver {
    let channel =
        Channel::Webhook { url: "http://127.0.0.1:1".into(), secret: None, token: None, timeout: Span::seconds(5) };
    Receiver { channel, ..peer(name) }
}

/// What the documented query says of who was not told: of whom, state, status and reason, in order.
pub fn not_told(world: &World) -> Vec<String> {
    let page = include_str!("../../docs/operations.md");
    let query = page.split("-- Who was not told, and why\n").nth(1).and_then(|rest| rest.split(';').next());
    let query = query.expect("the documented query");
    let line = "receiver || ' ' || json_extract(subject, '$.agent') || ' ' || state || ' ' || status || ' ' || reason";
    let rows = history(world, &format!("SELECT {line} FROM ({query}) ORDER BY 1"));
    rows.into_iter().map(|row| row.join(" ")).collect()
}

/// Every row of the deliveries: of whom, state and status, in order.
pub fn rows(world: &World) -> Vec<String> {
    let line = "receiver || ' ' || json_extract(subject, '$.agent') || ' ' || state || ' ' || status";
    let rows = history(world, &format!("SELECT {line} FROM deliveries ORDER BY 1"));
    rows.into_iter().map(|row| row.join(" ")).collect()
}

/// The same for critical alerts alone.
pub fn strict(peers: &[&str]) -> Arc<Policy> {
    let mut strict = Arc::unwrap_or_clone(policy(peers));
    strict.settings.receivers.iter_mut().for_each(|peer| peer.min_severity = Severity::Critical);
    Arc::new(strict)
}
