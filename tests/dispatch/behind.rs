//! What is written while evenkeel is down, and who is told of it when it is back.

use std::sync::Arc;

use crate::plan::{Plan, START, policy_of, silence};
use evenkeel::engine::event::{Command, Event};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Timestamp};

/// Is down up to `end`, and then reads what the fleet wrote meanwhile: `wrong` says who was failing at a second.
fn down(plan: &mut Plan, end: i64, wrong: impl Fn(&str, i64) -> bool) {
    let bytes = postcard::to_stdvec(plan.engine.state()).expect("state encodes");
    let state: State = postcard::from_bytes(&bytes).expect("state decodes");
    plan.engine = Engine::new(Arc::clone(plan.engine.policy()), state);
    let effects = plan.engine.handle(plan.at(), Event::Command(Command::FallBehind));
    plan.answer(effects);
    read(plan, end, wrong);
}

/// Reads what the fleet wrote up to `end`, when it is back.
fn read(plan: &mut Plan, end: i64, wrong: impl Fn(&str, i64) -> bool) {
    let got = plan.got.len();
    for second in plan.now + 1..end {
        let at = Timestamp(START + second * 1_000);
        let one = |agent: &String| {
            let outcome = if wrong(agent, second) { Outcome::Error } else { Outcome::Ok };
            Record { duration_ms: Some(100.0), ..Record::new("plan", agent.clone(), Some(at), outcome) }
        };
        let records: Vec<Record<'_>> = plan.bad.keys().map(one).collect();
        let effects = plan.engine.handle(at, Event::Records(&records));
        plan.answer(effects);
    }
    assert_eq!(plan.got.len(), got, "nothing is told before it is back");
    plan.now = end;
    let effects = plan.engine.handle(plan.at(), Event::Deadline);
    plan.answer(effects);
}

#[test]
fn what_is_muted_when_it_is_back_is_not_told_although_it_was_not_when_it_began() {
    let hours = "routes:\n- {receivers: [ops], mute: \"20:28-20:31\"}\n";
    let planned = "maintenance: [{name: m, matchers: [\"agent=*\"], hours: \"20:28-20:31\"}]\n";
    for (routing, silenced) in [(hours, false), (planned, false), ("", true)] {
        let mut plan = Plan::new(routing);
        ["a", "b"].into_iter().for_each(|agent| plan.agent(agent, "ok"));
        plan.until(30);
        if silenced {
            let mut silence = silence("agent=*", &plan, 3_600);
            (silence.starts, silence.ends) = (Timestamp(START + 80_000), Timestamp(START + 260_000));
            plan.command(Command::Silence(silence));
        }
        // From 20:27:10 on for a, and for b until 20:27:30: by then nothing was muted.
        down(&mut plan, 120, |agent, second| (agent == "a" || second < 50) && second > 30);
        assert_eq!(plan.told("ops"), [""; 0], "{routing}");
        plan.agent("a", "down");
        plan.until(320);
        let told = plan.told("ops");
        let [first] = &told[..] else { panic!("{routing}: what fires still, when that is over: {told:?}") };
        assert!(first.ends_with(" firing a/down"), "{routing}: {told:?}");
    }
}

#[test]
fn what_fell_due_while_it_was_down_is_told_once() {
    let mut plan = Plan::new("routes:\n- {receivers: [ops], repeat_interval: 1m}\n");
    plan.agent("a", "down");
    plan.until(30);
    assert_eq!(plan.told("ops").len(), 1);
    down(&mut plan, 1_000, |_, _| true);
    assert_eq!(plan.told("ops").len(), 2, "{:?}", plan.told("ops"));
    plan.until(1_000 + 130);
    assert_eq!(plan.told("ops").len(), 4, "and every minute from there on: {:?}", plan.told("ops"));
}

#[test]
fn what_began_and_ended_while_it_was_down_is_told_to_nobody_and_ends_are() {
    let mut plan = Plan::new("");
    ["a", "b"].into_iter().zip(["ok", "down"]).for_each(|(agent, wrong)| plan.agent(agent, wrong));
    plan.until(30);
    assert_eq!(plan.told("ops").len(), 1);
    down(&mut plan, 300, |agent, second| agent == "a" && second < 60);
    assert_eq!(plan.told("ops")[1..], ["300 ended b/down"]);
    let ended = plan.got.last().expect("a message").2.notification().expect("about alerts").alerts[0].at;
    assert!(ended < Timestamp(START + 60_000), "its end is of when it was: {ended}");
}

#[test]
fn an_alert_ends_with_the_start_that_takes_away_or_changes_its_rule() {
    for rule in ["slow, condition: p95_latency > 20s", "down, condition: executions > 1000"] {
        let mut plan = Plan::new("");
        plan.agent("a", "down");
        plan.until(30);
        let effects = plan.engine.handle(plan.at(), Event::Command(Command::FallBehind));
        plan.answer(effects);
        let back = Timestamp(START + 100_000);
        let rules = format!("alerts:\n- {{name: {rule}, window: 10s, min_samples: 1}}\n");
        let effects = plan.engine.start(back, policy_of(&rules, ""));
        plan.answer(effects);
        read(&mut plan, 101, |_, _| true);
        assert_eq!(plan.told("ops")[1..], ["101 ended a/down"], "{rule}");
        let end = plan.got.last().expect("a message").2.notification().expect("about alerts").alerts[0].clone();
        assert_eq!((end.at, end.reason.contains(&back.to_string())), (back, true), "{end:?}");
    }
}

#[test]
fn an_end_that_the_data_brought_is_of_when_it_was_though_a_start_changed_the_rule() {
    let mut plan = Plan::new("");
    plan.agent("a", "down");
    plan.until(30);
    let effects = plan.engine.handle(plan.at(), Event::Command(Command::FallBehind));
    plan.answer(effects);
    let rules = "alerts:\n- {name: down, condition: error_rate > 50%, window: 1h, where: {agent: a}, min_samples: 1}\n";
    let effects = plan.engine.start(Timestamp(START + 3_000_000), policy_of(rules, ""));
    plan.answer(effects);
    read(&mut plan, 3_000, |_, second| second < 60);
    let end = plan.got.last().expect("a message").2.notification().expect("about alerts").alerts[0].clone();
    assert!(end.reason.is_empty() && end.at < Timestamp(START + 200_000), "{end:?}");
}
