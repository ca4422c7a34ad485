//! What is said of messages: told, tried, refused, and what comes next.

use std::sync::Arc;

use crate::plan::{
    DOWN, LATE, Plan, START, ended, last_before_the_end, late_on, policy_of, stands, telling, with_pager,
};
use evenkeel::engine::event::{Acknowledgement, Command};
use evenkeel::engine::view::{self, EndedView};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Severity, Span};

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
        format!("{agent}: {}; {}", view::told(ops.last, ended.alert.fired_at, ops.waiting.as_ref(), None), ops.why)
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
        let way = plan.engine.why(plan.at(), "down", "a").expect("it is known").telling.ways.remove(0);
        let before = way.before.expect("the end of the first is not told yet").to_string();
        assert!(way.active && before.starts_with("its end is being tried since 2026-05-28T20:27:"), "{before}");
        plan.failing.clear();
        plan.until(100);
        assert_eq!(end_waits(&plan), [""; 0]);
    }
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
