//! What goes on, ends and is told when the policy changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::plan::{
    BY_SEVERITY, DOWN, FIRES, GROUPED, LATE, OVER, Plan, late_on, levels_told, lines, policy, policy_of, telling,
};
use evenkeel::engine::event::{Acknowledgement, AlertEvent, AlertState, Command};
use evenkeel::engine::{Engine, State};
use evenkeel::model::Severity;
use evenkeel::policy::{Policy, PolicySource};

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
fn an_end_by_a_reload_has_the_condition_and_the_threshold_of_the_severity_that_was_told() {
    let mut plan = late_on("routes:\n- {matchers: [severity=warning], receivers: [ops]}\n- {receivers: [team]}\n");
    plan.agent("a", "late");
    plan.until(30);
    plan.agent("a", "latest");
    plan.until(60);
    let effects = plan.engine.reload(plan.at(), policy_of(&format!("alerts:\n- {DOWN}\n"), ""));
    plan.answer(effects);
    plan.until(90);
    for (to, severity, condition, threshold) in [
        ("ops", Severity::Warning, "p50_latency > 100s", 100_000.0),
        ("team", Severity::Critical, "p50_latency > 200s", 200_000.0),
    ] {
        let said = plan.got.iter().filter(|(_, receiver, _)| receiver == to).filter_map(|(.., d)| d.notification());
        let said: Vec<_> = said.map(|n| n.lead()).collect();
        let [began, ended] = &said[..] else { panic!("two messages to {to}: {said:?}") };
        assert_eq!((began.severity, &began.condition[..], began.threshold), (severity, condition, Some(threshold)));
        assert_eq!((ended.severity, &ended.condition[..], ended.threshold), (severity, condition, Some(threshold)));
    }
}
