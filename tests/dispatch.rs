//! Who is told what and when, as a plan: alerts begin and end at given seconds, and every receiver
//! gets messages at given seconds. The form is that of Alertmanager's own acceptance tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use evenkeel::engine::event::{
    Acknowledgement, AlertEvent, AlertState, Attempt, Command, Delivery, Effect, Event, Receipt, Silence,
};
use evenkeel::engine::view::{EndedView, MuteKind};
use evenkeel::engine::{Engine, State, view};
use evenkeel::model::{Outcome, Record, Severity, Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::wire::alertmanager::Webhook;
use evenkeel::wire::matcher::LabelMatcher;
use evenkeel::wire::notice;

const START: i64 = 1_780_000_000_000;

const RULES: &str = "
alerts:
  - {name: down, condition: error_rate > 50%, window: 10s, min_samples: 1, severity: critical}
  - {name: slow, condition: p95_latency > 20s, window: 10s, min_samples: 1, severity: warning}
  - {name: late, levels: {warning: p50_latency > 100s, critical: p50_latency > 200s}, window: 10s, min_samples: 1}
";

/// A fleet whose alerts hold exactly as long as the plan says, and a world that answers.
struct Plan {
    engine: Engine,
    now: i64,
    /// Agents and what is wrong with them: `down`, `slow`, `late`, `latest`, or several; and at which provider.
    bad: BTreeMap<String, String>,
    /// What each receiver got: second, receiver, and what was said.
    got: Vec<(i64, String, Delivery)>,
    /// Receivers that answer nothing but "later".
    failing: Vec<String>,
    /// Receivers that say that messages are wrong.
    refusing: Vec<String>,
    /// Messages, by their place in `got`, of which the receiver says that they are wrong.
    refused: Vec<usize>,
    /// Receivers that say so of the next message, even while they are down for all others.
    refusing_one: Vec<String>,
    /// Receivers that take the next message, even while they are down for all others.
    taking_one: Vec<String>,
    /// When they say that they want to be asked again.
    later: Option<Span>,
}

fn policy(routing: &str) -> Arc<Policy> {
    policy_of(RULES, routing)
}

fn policy_of(rules: &str, routing: &str) -> Arc<Policy> {
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
    fn new(routing: &str) -> Plan {
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

    fn at(&self) -> Timestamp {
        Timestamp(START + self.now * 1_000)
    }

    fn agent(&mut self, agent: &str, wrong: &str) {
        self.bad.insert(agent.to_owned(), wrong.to_owned());
    }

    fn command(&mut self, command: Command) {
        let effects = self.engine.handle(self.at(), Event::Command(command));
        self.answer(effects);
    }

    /// Lives on to `second`: every agent works once a second, and what is due is done. The state goes
    /// through a snapshot every minute, as if the process had been killed.
    fn until(&mut self, second: i64) {
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

    fn answer(&mut self, effects: Vec<Effect>) {
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

    fn takes_one(&mut self, receiver: &str) -> bool {
        let at = self.taking_one.iter().position(|to| to == receiver);
        at.map(|at| self.taking_one.remove(at)).is_some()
    }

    /// What a receiver got so far, a line per message: `12 firing a! b, ended c` (`!` marks critical).
    fn told(&self, receiver: &str) -> Vec<String> {
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

    fn why(&self, agent: &str) -> String {
        let view = self.engine.view();
        let at = view.alerts.iter().position(|a| a.subject.get("agent") == Some(agent)).expect("an active alert");
        match &view.messages[at].receivers[..] {
            [] => view.messages[at].why.clone(),
            [first, ..] => first.why.clone(),
        }
    }
}

fn silence(matcher: &str, plan: &Plan, seconds: i64) -> Silence {
    Silence {
        id: "s1".into(),
        matchers: vec![LabelMatcher::parse(matcher).expect("a matcher")],
        author: "ada".into(),
        comment: "known".into(),
        starts: plan.at(),
        ends: plan.at() + Span::seconds(seconds),
    }
}

const GROUPED: &str = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 10s, group_interval: 30s}\n";

#[test]
fn without_routes_every_alert_is_told_alone_and_at_once() {
    let mut plan = Plan::new("");
    plan.agent("a", "ok");
    plan.until(20);
    plan.agent("a", "down");
    plan.until(40);
    plan.agent("a", "ok");
    plan.until(7_200);
    let told = plan.told("ops");
    assert_eq!(told, plan.told("team"));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].ends_with("firing a/down") && told[1].ends_with("ended a/down"), "{told:?}");
    let ids: std::collections::BTreeSet<_> = plan.got.iter().map(|(_, _, d)| &d.id).collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn alerts_of_one_group_are_merged_and_batched() {
    let mut plan = Plan::new(GROUPED);
    plan.agent("a", "down");
    plan.until(5);
    plan.agent("b", "down");
    plan.until(20);
    plan.agent("c", "down");
    plan.until(60);
    assert_eq!(plan.told("ops"), ["12 firing a/down b/down", "42 firing a/down b/down c/down"]);
    let groups: std::collections::BTreeSet<_> =
        plan.got.iter().map(|(_, _, d)| &d.notification().expect("about alerts").group).collect();
    assert_eq!(groups.len(), 1);
    assert_eq!(
        plan.got[0].2.notification().expect("about alerts").group_labels,
        BTreeMap::from([("alertname".into(), "down".into())])
    );
    // The ends are told together with what still fires, then the last of them alone.
    plan.agent("a", "ok");
    plan.until(100);
    plan.agent("b", "ok");
    plan.agent("c", "ok");
    plan.until(200);
    assert_eq!(plan.told("ops")[2..], ["72 firing b/down c/down ended a/down", "106 ended b/down c/down"]);
}

#[test]
fn what_ends_before_it_was_told_is_not_told() {
    let mut plan = Plan::new(&GROUPED.replace("group_wait: 10s", "group_wait: 60s"));
    plan.agent("a", "down");
    plan.until(5);
    plan.agent("a", "ok");
    plan.until(300);
    assert_eq!(plan.told("ops"), [""; 0]);
}

#[test]
fn a_firing_group_is_repeated_ever_less_often_until_somebody_takes_it_on() {
    let route = "routes:\n- {receivers: [ops], repeat_interval: 1m, repeat_growth: 2, repeat_max: 3m}\n";
    let mut plan = Plan::new(route);
    plan.agent("a", "down");
    plan.until(700);
    let seconds: Vec<i64> = plan.got.iter().map(|(at, ..)| *at).collect();
    assert_eq!(seconds, [2, 62, 182, 362, 542]);
    assert!(plan.why("a").starts_with("repeat at "), "{}", plan.why("a"));
    let alert = plan.got[0].2.notification().expect("about alerts").alerts[0].id.clone();
    let ack = Acknowledgement { alert, author: "ada".into(), note: "on it".into(), at: plan.at() };
    plan.command(Command::Acknowledge(ack));
    plan.until(3_000);
    assert_eq!(plan.got.len(), 5);
    assert!(plan.why("a").starts_with("acknowledged by ada at "), "{}", plan.why("a"));
    plan.agent("a", "ok");
    plan.until(3_100);
    assert!(plan.told("ops")[5].ends_with("ended a/down"));
}

#[test]
fn a_failing_receiver_is_retried_and_the_healthy_one_gets_no_doubles() {
    let mut plan =
        Plan::new("routes:\n- {receivers: [ops, team], group_by: [alertname], group_wait: 1s, repeat_interval: 1h}\n");
    plan.failing.push("team".into());
    plan.agent("a", "down");
    plan.until(100);
    assert_eq!(plan.told("ops"), ["3 firing a/down"]);
    assert_eq!(plan.told("team"), [""; 0]);
    // Who never had the message was not told, whatever was decided.
    let [ops, team] = &plan.engine.view().messages[0].receivers[..] else { panic!("two receivers") };
    assert!(ops.last.is_some() && ops.waiting.is_none(), "{ops:?}");
    assert_eq!(team.last, None, "{team:?}");
    let waiting = team.waiting.as_ref().expect("its message waits");
    assert!(waiting.attempts > 1 && Some(waiting.since) == ops.last, "{team:?}");
    assert!(waiting.to_string().contains(" attempts: ") && !team.why.contains("told"), "{waiting}; {}", team.why);
    plan.failing.clear();
    plan.until(105);
    assert_eq!(plan.told("team").len(), 1);
    assert_eq!(plan.told("ops").len(), 1);
}

/// How an alert stands with `ops`, in the words of `evenkeel alerts`.
fn stands(plan: &Plan) -> String {
    let view = plan.engine.view();
    let ops = view.messages[0].receivers.iter().find(|m| m.receiver == "ops").expect("it is told there");
    format!("{}; {}", view::told(ops.last, ops.waiting.as_ref(), ops.refused.as_ref()), ops.why)
}

#[test]
fn who_refuses_a_message_is_not_told_and_not_asked_again_at_once() {
    let mut plan = Plan::new("routes:\n- {receivers: [ops, team]}\n");
    plan.refusing.push("ops".to_owned());
    plan.agent("a", "down");
    plan.until(1_000);
    assert_eq!((plan.told("ops").len(), plan.told("team").len()), (1, 1), "tried once");
    let why = "refused since 2026-05-28T20:26:42.000Z: 400 Bad Request; \
               not tried again while this lasts; correct the receiver: the next beginning is tried";
    assert_eq!(stands(&plan), why);
    let telling = plan.engine.why(plan.at(), "down", "a").expect("it is known").telling;
    assert_eq!(telling.ways[0].refused, plan.engine.view().messages[0].receivers[0].refused);
    let ops = plan.engine.view().receivers.into_iter().find(|r| r.receiver == "ops").expect("it is there");
    assert_eq!((ops.delivered, ops.failed, ops.queued), (0, 1, 0));
    plan.agent("a", "ok");
    plan.until(1_100);
    assert_eq!((plan.told("ops").len(), plan.told("team").len()), (1, 2), "no end of what it does not know");

    // Each episode is tried, and what it takes at last is told.
    plan.agent("a", "down");
    plan.until(1_150);
    assert_eq!(plan.told("ops").len(), 2);
    plan.refusing.clear();
    plan.agent("a", "ok");
    plan.until(1_200);
    plan.agent("a", "down");
    plan.until(1_250);
    assert!(stands(&plan).starts_with("told 2026-05-28T20:46:47.000Z; nothing more"), "{}", stands(&plan));
}

#[test]
fn a_refusal_says_what_may_still_have_it_tried_again() {
    let group = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s}\n";
    for (routes, wrong, expected) in [
        ("", "late", "tried again when it gets graver"),
        ("", "latest", "not tried again while this lasts; correct the receiver: the next beginning is tried"),
        (group, "late", "tried again when it gets graver or its group changes"),
        (group, "latest", "tried again when its group changes"),
    ] {
        let mut plan = Plan::new(routes);
        plan.refusing.push("ops".to_owned());
        plan.agent("a", wrong);
        plan.until(30);
        assert!(stands(&plan).ends_with(&format!("400 Bad Request; {expected}")), "{wrong}: {}", stands(&plan));
    }
    // It has the milder level, so it is told the end.
    let mut plan = Plan::new("");
    plan.agent("a", "late");
    plan.until(30);
    plan.refusing.push("ops".to_owned());
    plan.agent("a", "latest");
    plan.until(60);
    assert!(stands(&plan).ends_with("; not tried again before it ends; correct the receiver"), "{}", stands(&plan));
    plan.agent("a", "ok");
    plan.until(90);
    assert!(plan.told("ops").iter().any(|said| said.ends_with("ended a/late")), "{:?}", plan.told("ops"));
}

#[test]
fn what_is_told_no_more_is_not_promised() {
    for (ends, wrong, expected) in [
        (true, "late", "nothing more until it gets graver or ends"),
        (true, "latest", "nothing more until it ends"),
        (false, "late", "nothing more unless it gets graver: send_resolved is false"),
        (false, "latest", "nothing more, nor its end: send_resolved is false"),
    ] {
        let mut plan = Plan::new("");
        let mut policy = (**plan.engine.policy()).clone();
        policy.settings.receivers[0].send_resolved = ends;
        plan.engine = Engine::new(Arc::new(policy), State::default());
        plan.agent("a", wrong);
        plan.until(30);
        assert_eq!(plan.why("a"), expected);
    }
}

#[test]
fn a_rise_to_what_its_receiver_knows_is_not_promised() {
    let levels = "levels: {info: p50_latency > 50s, warning: p50_latency > 100s, critical: p50_latency > 200s}";
    let rules = format!("alerts:\n- {{name: late, {levels}, window: 10s, min_samples: 1}}\n");
    for (told, falls, expected) in [
        ("latest", "late", "nothing more until it ends"),
        ("late", "slow", "nothing more until it gets graver than warning or ends"),
    ] {
        let mut plan = Plan { engine: Engine::new(policy_of(&rules, ""), State::default()), ..Plan::new("") };
        plan.agent("a", told);
        plan.until(30);
        plan.agent("a", falls);
        plan.until(60);
        assert_eq!(plan.why("a"), expected);
        let ways = plan.engine.why(plan.at(), "late", "a").expect("it is known").telling.ways;
        assert_eq!(ways[0].why, expected);
        plan.agent("a", told);
        plan.until(90);
        assert_eq!(plan.told("ops").len(), 1, "it was known: {:?}", plan.told("ops"));
    }
}

/// It was taken on as a warning, told as critical, and is a warning again: repeats go on, and nobody says otherwise.
#[test]
fn an_alert_that_fell_is_as_grave_to_who_took_it_on_as_it_was_told() {
    let rules = format!("alerts:\n- {LATE}\n");
    let route = "routes:\n- {receivers: [ops], repeat_interval: 1m}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, route), State::default()), ..Plan::new("") };
    plan.agent("a", "late");
    plan.until(10);
    let id = plan.engine.alerts()[0].id.clone();
    let ack = Acknowledgement { alert: id, author: "ada".into(), note: String::new(), at: plan.at() };
    plan.command(Command::Acknowledge(ack));
    plan.agent("a", "latest");
    plan.until(30);
    plan.agent("a", "late");
    plan.until(60);
    let view = plan.engine.view();
    assert_eq!(view.alerts[0].severity, Severity::Warning);
    let messages = &view.messages[0];
    assert!(messages.acknowledged.as_ref().is_some_and(|ack| ack.graver), "{messages:?}");
    assert!(messages.mutes[0].why.ends_with("but it got graver since"), "{messages:?}");
    assert!(messages.receivers[0].why.starts_with("repeat at "), "{messages:?}");
    let before = plan.told("ops").len();
    plan.until(130);
    assert_eq!(plan.told("ops").len(), before + 1, "{:?}", plan.told("ops"));
}

#[test]
fn an_alert_is_told_when_its_receiver_took_the_message() {
    let mut plan = Plan::new("");
    plan.failing.push("ops".to_owned());
    plan.agent("a", "down");
    plan.until(60);
    assert!(stands(&plan).starts_with("being tried since 2026-05-28T20:26:42.000Z, "), "{}", stands(&plan));
    plan.failing.clear();
    plan.until(70);
    assert_eq!(plan.told("ops"), ["61 firing a/down"]);
    assert!(stands(&plan).starts_with("told 2026-05-28T20:27:41.500Z; "), "{}", stands(&plan));
}

/// What `ops` does not have yet of an alert that ended, in words.
fn end_waits(plan: &Plan) -> Vec<String> {
    let of = |ended: &EndedView| {
        let [ops] = &ended.messages.receivers[..] else { panic!("one receiver: {:?}", ended.messages) };
        let agent = ended.alert.subject.get("agent").unwrap_or("-");
        format!("{agent}: {}; {}", view::told(ops.last, ops.waiting.as_ref(), None), ops.why)
    };
    plan.engine.view().ended.iter().map(of).collect()
}

#[test]
fn an_alert_that_ended_is_shown_while_its_end_waits_for_a_receiver_that_is_down() {
    for routes in ["", "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 1s}\n"] {
        let mut plan = Plan::new(routes);
        plan.agent("a", "down");
        plan.until(20);
        plan.failing.push("ops".to_owned());
        plan.agent("a", "ok");
        // Past the minute at which the state goes through a snapshot.
        plan.until(70);
        assert_eq!(plan.engine.view().alerts, []);
        let [line] = &end_waits(&plan)[..] else { panic!("{:?}", end_waits(&plan)) };
        let (said, next) = line.split_once("; next attempt at ").unwrap_or_else(|| panic!("{line}"));
        assert!(
            said.starts_with("a: told 2026-05-28T20:26:4") && said.ends_with("attempts: down"),
            "who was told that it began has that: {said}"
        );
        assert!(said.contains("Z; its end is being tried since 2026-05-28T20:2"), "{said}");
        assert!(next.contains("Z; it ended at 2026-05-28T20:2"), "{line}");
        let way = plan.engine.why(plan.at(), "down", "a").expect("it is known").telling.ways.remove(0);
        let ops = plan.engine.view().ended[0].messages.receivers[0].clone();
        assert_eq!((way.last, &way.waiting), (ops.last, &ops.waiting));
        assert!(!way.active && way.ends, "{way:?}");
        // A new episode is another alert, and the end of the first still waits.
        plan.agent("a", "down");
        plan.until(90);
        assert_eq!((plan.engine.view().alerts.len(), end_waits(&plan).len()), (1, 1), "{:?}", end_waits(&plan));
        let said = stands(&plan);
        assert!(said.contains(" since 2026-05-28T20:27:5") && !said.contains("end is"), "{said}");
        plan.failing.clear();
        plan.until(100);
        assert_eq!(end_waits(&plan), [""; 0]);
    }
}

/// Of the alerts that ended whose ends wait for `ops`: the second at which it took its newest message about each.
fn last_before_the_end(plan: &Plan) -> Vec<Option<i64>> {
    let last = |ended: &EndedView| {
        let ops = ended.messages.receivers.iter().find(|m| m.receiver == "ops").expect("it is told");
        assert!(ops.waiting.is_some(), "{ops:?}");
        ops.last.map(|at| (at.0 - START) / 1_000)
    };
    plan.engine.view().ended.iter().map(last).collect()
}

#[test]
fn of_an_alert_whose_end_waits_it_is_known_when_its_newest_message_was_taken() {
    let mut plan =
        Plan::new("routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 1s}\n");
    plan.failing.push("ops".to_owned());
    plan.agent("a", "down");
    plan.until(20);
    plan.agent("a", "ok");
    plan.until(40);
    plan.agent("a", "down");
    plan.until(60);
    plan.agent("a", "ok");
    plan.until(80);
    assert_eq!(last_before_the_end(&plan), [None, None], "it has nothing of both");
    // It takes the first beginning, the first end, and the second beginning. The newest alert is the first here.
    for (second, told) in [(100, vec![None, Some(80)]), (120, vec![None]), (140, vec![Some(120)])] {
        plan.taking_one.push("ops".to_owned());
        plan.until(second);
        assert_eq!(plan.taking_one, [""; 0]);
        let taken = |at: i64| plan.got.iter().rev().map(|(second, ..)| *second).find(|s| (at..at + 10).contains(s));
        let told: Vec<Option<i64>> = told.into_iter().map(|at| at.map(|at| taken(at).expect("taken"))).collect();
        assert_eq!(last_before_the_end(&plan), told, "{second}");
    }
    plan.failing.clear();
    plan.until(160);
    assert_eq!((plan.told("ops").len(), last_before_the_end(&plan)), (4, vec![]));
}

#[test]
fn of_an_alert_that_flaps_and_of_one_that_is_not_shown_it_is_known_too() {
    // The end says that it flaps, and what comes after is held.
    let mut plan = Plan::new("damping: {flaps: 3}\nroutes:\n- {receivers: [ops]}\n");
    for (wrong, second) in [("down", 30), ("ok", 60), ("down", 90)] {
        plan.agent("a", wrong);
        plan.until(second);
    }
    let told = plan.got.last().map(|(second, ..)| *second);
    plan.failing.push("ops".to_owned());
    plan.agent("a", "ok");
    plan.until(120);
    assert_eq!(last_before_the_end(&plan), [told]);

    // A message shows 100 alerts of a group, and is about all of them.
    let group =
        "damping: {flood: 0}\nroutes:\n- {receivers: [ops], group_by: [], group_wait: 5s, group_interval: 10s}\n";
    let mut plan = Plan::new(group);
    plan.failing.push("ops".to_owned());
    (0..101).for_each(|n| plan.agent(&format!("a{n:03}"), "down"));
    plan.until(20);
    (0..100).for_each(|n| plan.agent(&format!("a{n:03}"), "ok"));
    plan.until(60);
    assert_eq!(last_before_the_end(&plan), vec![None; 99]);
    plan.taking_one.push("ops".to_owned());
    plan.until(70);
    let taken = plan.got.last().map(|(second, ..)| *second);
    assert_eq!((plan.got.len(), last_before_the_end(&plan)), (1, vec![taken; 99]));
}

#[test]
fn what_waits_behind_the_message_that_is_tried_is_named() {
    let mut plan = Plan::new("");
    plan.failing.push("ops".to_owned());
    plan.agent("a", "late");
    plan.until(20);
    plan.later = Some(Span::minutes(1));
    plan.agent("a", "latest");
    plan.until(40);
    let said = stands(&plan);
    let (tried, then) = said.split_once("; then ").unwrap_or_else(|| panic!("{said}"));
    assert!(tried.starts_with("being tried since 2026-05-28T20:26:42.000Z, "), "{said}");
    let asked = plan.engine.view().messages[0].receivers[0].waiting.as_ref().and_then(|w| w.next).expect("a time");
    assert!(asked > plan.at() && tried.ends_with(&format!(" attempts: down; next attempt at {asked}")), "{said}");
    assert_eq!(then, "that it is critical since 2026-05-28T20:27:06.000Z; nothing more until it ends", "{said}");
    plan.agent("a", "ok");
    plan.until(70);
    let ended = end_waits(&plan);
    assert!(
        ended.iter().any(|line| line.contains(" since 2026-05-28T20:27:06.000Z; then that it ended; ")),
        "{ended:?}"
    );
}

#[test]
fn a_message_about_others_of_its_group_is_no_news_of_an_alert() {
    let mut plan =
        Plan::new("routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 1s}\n");
    plan.agent("a", "down");
    plan.until(20);
    plan.failing.push("ops".to_owned());
    plan.agent("b", "down");
    plan.until(40);
    let view = plan.engine.view();
    let said = |agent: &str| {
        let at = view.alerts.iter().position(|alert| alert.subject.get("agent") == Some(agent)).expect("it fires");
        let ops = &view.messages[at].receivers[0];
        view::told(ops.last, ops.waiting.as_ref(), ops.refused.as_ref())
    };
    assert!(said("a").contains("; a message of its group is being tried since 2026-05-28T20:2"), "{}", said("a"));
    assert!(said("b").starts_with("being tried since 2026-05-28T20:2"), "{}", said("b"));
}

#[test]
fn what_waits_is_named_to_who_was_told_before_and_after_it_ended() {
    let mut plan = Plan::new("");
    let mut policy = (**plan.engine.policy()).clone();
    policy.settings.receivers[0].send_resolved = false;
    plan.engine = Engine::new(Arc::new(policy), State::default());
    plan.agent("a", "late");
    plan.until(20);
    plan.failing.push("ops".to_owned());
    plan.agent("a", "latest");
    plan.until(40);
    assert!(
        stands(&plan).contains("Z; that it is critical is being tried since 2026-05-28T20:27:"),
        "{}",
        stands(&plan)
    );
    plan.agent("a", "ok");
    plan.until(70);
    // It is told no ends, and still has not all of what was said before.
    assert!(plan.engine.view().ended.iter().all(|ended| ended.messages.receivers.iter().all(|m| m.receiver != "ops")));
    let way = plan.engine.why(plan.at(), "late", "a").expect("it is known").telling.ways.remove(0);
    assert_eq!(way.waiting.and_then(|waiting| waiting.severity), Some(Severity::Critical));
}

#[test]
fn what_was_refused_is_tried_again_when_it_is_repeated_or_its_group_changes() {
    let route = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 30s, repeat_interval: 5m}\n";
    let mut plan = Plan::new(route);
    plan.refusing.push("ops".to_owned());
    plan.agent("a", "down");
    plan.until(100);
    assert!(stands(&plan).ends_with("; tried again at 2026-05-28T20:31:42.000Z"), "{}", stands(&plan));
    plan.agent("b", "down");
    plan.until(110);
    assert_eq!(plan.told("ops"), ["2 firing a/down", "102 firing a/down b/down"]);
    plan.until(410);
    assert_eq!(plan.told("ops").len(), 3, "a repeat: {:?}", plan.told("ops"));
    assert!(stands(&plan).starts_with("refused since 2026-05-28T20:26:42.000Z: "), "{}", stands(&plan));
    plan.refusing.clear();
    plan.until(710);
    assert!(stands(&plan).starts_with("told 2026-05-28T20:38:22.000Z; repeat at"), "{}", stands(&plan));

    // What was told before is still told when a repeat is refused, and its end is, too.
    plan.refusing.push("ops".to_owned());
    plan.until(1_100);
    assert!(
        stands(&plan).starts_with("told 2026-05-28T20:38:22.000Z; refused since 2026-05-28T20:43:22"),
        "{}",
        stands(&plan)
    );
    plan.refusing.clear();
    plan.bad.values_mut().for_each(|wrong| *wrong = "ok".to_owned());
    plan.until(1_200);
    assert!(
        plan.told("ops").last().is_some_and(|told| told.ends_with("ended a/down b/down")),
        "{:?}",
        plan.told("ops")
    );
}

#[test]
fn an_end_that_waits_behind_a_beginning_is_not_told_when_that_is_refused() {
    let mut plan = Plan::new("routes:\n- {receivers: [ops]}\n");
    plan.failing.push("ops".to_owned());
    for (agent, second) in [("a", 10), ("b", 20)] {
        plan.agent(agent, "down");
        plan.until(second);
        plan.agent(agent, "ok");
    }
    plan.until(60);
    assert_eq!(plan.engine.view().receivers[0].queued, 4);
    plan.failing.clear();
    plan.refusing.push("ops".to_owned());
    plan.until(70);
    assert_eq!((plan.told("ops").len(), plan.engine.view().receivers[0].queued), (2, 0), "{:?}", plan.told("ops"));

    plan.refusing.clear();
    plan.failing.push("ops".to_owned());
    plan.agent("a", "down");
    plan.until(80);
    plan.agent("a", "ok");
    plan.until(120);
    plan.failing.clear();
    plan.until(130);
    assert_eq!(plan.told("ops").len(), 4, "what is taken is followed by its end: {:?}", plan.told("ops"));
}

/// Three messages of one group wait for `ops`: a fires; b fires, too; both ended.
fn queued() -> Plan {
    let route = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 30s}\n";
    let mut plan = Plan::new(route);
    plan.failing.push("ops".to_owned());
    plan.agent("a", "down");
    plan.until(10);
    plan.agent("b", "down");
    plan.until(40);
    plan.bad.values_mut().for_each(|wrong| *wrong = "ok".to_owned());
    plan.until(80);
    assert_eq!(plan.engine.view().receivers[0].queued, 3);
    plan.failing.clear();
    plan
}

