//! Alerts that get graver and milder.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::plan::{
    BY_LEVEL, BY_SEVERITY, DOWN, FIRES, LATE, OVER, Plan, RULES, STEEP, late_on, levels_told, open, policy, policy_of,
    stands, states, with_pager,
};
use evenkeel::engine::event::{Acknowledgement, AlertState, Command};
use evenkeel::engine::{Engine, State, view};
use evenkeel::model::{Severity, Span};
use evenkeel::wire::alertmanager::Webhook;
use evenkeel::wire::notice;

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
                (
                    said.group.clone(),
                    Webhook::new("ops", "", (&said.matched, &said.group_labels, said.truncated), alerts),
                )
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
    let ops = &ended.messages.receivers.iter().find(|m| m.receiver == "ops").expect("it is to hear of it").why;
    assert!(ops.starts_with("its end as severity=critical at "), "to it that was over before: {ops}");
    // `why` names who is to hear of it, too, though nothing fires.
    let ways = plan.engine.why(plan.at(), "late", "a").expect("it is known").telling.ways;
    assert!(ways.iter().any(|way| way.receiver == "ops" && way.why.starts_with("its end at ")), "{ways:?}");
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
