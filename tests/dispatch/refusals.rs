//! Receivers that say that a message is wrong.

use std::sync::Arc;

use crate::plan::{Plan, late_on, stands, states};
use evenkeel::engine::event::{Acknowledgement, AlertState, Command};
use evenkeel::engine::{Engine, State};
use evenkeel::model::Span;
use evenkeel::policy::Policy;
use evenkeel::settings::{Channel, Secret};

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

/// What is added to an incident that was taken on calls nobody, so a graver alert opens a new one: at the latest when it is
/// repeated after it was refused.
#[test]
fn a_repeat_of_what_was_refused_opens_the_incident_that_the_refused_message_was_to_open() {
    let mut plan = late_on("routes:\n- {receivers: [ops], repeat_interval: 1m}\n");
    let mut policy = Policy::clone(plan.engine.policy());
    policy.settings.receivers[0].channel = Channel::PagerDuty {
        url: "http://a".to_owned(),
        routing_key: Secret::Env("X".to_owned()),
        timeout: Span::seconds(5),
    };
    plan.engine = Engine::new(Arc::new(policy), State::default());
    plan.agent("a", "late");
    plan.until(20);
    let alert = plan.engine.alerts()[0].id.clone();
    let (author, note, at) = ("kim".to_owned(), String::new(), plan.at());
    plan.command(Command::Acknowledge(Acknowledgement { alert, author, note, at }));
    plan.refusing_one.push("ops".to_owned());
    plan.agent("a", "latest");
    plan.until(40);
    let reopens = |plan: &Plan| -> Vec<bool> {
        let said = plan.got.iter().filter(|(_, to, _)| to == "ops").filter_map(|(.., d)| d.notification());
        said.filter(|said| said.acknowledged.is_none()).map(|said| said.reopens).collect()
    };
    assert_eq!((reopens(&plan), plan.refusing_one.len()), (vec![false], 0), "{:?}", plan.told("ops"));
    plan.until(180);
    assert_eq!(reopens(&plan), [false, true, false], "and is repeated in that one: {:?}", plan.told("ops"));
}