#[test]
fn an_end_is_told_when_any_message_before_it_told_the_beginning() {
    let (a, b, end) = ("firing a/down", "firing a/down b/down", "ended a/down b/down");
    let what = |plan: &Plan| -> Vec<String> {
        plan.told("ops").iter().map(|told| told.split_once(' ').expect("a second").1.to_owned()).collect()
    };
    for (refused, expected) in
        [(vec![], vec![a, b, end]), (vec![0], vec![a, b, end]), (vec![1], vec![a, b, end]), (vec![0, 1], vec![a, b])]
    {
        let mut plan = queued();
        plan.refused = refused.clone();
        plan.until(100);
        assert_eq!(what(&plan), expected, "when these are refused: {refused:?}");
        let ops = &plan.engine.view().receivers[0];
        let lost = refused.len() + 3 - expected.len();
        assert_eq!((ops.queued, ops.failed), (0, lost as u64), "when these are refused: {refused:?}");
    }
}

#[test]
fn the_beginning_of_another_alert_is_none_of_what_a_message_ends() {
    let route = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 10s}\n";
    // Nor is that of an episode before, of which a message between tells the end.
    for second in ["b", "a"] {
        let mut plan = Plan::new(route);
        plan.failing.push("ops".to_owned());
        for (agent, until) in [("a", 40), (second, 80)] {
            plan.agent(agent, "down");
            plan.until(until - 20);
            plan.agent(agent, "ok");
            plan.until(until);
        }
        assert_eq!(plan.engine.view().receivers[0].queued, 4);
        plan.failing.clear();
        plan.refused = vec![2];
        plan.until(90);
        let told = plan.told("ops");
        assert_eq!(told.len(), 3, "no end of what was refused: {told:?}");
        assert!(told[2].ends_with(&format!("firing {second}/down")), "{told:?}");
    }
}

#[test]
fn a_reload_says_nothing_again() {
    let mut plan = Plan::new(GROUPED);
    plan.agent("a", "down");
    plan.until(30);
    assert_eq!(plan.got.len(), 1);
    for routing in [GROUPED, &GROUPED.replace("alertname", "agent"), "", GROUPED] {
        let effects = plan.engine.reload(plan.at(), policy(routing));
        plan.answer(effects);
        plan.until(plan.now + 100);
        assert_eq!(plan.told("ops").len(), 1, "{routing}");
    }
    plan.agent("a", "ok");
    plan.until(600);
    assert_eq!(plan.told("ops").len(), 2, "its end is told, and once");
}

/// What is told of `down` on agent a after its rule reads otherwise: the alert before and after, and the messages since.
fn changed(rule: &str) -> (AlertEvent, Option<AlertEvent>, Vec<String>) {
    let route = "routes:\n- {receivers: [ops], repeat_interval: 1m}\n";
    let mut plan = Plan::new(route);
    plan.agent("a", "down");
    plan.until(10);
    let before = plan.engine.alerts().remove(0);
    let ack = Acknowledgement { alert: before.id.clone(), author: "ada".into(), note: String::new(), at: plan.at() };
    plan.command(Command::Acknowledge(ack));
    let rules = format!("alerts:\n  - {{{rule}, window: 10s, min_samples: 1}}");
    let told = plan.got.len();
    let effects = plan.engine.reload(plan.at(), policy_of(&rules, route));
    plan.answer(effects);
    plan.until(200);
    (before, plan.engine.alerts().pop(), plan.told("ops").split_off(told))
}

