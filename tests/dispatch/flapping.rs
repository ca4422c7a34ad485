//! Alerts that begin and end too often.

use std::sync::Arc;

use crate::plan::{
    FIRES, GROUPED, OVER, Plan, RULES, STEEP, ended, flapping, last_before_the_end, levels_told, policy_of, silence,
    states, with_pager,
};
use evenkeel::engine::event::{AlertEvent, AlertState, Command};
use evenkeel::engine::view::MuteKind;
use evenkeel::engine::{Engine, State};
use evenkeel::model::Severity;
use evenkeel::wire::notice;

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

/// Agent `a` begins and ends, half a minute each, until it has changed so many times.
fn flap(plan: &mut Plan, changes: i64) {
    for change in 0..changes {
        plan.agent("a", if change % 2 == 0 { "down" } else { "ok" });
        plan.until((change + 1) * 30);
    }
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
