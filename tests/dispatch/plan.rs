//! A fleet whose alerts hold exactly as long as the plan says, and a world that answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use evenkeel::engine::event::{AlertState, Attempt, Command, Delivery, Effect, Event, Receipt, Silence};
use evenkeel::engine::view::{self, EndedView};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Severity, Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::wire::matcher::LabelMatcher;

pub const START: i64 = 1_780_000_000_000;

pub const RULES: &str = "
alerts:
  - {name: down, condition: error_rate > 50%, window: 10s, min_samples: 1, severity: critical}
  - {name: slow, condition: p95_latency > 20s, window: 10s, min_samples: 1, severity: warning}
  - {name: late, levels: {warning: p50_latency > 100s, critical: p50_latency > 200s}, window: 10s, min_samples: 1}
";

/// A fleet whose alerts hold exactly as long as the plan says, and a world that answers.
pub struct Plan {
    pub engine: Engine,
    pub now: i64,
    /// Agents and what is wrong with them: `down`, `slow`, `late`, `latest`, or several; and at which provider.
    pub bad: BTreeMap<String, String>,
    /// What each receiver got: second, receiver, and what was said.
    pub got: Vec<(i64, String, Delivery)>,
    /// Receivers that answer nothing but "later".
    pub failing: Vec<String>,
    /// Receivers that say that messages are wrong.
    pub refusing: Vec<String>,
    /// Messages, by their place in `got`, of which the receiver says that they are wrong.
    pub refused: Vec<usize>,
    /// Receivers that say so of the next message, even while they are down for all others.
    pub refusing_one: Vec<String>,
    /// Receivers that take the next message, even while they are down for all others.
    pub taking_one: Vec<String>,
    /// When they say that they want to be asked again.
    pub later: Option<Span>,
}

pub fn policy(routing: &str) -> Arc<Policy> {
    policy_of(RULES, routing)
}

pub fn policy_of(rules: &str, routing: &str) -> Arc<Policy> {
    let receivers = "receivers:\n- {name: ops, webhook: {url: http://a}}\n- {name: team, webhook: {url: http://b}}\n";
    let source = PolicySource {
        config: Some(("evenkeel.yaml".into(), format!("evaluation_interval: 1s\n{receivers}{routing}"))),
        rules: vec![("rules.yaml".into(), rules.into())],
        ..PolicySource::default()
    };
    let (policy, faults) = Policy::load(&source, Path::new(""));
    Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}")))
}

impl Plan {
    pub fn new(routing: &str) -> Plan {
        let engine = Engine::new(policy(routing), State::default());
        Plan {
            engine,
            now: 0,
            bad: BTreeMap::new(),
            got: Vec::new(),
            failing: Vec::new(),
            refusing: Vec::new(),
            refused: Vec::new(),
            refusing_one: Vec::new(),
            taking_one: Vec::new(),
            later: None,
        }
    }

    pub fn at(&self) -> Timestamp {
        Timestamp(START + self.now * 1_000)
    }

    pub fn agent(&mut self, agent: &str, wrong: &str) {
        self.bad.insert(agent.to_owned(), wrong.to_owned());
    }

    pub fn command(&mut self, command: Command) {
        let effects = self.engine.handle(self.at(), Event::Command(command));
        self.answer(effects);
    }

    /// Lives on to `second`: every agent works once a second, and what is due is done. The state goes
    /// through a snapshot every minute, as if the process had been killed.
    pub fn until(&mut self, second: i64) {
        while self.now < second {
            self.now += 1;
            let at = self.at();
            let records: Vec<Record<'_>> = self
                .bad
                .iter()
                .map(|(agent, wrong)| {
                    let outcome = if wrong.contains("down") { Outcome::Error } else { Outcome::Ok };
                    let mut record = Record::new("plan", agent.clone(), Some(at), outcome);
                    let seconds = [("latest", 300.0), ("late", 150.0), ("slow", 60.0)];
                    let found = seconds.iter().find(|(word, _)| wrong.contains(word));
                    record.provider = wrong.split_once(" at ").map(|(_, provider)| provider.into());
                    record.duration_ms = Some(found.map_or(100.0, |(_, seconds)| seconds * 1_000.0));
                    record
                })
                .collect();
            let effects = self.engine.handle(at, Event::Records(&records));
            self.answer(effects);
            while let Some(due) = self.engine.next_deadline().filter(|due| *due < Timestamp(at.0 + 1_000)) {
                let effects = self.engine.handle(due.max(at), Event::Deadline);
                self.answer(effects);
            }
            if self.now % 60 == 0 {
                let bytes = postcard::to_stdvec(self.engine.state()).expect("state encodes");
                let policy = Arc::clone(self.engine.policy());
                self.engine = Engine::new(policy, postcard::from_bytes(&bytes).expect("state decodes"));
            }
        }
    }