#[test]
fn an_alert_goes_on_when_its_rule_is_changed() {
    for rule in [
        "name: down, condition: error_rate > 60%, severity: critical",
        "name: down, condition: error_rate > 50%, for: 2m, severity: critical",
        "name: down, condition: error_rate > 50%, severity: critical, annotations: {summary: \"{{ value }}\"}",
        "name: down, condition: executions >= 1, severity: critical",
        "name: down, condition: error_rate > 50% and executions >= 1, keep_firing_for: 1m, severity: high",
        "name: down, levels: {high: error_rate > 20%, critical: error_rate > 60%}",
        "name: down, condition: error_rate > 50%, by: [agent], where: {agent: a}, severity: critical",
    ] {
        let (before, after, told) = changed(rule);
        let after = after.unwrap_or_else(|| panic!("it fires on: {rule}"));
        let same = |event: &AlertEvent| (event.id.clone(), event.active_since, event.fired_at);
        assert_eq!(same(&before), same(&after), "{rule}");
        assert!(told.is_empty(), "taken on and told before: {rule}: {told:?}");
        assert!(after.value.is_some_and(|value| value >= 1.0), "judged anew: {after:?}");
        assert_eq!(after.condition.contains("executions"), rule.contains("executions"), "{after:?}");
        assert_eq!(after.annotations.get("summary").map(String::as_str), rule.contains("summary").then_some("100%"));
    }
}

#[test]
fn an_alert_ends_when_its_changed_rule_does_not_hold_and_not_before_it_is_judged() {
    for (rule, reason) in [
        ("name: down, condition: executions > 1000, severity: critical", "and does not hold as it reads now"),
        ("name: down, levels: {high: executions > 1000, critical: executions > 2000}", "does not hold as it reads now"),
        ("name: up, condition: executions > 1000", "the rule was removed by a reload at"),
        ("name: down, condition: executions > 1000, by: fleet, severity: critical", "does not look at this subject"),
        ("name: down, condition: executions > 0, where: {agent: \"!a\"}", "does not look at this subject any more"),
    ] {
        let route = "routes:\n- {receivers: [ops], repeat_interval: 1m}\n";
        let mut plan = Plan::new(route);
        plan.agent("a", "down");
        plan.until(10);
        let before = plan.engine.alerts().remove(0);
        let rules = format!("alerts:\n  - {{{rule}, window: 10s, min_samples: 1}}");
        let effects = plan.engine.reload(plan.at(), policy_of(&rules, route));
        plan.answer(effects);
        plan.until(14);
        let ends = plan.got.iter().flat_map(|(.., d)| &d.notification().expect("about alerts").alerts);
        let ends: Vec<&AlertEvent> = ends.filter(|alert| alert.state == AlertState::Resolved).collect();
        assert_eq!(ends.len(), 1, "{rule}: {:?}", plan.told("ops"));
        assert_eq!(ends[0].id, before.id, "{rule}");
        assert!(ends[0].reason.contains(reason), "{rule}: {}", ends[0].reason);
    }
}

#[test]
fn levels_that_a_changed_rule_keeps_go_on_and_others_begin_anew() {
    let late =
        |levels: &str| policy_of(&format!("alerts: [{{name: late, {levels}, window: 10s, min_samples: 1}}]"), "");
    let state = |plan: &Plan| plan.engine.alerts().iter().map(|a| (a.severity, a.state)).collect::<Vec<_>>();
    let (warning, high, critical) = (Severity::Warning, Severity::High, Severity::Critical);
    for (wrong, levels, first, then) in [
        // The same severity at another threshold goes on.
        (
            "latest",
            "levels: {warning: p50_latency > 50s, critical: {condition: p50_latency > 90s, for: 1m}}",
            critical,
            critical,
        ),
        // One that is gone goes on as the gravest below it.
        ("latest", "levels: {info: p50_latency > 10s, warning: p50_latency > 50s}", warning, warning),
        ("latest", "condition: p50_latency > 50s, severity: high", high, high),
        // One that is new has to hold for as long as it wants to, and is news.
        ("late", "levels: {warning: p50_latency > 50s, high: {condition: p50_latency > 90s, for: 1m}}", warning, high),
    ] {
        let before = late("levels: {warning: p50_latency > 100s, critical: p50_latency > 200s}");
        let mut plan = Plan { engine: Engine::new(before, State::default()), ..Plan::new("") };
        plan.agent("a", wrong);
        plan.until(10);
        let told = plan.told("ops").len();
        let effects = plan.engine.reload(plan.at(), late(levels));
        plan.answer(effects);
        plan.until(60);
        assert_eq!(state(&plan), [(first, AlertState::Firing)], "{levels}");
        plan.until(100);
        assert_eq!(state(&plan), [(then, AlertState::Firing)], "{levels}");
        let news = usize::from(first != then);
        assert_eq!(plan.told("ops").len(), told + news, "{levels}: {:?}", plan.told("ops"));
        plan.agent("a", "ok");
        plan.until(150);
        assert!(plan.told("ops")[told + news].ends_with("ended a/late"), "{levels}: {:?}", plan.told("ops"));
    }
}

#[test]
fn an_alert_that_waits_for_its_group_survives_a_reload() {
    let mut plan = Plan::new(&GROUPED.replace("group_wait: 10s", "group_wait: 50s"));
    plan.agent("a", "down");
    plan.until(20);
    let effects = plan.engine.reload(plan.at(), policy(GROUPED));
    plan.answer(effects);
    plan.until(90);
    assert_eq!(plan.told("ops").len(), 1);
}

#[test]
fn after_history_what_still_fires_is_told_in_groups() {
    let mut plan = Plan::new(GROUPED);
    plan.command(Command::BeginBackfill);
    plan.agent("a", "down");
    plan.agent("b", "down");
    plan.agent("c", "down");
    plan.until(100);
    plan.agent("c", "ok");
    plan.until(130);
    plan.command(Command::EndBackfill);
    plan.until(200);
    assert_eq!(plan.told("ops"), ["140 firing a/down b/down"]);
}

#[test]
fn a_silence_holds_back_until_it_ends_or_is_taken_back() {
    let mut plan = Plan::new("routes:\n- {receivers: [ops], repeat_interval: 1m}\n");
    plan.agent("b", "down");
    plan.until(2);
    plan.command(Command::Silence(silence("agent=a|b", &plan, 300)));
    plan.agent("a", "down");
    plan.until(200);
    assert_eq!(plan.told("ops"), ["2 firing b/down"], "neither the new one nor the repeat");
    assert!(plan.why("a").starts_with("silenced by ada until "), "{}", plan.why("a"));
    plan.agent("b", "ok");
    plan.until(250);
    assert!(plan.told("ops")[1].ends_with("ended b/down"), "what was told is ended");
    plan.until(310);
    assert_eq!(plan.told("ops")[2..], ["302 firing a/down"]);
    plan.agent("c", "down");
    plan.command(Command::Silence(silence("agent=c", &plan, 3_000)));
    plan.until(320);
    plan.command(Command::ExpireSilence { id: "s1".into() });
    plan.until(330);
    assert!(plan.told("ops").iter().any(|line| line.ends_with("firing c/down")), "{:?}", plan.told("ops"));
}

#[test]
fn a_repeat_that_falls_due_in_a_hold_goes_out_when_it_ends() {
    // 2026-05-28T20:26:40Z is the start, so planned work is from 200 s to 1,400 s.
    let route = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 1s, repeat_interval: 5m}\n";
    let work = "maintenance:\n- {name: work, hours: [\"thu 20:30-20:50\"]}\n";
    let mut plan = Plan::new(&format!("{work}{route}"));
    plan.agent("a", "down");
    plan.until(800);
    plan.agent("b", "down");
    plan.until(1_390);
    assert_eq!(plan.told("ops"), ["3 firing a/down"]);
    plan.until(1_800);
    assert_eq!(plan.told("ops")[1..], ["1400 firing a/down b/down", "1700 firing a/down b/down"]);

    let mut plan = Plan::new(route);
    plan.agent("a", "down");
    plan.until(10);
    plan.command(Command::Silence(silence("alertname=down", &plan, 1_190)));
    plan.until(800);
    plan.agent("b", "down");
    plan.until(1_600);
    assert_eq!(plan.told("ops"), ["3 firing a/down", "1200 firing a/down b/down", "1500 firing a/down b/down"]);
}

#[test]
fn a_critical_alert_inhibits_the_warning_of_the_same_agent() {
    let mut plan = Plan::new(
        "inhibit:\n- {source: severity=critical, target: severity<critical, equal: [agent]}\n"
            .replace("severity<critical", "severity=warning")
            .as_str(),
    );
    plan.agent("a", "down slow");
    plan.agent("b", "slow");
    plan.until(30);
    let mut told = plan.told("ops");
    told.sort();
    assert_eq!(told, ["2 firing a/down", "2 firing b/slow"]);
    plan.agent("a", "slow");
    plan.until(60);
    let told = plan.told("ops");
    assert!(
        told.iter().any(|l| l.ends_with("ended a/down")) && told.iter().any(|l| l.ends_with("firing a/slow")),
        "{told:?}"
    );
}

#[test]
fn an_inhibition_ends_when_its_source_becomes_too_mild() {
    let mut plan = Plan::new("inhibit:\n- {source: severity=critical, target: alertname=slow, equal: [agent]}\n");
    plan.agent("a", "latest");
    plan.until(30);
    assert_eq!(plan.told("ops"), ["2 firing a/late"]);
    plan.agent("a", "late");
    plan.until(60);
    let told = plan.told("ops");
    assert!(told.len() == 2 && told[1].ends_with("firing a/slow"), "{told:?}");
}

#[test]
fn who_leaves_an_incident_and_goes_on_failing_is_told_of() {
    let rules = "
alerts:
  - {name: down, condition: error_rate > 50%, window: 10s, min_samples: 1}
  - {name: outage, condition: alerting_agents >= 2, covers: [down], by: provider, min_samples: 1, severity: critical}
";
    let route = "routes:\n- {receivers: [ops], group_wait: 5s, group_interval: 10s}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(rules, route), State::default()), ..Plan::new("") };
    for agent in ["x", "y", "z"] {
        plan.agent(agent, "down at openai");
    }
    plan.until(60);
    assert_eq!(plan.told("ops"), ["7 firing -/outage"], "their own alerts are held back");
    plan.agent("x", "down at mistral");
    plan.until(120);
    assert_eq!(plan.told("ops"), ["7 firing -/outage", "67 firing x/down"], "there is no incident at the other one");
    // One for another: as many fail there as before.
    plan.agent("x", "down at openai");
    plan.agent("y", "down at mistral");
    plan.until(180);
    assert_eq!(plan.told("ops")[2..], ["127 firing y/down"]);
}

/// Several agents down at one provider, which is one incident, with `ops` as a pager that takes nothing below critical.
fn incident(rules: &str, routing: &str) -> Plan {
    let mut plan = with_pager(rules, routing);
    for agent in ["x", "y"] {
        plan.agent(agent, "down at openai");
    }
    plan
}

fn with_pager(rules: &str, routing: &str) -> Plan {
    let mut policy = (*policy_of(rules, routing)).clone();
    policy.settings.receivers[0].min_severity = Severity::Critical;
    Plan { engine: Engine::new(Arc::new(policy), State::default()), ..Plan::new("") }
}

/// What stands in `evenkeel why` of a rule on an agent: mutes, then what each receiver is told next.
fn telling(plan: &Plan, rule: &str, agent: &str) -> (Vec<String>, Vec<String>) {
    let telling = plan.engine.why(plan.at(), rule, agent).expect("it is known").telling;
    let ways = telling.ways.into_iter().map(|way| format!("{}: {}", way.receiver, way.why)).collect();
    (telling.mutes.into_iter().map(|mute| mute.why).collect(), ways)
}

const LATE: &str =
    "{name: late, levels: {warning: p50_latency > 100s, critical: p50_latency > 200s}, window: 10s, min_samples: 1}";
const DOWN: &str = "{name: down, condition: error_rate > 50%, window: 10s, min_samples: 1, severity: critical}";

#[test]
fn an_incident_holds_nothing_back_from_who_is_not_told_of_it() {
    let rules = format!(
        "alerts:\n- {DOWN}\n- {{name: outage, condition: alerting_agents >= 2, covers: [down], by: provider, min_samples: 1}}\n"
    );
    let waits = "group_wait: 5s, group_interval: 10s";
    // Too mild for the pager; not on its routes.
    let apart = format!("- {{matchers: [alertname=outage], receivers: [team], {waits}}}\n");
    for (min_severity, first) in [(Severity::Critical, String::new()), (Severity::Info, apart)] {
        let routes = format!("routes:\n{first}- {{receivers: [ops, team], {waits}}}\n");
        let mut plan = incident(&rules, &routes);
        let mut policy = (**plan.engine.policy()).clone();
        policy.settings.receivers[0].min_severity = min_severity;
        plan.engine = Engine::new(Arc::new(policy), State::default());
        plan.until(60);
        let each = ["7 firing x/down", "7 firing y/down"];
        assert_eq!(
            (plan.told("ops"), plan.told("team")),
            (each.map(String::from).to_vec(), vec!["7 firing -/outage".into()])
        );
        let by = "inhibited by outage on provider=openai while that fires";
        let ways = vec!["ops: nothing more until it ends".to_owned(), format!("team: {by}")];
        assert_eq!(telling(&plan, "down", "x"), (vec![format!("{by}, at team")], ways));
    }
}

#[test]
fn what_nobody_is_told_of_because_of_its_hours_holds_nothing_back() {
    // 2026-05-28T20:26:40Z is the start.
    let covers = "covers: [down], by: provider, min_samples: 1, severity: critical";
    let hours = "active_hours: \"20:30-21:00\"";
    let outage = format!("- {{name: outage, condition: alerting_agents >= 2, {covers}, {hours}}}\n");
    let mut plan = incident(&format!("alerts:\n- {DOWN}\n{outage}"), "routes:\n- {receivers: [ops], group_wait: 5s}\n");
    plan.until(60);
    assert_eq!(plan.told("ops"), ["7 firing x/down", "7 firing y/down"]);
    // Those that begin in its hours are held back, and why says so.
    plan.until(230);
    assert_eq!(plan.told("ops")[2..], ["205 firing -/outage"]);
    plan.agent("z", "down at openai");
    plan.until(260);
    assert_eq!(plan.told("ops").len(), 3);
    assert_eq!(telling(&plan, "down", "z").0, ["inhibited by outage on provider=openai while that fires"]);

    let slow = "{name: slow, condition: p95_latency > 20s, window: 10s, min_samples: 1}";
    let rules = format!("alerts:\n- {}\n- {slow}\n", DOWN.replace("severity", &format!("{hours}, severity")));
    let inhibit = "inhibit:\n- {source: alertname=down, target: alertname=slow, equal: [agent]}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, inhibit), State::default()), ..Plan::new("") };
    plan.agent("a", "down slow");
    plan.until(60);
    assert_eq!(plan.told("ops"), ["2 firing a/slow"]);
    assert_eq!(telling(&plan, "slow", "a").0, [""; 0]);
    plan.agent("b", "down slow");
    plan.until(220);
    assert_eq!(plan.told("ops")[1..], ["62 firing b/slow", "200 firing a/down", "200 firing b/down"]);
}

#[test]
fn an_alert_that_gets_graver_outside_of_its_hours_inhibits_nothing_from_then_on() {
    let hours = "active_hours: \"20:00-20:28\"";
    let late = format!(
        "{{name: late, levels: {{warning: p50_latency > 100s, critical: p50_latency > 200s}}, window: 10s, min_samples: 1, {hours}}}"
    );
    let rules = format!("alerts:\n- {late}\n- {}\n", DOWN.replace("critical", "warning"));
    let inhibit = "inhibit:\n- {source: alertname=late, target: alertname=down, equal: [agent]}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, inhibit), State::default()), ..Plan::new("") };
    plan.agent("a", "late down");
    plan.until(100);
    assert_eq!(plan.told("ops"), ["2 firing a/late"]);
    plan.agent("a", "latest down");
    plan.until(130);
    assert_eq!(plan.told("ops").len(), 2, "{:?}", plan.told("ops"));
    assert!(plan.told("ops")[1].ends_with("firing a/down"), "{:?}", plan.told("ops"));
}

