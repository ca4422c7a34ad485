//! Somebody takes an alert on: those who were told of it, and want to know, hear so.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use crate::servers::http_sink;
use evenkeel::engine::event::{Acknowledgement, Attempt, Command, Delivery, Effect, Event, Receipt};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::shell::sink::Sinks;
use serde_json::{Value, json};

const START: i64 = 1_780_000_000_000;

/// Agents that fail from the first second on, told in one group per receiver.
struct Bed {
    engine: Engine,
    sinks: Sinks,
    runtime: tokio::runtime::Runtime,
}

impl Bed {
    fn new(port: u16) -> Bed {
        Bed::waiting(port, 0)
    }

    /// Groups are told first after so many seconds.
    fn waiting(port: u16, wait: u8) -> Bed {
        let rules = "alerts: [{name: down, condition: error_rate > 50%, window: 10s, min_samples: 1, severity: high}]";
        Bed::of(port, wait, rules)
    }

    fn of(port: u16, wait: u8, rules: &str) -> Bed {
        let config = format!(
            "evaluation_interval: 1s
external_url: http://keel
receivers:
- {{name: chat, slack: {{url: {{file: /dev/null}}}}}}
- {{name: hook, webhook: {{url: \"http://127.0.0.1:{port}/hook\"}}}}
- {{name: pager, pagerduty: {{url: \"http://127.0.0.1:{port}/pager\", routing_key: {{env: PATH}}}}}}
- {{name: phone, ntfy: {{url: \"http://127.0.0.1:{port}\", topic: ops}}}}
routes: [{{receivers: [hook, pager, phone], group_by: [alertname], group_wait: {wait}s, group_interval: 1s}}]
"
        );
        let source = PolicySource {
            config: Some(("evenkeel.yaml".into(), config)),
            rules: vec![("rules.yaml".into(), rules.into())],
            ..PolicySource::default()
        };
        let (policy, faults) = Policy::load(&source, Path::new(""));
        let policy = Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}")));
        let sinks = Sinks::new(&policy.settings.receivers, "http://keel");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Bed { engine: Engine::new(policy, State::default()), sinks, runtime }
    }

    /// One second, in which every agent runs once; what is to be sent is sent.
    fn second(&mut self, second: i64, agents: &[(&str, bool)]) -> Vec<Delivery> {
        let now = Timestamp(START + second * 1_000);
        let record = |(agent, well): &(&str, bool)| {
            let outcome = if *well { Outcome::Ok } else { Outcome::Error };
            Record::new("fleet", (*agent).to_owned(), Some(now), outcome)
        };
        let records: Vec<Record<'_>> = agents.iter().map(record).collect();
        let mut sent = self.handle(second, Event::Records(&records));
        sent.extend(self.handle(second, Event::Deadline));
        sent
    }

    fn acknowledge(&mut self, second: i64, agent: &str, author: &str, note: &str) -> Vec<Delivery> {
        let alerts = self.engine.alerts();
        let alert = alerts.iter().find(|a| a.subject.get("agent") == Some(agent)).expect("it fires").id.clone();
        let at = Timestamp(START + second * 1_000);
        let ack = Acknowledgement { alert, author: author.into(), note: note.into(), at };
        self.handle(second, Event::Command(Command::Acknowledge(ack)))
    }

    fn handle(&mut self, second: i64, event: Event<'_>) -> Vec<Delivery> {
        let now = Timestamp(START + second * 1_000);
        let mut sent = Vec::new();
        let mut open = VecDeque::from(self.engine.handle(now, event));
        while let Some(effect) = open.pop_front() {
            let Effect::Deliver(delivery) = effect else { continue };
            let result = self.runtime.block_on(self.sinks.attempt(&delivery));
            assert_eq!(result, Attempt::Done, "{delivery:?}");
            let receipt = Receipt::Delivery { id: delivery.id.clone(), result };
            sent.push(delivery);
            open.extend(self.engine.handle(now, Event::Receipt(receipt)));
        }
        sent
    }
}

fn to(sent: &[Delivery]) -> Vec<&str> {
    sent.iter().map(|delivery| delivery.receiver.as_str()).collect()
}

#[test]
fn an_incident_is_taken_on_when_all_its_alerts_are() {
    let Some(mut server) = http_sink("an_incident_is_taken_on_when_all_its_alerts_are", &[]) else { return };
    let mut bed = Bed::new(server.port);
    let both = [("scout", false), ("judge", false)];
    bed.second(0, &both);
    let begun = bed.second(1, &both);
    assert_eq!(to(&begun), ["hook", "pager", "phone"]);
    let mut requests = |n: usize| -> Vec<(String, Value)> {
        let one = |request: Value| {
            let body = serde_json::from_str(request["body"].as_str().expect("text")).expect("JSON");
            (request["path"].as_str().expect("a path").to_owned(), body)
        };
        (0..n).map(|_| one(server.next())).collect()
    };
    let first = requests(3);
    let trigger = first.iter().find(|(path, _)| path == "/pager").expect("the pager").1.clone();
    assert_eq!(trigger["event_action"], "trigger");

    let sent = bed.acknowledge(2, "scout", "kim", "looking into it");
    assert_eq!(to(&sent), ["phone"], "the other alert of the incident is nobody's yet");
    let (_, phone) = requests(1).remove(0);
    let title = "[ACKNOWLEDGED] down on agent=scout: taken on by kim: looking into it";
    assert_eq!((&phone["title"], &phone["tags"][0], &phone["priority"]), (&json!(title), &json!("eyes"), &json!(2)));

    assert!(bed.acknowledge(3, "scout", "kim", "looking into it").is_empty(), "said already");
    let sent = bed.acknowledge(4, "judge", "kim", "");
    assert_eq!(to(&sent), ["pager", "phone"]);
    let said = requests(2);
    let pager = &said.iter().find(|(path, _)| path == "/pager").expect("the pager").1;
    assert_eq!((&pager["event_action"], &pager["dedup_key"]), (&json!("acknowledge"), &trigger["dedup_key"]));
    assert_eq!(pager["payload"]["custom_details"]["acknowledged"], "taken on by kim");

    // Both end: the incident is resolved under the same key.
    let well = [("scout", true), ("judge", true)];
    let ended: Vec<Delivery> = (5..40).flat_map(|second| bed.second(second, &well)).collect();
    assert!(to(&ended).contains(&"pager"));
    let last = requests(ended.len());
    let resolved = last.iter().rfind(|(path, _)| path == "/pager").expect("the pager");
    assert_eq!((&resolved.1["event_action"], &resolved.1["dedup_key"]), (&json!("resolve"), &trigger["dedup_key"]));
}

#[test]
fn what_is_taken_on_before_it_is_told_is_told_as_that() {
    let Some(mut server) = http_sink("what_is_taken_on_before_it_is_told_is_told_as_that", &[]) else { return };
    let mut bed = Bed::waiting(server.port, 10);
    let both = [("scout", false), ("judge", false)];
    bed.second(0, &both);
    assert!(bed.second(1, &both).is_empty());
    for agent in ["scout", "judge"] {
        assert!(bed.acknowledge(2, agent, "kim", "looking").is_empty(), "nobody was told yet");
    }
    let sent: Vec<Delivery> = (3..30).flat_map(|second| bed.second(second, &both)).collect();
    assert_eq!(to(&sent), ["hook", "pager", "phone", "pager"]);
    let mut requests = |n: usize| -> Vec<(String, Value)> {
        let one = |request: Value| {
            let body = serde_json::from_str(request["body"].as_str().expect("text")).expect("JSON");
            (request["path"].as_str().expect("a path").to_owned(), body)
        };
        (0..n).map(|_| one(server.next())).collect()
    };
    let said = requests(4);
    let pager: Vec<&Value> = said.iter().filter(|(path, _)| path == "/pager").map(|(_, body)| body).collect();
    assert_eq!((&pager[0]["event_action"], &pager[1]["event_action"]), (&json!("trigger"), &json!("acknowledge")));
    assert_eq!(pager[0]["dedup_key"], pager[1]["dedup_key"]);
    assert_eq!(pager[1]["payload"]["custom_details"]["acknowledged"], "taken on by kim: looking");
    let hook = &said.iter().find(|(path, _)| path == "/hook").expect("the webhook").1;
    assert_eq!(hook["commonAnnotations"]["acknowledged"], "taken on by kim: looking");
    let phone =
        said.iter().find(|(path, _)| path == "/").expect("ntfy").1["message"].as_str().expect("text").to_owned();
    assert!(phone.lines().all(|line| line.ends_with(", taken on by kim: looking")), "{phone}");

    // One more alert in the group is nobody's: the incident is not taken on with it.
    let three = [("scout", false), ("judge", false), ("clerk", false)];
    let sent: Vec<Delivery> = (30..50).flat_map(|second| bed.second(second, &three)).collect();
    assert_eq!(to(&sent), ["hook", "pager", "phone"]);
}

#[test]
fn what_is_added_to_an_incident_that_was_taken_on_opens_a_new_one() {
    let name = "what_is_added_to_an_incident_that_was_taken_on_opens_a_new_one";
    let Some(mut server) = http_sink(name, &[]) else { return };
    let rules = "alerts: [{name: down, levels: {warning: error_rate > 50%, critical: failed_executions > 8}, window: 1m, min_samples: 1}]";
    let mut bed = Bed::of(server.port, 0, rules);
    let mut actions = |sent: &[Delivery], requests: usize| -> Vec<String> {
        let said: Vec<Value> = (0..requests).map(|_| server.next()).collect();
        assert!(!to(sent).is_empty() || requests == 0);
        let pager = said.iter().filter(|request| request["path"] == "/pager");
        let bodies: Vec<Value> =
            pager.map(|r| serde_json::from_str(r["body"].as_str().expect("text")).expect("JSON")).collect();
        assert!(bodies.iter().all(|body| body["dedup_key"] == bodies[0]["dedup_key"]), "one incident: {bodies:?}");
        bodies.iter().map(|body| body["event_action"].as_str().expect("text").to_owned()).collect()
    };
    let one = [("scout", false)];
    let mut begun = bed.second(0, &one);
    begun.extend(bed.second(1, &one));
    assert_eq!(actions(&begun, 3), ["trigger"]);
    assert_eq!(actions(&bed.acknowledge(2, "scout", "kim", ""), 2), ["acknowledge"]);

    // Another alert joins, that nobody took on.
    let sent: Vec<Delivery> = (2..5).flat_map(|second| bed.second(second, &[("judge", false)])).collect();
    assert_eq!(to(&sent), ["hook", "pager", "phone"]);
    assert_eq!(actions(&sent, 4), ["resolve", "trigger"]);
    assert_eq!(actions(&bed.acknowledge(5, "judge", "kim", ""), 2), ["acknowledge"]);

    // One of them gets graver, which voids that it was taken on.
    let sent: Vec<Delivery> = (6..16).flat_map(|second| bed.second(second, &one)).collect();
    assert_eq!(to(&sent), ["hook", "pager", "phone"], "told once");
    assert_eq!(actions(&sent, 4), ["resolve", "trigger"]);

    // The new incident is nobody's: the next news updates it.
    let sent: Vec<Delivery> = (16..19).flat_map(|second| bed.second(second, &[("clerk", false)])).collect();
    assert_eq!(actions(&sent, 3), ["trigger"]);
}

#[test]
fn nobody_hears_of_what_they_were_not_told() {
    let Some(server) = http_sink("nobody_hears_of_what_they_were_not_told", &[]) else { return };
    let mut bed = Bed::new(server.port);
    bed.second(0, &[("scout", false)]);
    bed.second(1, &[("scout", false)]);
    let sent = bed.acknowledge(2, "scout", "kim", "");
    assert!(!to(&sent).contains(&"chat") && !to(&sent).contains(&"hook"), "{:?}", to(&sent));
    // Taken on while history is read: nothing goes out.
    bed.handle(3, Event::Command(Command::BeginBackfill));
    assert!(bed.acknowledge(3, "scout", "lee", "").is_empty());
}