    pub fn answer(&mut self, effects: Vec<Effect>) {
        let mut open = std::collections::VecDeque::from(effects);
        while let Some(effect) = open.pop_front() {
            let Effect::Deliver(delivery) = effect else { continue };
            let refuses = self.refusing_one.iter().position(|to| *to == delivery.receiver);
            let result = if refuses.map(|at| self.refusing_one.remove(at)).is_some() {
                Attempt::Refuse { reason: "400 Bad Request".into() }
            } else if self.failing.contains(&delivery.receiver) && !self.takes_one(&delivery.receiver) {
                Attempt::Retry { reason: "down".into(), after: self.later }
            } else {
                self.got.push((self.now, delivery.receiver.clone(), delivery.clone()));
                match self.refusing.contains(&delivery.receiver) || self.refused.contains(&(self.got.len() - 1)) {
                    true => Attempt::Refuse { reason: "400 Bad Request".into() },
                    false => Attempt::Done,
                }
            };
            let receipt = Receipt::Delivery { id: delivery.id, result };
            open.extend(self.engine.handle(self.at(), Event::Receipt(receipt)));
        }
    }

    pub fn takes_one(&mut self, receiver: &str) -> bool {
        let at = self.taking_one.iter().position(|to| to == receiver);
        at.map(|at| self.taking_one.remove(at)).is_some()
    }

    /// What a receiver got so far, a line per message: `12 firing a! b, ended c` (`!` marks critical).
    pub fn told(&self, receiver: &str) -> Vec<String> {
        let line = |(second, _, delivery): &(i64, String, Delivery)| {
            let of = |state: AlertState| {
                let alerts =
                    delivery.notification().expect("about alerts").alerts.iter().filter(move |a| a.state == state);
                let mut names: Vec<String> =
                    alerts.map(|a| format!("{}/{}", a.subject.get("agent").unwrap_or("-"), a.rule)).collect();
                names.sort();
                names.join(" ")
            };
            let mut parts = vec![second.to_string()];
            for (word, state) in [("firing", AlertState::Firing), ("ended", AlertState::Resolved)] {
                if delivery.notification().expect("about alerts").alerts.iter().any(|a| a.state == state) {
                    parts.push(format!("{word} {}", of(state)));
                }
            }
            parts.join(" ")
        };
        self.got.iter().filter(|(_, to, _)| to == receiver).map(line).collect()
    }

    pub fn why(&self, agent: &str) -> String {
        let view = self.engine.view();
        let at = view.alerts.iter().position(|a| a.subject.get("agent") == Some(agent)).expect("an active alert");
        match &view.messages[at].receivers[..] {
            [] => view.messages[at].why.clone(),
            [first, ..] => first.why.clone(),
        }
    }
}

pub fn silence(matcher: &str, plan: &Plan, seconds: i64) -> Silence {
    Silence {
        id: "s1".into(),
        matchers: vec![LabelMatcher::parse(matcher).expect("a matcher")],
        author: "ada".into(),
        comment: "known".into(),
        starts: plan.at(),
        ends: plan.at() + Span::seconds(seconds),
    }
}

pub const GROUPED: &str =
    "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 10s, group_interval: 30s}\n";

/// How an alert stands with `ops`, in the words of `evenkeel alerts`.
pub fn stands(plan: &Plan) -> String {
    let view = plan.engine.view();
    let ops = view.messages[0].receivers.iter().find(|m| m.receiver == "ops").expect("it is told there");
    format!(
        "{}; {}",
        view::told(ops.last, view.alerts[0].fired_at, ops.waiting.as_ref(), ops.refused.as_ref()),
        ops.why
    )
}

/// Of the alerts that ended whose ends wait for `ops`: the second at which it took its newest message about each.
pub fn last_before_the_end(plan: &Plan) -> Vec<Option<i64>> {
    let last = |ended: &EndedView| {
        let ops = ended.messages.receivers.iter().find(|m| m.receiver == "ops").expect("it is told");
        assert!(ops.waiting.is_some(), "{ops:?}");
        ops.last.map(|at| (at.0 - START) / 1_000)
    };
    plan.engine.view().ended.iter().map(last).collect()
}

/// Several agents down at one provider, which is one incident, with `ops` as a pager that takes nothing below critical.
pub fn incident(rules: &str, routing: &str) -> Plan {
    let mut plan = with_pager(rules, routing);
    for agent in ["x", "y"] {
        plan.agent(agent, "down at openai");
    }
    plan
}