#[test]
fn whoever_works_by_now_counts_when_an_incident_would_begin() {
    let rules = "
alerts:
  - {name: down, condition: error_rate > 50%, window: 10s, min_samples: 1}
  - {name: outage, condition: alerting_share > 50%, covers: [down], by: fleet, min_samples: 3, severity: critical}
";
    let mut plan = Plan { engine: Engine::new(policy_of(rules, ""), State::default()), ..Plan::new("") };
    for (agent, does) in [("x", "down"), ("y", "ok"), ("z", "ok")] {
        plan.agent(agent, does);
    }
    // All are counted every two minutes: after 80 and after 200 seconds.
    plan.until(85);
    (0..9).for_each(|agent| plan.agent(&format!("h{agent}"), "ok"));
    plan.until(115);
    plan.agent("y", "down");
    plan.until(160);
    let outage = |plan: &Plan| plan.told("ops").iter().any(|said| said.ends_with("/outage"));
    assert!(!outage(&plan), "2 of 12 agents are no incident: {:?}", plan.told("ops"));
    (0..5).for_each(|agent| plan.agent(&format!("h{agent}"), "down"));
    plan.until(195);
    assert!(outage(&plan), "7 of 12 are: {:?}", plan.told("ops"));
}

#[test]
fn maintenance_and_hours_hold_back_and_then_tell() {
    // 2026-05-28T20:26:40Z is the start.
    let window = "maintenance:\n- {name: work, matchers: [agent=a], hours: [\"thu 20:00-20:30\"]}\nroutes:\n- {receivers: [ops], matchers: [agent=a]}\n- {receivers: [team], active_hours: \"20:31-23:00\"}\n";
    let mut plan = Plan::new(window);
    plan.agent("a", "down");
    plan.agent("b", "down");
    plan.until(20);
    assert_eq!(plan.why("a"), "maintenance `work` until 2026-05-28T20:30:00.000Z");
    assert_eq!(plan.why("b"), "outside active hours until 2026-05-28T20:31:00.000Z");
    plan.until(400);
    assert_eq!(
        (plan.told("ops"), plan.told("team")),
        (vec!["200 firing a/down".into()], vec!["260 firing b/down".into()])
    );
}

#[test]
fn what_holds_back_without_an_end_says_so_and_how_to_end_it() {
    let holds = |routing: &str| {
        let mut plan = Plan::new(routing);
        plan.agent("a", "down");
        plan.until(20);
        let why = plan.why("a");
        for mute in &plan.engine.view().messages[0].mutes {
            assert_eq!((&mute.why, mute.until.is_some()), (&why, why.contains(" until ")));
        }
        why
    };
    let maintenance =
        |hours: &str| holds(&format!("maintenance:\n- {{name: work, matchers: [agent=a], hours: {hours}}}\n"));
    let endless = "maintenance `work` of the configuration, which has no end: delete it there to end it";
    assert_eq!(maintenance("mon-sun"), endless);
    assert_eq!(maintenance("[mon-fri 00:00-24:00, \"sat,sun\"]"), endless);
    // Until nothing of it holds, not until another stretch begins.
    let long = maintenance("[thu 20:00-20:30, thu 20:28-21:00]");
    assert_eq!(long, "maintenance `work` until 2026-05-28T21:00:00.000Z");

    let route = |hours: &str| holds(&format!("routes:\n- {{receivers: [ops, team], {hours}}}\n"));
    assert_eq!(route("mute: mon-sun"), "muted by `mute: mon-sun` of the route, which has no end");
    assert_eq!(
        route("active_hours: 2026-01-01T00:00:00Z/2026-01-02T00:00:00Z"),
        "outside `active_hours: 2026-01-01T00:00:00Z/2026-01-02T00:00:00Z` of the route, which come no more"
    );
    assert_eq!(
        route("active_hours: mon, mute: mon"),
        "kept by `active_hours: mon` of the route, which come no more without its `mute: mon`"
    );
}

#[test]
fn a_route_that_is_muted_says_so() {
    let routes = "routes:\n- {receivers: [ops], mute: \"thu 20:00-20:30\"}\n";
    let mut plan = Plan::new(routes);
    plan.agent("a", "down");
    plan.until(20);
    let until = "muted until 2026-05-28T20:30:00.000Z";
    assert_eq!(plan.why("a"), until);
    plan.agent("b", "ok");
    plan.until(30);
    assert_eq!(telling(&plan, "down", "b").1, [format!("ops: its route is {until}")]);
    plan.until(300);
    assert_eq!(plan.told("ops"), ["200 firing a/down"]);
}

/// What `evenkeel alerts` says of an alert that fires, a line per receiver that was told.
fn lines(plan: &Plan) -> Vec<String> {
    let messages = plan.engine.view().messages.remove(0);
    messages.receivers.into_iter().map(|told| format!("{}: {}", told.receiver, told.why)).collect()
}

#[test]
fn an_alert_whose_rule_becomes_a_shadow_rule_is_told_its_end_and_nothing_else() {
    let routes = "routes:\n- {receivers: [ops], group_wait: 5s, repeat_interval: 1m, continue: true}\n- {receivers: [team], group_wait: 10m}\n";
    let shadow = format!("alerts:\n- {}\n", DOWN.replace("severity", "shadow: true, severity"));
    let mut plan = Plan {
        engine: Engine::new(policy_of(&format!("alerts:\n- {DOWN}\n"), routes), State::default()),
        ..Plan::new("")
    };
    plan.agent("a", "down");
    plan.until(30);
    let effects = plan.engine.reload(plan.at(), policy_of(&shadow, routes));
    plan.answer(effects);
    for second in [30, 40, 700] {
        plan.until(second);
        assert_eq!(lines(&plan), ["ops: nothing but its end: its rule tells nobody any more"]);
        let why = telling(&plan, "down", "a");
        assert_eq!(why.0, ["a shadow rule tells nobody"]);
        assert_eq!(why.1, ["ops: nothing but its end: its rule tells nobody any more", "team: "]);
    }
    assert_eq!((plan.told("ops").len(), plan.told("team").len()), (1, 0), "{:?}", plan.got);
    plan.agent("a", "ok");
    plan.until(800);
    assert_eq!(plan.told("ops").len(), 2);
    assert!(plan.told("ops")[1].ends_with("ended a/down") && plan.told("team").is_empty(), "{:?}", plan.got);
}

#[test]
fn an_alert_that_got_graver_outside_of_its_hours_is_told_so_when_they_begin() {
    let hours = "active_hours: [\"20:00-20:28\", \"20:32-21:00\"]";
    let late = format!(
        "alerts: [{{name: late, levels: {{warning: p50_latency > 100s, critical: p50_latency > 200s}}, window: 10s, min_samples: 1, {hours}}}]"
    );
    let mut plan = Plan {
        engine: Engine::new(policy_of(&late, "routes:\n- {receivers: [ops]}\n"), State::default()),
        ..Plan::new("")
    };
    plan.agent("a", "late");
    plan.until(100);
    plan.agent("a", "latest");
    plan.until(130);
    assert_eq!(lines(&plan), ["ops: outside of the rule's active hours until 2026-05-28T20:32:00.000Z"]);
    plan.until(400);
    assert_eq!(plan.told("ops"), ["2 firing a/late", "320 firing a/late"]);
}

#[test]
fn a_storm_gives_one_message_and_one_end() {
    let mut plan = Plan::new("");
    for agent in 0..1_000 {
        plan.agent(&format!("{agent}"), if agent < 812 { "down" } else { "ok" });
    }
    plan.until(30);
    for agent in 0..1_000 {
        plan.agent(&format!("{agent}"), "ok");
    }
    plan.until(60);
    plan.until(200);
    let said: Vec<(&str, u64, usize)> = plan
        .got
        .iter()
        .filter(|(_, to, _)| to == "ops")
        .map(|(_, _, d)| {
            (
                d.notification().expect("about alerts").summary.as_str(),
                d.notification().expect("about alerts").truncated,
                d.notification().expect("about alerts").alerts.len(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("down fires on 812 of 1,000 agents, 20 shown", 792, 20),
            ("down ended on all of the 812 agents it fired on, 20 shown", 792, 20),
        ]
    );
}

#[test]
fn a_group_is_not_over_while_alerts_fire_that_no_message_shows() {
    let mut plan = Plan::new(&format!("damping: {{flood: 0}}\n{GROUPED}"));
    for agent in 0..250 {
        plan.agent(&format!("{agent:03}"), "down");
    }
    plan.until(20);
    for agent in 0..150 {
        plan.agent(&format!("{agent:03}"), "ok");
    }
    plan.until(60);
    let said: Vec<_> = plan.got.iter().filter_map(|(_, _, d)| d.notification()).collect();
    assert_eq!(said.iter().map(|n| n.state()).collect::<Vec<_>>(), [AlertState::Firing, AlertState::Firing]);
    assert_eq!((said[1].alerts.len(), said[1].truncated), (100, 150));
    assert_eq!(said[1].summary, "100 alerts fire and 150 ended, 100 shown");
    for agent in 150..250 {
        plan.agent(&format!("{agent:03}"), "ok");
    }
    plan.until(120);
    assert_eq!(plan.got[2].2.notification().map(|n| n.state()), Some(AlertState::Resolved));
}

#[test]
fn ten_thousand_breaching_records_in_a_minute_give_one_firing_and_one_end() {
    let mut plan = Plan::new("");
    for second in 1..=60 {
        plan.now = second;
        let at = plan.at();
        let records: Vec<Record<'_>> =
            (0..10_000 / 60 + 1).map(|_| Record::new("plan", "a", Some(at), Outcome::Error)).collect();
        let effects = plan.engine.handle(at, Event::Records(&records));
        plan.answer(effects);
    }
    plan.agent("a", "ok");
    plan.until(200);
    assert_eq!(plan.told("ops").len(), 2, "{:?}", plan.told("ops"));
}

/// Of what ended and is not told so: who was told when, and when the end is told, in seconds.
fn ended(plan: &Plan) -> Vec<String> {
    let second = |at: Timestamp| ((at.0 - START) / 1_000).to_string();
    let line = |ended: &EndedView| {
        let [told] = &ended.messages.receivers[..] else { panic!("one receiver") };
        let last = told.last.map_or("never".to_owned(), second);
        let at = ended.alert.at;
        format!("{} told {last}; {}", told.receiver, told.why.replace(&at.to_string(), &second(at)))
    };
    plan.engine.view().ended.iter().map(line).collect()
}

#[test]
fn an_alert_that_flaps_is_told_once_and_then_held() {
    let mut plan = Plan::new("damping: {flaps: 4}\nroutes:\n- {receivers: [ops]}\n");
    for round in 0..20 {
        plan.agent("a", "down");
        plan.until(round * 60 + 30);
        plan.agent("a", "ok");
        plan.until(round * 60 + 60);
    }
    assert_eq!(plan.told("ops").len(), 5, "two episodes whole, and the third that says it flaps");
    assert!(plan.got[4].2.notification().expect("about alerts").alerts[0].annotations.contains_key("flapping"));
    // It ended last, and whoever was told still has it open.
    let [line] = &ended(&plan)[..] else { panic!("one is held") };
    let held = line.strip_prefix("ops told 127; its end at 1176 is held until ").unwrap_or_else(|| panic!("{line}"));
    assert!(held.ends_with(" at least because it flaps"), "{line}");
    let why = plan.engine.why(plan.at(), "down", "a").expect("it is known").telling;
    assert!(why.ways[0].why.contains(" is held until ") && why.mutes[0].kind == MuteKind::Flapping, "{why:?}");
    plan.until(20 * 60 + 3_600);
    assert_eq!(plan.told("ops").len(), 6);
    assert!(plan.told("ops")[5].ends_with("ended a/down"));
    assert_eq!(ended(&plan), Vec::<String>::new());
}

#[test]
fn while_an_alert_flaps_its_line_says_that_its_end_is_held() {
    let mut plan = Plan::new("damping: {flaps: 2}\nroutes:\n- {receivers: [ops]}\n");
    for (second, wrong) in [(30, "down"), (60, "ok"), (90, "down")] {
        plan.agent("a", wrong);
        plan.until(second);
    }
    let why = plan.why("a");
    assert!(why.starts_with("nothing more until it ends; it flaps, so its end is held until "), "{why}");
    let messages = &plan.engine.view().messages[0];
    assert_eq!(messages.mutes.iter().map(|mute| mute.kind).collect::<Vec<_>>(), [MuteKind::Flapping]);
}

/// What the messages said of a hold: seconds at which an alert was told as flapping.
fn flapping(plan: &Plan, receiver: &str) -> Vec<(i64, AlertState)> {
    let said = plan.got.iter().filter(|(_, to, _)| to == receiver);
    let alerts =
        said.flat_map(|(at, _, d)| d.notification().expect("about alerts").alerts.iter().map(move |a| (*at, a)));
    alerts.filter(|(_, a)| a.annotations.contains_key("flapping")).map(|(at, a)| (at, a.state)).collect()
}

/// Agent `a` begins and ends, half a minute each, until it has changed so many times.
fn flap(plan: &mut Plan, changes: i64) {
    for change in 0..changes {
        plan.agent("a", if change % 2 == 0 { "down" } else { "ok" });
        plan.until((change + 1) * 30);
    }
}

/// The states that a receiver was told, in order.
fn states(plan: &Plan, receiver: &str) -> Vec<AlertState> {
    let said = plan.got.iter().filter(|(_, to, _)| to == receiver);
    said.flat_map(|(_, _, d)| d.notification().expect("about alerts").alerts.iter().map(|a| a.state)).collect()
}

const GROUP_OF_ONE: &str = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 1s, group_interval: 1s}\n";

#[test]
fn a_hold_that_begins_with_an_end_says_so_and_holds_what_begins() {
    use AlertState::{Firing, Resolved};
    for routes in ["", "routes:\n- {receivers: [ops]}\n", GROUP_OF_ONE] {
        for after in [0, 1] {
            let mut plan = Plan::new(&format!("damping: {{flaps: 3}}\n{routes}"));
            flap(&mut plan, 20 + after);
            let said = [Firing, Resolved, Firing, Resolved];
            assert_eq!(states(&plan, "ops"), said, "{routes}");
            let [(second, Resolved)] = flapping(&plan, "ops")[..] else { panic!("{:?}", flapping(&plan, "ops")) };
            assert!((90..=120).contains(&second), "the second end begins the hold: {second}");
            assert_eq!(ended(&plan), Vec::<String>::new(), "its end was told");
            if after == 1 {
                let why = plan.why("a");
                assert!(why.starts_with("it flaps, so its beginning is held until "), "{why}");
                let told = &plan.engine.view().messages[0];
                assert_eq!(told.mutes.iter().map(|mute| mute.kind).collect::<Vec<_>>(), [MuteKind::Flapping]);
                assert_eq!(told.receivers[0].next, told.mutes[0].until, "{told:?}");
            } else {
                let way = plan.engine.why(plan.at(), "down", "a").expect("it is known").telling.ways.remove(0);
                assert!(
                    way.why.starts_with("its end was told; it flaps, so the next beginning is held until "),
                    "{way:?}"
                );
            }
            // What is true when the hold ends is told once if it is not what was told last.
            plan.until(3 * 3_600);
            assert_eq!(states(&plan, "ops")[4..], [Firing][..after as usize], "{routes}");
            plan.agent("a", "ok");
            plan.until(3 * 3_600 + 60);
            assert_eq!(states(&plan, "ops").len(), 4 + 2 * after as usize, "{routes}");
            assert_eq!(flapping(&plan, "ops").len(), 1);
        }
    }
}

#[test]
fn a_hold_that_begins_with_an_end_begins_for_who_hears_no_ends_with_the_next_beginning() {
    for (flaps, told) in [(3, 3), (4, 3)] {
        let mut plan = Plan::new(&format!("damping: {{flaps: {flaps}}}\n"));
        let mut quiet = (**plan.engine.policy()).clone();
        quiet.settings.receivers[0].send_resolved = false;
        plan.engine = Engine::new(Arc::new(quiet), State::default());
        flap(&mut plan, 40);
        assert_eq!(states(&plan, "ops"), vec![AlertState::Firing; told], "{flaps}");
        let said = flapping(&plan, "ops");
        assert_eq!(said, [(said[0].0, AlertState::Firing)], "{flaps}");
        plan.until(3 * 3_600);
        assert_eq!(states(&plan, "ops").len(), told, "its end is not told");
    }
}

#[test]
fn a_second_hold_says_so_anew() {
    let mut plan = Plan::new("damping: {flaps: 3}\nroutes:\n- {receivers: [ops]}\n");
    flap(&mut plan, 9);
    plan.until(2 * 3_600);
    // It fires since; three changes more are a hold anew, which begins with a beginning.
    for change in 1..8 {
        plan.agent("a", if change % 2 == 0 { "down" } else { "ok" });
        plan.until(2 * 3_600 + change * 30);
    }
    let states: Vec<AlertState> = flapping(&plan, "ops").iter().map(|(_, state)| *state).collect();
    assert_eq!(states, [AlertState::Resolved, AlertState::Firing], "{:?}", plan.told("ops"));
}

#[test]
fn an_alert_that_gets_graver_is_told_while_it_flaps() {
    let mut plan = Plan::new("damping: {flaps: 3}\nroutes:\n- {receivers: [ops]}\n");
    for change in 0..9 {
        plan.agent("a", if change % 2 == 0 { "late" } else { "ok" });
        plan.until((change + 1) * 30);
    }
    let told = |plan: &Plan| plan.told("ops").iter().filter(|line| line.ends_with(" a/late")).count();
    assert_eq!(told(&plan), 4, "{:?}", plan.told("ops"));
    plan.agent("a", "latest");
    plan.until(330);
    assert_eq!(told(&plan), 5, "{:?}", plan.told("ops"));
}

#[test]
fn a_milder_alert_keeps_none_open_at_who_is_not_told_of_it() {
    let flaps = |flaps: u32| format!("damping: {{flaps: {flaps}}}\n");
    let mut plan = with_pager(RULES, &flaps(2));
    for (change, wrong) in ["late", "ok", "late", "ok", "latest", "ok", "late"].into_iter().enumerate() {
        plan.agent("a", wrong);
        plan.until((change as i64 + 1) * 30);
    }
    let told = |plan: &Plan| -> Vec<(Severity, AlertState)> {
        let said = plan.got.iter().filter(|(_, to, _)| to == "ops").filter_map(|(_, _, d)| d.notification());
        said.flat_map(|n| n.alerts.iter().map(|a| (a.severity, a.state))).collect()
    };
    let (began, over) = ((Severity::Critical, AlertState::Firing), (Severity::Critical, AlertState::Resolved));
    assert_eq!(told(&plan), [began]);
    // What fires is another one, which the pager does not take; that the one that it knows is over is held.
    let view = plan.engine.view();
    let receivers = |of: &view::View| of.messages[0].receivers.iter().map(|m| m.receiver.clone()).collect::<Vec<_>>();
    assert_eq!(receivers(&view), ["team"]);
    let [ended] = &view.ended[..] else { panic!("one is held: {:?}", view.ended) };
    assert_eq!((ended.alert.severity, &ended.messages.receivers[0].receiver[..]), (Severity::Critical, "ops"));
    assert_eq!(ended.messages.receivers.len(), 1);

    let mut reloaded = (*policy_of(RULES, &flaps(0))).clone();
    reloaded.settings.receivers[0].min_severity = Severity::Critical;
    let mut other =
        Plan { engine: Engine::new(Arc::clone(plan.engine.policy()), plan.engine.state().clone()), ..Plan::new("") };
    other.now = plan.now;
    other.bad = plan.bad.clone();
    let effects = other.engine.reload(other.at(), Arc::new(reloaded));
    other.answer(effects);
    other.until(other.now + 10);
    assert_eq!(told(&other), [over], "the end of the hold settles it");
    assert_eq!(states(&other, "team"), [AlertState::Firing; 0], "who knows of it is not told again");

    plan.until(2 * 3_600);
    assert_eq!(told(&plan), [began, over], "by time, too");
    plan.agent("a", "latest");
    plan.until(plan.now + 30);
    assert_eq!(told(&plan), [began, over, began]);
    plan.agent("a", "ok");
    plan.until(plan.now + 30);
    assert_eq!(told(&plan), [began, over, began, over]);
    assert!(plan.engine.view().ended.is_empty());
}

#[test]
fn an_end_that_waits_for_its_group_is_told_although_a_milder_alert_began() {
    let route = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 1s, group_interval: 60s}\n";
    let mut plan = with_pager(RULES, route);
    for (second, wrong) in [(10, "latest"), (40, "ok"), (90, "late")] {
        plan.agent("a", wrong);
        plan.until(second);
    }
    assert_eq!(states(&plan, "ops"), [AlertState::Firing, AlertState::Resolved]);
    plan.agent("a", "ok");
    plan.until(200);
    assert_eq!(states(&plan, "ops").len(), 2);
}

