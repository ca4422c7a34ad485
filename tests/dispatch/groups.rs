//! Groups, and when they are told and repeated.

use std::collections::BTreeMap;

use crate::plan::{BY_LEVEL, FIRES, GROUPED, LATE, Plan, late_on, levels_told, stands, with_pager};
use evenkeel::engine::event::{Acknowledgement, Command, Notification};
use evenkeel::engine::view;
use evenkeel::model::Severity;
use evenkeel::wire::alertmanager::Webhook;

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
        view::told(ops.last, None, ops.waiting.as_ref(), ops.refused.as_ref())
    };
    assert!(said("a").contains("; a message of its group is being tried since 2026-05-28T20:2"), "{}", said("a"));
    assert!(said("b").starts_with("being tried since 2026-05-28T20:2"), "{}", said("b"));
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
fn who_took_on_an_alert_that_ends_is_told_of_the_next_one_though_its_end_was_not_told() {
    let route = "routes:\n- {receivers: [ops], group_by: [alertname], group_wait: 0s, group_interval: 1m}\n";
    for taken_on in [false, true] {
        let mut plan = Plan::new(route);
        plan.agent("a", "down");
        plan.until(10);
        if taken_on {
            let alert = plan.engine.view().alerts[0].id.clone();
            let ack = Acknowledgement { alert, author: "kim".into(), note: String::new(), at: plan.at() };
            plan.command(Command::Acknowledge(ack));
        }
        plan.agent("a", "ok");
        plan.until(30);
        plan.agent("a", "down");
        plan.until(40);
        assert!(stands(&plan).contains("Z of the alert before; "), "{}", stands(&plan));
        plan.until(200);
        assert_eq!(stands(&plan).contains("Z of the alert before; "), !taken_on, "{}", stands(&plan));
        let told = plan.got.iter().filter(|(.., d)| d.notification().is_some_and(|n| n.acknowledged.is_none())).count();
        assert_eq!(told, if taken_on { 2 } else { 1 }, "{taken_on}: {:?}", plan.told("ops"));
    }
}

/// Who takes Alertmanager's webhooks knows an incident by its `groupKey`.
#[test]
fn groups_of_two_routes_at_one_receiver_have_keys_of_their_own() {
    let route = |matchers: &str| format!("- {{{matchers}receivers: [ops], group_by: [alertname], group_wait: 1s}}\n");
    let routes = format!("routes:\n{}{}", route("matchers: [\"agent=batch*\"], "), route(""));
    let mut plan = Plan::new(&routes);
    plan.agent("batch", "down");
    plan.agent("prod", "down");
    plan.until(20);
    let said = plan.got.iter().filter(|(_, to, _)| to == "ops").filter_map(|(.., d)| d.notification());
    let key = |said: &Notification| {
        Webhook::new("ops", "", (&said.matched, &said.group_labels, said.truncated), Vec::new()).group_key
    };
    let keys: Vec<(&str, String)> = said.map(|said| (said.group.as_str(), key(said))).collect();
    let [(batch, first), (prod, second)] = &keys[..] else { panic!("two messages: {keys:?}") };
    assert_ne!(batch, prod);
    assert_ne!(first, second, "the end of one is taken for that of the other");
}