pub fn with_pager(rules: &str, routing: &str) -> Plan {
    let mut policy = (*policy_of(rules, routing)).clone();
    policy.settings.receivers[0].min_severity = Severity::Critical;
    Plan { engine: Engine::new(Arc::new(policy), State::default()), ..Plan::new("") }
}

/// What stands in `evenkeel why` of a rule on an agent: mutes, then what each receiver is told next.
pub fn telling(plan: &Plan, rule: &str, agent: &str) -> (Vec<String>, Vec<String>) {
    let telling = plan.engine.why(plan.at(), rule, agent).expect("it is known").telling;
    let ways = telling.ways.into_iter().map(|way| format!("{}: {}", way.receiver, way.why)).collect();
    (telling.mutes.into_iter().map(|mute| mute.why).collect(), ways)
}

pub const LATE: &str =
    "{name: late, levels: {warning: p50_latency > 100s, critical: p50_latency > 200s}, window: 10s, min_samples: 1}";

pub const DOWN: &str = "{name: down, condition: error_rate > 50%, window: 10s, min_samples: 1, severity: critical}";

/// What `evenkeel alerts` says of an alert that fires, a line per receiver that was told.
pub fn lines(plan: &Plan) -> Vec<String> {
    let messages = plan.engine.view().messages.remove(0);
    messages.receivers.into_iter().map(|told| format!("{}: {}", told.receiver, told.why)).collect()
}

/// Of what ended and is not told so: who was told when, and when the end is told, in seconds.
pub fn ended(plan: &Plan) -> Vec<String> {
    let second = |at: Timestamp| ((at.0 - START) / 1_000).to_string();
    let line = |ended: &EndedView| {
        let [told] = &ended.messages.receivers[..] else { panic!("one receiver") };
        let last = told.last.map_or("never".to_owned(), second);
        let at = ended.alert.at;
        format!("{} told {last}; {}", told.receiver, told.why.replace(&at.to_string(), &second(at)))
    };
    plan.engine.view().ended.iter().map(line).collect()
}

/// What the messages said of a hold: seconds at which an alert was told as flapping.
pub fn flapping(plan: &Plan, receiver: &str) -> Vec<(i64, AlertState)> {
    let said = plan.got.iter().filter(|(_, to, _)| to == receiver);
    let alerts =
        said.flat_map(|(at, _, d)| d.notification().expect("about alerts").alerts.iter().map(move |a| (*at, a)));
    alerts.filter(|(_, a)| a.annotations.contains_key("flapping")).map(|(at, a)| (at, a.state)).collect()
}

/// The states that a receiver was told, in order.
pub fn states(plan: &Plan, receiver: &str) -> Vec<AlertState> {
    let said = plan.got.iter().filter(|(_, to, _)| to == receiver);
    said.flat_map(|(_, _, d)| d.notification().expect("about alerts").alerts.iter().map(|a| a.state)).collect()
}

/// What a receiver believes to fire, by what it took.
pub fn open(plan: &Plan, receiver: &str) -> Vec<String> {
    let mut open = Vec::new();
    let took = plan.got.iter().enumerate().filter(|(at, (_, to, _))| to == receiver && !plan.refused.contains(at));
    for alert in took.flat_map(|(_, (_, _, delivery))| &delivery.notification().expect("about alerts").alerts) {
        let name = format!("{}/{}", alert.subject.get("agent").unwrap_or("-"), alert.rule);
        open.retain(|known| *known != name);
        if alert.state == AlertState::Firing {
            open.push(name);
        }
    }
    open
}

/// Per message to a receiver: state and severity of the alert that it is about.
pub fn levels_told(plan: &Plan, to: &str) -> Vec<(AlertState, Severity)> {
    let said = plan.got.iter().filter(|(_, receiver, _)| receiver == to).filter_map(|(.., d)| d.notification());
    said.map(|n| (n.lead().state, n.lead().severity)).collect()
}

pub const FIRES: AlertState = AlertState::Firing;

pub const OVER: AlertState = AlertState::Resolved;

pub const BY_LEVEL: &str = "routes:\n- {matchers: [severity=critical], receivers: [ops]}\n- {receivers: [team], group_by: [alertname], group_wait: 30s, group_interval: 5s}\n";

pub fn late_on(routing: &str) -> Plan {
    let engine = Engine::new(policy_of(&format!("alerts:\n- {LATE}\n"), routing), State::default());
    Plan { engine, ..Plan::new("") }
}

pub const STEEP: &str = "{name: late, levels: {warning: p50_latency > 50s, high: p50_latency > 100s, critical: p50_latency > 200s}, \
                     window: 1s, min_samples: 1}";

pub const BY_SEVERITY: &str = "routes:\n- {matchers: [severity=critical], receivers: [ops]}\n- {receivers: [team]}\n";