#[test]
fn the_labels_of_a_group_are_those_of_its_alerts_and_its_identity_stays_when_one_gets_graver() {
    let route =
        |by: &str| format!("routes:\n- {{receivers: [ops], group_by: {by}, group_wait: 1s, group_interval: 1s}}\n");
    let labels = |pairs: &[&str]| -> BTreeMap<String, String> {
        let all = [("agent", "a"), ("alertname", "late"), ("severity", "warning")];
        all.into_iter().filter(|(name, _)| pairs.contains(name)).map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
    };
    let alone = ["agent", "alertname"];
    for (routes, before, after) in [
        (String::new(), &alone[..], &alone[..]),
        (route("[...]"), &alone, &alone),
        (route("[alertname, severity]"), &["alertname", "severity"], &["alertname"]),
    ] {
        let late = |routing: &str| {
            let mut policy = (*policy(routing)).clone();
            policy.rules.retain(|rule| rule.name == "late");
            Arc::new(policy)
        };
        let mut plan = Plan { engine: Engine::new(late(&routes), State::default()), ..Plan::new("") };
        plan.agent("a", "late");
        plan.until(60);
        plan.agent("a", "latest");
        plan.until(120);
        // A reload that changes nothing there moves it to no other group.
        let effects = plan.engine.reload(plan.at(), late(&format!("{routes}damping: {{flaps: 3}}\n")));
        plan.answer(effects);
        plan.until(150);
        let ways = plan.engine.why(plan.at(), "late", "a").expect("it is known").telling.ways;
        let known = ways.iter().filter(|way| way.receiver == "ops").map(|way| way.last.is_some()).collect::<Vec<_>>();
        assert_eq!(known, [true], "{routes}: {ways:?}");
        plan.agent("a", "ok");
        plan.until(200);
        let said = plan.got.iter().filter(|(_, to, _)| to == "ops").filter_map(|(_, _, d)| d.notification());
        let bodies: Vec<(String, Webhook)> = said
            .map(|said| {
                let alerts = said.alerts.iter().map(|alert| notice::alert(alert, "")).collect();
                (said.group.clone(), Webhook::new("ops", "", (&said.group_labels, said.truncated), alerts))
            })
            .collect();
        let [(group, began), (_, graver), (_, ended)] = &bodies[..] else { panic!("three of {routes}: {bodies:?}") };
        assert_eq!(graver.common_labels["severity"], "critical");
        assert_eq!((&began.group_labels, &graver.group_labels), (&labels(before), &labels(after)), "{routes}");
        assert_eq!(ended.group_labels, labels(after), "{routes}");
        assert!(bodies.iter().all(|(own, body)| own == group && body.group_key == began.group_key), "{routes}");
    }
}

#[test]
fn an_end_that_waits_for_its_group_is_not_called_told() {
    let mut plan = Plan::new("routes:\n- {receivers: [ops]}\n");
    for agent in 0..130 {
        plan.agent(&format!("{agent:03}"), "down");
    }
    plan.until(30);
    for agent in 0..130 {
        plan.agent(&format!("{agent:03}"), if agent < 129 { "ok" } else { "down" });
    }
    plan.until(50);
    let (first, all) = (ended(&plan).remove(0), ended(&plan).len());
    assert_eq!(all, 129);
    assert!(first.contains(" its end at ") && first.ends_with(" is told when all of the flood ended"), "{first}");
    plan.agent("129", "ok");
    plan.until(60);
    let why = &plan.engine.why(plan.at(), "down", "042").expect("it is known").telling.ways[0];
    let next = why.next.expect("it is to be told");
    assert!(why.why.ends_with(&format!(" is told at {next}")) && next > plan.at(), "{why:?}");
    plan.until((next.0 - START) / 1_000 + 1);
    assert_eq!(ended(&plan), Vec::<String>::new());
    assert_eq!(plan.told("ops").len(), 2, "the flood, and its end at the time that was named");
}

#[test]
fn who_waits_behind_a_message_that_fails_was_not_tried() {
    let mut plan = Plan::new("routes:\n- {receivers: [ops]}\n");
    plan.failing.push("ops".into());
    plan.agent("a", "down");
    plan.until(30);
    plan.agent("b", "down");
    plan.until(40);
    let shown = |agent: &str| {
        let view = plan.engine.view();
        let at = view.alerts.iter().position(|a| a.subject.get("agent") == Some(agent)).expect("an active alert");
        view.messages[at].receivers[0].waiting.as_ref().expect("it waits").to_string()
    };
    assert!(shown("a").starts_with("being tried since "), "{}", shown("a"));
    let (tried, waits) = (shown("a"), shown("b"));
    assert!(!tried.contains(" 0 attempts") && !waits.contains(" 0 attempts"), "{tried} {waits}");
}

#[test]
fn an_alert_that_flaps_is_held_from_a_receiver_that_is_told_no_ends_too() {
    let mut plan = Plan::new("damping: {flaps: 4}\n");
    let mut quiet = (**plan.engine.policy()).clone();
    quiet.settings.receivers[0].send_resolved = false;
    plan.engine = Engine::new(Arc::new(quiet), State::default());
    for round in 0..60 {
        plan.agent("a", "down");
        plan.until(round * 60 + 30);
        plan.agent("a", "ok");
        plan.until(round * 60 + 60);
    }
    assert_eq!(plan.told("ops").len(), 3, "two episodes, and the third that says it flaps: {:?}", plan.told("ops"));
    plan.until(3 * 3_600);
    assert_eq!(plan.told("ops").len(), 3, "its end is not told");
    plan.agent("a", "down");
    plan.until(3 * 3_600 + 60);
    assert_eq!(plan.told("ops").len(), 4, "after a quiet hour it is news again");
}

#[test]
fn who_refused_what_it_was_told_of_a_hold_is_told_what_fires_next() {
    let mut plan = Plan::new("damping: {flaps: 2}\nroutes:\n- {receivers: [ops]}\n");
    // The message that begins the hold.
    plan.refused = vec![2];
    flap(&mut plan, 5);
    assert_eq!(
        states(&plan, "ops"),
        [AlertState::Firing, AlertState::Resolved, AlertState::Firing, AlertState::Firing]
    );
    assert_eq!(flapping(&plan, "ops").len(), 2, "the next one says that it flaps: {:?}", plan.told("ops"));
    plan.until(2 * 3_600);
    assert_eq!(plan.told("ops").len(), 4, "which it took");
}

#[test]
fn who_refused_a_beginning_is_told_the_next_one_although_the_end_waits_for_its_group() {
    let route = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 1s, group_interval: 60s}\n";
    let mut plan = Plan::new(route);
    plan.failing.push("ops".into());
    plan.agent("a", "down");
    plan.until(20);
    plan.agent("a", "ok");
    plan.until(40);
    // Its message is refused when it is tried again.
    plan.failing.clear();
    plan.refused = vec![0];
    plan.until(60);
    plan.agent("a", "down");
    plan.until(180);
    assert_eq!(states(&plan, "ops"), [AlertState::Firing, AlertState::Firing], "{:?}", plan.told("ops"));
}

#[test]
fn hours_after_a_hold_a_group_waits_for_what_begins_together() {
    let mut plan = Plan::new(&format!("damping: {{flaps: 3}}\n{GROUPED}"));
    for change in 0..4 {
        plan.agent("a", if change % 2 == 0 { "down" } else { "ok" });
        plan.until((change + 1) * 120);
    }
    assert_eq!(flapping(&plan, "ops").iter().map(|(_, state)| *state).collect::<Vec<_>>(), [AlertState::Resolved]);
    plan.until(2 * 3_600);
    let before = plan.told("ops").len();
    plan.agent("b", "down");
    plan.until(2 * 3_600 + 5);
    plan.agent("c", "down");
    plan.until(2 * 3_600 + 60);
    let [told] = &plan.told("ops")[before..] else { panic!("{:?}", plan.told("ops")) };
    assert!(told.ends_with(" firing b/down c/down"), "{told}");
}

#[test]
fn a_rise_is_no_beginning() {
    let mut plan = with_pager(RULES, "damping: {flaps: 2, flood: 2}\nroutes:\n- {receivers: [ops]}\n");
    for wrong in ["late", "latest", "ok"] {
        ["a", "b"].into_iter().for_each(|agent| plan.agent(agent, wrong));
        plan.until(plan.now + 25);
    }
    assert_eq!(plan.told("ops").len(), 4, "two began within a minute, which is no flood: {:?}", plan.told("ops"));
    assert_eq!(flapping(&plan, "ops"), [], "each began once and ended once");
}

#[test]
fn one_alert_that_flaps_does_not_hold_the_end_of_a_flood() {
    let of = |agents: &[&str], plan: &mut Plan, wrong: &str, seconds: i64| {
        agents.iter().for_each(|agent| plan.agent(agent, wrong));
        plan.until(plan.now + seconds);
    };
    let damping = "damping: {flaps: 2, flood: 2}\nroutes:\n- {receivers: [ops]}\n";
    let (mut plan, all) = (Plan::new(damping), ["a", "b", "c", "d"]);
    of(&all[..1], &mut plan, "down", 60);
    of(&all[..1], &mut plan, "ok", 60);
    of(&all, &mut plan, "down", 90);
    of(&all, &mut plan, "ok", 90);
    let told = plan.told("ops");
    assert!(told.last().is_some_and(|last| last.ends_with(" ended a/down b/down c/down d/down")), "{told:?}");
    assert_eq!(flapping(&plan, "ops").len(), 1, "a flaps, as the flood said");
    assert_eq!(ended(&plan), Vec::<String>::new());

    // Held is one of which most alerts flap.
    let mut plan = Plan::new(damping);
    for wrong in ["down", "ok", "down", "ok", "down", "ok"] {
        of(&all, &mut plan, wrong, 90);
    }
    assert_eq!(plan.told("ops").len(), 3, "{:?}", plan.told("ops"));
    assert!(ended(&plan).iter().all(|line| line.ends_with(" at least because it flaps")), "{:?}", ended(&plan));
    plan.until(2 * 3_600);
    assert_eq!(plan.told("ops").len(), 4, "{:?}", plan.told("ops"));
}

