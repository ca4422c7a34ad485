//! Queues that are full, and what is given up.

use std::sync::Arc;

use crate::plan::{FIRES, OVER, Plan, ended, levels_told, open, policy_of, silence};
use evenkeel::engine::event::{Acknowledgement, Command};
use evenkeel::engine::{Engine, State};
use evenkeel::model::Span;
use evenkeel::policy::Policy;
use evenkeel::settings::{Channel, Secret};

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

/// Each attempt is an hour after the one before, so that a day of them passes soon.
fn down(routing: &str) -> Plan {
    let (failing, later) = (vec!["ops".to_owned()], Some(Span::hours(1)));
    Plan { failing, later, ..Plan::new(routing) }
}

#[test]
fn what_was_given_up_is_said_again_though_a_message_of_its_group_waits_that_does_not_tell_of_it() {
    let mut plan = down("routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 1s, group_interval: 1s}\n");
    plan.agent("a", "down");
    plan.until(20);
    let silence = silence("agent=a", &plan, 27 * 3_600);
    plan.command(Command::Silence(silence));
    plan.agent("b", "down");
    plan.until(26 * 3_600);
    plan.failing.clear();
    plan.until(30 * 3_600);
    let mut known = open(&plan, "ops");
    known.sort();
    assert_eq!(known, ["a/down", "b/down"], "{:?}", plan.told("ops"));
    let told = plan.told("ops");
    assert_eq!(told.iter().filter(|said| said.contains("b/down")).count(), 2, "b, then a with it: {told:?}");
}

#[test]
fn an_end_is_not_told_whose_beginning_was_given_up() {
    for silenced in [false, true] {
        let mut plan = down("");
        plan.agent("a", "down");
        plan.until(60);
        if silenced {
            let silence = silence("agent=a", &plan, 48 * 3_600);
            plan.command(Command::Silence(silence));
            plan.until(26 * 3_600);
        }
        plan.agent("a", "ok");
        plan.until(27 * 3_600);
        plan.failing.clear();
        plan.until(30 * 3_600);
        assert_eq!(plan.told("ops"), [""; 0], "silenced: {silenced}");
        assert_eq!(plan.told("team").len(), 2);
    }
}

/// Nobody wants an hour of repeats at once, each as old as it is late.
#[test]
fn what_waits_for_a_receiver_that_is_down_is_not_repeated_behind_it() {
    for route in ["", ", group_by: [alertname], group_wait: 1s, group_interval: 1s"] {
        let mut plan = Plan::new(&format!("routes:\n- {{receivers: [ops], repeat_interval: 1m{route}}}\n"));
        plan.agent("a", "down");
        plan.until(30);
        plan.failing.push("ops".to_owned());
        plan.until(3_630);
        plan.failing.clear();
        plan.until(3_640);
        assert_eq!(plan.told("ops").len(), 2, "{:?}", plan.told("ops"));
        plan.until(3_640 + 180);
        assert_eq!(plan.told("ops").len(), 5, "it is repeated as before: {:?}", plan.told("ops"));
        plan.agent("a", "ok");
        plan.until(4_000);
        assert_eq!(open(&plan, "ops"), [""; 0]);
    }
}

#[test]
fn that_an_alert_was_taken_on_is_told_though_the_queue_is_full() {
    let mut plan = Plan::new("damping: {flood: 0}\nlimits: {outbox: 10}\n");
    let mut policy = Policy::clone(plan.engine.policy());
    policy.settings.receivers[0].channel =
        Channel::Slack { url: Secret::Env("X".to_owned()), timeout: Span::seconds(5) };
    plan.engine = Engine::new(Arc::new(policy), State::default());
    plan.agent("z", "down");
    plan.until(20);
    let alert = plan.engine.alerts()[0].id.clone();
    plan.failing.push("ops".to_owned());
    (0..12).for_each(|n| plan.agent(&format!("{n}"), "down"));
    plan.until(60);
    let (author, note, at) = ("kim".to_owned(), String::new(), plan.at());
    plan.command(Command::Acknowledge(Acknowledgement { alert, author, note, at }));
    plan.failing.clear();
    plan.until(600);
    let said = plan.got.iter().filter(|(_, to, _)| to == "ops").filter_map(|(.., d)| d.notification());
    assert_eq!(said.filter(|said| said.acknowledged.is_some()).count(), 1, "{:?}", plan.told("ops"));
}
