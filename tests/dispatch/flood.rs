//! Many alerts of one rule at once.

use std::sync::Arc;

use crate::plan::{GROUPED, Plan, RULES, ended, flapping, open, policy_of, silence, with_pager};
use evenkeel::engine::event::{AlertState, Command, Event};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Severity};

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
fn one_of_a_flood_that_ended_is_shown_at_the_gravest_severity_that_its_receivers_were_told() {
    let mut plan = with_pager(RULES, "damping: {flood: 3}\n");
    (0..6).for_each(|agent| plan.agent(&format!("{agent}"), "late"));
    plan.until(10);
    for (wrong, second) in [("latest", 30), ("ok", 50)] {
        plan.agent("0", wrong);
        plan.until(second);
    }
    let view = plan.engine.view();
    let ended = view.ended.iter().find(|ended| ended.alert.rule == "late").expect("its receivers are not told yet");
    let receivers: Vec<&str> = ended.messages.receivers.iter().map(|m| m.receiver.as_str()).collect();
    assert_eq!(receivers, ["team"], "it is no flood at who takes critical ones alone");
    let shown = (ended.alert.severity, ended.alert.threshold, &ended.alert.condition[..]);
    assert_eq!(shown, (Severity::Critical, Some(200_000.0), "p50_latency > 200s"));
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
    assert_eq!(said[0].summary, "250 alerts fire, 100 shown");
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
fn a_flood_ends_although_an_alert_of_it_goes_on_that_was_told_to_nobody() {
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
    assert_eq!(open(&plan, "ops"), [""; 0], "{:?}", plan.told("ops"));
    // When the silence is over it is told, and so is its end.
    plan.until(950);
    assert_eq!(open(&plan, "ops"), ["e/down"], "{:?}", plan.told("ops"));
    plan.agent("e", "ok");
    plan.until(1_100);
    assert_eq!((open(&plan, "ops").len(), plan.told("ops").len()), (0, 4), "{:?}", plan.told("ops"));
}

/// A plan begins at 20:26.
#[test]
fn a_flood_on_a_route_that_says_nothing_now_holds_nothing_back_on_others() {
    let mut plan = Plan::new(
        "damping: {flood: 3}\nroutes:\n- {matchers: [\"agent=batch*\"], receivers: [ops], active_hours: \"08:00-18:00\"}\n\
         - {receivers: [ops]}\n",
    );
    (0..6).for_each(|n| plan.agent(&format!("batch{n}"), "down"));
    plan.until(90);
    plan.agent("prod", "down");
    plan.until(180);
    assert_eq!(plan.told("ops"), ["92 firing prod/down"]);
    // Nor does what waits on that route go out with a flood on another one.
    (0..6).for_each(|n| plan.agent(&format!("prod{n}"), "down"));
    plan.until(400);
    assert!(plan.told("ops").iter().all(|said| !said.contains("batch")), "{:?}", plan.told("ops"));
    assert!(plan.told("ops").len() <= 5, "it is a flood, too: {:?}", plan.told("ops"));
}

#[test]
fn a_flood_on_a_route_makes_none_of_what_another_one_leads_to_others() {
    let mut plan = Plan::new(
        "damping: {flood: 3}\nroutes:\n- {matchers: [\"agent=batch*\"], receivers: [team]}\n- {receivers: [ops]}\n",
    );
    (0..6).for_each(|n| plan.agent(&format!("batch{n}"), "down"));
    plan.until(30);
    for (n, second) in [(0, 40), (1, 50), (2, 60)] {
        plan.agent(&format!("prod{n}"), "down");
        plan.until(second);
        assert_eq!(plan.told("ops").len(), n + 1, "each alone, and at once: {:?}", plan.told("ops"));
    }
    plan.agent("prod0", "ok");
    plan.until(80);
    assert!(plan.told("ops").last().is_some_and(|said| said.ends_with("ended prod0/down")), "{:?}", plan.told("ops"));
    assert!(plan.told("team").len() <= 2, "{:?}", plan.told("team"));
}

#[test]
fn what_is_graver_than_all_that_a_flood_told_does_not_wait() {
    let mut plan = Plan::new("damping: {flood: 3}\n");
    (0..6).for_each(|n| plan.agent(&format!("a{n}"), "late"));
    plan.until(10);
    let told = |plan: &Plan| plan.told("ops").iter().filter(|said| said.contains("/late")).count();
    let before = told(&plan);
    // One that begins so grave, and one that gets so.
    plan.agent("new", "latest");
    plan.until(12);
    assert_eq!(told(&plan), before + 1, "{:?}", plan.told("ops"));
    assert!(plan.told("ops").last().is_some_and(|said| said.contains("new/late")), "{:?}", plan.told("ops"));
    plan.agent("newer", "latest");
    plan.agent("a1", "latest");
    plan.until(60);
    assert_eq!(told(&plan), before + 1, "as grave as what was told: with the next message");
    plan.until(90);
    assert_eq!(told(&plan), before + 2, "{:?}", plan.told("ops"));

    let mut plan = Plan::new("damping: {flood: 3}\n");
    (0..6).for_each(|n| plan.agent(&format!("a{n}"), "late"));
    plan.until(10);
    let before = told(&plan);
    plan.agent("a1", "latest");
    plan.until(22);
    assert_eq!(told(&plan), before + 1, "{:?}", plan.told("ops"));
}