#[test]
fn what_an_alert_came_to_outside_of_its_hours_is_news_when_they_begin_although_it_was_repeated() {
    let hours = "active_hours: [\"20:00-20:28\", \"20:30-21:00\"]";
    let rules = format!("alerts:\n- {}, {hours}}}\n- {DOWN}\n", LATE.trim_end_matches('}'));
    let route = "routes:\n- {receivers: [ops], repeat_interval: 1m}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, route), State::default()), ..Plan::new("") };
    plan.agent("a", "late");
    plan.until(100);
    plan.agent("a", "latest");
    plan.until(190);
    assert_eq!(plan.told("ops"), [2, 62, 122, 182].map(|second| format!("{second} firing a/late")));
    assert!(plan.why("a").starts_with("repeat at "), "{}", plan.why("a"));
    // Until then it is what its receiver knows, with the newest value against the limit of that.
    let said = |plan: &Plan| -> Vec<(Severity, String, Option<f64>, Option<f64>)> {
        let of = |delivery: &Delivery| delivery.notification().expect("about alerts").lead().clone();
        let all = plan.got.iter().filter(|(_, to, _)| to == "ops").map(|(_, _, delivery)| of(delivery));
        all.map(|alert| (alert.severity, alert.condition, alert.value, alert.threshold)).collect()
    };
    let (mild, grave) = ("p50_latency > 100s".to_owned(), "p50_latency > 200s".to_owned());
    assert_eq!(said(&plan)[3], (Severity::Warning, mild, Some(300_000.0), Some(100_000.0)));
    plan.until(230);
    assert_eq!(plan.told("ops")[4..], ["200 firing a/late"], "its hours begin");
    assert_eq!(said(&plan)[4], (Severity::Critical, grave, Some(300_000.0), Some(200_000.0)));

    // One that was not told before they ended is in no message until they begin.
    let route = "routes:\n- {receivers: [ops], group_by: [], group_wait: 60s, group_interval: 1s}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, route), State::default()), ..Plan::new("") };
    plan.until(50);
    plan.agent("b", "down");
    plan.agent("a", "late");
    plan.until(85);
    plan.agent("a", "latest");
    plan.until(100);
    assert_eq!(plan.why("a"), "outside of the rule's active hours until 2026-05-28T20:30:00.000Z");
    plan.until(230);
    assert_eq!(plan.told("ops"), ["112 firing b/down", "200 firing a/late b/down"]);
}

/// What nobody was told it came to outside of its rule's hours, nobody is told when it ends there or is taken on.
#[test]
fn an_alert_that_rose_outside_of_its_hours_ends_as_what_was_told() {
    let hours = "active_hours: [\"20:00-20:28\", \"20:50-21:00\"]";
    let rules = format!("alerts:\n- {}, {hours}}}\n- {DOWN}\n", LATE.trim_end_matches('}'));
    let route = "routes:\n- {receivers: [ops], group_by: [], group_wait: 1s, group_interval: 1s}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, route), State::default()), ..Plan::new("") };
    plan.agent("a", "late");
    plan.until(100);
    plan.agent("a", "latest");
    plan.until(150);
    // The news of another one in its group shows it, too.
    plan.agent("b", "down");
    plan.until(200);
    plan.agent("a", "ok");
    plan.until(230);
    let said: Vec<String> = plan
        .got
        .iter()
        .filter(|(_, to, _)| to == "ops")
        .flat_map(|(_, _, delivery)| delivery.notification().expect("about alerts").alerts.clone())
        .filter(|alert| alert.rule == "late")
        .map(|alert| format!("{} {} {}", alert.state.as_str(), alert.severity.as_str(), alert.condition))
        .collect();
    let firing = "firing warning p50_latency > 100s";
    assert_eq!(said, [firing, firing, "resolved warning p50_latency > 100s"]);
}

/// A message that shows a hundred alerts of a group says of these alone that they flap.
#[test]
fn an_alert_that_no_message_shows_is_not_held_for_flapping() {
    let routing = "damping: {flaps: 1, flood: 0}\nroutes:\n- {receivers: [ops], group_by: [], group_wait: 60s, group_interval: 10s}\n";
    let mut plan = Plan::new(routing);
    let change = |plan: &mut Plan, wrong: &str, second: i64| {
        plan.agent("z", wrong);
        plan.until(second);
    };
    change(&mut plan, "slow", 5);
    change(&mut plan, "ok", 25);
    change(&mut plan, "slow", 28);
    (0..120).for_each(|n| plan.agent(&format!("a{n}"), "down"));
    plan.until(100);
    let first =
        plan.got.iter().rfind(|(_, to, _)| to == "ops").expect("a message").2.notification().expect("of alerts");
    assert_eq!((first.alerts.len(), first.truncated), (100, 21));
    assert!(first.alerts.iter().all(|alert| alert.rule == "down"), "z is not shown");
    let messages = plan.got.len();
    change(&mut plan, "ok", 140);
    let news: Vec<&AlertEvent> = plan.got[messages..]
        .iter()
        .filter(|(_, to, _)| to == "ops")
        .map(|(_, _, delivery)| &delivery.notification().expect("of alerts").alerts[0])
        .collect();
    let [end] = news[..] else { panic!("{news:?}") };
    assert_eq!((end.rule.as_str(), end.state), ("slow", AlertState::Resolved));
    assert!(end.annotations[notice::FLAPPING].contains("held until"), "from here on: {end:?}");
    // It was said now: what follows is held.
    let messages = plan.got.len();
    change(&mut plan, "slow", 200);
    assert_eq!(plan.got.len(), messages, "{:?}", plan.got.last());
}

#[test]
fn what_found_a_full_queue_is_said_when_there_is_room() {
    let mut plan = Plan::new("limits: {outbox: 10}\n");
    for agent in 0..10 {
        plan.agent(&format!("{agent:02}"), "down");
    }
    plan.until(20);
    assert_eq!(plan.told("ops").len(), 10);
    plan.failing.push("ops".into());
    // Ten of fifteen beginnings fill the queue; ten ends find it full.
    for agent in 0..10 {
        plan.agent(&format!("{agent:02}"), "ok");
    }
    for agent in 10..25 {
        plan.agent(&format!("{agent:02}"), "down");
    }
    plan.until(600);
    let dropped = plan.engine.view().counters.outbox_dropped;
    // Of ops 5 beginnings and 10 ends, of team 5 that began in the same second: each is counted once.
    assert_eq!(dropped, 20);
    let full = |why: &String| why.starts_with("the queue of the receiver was full; tried again at 2026-05-28T20:3");
    assert_eq!((10..25).map(|n| plan.why(&n.to_string())).filter(full).count(), 5, "{}", plan.why("24"));
    plan.failing.clear();
    plan.until(700);
    let told = plan.told("ops");
    let of = |word: &str| told.iter().filter(|line| line.contains(word)).count();
    assert_eq!((of("firing"), of("ended")), (25, 10), "{told:?}");
    assert_eq!(plan.told("team").len(), 35);
}

#[test]
fn an_end_that_found_a_full_queue_is_told_later() {
    let mut plan = Plan::new("limits: {outbox: 10}\n");
    for agent in 0..25 {
        plan.agent(&format!("{agent:02}"), "down");
        plan.until(plan.now + 1);
    }
    plan.until(40);
    plan.failing.push("ops".into());
    for agent in 0..25 {
        plan.agent(&format!("{agent:02}"), "ok");
    }
    plan.until(600);
    assert_eq!(plan.told("ops").len(), 25);
    let full = |line: &String| line.contains(" found the queue of the receiver full; tried again at 2026-05-28T20:3");
    assert_eq!(ended(&plan).iter().filter(|line| full(line)).count(), 15, "{:?}", ended(&plan));
    plan.failing.clear();
    plan.until(750);
    let ended = plan.told("ops").iter().filter(|line| line.contains("ended")).count();
    assert_eq!(ended, 25, "{:?}", plan.told("ops"));
}

/// A plan whose alert, once it fires, fires on without data, so that days pass quickly.
fn lasting(routing: &str) -> Plan {
    let rules = "alerts: [{name: down, condition: error_rate > 50%, window: 10s, min_samples: 1, no_data: keep}]";
    let mut plan = Plan { engine: Engine::new(policy_of(rules, routing), State::default()), ..Plan::new("") };
    plan.failing.push("ops".into());
    plan.agent("a", "down");
    plan.until(10);
    plan.bad.clear();
    plan
}

#[test]
fn a_leap_of_the_clock_is_no_day_of_attempts() {
    let mut plan = lasting("");
    // Three days of old lines are read in no time: the clock is theirs.
    for _ in 0..72 {
        plan.now += 3_600;
        plan.until(plan.now + 1);
    }
    assert_eq!(plan.engine.view().receivers[0].failed, 0);
    plan.failing.clear();
    plan.until(plan.now + 60);
    assert!(plan.told("ops").len() == 1 && plan.told("team").len() == 1, "{:?}", plan.got);
}

#[test]
fn what_was_given_up_is_said_again_while_it_still_fires() {
    let mut plan = lasting("");
    plan.later = Some(Span::hours(1));
    for _ in 0..26 {
        plan.now += 3_600;
        plan.until(plan.now + 1);
    }
    let ops = plan.engine.view().receivers[0].clone();
    assert_eq!((ops.failed, ops.queued), (1, 1), "the first message expired, and another waits");
    plan.failing.clear();
    plan.now += 3_600;
    plan.until(plan.now + 60);
    assert!(plan.told("ops").len() == 1 && plan.told("team").len() == 1, "{:?}", plan.got);
    plan.agent("a", "ok");
    plan.until(plan.now + 60);
    assert!(plan.told("ops").len() == 2 && plan.told("ops")[1].ends_with("ended a/down"), "{:?}", plan.told("ops"));
}

/// A reload that groups otherwise: an end goes out under the key of its beginning, and never before it.
#[test]
fn what_was_told_stays_in_its_group_over_a_reload() {
    let routes =
        |by: &str| format!("routes:\n- {{receivers: [ops], group_by: [{by}], group_wait: 0s, group_interval: 1s}}\n");
    for down in [false, true] {
        let mut plan = Plan::new(&routes("alertname"));
        plan.failing.extend(down.then(|| "ops".to_owned()));
        plan.agent("a", "down");
        plan.until(20);
        let effects = plan.engine.reload(plan.at(), policy(&routes("agent")));
        plan.answer(effects);
        plan.until(25);
        plan.agent("a", "ok");
        plan.agent("b", "down");
        plan.until(60);
        plan.failing.clear();
        plan.until(300);
        let of_a = plan.got.iter().filter_map(|(_, _, delivery)| {
            let said = delivery.notification().expect("about alerts");
            let own = said.alerts.iter().find(|alert| alert.subject.get("agent") == Some("a"))?;
            Some((own.state, said.group.clone()))
        });
        let of_a: Vec<(AlertState, String)> = of_a.collect();
        let [(first, began), (last, ended)] = &of_a[..] else { panic!("{down}: {of_a:?}") };
        assert_eq!((first, last, began), (&AlertState::Firing, &AlertState::Resolved, ended), "{down}");
    }
}

#[test]
fn who_refused_the_graver_level_is_told_of_it_when_the_alert_comes_back_to_it() {
    for pager in [false, true] {
        let mut plan = with_pager(&format!("alerts:\n- {LATE}\n"), "");
        if !pager {
            plan.engine = Engine::new(policy_of(&format!("alerts:\n- {LATE}\n"), ""), State::default());
        }
        plan.refusing.push("ops".to_owned());
        plan.agent("a", "latest");
        plan.until(20);
        plan.agent("a", "late");
        plan.until(60);
        if !pager {
            assert!(stands(&plan).ends_with("; tried again when it gets graver"), "{}", stands(&plan));
        }
        plan.refusing.clear();
        plan.agent("a", "latest");
        plan.until(100);
        assert_eq!(plan.told("ops").len(), 2, "refused, then told: {:?}", plan.told("ops"));
        // The other was told of all of it, and a rise to what it knows is no news.
        assert_eq!(plan.told("team").len(), 1);
    }
}

#[test]
fn an_incident_that_its_receiver_refuses_holds_nothing_back() {
    let rules = format!(
        "alerts:\n- {DOWN}\n- {{name: outage, condition: alerting_agents >= 2, covers: [down], by: provider, \
         min_samples: 1, severity: critical}}\n"
    );
    let mut plan = incident(&rules, "routes:\n- {receivers: [ops, team], group_wait: 5s, group_interval: 10s}\n");
    plan.refusing.push("ops".to_owned());
    plan.until(60);
    assert_eq!(plan.told("team"), ["7 firing -/outage"]);
    let told = plan.told("ops");
    assert!(told.iter().any(|said| said.ends_with("firing x/down")), "{told:?}");
    let (_, ways) = telling(&plan, "down", "x");
    assert!(ways[0].starts_with("ops: ") && !ways[0].contains("inhibited"), "{ways:?}");
}

#[test]
fn why_names_nobody_whom_a_shadow_rule_would_tell() {
    let rules = format!("alerts:\n- {}\n", DOWN.replace("severity", "shadow: true, severity"));
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, ""), State::default()), ..Plan::new("") };
    let nothing = ["ops: ", "team: "];
    for (wrong, expected) in [("ok", &[][..]), ("down", &nothing)] {
        plan.agent("a", wrong);
        plan.until(plan.now + 20);
        let (mutes, ways) = telling(&plan, "down", "a");
        assert_eq!(mutes, ["a shadow rule tells nobody"], "{wrong}");
        assert_eq!(ways, expected, "{wrong}");
    }
}

/// A reload takes the level away that was told: the end names it all the same, as receivers that key by labels need it.
#[test]
fn an_end_names_the_gravest_severity_that_its_receiver_was_told() {
    let rules = format!("alerts:\n- {LATE}\n");
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, ""), State::default()), ..Plan::new("") };
    plan.agent("a", "latest");
    plan.until(30);
    let milder = rules.replace(", critical: p50_latency > 200s", "");
    let effects = plan.engine.reload(plan.at(), policy_of(&milder, ""));
    plan.answer(effects);
    plan.until(60);
    plan.agent("a", "ok");
    plan.until(90);
    let said = plan.got.iter().filter(|(_, to, _)| to == "ops").map(|(_, _, delivery)| {
        let alert = delivery.notification().expect("about alerts").lead();
        (alert.state, alert.severity)
    });
    let said: Vec<(AlertState, Severity)> = said.collect();
    assert_eq!(said, [(AlertState::Firing, Severity::Critical), (AlertState::Resolved, Severity::Critical)]);
}

/// What a receiver believes to fire, by what it took.
fn open(plan: &Plan, receiver: &str) -> Vec<String> {
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

#[test]
fn what_ends_while_the_graver_message_is_on_its_way_after_the_milder_one_was_refused_is_told_its_end() {
    let engine = Engine::new(policy_of(&format!("alerts:\n- {LATE}\n"), ""), State::default());
    let mut plan = Plan { engine, ..Plan::new("") };
    plan.failing.push("ops".to_owned());
    plan.agent("a", "late");
    plan.until(20);
    plan.agent("a", "latest");
    plan.until(40);
    assert_eq!(plan.engine.view().receivers[0].queued, 2);
    plan.refusing_one.push("ops".to_owned());
    plan.until(50);
    assert_eq!(plan.engine.view().receivers[0].queued, 1);
    plan.agent("a", "ok");
    plan.until(80);
    plan.failing.clear();
    plan.until(100);
    assert_eq!(open(&plan, "ops"), [""; 0], "{:?}", plan.told("ops"));
}

#[test]
fn who_leaves_the_routes_of_a_group_takes_no_repeats_from_the_others() {
    let routes = |matchers: &str| {
        format!(
            "routes:\n- {{matchers: [{matchers}], receivers: [ops], group_by: [alertname], group_wait: 0s, \
             group_interval: 5s, repeat_interval: 1m}}\n- {{receivers: [team]}}\n"
        )
    };
    for stays in ["agent=a", "agent=b"] {
        let mut plan = Plan::new(&routes("alertname=down"));
        plan.agent("a", "down");
        plan.agent("b", "down");
        plan.until(100);
        let effects = plan.engine.reload(plan.at(), policy(&routes(stays)));
        plan.answer(effects);
        plan.until(200);
        let told = plan.told("ops");
        assert_eq!(told.len(), 4, "at 2, 62, 122 and 182: {told:?}");
    }
}

#[test]
fn what_a_reload_leads_into_a_flood_is_told_with_it() {
    let rules = "alerts:\n- {name: late, levels: {warning: p50_latency > 100s, critical: p50_latency > 200s}, window: 10s, min_samples: 1}\n";
    let with = |severity: Severity| {
        let mut policy = (*policy_of(rules, "damping: {flood: 3}\n")).clone();
        policy.settings.receivers[0].min_severity = severity;
        Arc::new(policy)
    };
    let mut plan = Plan { engine: Engine::new(with(Severity::Critical), State::default()), ..Plan::new("") };
    for agent in ["a", "b", "c", "d", "e", "f"] {
        plan.agent(agent, "latest");
    }
    plan.agent("a", "late");
    plan.agent("b", "late");
    plan.until(20);
    let effects = plan.engine.reload(plan.at(), with(Severity::Warning));
    plan.answer(effects);
    plan.until(400);
    let mut told = open(&plan, "ops");
    told.sort();
    assert_eq!(told, ["a", "b", "c", "d", "e", "f"].map(|agent| format!("{agent}/late")));
}

#[test]
fn what_an_episode_before_came_to_says_nothing_of_the_next_one() {
    let route = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 5s}\n";
    let mut plan = Plan::new(route);
    plan.failing.push("ops".to_owned());
    plan.agent("a", "down");
    plan.until(10);
    plan.agent("a", "ok");
    plan.until(40);
    plan.agent("a", "down");
    plan.until(60);
    assert_eq!(plan.engine.view().receivers[0].queued, 3);
    plan.failing.clear();
    plan.refused = vec![2];
    plan.until(70);
    plan.agent("a", "ok");
    plan.until(100);
    assert_eq!(plan.told("ops").len(), 3, "{:?}", plan.told("ops"));
}

#[test]
fn why_shows_a_receiver_once_whose_group_is_of_before_a_reload() {
    let routes =
        |by: &str| format!("routes:\n- {{receivers: [ops], group_by: [{by}], group_wait: 0s, group_interval: 1s}}\n");
    let mut plan = Plan::new(&routes("alertname"));
    plan.agent("a", "down");
    plan.until(20);
    let effects = plan.engine.reload(plan.at(), policy(&routes("agent")));
    plan.answer(effects);
    plan.until(25);
    let (_, ways) = telling(&plan, "down", "a");
    assert_eq!(ways, ["ops: nothing more until it ends"]);
    let way = plan.engine.why(plan.at(), "down", "a").expect("it is known").telling.ways.remove(0);
    let group = BTreeMap::from([("alertname".to_owned(), "down".to_owned())]);
    assert_eq!((way.route, way.group_labels, way.active), (Some(1), Some(group), true));
}

#[test]
fn who_refuses_the_graver_level_after_the_alert_fell_is_told_of_it_when_it_comes_back() {
    let engine = Engine::new(policy_of(&format!("alerts:\n- {LATE}\n"), ""), State::default());
    let mut plan = Plan { engine, ..Plan::new("") };
    plan.failing.push("ops".to_owned());
    plan.agent("a", "latest");
    plan.until(20);
    plan.agent("a", "late");
    plan.until(60);
    plan.refusing_one.push("ops".to_owned());
    plan.until(70);
    plan.failing.clear();
    plan.agent("a", "latest");
    plan.until(100);
    assert_eq!(open(&plan, "ops"), ["a/late"]);
}

#[test]
fn a_flood_ends_although_the_last_alert_of_it_was_told_to_nobody() {
    let mut plan = Plan::new("damping: {flood: 3}\n");
    plan.command(Command::Silence(silence("agent=e", &plan, 900)));
    for agent in ["a", "b", "c", "d", "e"] {
        plan.agent(agent, "down");
    }
    plan.until(100);
    let mut down = open(&plan, "ops");
    down.sort();
    assert_eq!(down, ["a/down", "b/down", "c/down", "d/down"]);
    for agent in ["a", "b", "c", "d"] {
        plan.agent(agent, "ok");
    }
    plan.until(200);
    assert_eq!(open(&plan, "ops").len(), 4, "its end is that of all");
    plan.agent("e", "ok");
    plan.until(400);
    assert_eq!(open(&plan, "ops"), [""; 0], "{:?}", plan.told("ops"));
}

#[test]
fn who_took_the_graver_level_and_refused_its_repeat_is_not_told_of_it_anew() {
    let rules = format!("alerts:\n- {LATE}\n");
    let policy = policy_of(&rules, "routes:\n- {receivers: [ops], repeat_interval: 5m}\n");
    let mut plan = Plan { engine: Engine::new(policy, State::default()), ..Plan::new("") };
    plan.agent("a", "latest");
    plan.until(280);
    plan.refusing.push("ops".to_owned());
    plan.until(310);
    plan.refusing.clear();
    plan.agent("a", "late");
    plan.until(340);
    plan.agent("a", "latest");
    plan.until(380);
    assert_eq!(plan.told("ops"), ["2 firing a/late", "302 firing a/late"]);
}

/// Its end waits for the group, and a milder alert that it is not to hear of has begun; then a reload has it hear of that.
#[test]
fn what_a_reload_leads_to_who_is_still_to_be_told_an_end_goes_on() {
    let route = "routes:\n- {receivers: [ops], group_by: [BY], group_wait: 0s, group_interval: 2m}\n";
    let with = |severity: Severity, by: &str| {
        let mut policy = (*policy_of(&format!("alerts:\n- {LATE}\n"), &route.replace("BY", by))).clone();
        policy.settings.receivers[0].min_severity = severity;
        Arc::new(policy)
    };
    for by in ["alertname", "severity"] {
        let mut plan =
            Plan { engine: Engine::new(with(Severity::Critical, "alertname"), State::default()), ..Plan::new("") };
        plan.agent("a", "latest");
        plan.until(20);
        plan.agent("a", "ok");
        plan.until(40);
        plan.agent("a", "late");
        plan.until(60);
        let effects = plan.engine.reload(plan.at(), with(Severity::Warning, by));
        plan.answer(effects);
        plan.until(200);
        assert_eq!(plan.told("ops"), ["2 firing a/late"], "{by}");
        plan.agent("a", "ok");
        plan.until(400);
        let ends = plan.told("ops").len() == 2 && plan.told("ops")[1].ends_with("ended a/late");
        assert!(ends, "{by}: {:?}", plan.told("ops"));
    }
}

/// Per message to a receiver: state and severity of the alert that it is about.
fn levels_told(plan: &Plan, to: &str) -> Vec<(AlertState, Severity)> {
    let said = plan.got.iter().filter(|(_, receiver, _)| receiver == to).filter_map(|(.., d)| d.notification());
    said.map(|n| (n.lead().state, n.lead().severity)).collect()
}

const FIRES: AlertState = AlertState::Firing;
const OVER: AlertState = AlertState::Resolved;

#[test]
fn to_who_takes_critical_alerts_alone_a_fall_is_the_end_and_a_rise_a_beginning() {
    let mut plan =
        with_pager(&format!("alerts:\n- {LATE}\n"), "routes:\n- {receivers: [ops, team], repeat_interval: 1m}\n");
    plan.agent("a", "latest");
    plan.until(30);
    plan.agent("a", "late");
    plan.until(50);
    let critical = (FIRES, Severity::Critical);
    assert_eq!(levels_told(&plan, "ops"), [critical, (OVER, Severity::Critical)]);
    let over = plan.got.iter().filter_map(|(.., d)| d.notification()).find(|n| n.lead().state == OVER);
    let over = over.expect("it was told").lead();
    assert_eq!((over.reason.as_str(), over.threshold), ("goes on as severity=warning", Some(200_000.0)));
    // It has not ended for those who go on hearing of it.
    let view = plan.engine.view();
    assert!(view.ended.is_empty(), "{:?}", view.ended);
    assert_eq!(view.messages[0].receivers.iter().map(|m| m.receiver.as_str()).collect::<Vec<_>>(), ["team"]);
    plan.until(200);
    assert_eq!(levels_told(&plan, "ops").len(), 2, "a milder one is not repeated to it");
    plan.agent("a", "latest");
    plan.until(220);
    plan.agent("a", "ok");
    plan.until(400);
    assert_eq!(levels_told(&plan, "ops")[2..], [critical, (OVER, Severity::Critical)]);
    assert!(levels_told(&plan, "team").iter().all(|said| said.0 == FIRES || *said == (OVER, Severity::Critical)));
}

#[test]
fn who_takes_critical_alerts_alone_hears_nothing_of_one_that_fell_before_its_group_was_told() {
    let route = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 20s}\n";
    let mut plan = with_pager(&format!("alerts:\n- {LATE}\n"), route);
    plan.agent("a", "latest");
    plan.until(4);
    plan.agent("a", "late");
    plan.until(60);
    plan.agent("a", "ok");
    plan.until(500);
    assert_eq!(plan.told("ops"), [""; 0]);
}

#[test]
fn routes_by_severity_follow_the_level_that_an_alert_is_at() {
    let routes = "routes:\n- {matchers: [severity=critical], receivers: [ops]}\n- {receivers: [team]}\n";
    let mut plan = Plan {
        engine: Engine::new(policy_of(&format!("alerts:\n- {LATE}\n"), routes), State::default()),
        ..Plan::new("")
    };
    let (critical, warning) = (Severity::Critical, Severity::Warning);
    plan.agent("a", "latest");
    plan.until(30);
    assert_eq!((levels_told(&plan, "ops"), levels_told(&plan, "team")), (vec![(FIRES, critical)], vec![]));
    plan.agent("a", "late");
    plan.until(60);
    assert_eq!(levels_told(&plan, "ops"), [(FIRES, critical), (OVER, critical)]);
    assert_eq!(levels_told(&plan, "team"), [(FIRES, warning)]);
    // Off its route: not told that it is critical, which it goes on hearing nothing of.
    plan.agent("a", "latest");
    plan.until(90);
    assert_eq!(levels_told(&plan, "ops")[2..], [(FIRES, critical)]);
    assert_eq!(levels_told(&plan, "team"), [(FIRES, warning)]);
    let view = plan.engine.view();
    let team = view.messages[0].receivers.iter().find(|m| m.receiver == "team").expect("it was told");
    assert_eq!(team.why, "nothing but its end: no route leads a critical alert like it here");
    plan.agent("a", "ok");
    plan.until(200);
    assert_eq!(levels_told(&plan, "ops")[3..], [(OVER, critical)]);
    assert_eq!(levels_told(&plan, "team"), [(FIRES, warning), (OVER, warning)]);
}

#[test]
fn the_end_of_a_level_that_waits_for_its_group_says_that_the_alert_goes_on() {
    let route = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 1m}\n- {receivers: [team]}\n";
    let mut plan = with_pager(&format!("alerts:\n- {LATE}\n"), route);
    plan.agent("a", "latest");
    plan.until(10);
    plan.agent("a", "late");
    plan.until(40);
    let view = plan.engine.view();
    assert!(view.ended.is_empty(), "it fires: {:?}", view.ended);
    let why = &view.messages[0].receivers[0].why;
    assert!(why.starts_with("its end as severity=critical at "), "{why}");
    // Back before that was told: it goes on there without a word.
    plan.agent("a", "latest");
    plan.until(100);
    assert_eq!(levels_told(&plan, "ops"), [(FIRES, Severity::Critical)]);
}

#[test]
fn who_was_shown_a_milder_level_is_told_when_it_gets_graver_again() {
    let repeat = "routes:\n- {receivers: [ops], repeat_interval: 1m}\n";
    let group = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 5s}\n";
    for route in [repeat, group] {
        let engine = Engine::new(policy_of(&format!("alerts:\n- {LATE}\n"), route), State::default());
        let mut plan = Plan { engine, ..Plan::new("") };
        plan.agent("a", "latest");
        plan.until(20);
        plan.agent("a", "late");
        if route == group {
            plan.until(40);
            plan.agent("b", "late");
        }
        plan.until(75);
        let shown = plan.got.last().and_then(|(.., d)| d.notification()).expect("it was told");
        assert!(shown.alerts.iter().all(|alert| alert.severity == Severity::Warning), "{shown:?}");
        let before = plan.got.len();
        plan.agent("a", "latest");
        plan.until(95);
        assert_eq!(plan.got.len(), before + 1, "{route}: {:?}", plan.told("ops"));
        assert_eq!(levels_told(&plan, "ops").last(), Some(&(FIRES, Severity::Critical)));
        plan.agent("a", "ok");
        plan.agent("b", "ok");
        plan.until(200);
        let ends = plan.got.iter().filter_map(|(.., d)| d.notification()).flat_map(|n| &n.alerts);
        let a = ends.filter(|alert| alert.state == OVER && alert.subject.get("agent") == Some("a"));
        assert_eq!(
            a.map(|alert| alert.severity).collect::<Vec<_>>(),
            [Severity::Critical],
            "the gravest that was told"
        );
    }
}

#[test]
fn an_acknowledgement_is_void_for_good_once_the_alert_got_graver() {
    let engine = Engine::new(
        policy_of(&format!("alerts:\n- {LATE}\n"), "routes:\n- {receivers: [ops], repeat_interval: 1m}\n"),
        State::default(),
    );
    let mut plan = Plan { engine, ..Plan::new("") };
    plan.agent("a", "late");
    plan.until(20);
    let ack = |plan: &Plan| {
        let alert = plan.engine.view().alerts[0].id.clone();
        Command::Acknowledge(Acknowledgement { alert, author: "kim".into(), note: String::new(), at: plan.at() })
    };
    plan.command(ack(&plan));
    plan.agent("a", "latest");
    plan.until(40);
    plan.agent("a", "late");
    plan.until(300);
    let said = plan.got.iter().filter_map(|(.., d)| d.notification()).filter(|n| n.acknowledged.is_none());
    let said: Vec<bool> = said.map(|n| n.lead().annotations.contains_key(notice::ACKNOWLEDGED)).collect();
    assert!(said.len() > 4 && said.iter().all(|claims| !claims), "repeated, and nobody is said to have it: {said:?}");
    assert!(plan.engine.view().messages[0].acknowledged.as_ref().is_some_and(|ack| ack.graver));
    // Taken on anew, at the level that it fell to.
    plan.command(ack(&plan));
    let before = plan.got.len();
    plan.until(600);
    assert_eq!(plan.got.len(), before, "{:?}", plan.told("ops"));
}

#[test]
fn who_a_reload_takes_off_the_routes_of_an_alert_hears_its_end_alone() {
    let routes = |to: &str| format!("routes:\n- {{receivers: [{to}], repeat_interval: 1m}}\n");
    let with = |to: &str| policy_of(&format!("alerts:\n- {LATE}\n"), &routes(to));
    let mut plan = Plan { engine: Engine::new(with("ops, team"), State::default()), ..Plan::new("") };
    plan.agent("a", "late");
    plan.until(20);
    let effects = plan.engine.reload(plan.at(), with("ops"));
    plan.answer(effects);
    plan.agent("a", "latest");
    plan.until(150);
    let (critical, warning) = (Severity::Critical, Severity::Warning);
    assert!(levels_told(&plan, "ops").contains(&(FIRES, critical)));
    assert_eq!(levels_told(&plan, "team"), [(FIRES, warning)]);
    plan.agent("a", "ok");
    plan.until(250);
    assert_eq!(levels_told(&plan, "team"), [(FIRES, warning), (OVER, warning)]);
}

#[test]
fn a_receiver_that_becomes_an_alertmanager_gets_no_messages_any_more() {
    let config = |receiver: &str| {
        let config = format!("evaluation_interval: 1s\nreceivers:\n- {{{receiver}}}\n");
        let source = PolicySource {
            config: Some(("evenkeel.yaml".into(), config)),
            rules: vec![("rules.yaml".into(), format!("alerts:\n- {DOWN}\n"))],
            ..PolicySource::default()
        };
        let (policy, faults) = Policy::load(&source, Path::new(""));
        Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}")))
    };
    for down in [false, true] {
        let engine = Engine::new(config("name: ops/b, webhook: {url: http://a}"), State::default());
        let mut plan = Plan { engine, ..Plan::new("") };
        plan.failing.extend(down.then(|| "ops/b".to_owned()));
        plan.agent("a", "down");
        plan.until(20);
        plan.failing.clear();
        let before = plan.got.len();
        let effects = plan.engine.reload(plan.at(), config("name: ops, alertmanager: {urls: [\"http://b\"]}"));
        plan.answer(effects);
        plan.until(30);
        plan.agent("a", "ok");
        plan.until(60);
        let groups: Vec<&str> = plan.got[before..].iter().map(|(_, _, d)| d.message.group()).collect();
        assert!(groups.len() > 1 && groups.iter().all(|group| *group == "ops/b"), "{down}: {groups:?}");
    }
}

const BY_LEVEL: &str = "routes:\n- {matchers: [severity=critical], receivers: [ops]}\n- {receivers: [team], group_by: [alertname], group_wait: 30s, group_interval: 5s}\n";

fn late_on(routing: &str) -> Plan {
    let engine = Engine::new(policy_of(&format!("alerts:\n- {LATE}\n"), routing), State::default());
    Plan { engine, ..Plan::new("") }
}

#[test]
fn who_takes_a_level_alone_is_told_of_it_though_the_alert_was_graver_when_its_group_was_told() {
    let mut plan = late_on(BY_LEVEL);
    plan.agent("a", "late");
    plan.until(10);
    plan.agent("a", "latest");
    plan.until(60);
    assert_eq!(levels_told(&plan, "team"), []);
    let view = plan.engine.view();
    assert!(view.messages[0].receivers.iter().all(|m| m.receiver == "ops"), "{:?}", view.messages[0].receivers);
    plan.agent("a", "late");
    plan.until(150);
    assert_eq!(levels_told(&plan, "team"), [(FIRES, Severity::Warning)]);
    plan.agent("a", "ok");
    plan.until(200);
    assert_eq!(levels_told(&plan, "team")[1..], [(OVER, Severity::Warning)]);
}

#[test]
fn after_history_an_alert_that_fell_and_rose_in_it_is_told_where_it_leads_now() {
    let mut plan = late_on(BY_LEVEL);
    plan.command(Command::BeginBackfill);
    for wrong in ["latest", "late", "latest"] {
        plan.agent("a", wrong);
        plan.until(plan.now + 30);
    }
    plan.command(Command::EndBackfill);
    plan.until(200);
    assert_eq!(levels_told(&plan, "ops"), [(FIRES, Severity::Critical)]);
    assert_eq!(levels_told(&plan, "team"), []);
}

#[test]
fn a_fall_to_what_it_was_told_is_no_end_for_who_is_off_the_routes() {
    let routes = |to: &str| format!("routes:\n- {{receivers: [{to}], repeat_interval: 1m}}\n");
    let mut plan = late_on(&routes("ops, team"));
    plan.agent("a", "late");
    plan.until(20);
    let effects = plan.engine.reload(plan.at(), policy_of(&format!("alerts:\n- {LATE}\n"), &routes("ops")));
    plan.answer(effects);
    plan.agent("a", "latest");
    plan.until(60);
    plan.agent("a", "late");
    plan.until(150);
    let warning = Severity::Warning;
    assert_eq!(levels_told(&plan, "team"), [(FIRES, warning)]);
    plan.agent("a", "ok");
    plan.until(250);
    assert_eq!(levels_told(&plan, "team"), [(FIRES, warning), (OVER, warning)]);
}

#[test]
fn what_a_hold_kept_out_of_a_message_that_closed_its_group_is_told_when_the_hold_ends() {
    let mut plan = Plan::new(
        "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 5s}\n- {receivers: [team]}\n",
    );
    plan.agent("a", "down");
    plan.agent("b", "down");
    plan.until(20);
    plan.command(Command::Silence(silence("agent=b", &plan, 100)));
    plan.agent("a", "ok");
    plan.until(60);
    let closes = plan.got.last().and_then(|(.., d)| d.notification()).expect("it was told");
    assert_eq!(closes.state(), OVER);
    plan.until(200);
    assert!(plan.told("ops").last().expect("it was told").ends_with("firing b/down"), "{:?}", plan.told("ops"));
}

#[test]
fn why_names_what_a_receiver_takes_when_that_keeps_an_alert_from_it() {
    let routes = "routes:\n- {receivers: [ops, team]}\n";
    let mut plan = late_on(routes);
    plan.agent("a", "late");
    plan.until(20);
    let effects =
        plan.engine.reload(plan.at(), with_pager(&format!("alerts:\n- {LATE}\n"), routes).engine.policy().clone());
    plan.answer(effects);
    plan.until(30);
    let ways = telling(&plan, "late", "a").1;
    assert!(
        ways.contains(&"ops: nothing but its end: takes `critical` alerts and graver ones only".to_owned()),
        "{ways:?}"
    );
}

#[test]
fn a_reload_that_leads_a_receiver_to_a_second_group_forgets_nothing_that_it_was_told() {
    let mut plan = late_on("routes:\n- {receivers: [ops]}\n");
    plan.agent("a", "late");
    plan.until(20);
    let both =
        "routes:\n- {receivers: [ops], group_by: [agent], group_interval: 5s, continue: true}\n- {receivers: [ops]}\n";
    let effects = plan.engine.reload(plan.at(), policy_of(&format!("alerts:\n- {LATE}\n"), both));
    plan.answer(effects);
    plan.until(120);
    plan.agent("a", "ok");
    plan.until(200);
    assert_eq!(levels_told(&plan, "ops"), [(FIRES, Severity::Warning), (OVER, Severity::Warning)]);
    let groups: Vec<&str> =
        plan.got.iter().filter(|(_, to, _)| to == "ops").map(|(_, _, d)| d.message.group()).collect();
    assert_eq!(groups[0], groups[1]);
}

const STEEP: &str = "{name: late, levels: {warning: p50_latency > 50s, high: p50_latency > 100s, critical: p50_latency > 200s}, \
                     window: 1s, min_samples: 1}";
const BY_SEVERITY: &str = "routes:\n- {matchers: [severity=critical], receivers: [ops]}\n- {receivers: [team]}\n";

fn steep(routing: &str) -> Plan {
    let engine = Engine::new(policy_of(&format!("alerts:\n- {STEEP}\n"), routing), State::default());
    Plan { engine, ..Plan::new("") }
}

#[test]
fn who_an_alert_falls_back_to_is_told_at_once_how_grave_it_is_there() {
    let mut plan = steep(BY_SEVERITY);
    plan.agent("a", "slow");
    plan.until(30);
    plan.agent("a", "latest");
    plan.until(60);
    plan.agent("a", "late");
    plan.until(90);
    let (warning, high) = (Severity::Warning, Severity::High);
    assert_eq!(levels_told(&plan, "team"), [(FIRES, warning), (FIRES, high)], "{:?}", plan.told("team"));
    assert!(plan.got.iter().any(|(at, to, _)| to == "team" && (60..75).contains(at)), "{:?}", plan.told("team"));
}

#[test]
fn who_an_alert_falls_back_to_after_a_reload_is_told_as_the_route_has_it_by_now() {
    let mut plan = steep(BY_SEVERITY);
    plan.agent("a", "slow");
    plan.until(30);
    plan.agent("a", "latest");
    plan.until(60);
    // 2026-05-28T20:26:40Z is the start.
    let muted = BY_SEVERITY.replace("[team]}", "[team], mute: \"20:26-20:30\"}");
    let effects = plan.engine.reload(plan.at(), policy_of(&format!("alerts:\n- {STEEP}\n"), &muted));
    plan.answer(effects);
    plan.agent("a", "late");
    plan.until(150);
    assert_eq!(levels_told(&plan, "team"), [(FIRES, Severity::Warning)], "its route is muted");
    plan.until(250);
    assert_eq!(levels_told(&plan, "team")[1..], [(FIRES, Severity::High)]);
}

#[test]
fn what_a_reload_makes_milder_is_over_for_who_takes_graver_ones_alone() {
    let flat = |severity: &str| {
        let rule = format!("alerts:\n- {}\n", DOWN.replace("severity: critical", &format!("severity: {severity}")));
        policy_of(&rule, BY_SEVERITY)
    };
    let mut plan = Plan { engine: Engine::new(flat("critical"), State::default()), ..Plan::new("") };
    plan.agent("a", "down");
    plan.until(30);
    let effects = plan.engine.reload(plan.at(), flat("high"));
    plan.answer(effects);
    plan.until(60);
    let critical = Severity::Critical;
    assert_eq!(levels_told(&plan, "ops"), [(FIRES, critical), (OVER, critical)]);
    let said = plan.got.iter().filter(|(_, to, _)| to == "ops").filter_map(|(.., d)| d.notification()).next_back();
    let reason = &said.expect("it was told").lead().reason;
    assert!(reason.contains("reload") && reason.ends_with("goes on as severity=high"), "{reason}");
    assert_eq!(levels_told(&plan, "team"), [(FIRES, Severity::High)]);
}

#[test]
fn who_is_down_and_is_still_to_hear_that_it_is_over_there_stands_among_the_receivers() {
    let mut plan = steep(BY_SEVERITY);
    plan.failing.push("ops".to_owned());
    plan.agent("a", "latest");
    plan.until(30);
    plan.agent("a", "late");
    plan.until(60);
    // It took the beginning, and went down again.
    plan.failing.clear();
    plan.until(80);
    plan.agent("a", "latest");
    plan.until(100);
    plan.failing.push("ops".to_owned());
    plan.agent("a", "late");
    plan.until(130);
    let view = plan.engine.view();
    let ops = view.messages[0].receivers.iter().find(|m| m.receiver == "ops").expect("it is still to hear of it");
    let way = plan.engine.why(plan.at(), "late", "a").expect("it is known").telling.ways;
    assert!(way.iter().any(|way| way.receiver == "ops" && way.why == ops.why), "{way:?}");
    assert!(ops.waiting.is_some() && ops.why.starts_with("its end as severity=critical at "), "{ops:?}");
    let ways = plan.engine.why(plan.at(), "late", "a").expect("it is known").telling.ways;
    assert!(ways.iter().any(|way| way.receiver == "ops" && way.waiting.is_some()), "{ways:?}");
    // A second time, and then it ends.
    for wrong in ["latest", "late", "ok"] {
        plan.agent("a", wrong);
        plan.until(plan.now + 20);
    }
    let view = plan.engine.view();
    let [ended] = &view.ended[..] else { panic!("{:?}", view.ended) };
    let last = plan.at() - Span::seconds(40);
    assert!(
        ended.alert.at > last && ended.alert.reason.is_empty(),
        "the newest time, and it goes on no more: {ended:?}"
    );
    assert!(ended.messages.receivers.iter().filter(|m| m.receiver == "ops").count() == 1, "{:?}", ended.messages);
}

#[test]
fn who_was_told_nothing_before_an_alert_left_its_route_is_no_receiver_of_it() {
    let mut plan = steep(&BY_SEVERITY.replace("[team]}", "[team], group_wait: 20s}"));
    plan.agent("a", "slow");
    plan.until(5);
    plan.agent("a", "latest");
    plan.until(60);
    let view = plan.engine.view();
    assert_eq!(view.messages[0].receivers.iter().map(|m| m.receiver.as_str()).collect::<Vec<_>>(), ["ops"]);
    plan.agent("a", "ok");
    plan.until(120);
    assert_eq!(plan.told("team"), [""; 0]);
}

#[test]
fn of_who_takes_graver_alerts_alone_since_a_reload_it_is_said_that_this_is_why() {
    let with = |least: Severity| {
        let mut policy = (*policy_of(&format!("alerts:\n- {DOWN}\n").replace("critical", "high"), "")).clone();
        policy.settings.receivers[0].min_severity = least;
        Arc::new(policy)
    };
    let mut plan = Plan { engine: Engine::new(with(Severity::Info), State::default()), ..Plan::new("") };
    plan.agent("a", "down");
    plan.until(30);
    let effects = plan.engine.reload(plan.at(), with(Severity::Critical));
    plan.answer(effects);
    plan.until(40);
    let ops = plan.engine.view().messages[0].receivers.iter().find(|m| m.receiver == "ops").cloned();
    assert_eq!(ops.expect("it was told").why, "nothing but its end: takes `critical` alerts and graver ones only");
}

#[test]
fn changes_of_level_hold_nothing_back_from_anybody() {
    let routes = "damping: {flaps: 4}\nroutes:\n- {receivers: [ops, team]}\n";
    let mut plan = with_pager(&format!("alerts:\n- {STEEP}\n"), routes);
    for at in 0..12 {
        plan.agent("a", if at % 2 == 0 { "latest" } else { "late" });
        plan.until(plan.now + 20);
    }
    plan.agent("a", "ok");
    plan.until(plan.now + 20);
    plan.agent("a", "latest");
    plan.until(plan.now + 20);
    let critical = Severity::Critical;
    assert_eq!(levels_told(&plan, "team"), [(FIRES, critical), (OVER, critical), (FIRES, critical)]);
    assert_eq!(levels_told(&plan, "ops").len(), 13);
}

#[test]
fn who_refused_to_hear_that_an_alert_is_milder_is_not_told_anew_of_what_it_took() {
    let routes = "routes:\n- {receivers: [ops], repeat_interval: 1m}\n";
    let flat = |severity: &str| policy_of(&format!("alerts:\n- {DOWN}\n").replace("critical", severity), routes);
    let mut plan = Plan { engine: Engine::new(flat("critical"), State::default()), ..Plan::new("") };
    plan.agent("a", "down");
    plan.until(20);
    let effects = plan.engine.reload(plan.at(), flat("warning"));
    plan.answer(effects);
    plan.refusing.push("ops".to_owned());
    plan.until(65);
    plan.refusing.clear();
    assert_eq!(levels_told(&plan, "ops")[1..], [(FIRES, Severity::Warning)], "refused");
    let effects = plan.engine.reload(plan.at(), flat("high"));
    plan.answer(effects);
    plan.until(115);
    assert_eq!(levels_told(&plan, "ops").len(), 2, "{:?}", plan.told("ops"));
}

#[test]
fn that_an_alert_ended_comes_before_that_it_fires_again_whatever_failed_meanwhile() {
    let mut plan = Plan::new("");
    plan.agent("a", "down");
    plan.until(10);
    plan.failing.push("ops".to_owned());
    plan.agent("a", "ok");
    plan.until(60);
    plan.agent("a", "down");
    plan.until(80);
    plan.failing.clear();
    plan.until(100);
    let told = levels_told(&plan, "ops").into_iter().map(|(state, _)| state);
    assert_eq!(told.collect::<Vec<_>>(), [FIRES, OVER, FIRES], "{:?}", plan.told("ops"));
}
