//! Alertmanagers that come, go and change with the policy.

use std::sync::Arc;

use crate::world::{RULES, SAID, World, history, lines, not_told, policy, policy_of, rows, strict};
use evenkeel::engine::event::{AlertState, Attempt, Delivery, Effect};
use evenkeel::engine::{Engine, State};
use evenkeel::model::Severity;

#[test]
fn a_new_peer_is_told_everything_and_a_restart_repeats_what_was_in_flight() {
    let mut world = World::new(&["am/one"]);
    world.executions("a", 8, 2);
    world.until(20);
    let now = world.at();
    let effects = world.engine.reload(now, policy(&["am/one", "am/two"]));
    let flying: Vec<&Delivery> =
        effects.iter().filter_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None }).collect();
    assert_eq!(flying.iter().map(|d| d.receiver.as_str()).collect::<Vec<_>>(), ["am/two"]);
    let again = Engine::new(policy(&["am/one", "am/two"]), world.engine.state().clone());
    assert_eq!(
        again.unsettled(),
        effects.iter().filter(|e| matches!(e, Effect::Deliver(_))).cloned().collect::<Vec<_>>()
    );
    world.answer(now, effects);
    assert_eq!(world.seconds("am/two", AlertState::Firing), [20]);
}

#[test]
fn the_first_peer_is_told_what_fires_already() {
    let mut world = World::new(&[]);
    world.executions("a", 8, 2);
    world.until(100);
    world.reload(policy(&["am"]));
    assert_eq!(world.seconds("am", AlertState::Firing), [100]);
    world.executions("a", 1_000, 0);
    world.until(130);
    assert_eq!(world.seconds("am", AlertState::Resolved).len(), 1);
}

#[test]
fn a_peer_that_takes_milder_alerts_than_before_is_told_those_that_fire() {
    let mut strict = (*policy(&["am"])).clone();
    strict.settings.receivers[0].min_severity = Severity::Critical;
    let mut world = World { engine: Engine::new(Arc::new(strict), State::default()), ..World::new(&[]) };
    world.priced(100, 50.0);
    assert_eq!(world.taken, []);
    world.reload(policy(&["am"]));
    assert_eq!(world.taken, [(100, "am".into(), vec![("agent=a".into(), AlertState::Firing, "warning".into())])]);
}

#[test]
fn a_level_that_a_reload_removed_is_kept_up_at_a_peer_that_is_down() {
    let mut world = World::new(&["am"]);
    world.priced(200, 500.0);
    world.down.insert("am");
    world.until(210);
    world.reload(policy_of(&RULES.replace(", critical: mean(price) > 100", ""), &["am"]));
    world.priced(260, 500.0);
    let [line] = &lines(&world)[..] else { panic!("one peer") };
    assert!(line.starts_with("Some(") && line.contains("; its end as severity=critical at "), "{line}");
    assert!(line.contains("is not told yet (goes on as severity=warning), kept up there since "), "{line}");
    // The same of other labels.
    world.down.clear();
    world.priced(340, 500.0);
    world.down.insert("am");
    let labelled = RULES
        .replace(", critical: mean(price) > 100", "")
        .replace("    window: 1m", "    labels: {team: x}\n    window: 1m");
    world.priced(410, 500.0);
    world.reload(policy_of(&labelled, &["am"]));
    world.priced(470, 500.0);
    let [line] = &lines(&world)[..] else { panic!("one peer") };
    assert!(line.contains("; its end with its labels of before at "), "{line}");
    assert!(line.contains("is not told yet (goes on with other labels), kept up there since "), "{line}");
}

#[test]
fn what_an_alertmanager_that_a_reload_removes_was_not_told_is_dropped() {
    let mut world = World::new(&["am", "bm"]);
    world.executions("b", 80, 20);
    world.until(30);
    world.down.insert("am");
    world.executions("a", 80, 20);
    world.until(100);
    world.reload(policy(&["bm"]));
    world.until(200);
    let dropped = "am a firing dropped the receiver was removed from the configuration";
    assert_eq!(not_told(&world), [dropped]);
    // It comes again, not for such, then for all, and is told.
    let mut strict = Arc::unwrap_or_clone(policy(&["am", "bm"]));
    world.reload(policy(&["am", "bm"]));
    assert_eq!(not_told(&world), ["am a firing queued down"], "b was told");
    strict.settings.receivers[0].send_resolved = false;
    world.executions("b", 1_000, 0);
    world.until(230);
    world.reload(Arc::new(strict));
    let unwanted = "am b resolved dropped the receiver takes it no more since a reload";
    assert_eq!(not_told(&world), ["am a firing queued down", unwanted]);
    world.down.clear();
    world.reload(policy(&["am", "bm"]));
    world.until(240);
    assert_eq!(not_told(&world), [""; 0]);
}

#[test]
fn an_alertmanager_that_comes_again_has_what_it_was_told() {
    let deliveries =
        "SELECT json_extract(subject, '$.agent') || ' ' || state || ' ' || status || ' ' || attempts || ' ' || at
                      FROM deliveries WHERE receiver = 'am' ORDER BY 1";
    // Alone, or beside another one.
    for others in [&[][..], &["bm"]] {
        let all = [&["am"], others].concat();
        let mut world = World::new(&all);
        world.executions("a", 80, 20);
        world.executions("b", 80, 20);
        world.until(30);
        world.executions("b", 1_000, 0);
        world.until(60);
        let before = history(&world, deliveries);
        assert_eq!(before.len(), 3, "{before:?}");
        for round in 1..4 {
            world.reload(policy(others));
            world.until(round * 100);
            world.reload(policy(&all));
            world.until(round * 100 + 50);
            let why = &world.engine.view().messages[0].receivers[0].why;
            assert!(why.starts_with("kept up since 2023-11-14T22:13:30.000Z, told again at "), "{why}");
        }
        assert_eq!(world.seconds("am", AlertState::Firing), [10, 100, 200, 300]);
        assert_eq!(history(&world, deliveries), before, "what is only said again changes no row");
        // What it gave up meanwhile it has not.
        world.reload(policy(others));
        world.until(900);
        world.down.insert("am");
        world.reload(policy(&all));
        world.until(960);
        let why = &world.engine.view().messages[0].receivers[0].why;
        assert!(why.starts_with("kept up until 2023-11-14T22:22:20.000Z; am fails since "), "{why}");
        // Another episode under the same labels is another one.
        world.executions("a", 10_000, 0);
        world.until(1_000);
        world.executions("a", 0, 9_000);
        world.until(1_100);
        let line = lines(&world).remove(0);
        assert!(line.starts_with("None ") && line.contains(" am fails since "), "{line}");
    }
}

#[test]
fn what_a_reload_takes_from_a_peer_is_settled_though_an_older_state_is_on_its_way() {
    let mut world = World::new(&["am"]);
    world.priced(100, 50.0);
    world.priced(140, 1.0);
    world.slow = Some(Vec::new());
    world.priced(200, 1.0);
    world.priced(300, 50.0);
    assert_eq!(rows(&world), ["am a firing delivered", "am a firing queued", "am a resolved queued"]);
    world.reload(strict(&["am"]));
    world.answer_slow(&Attempt::Done);
    world.until(400);
    assert_eq!(rows(&world), ["am a firing delivered", "am a firing dropped", "am a resolved delivered"]);
}

#[test]
fn what_is_on_its_way_to_a_peer_that_goes_is_dropped_though_a_reload_took_it_from_it_before() {
    let mut world = World { slow: Some(Vec::new()), ..World::new(&["am"]) };
    world.priced(100, 50.0);
    world.reload(strict(&["am"]));
    assert_eq!(rows(&world), ["am a firing queued"], "it may yet be taken");
    world.reload(policy(&["bm"]));
    let dropped = "am a firing dropped the receiver was removed from the configuration";
    assert!(not_told(&world).contains(&dropped.to_owned()), "{:?}", not_told(&world));
}

#[test]
fn an_alert_whose_rule_becomes_a_shadow_rule_ends_there_with_the_reload() {
    let mut world = World::new(&["am"]);
    world.executions("a", 0, 20);
    world.until(100);
    let shadow = RULES.replace("    window: 1h\n", "    window: 1h\n    shadow: true\n");
    world.reload(policy_of(&shadow, &["am"]));
    world.until(200);
    assert!(world.seconds("am", AlertState::Firing).iter().all(|at| *at <= 100), "{:?}", world.taken);
    let ends = world.seconds("am", AlertState::Resolved);
    assert!((100..=120).contains(&ends[0]), "{ends:?}");
    let said = &world.taken.iter().find(|taken| taken.2[0].1 == AlertState::Resolved).expect("its end").2[0].2;
    assert_eq!(said, "value 100% (its rule became a shadow rule by a reload at 2023-11-14T22:15:00.000Z)");
    let view = world.engine.view();
    assert_eq!((&view.messages[0].receivers[..], &view.messages[0].why[..]), (&[][..], "a shadow rule tells nobody"));
    let why = world.engine.why(world.at(), "failing", "a").expect("it is known").telling;
    assert!(why.ways.iter().all(|way| !way.why.contains("told again")), "{why:?}");
    // As it fires on, it begins there anew when its rule tells again.
    world.reload(policy(&["am"]));
    world.until(300);
    assert!(world.seconds("am", AlertState::Firing).iter().any(|at| *at >= 200), "{:?}", world.taken);
}

#[test]
fn an_alert_that_is_too_mild_for_a_peer_since_a_reload_ends_there_with_it() {
    let reason = "goes on, but below `min_severity: critical` of am";
    let ends = |world: &World| {
        let all =
            "SELECT state || ' ' || status || ' ' || reason FROM deliveries WHERE severity = 'warning' ORDER BY 1";
        history(world, all).concat()
    };
    for down in [false, true] {
        let mut world = World { engine: Engine::new(policy_of(SAID, &["am"]), State::default()), ..World::new(&[]) };
        let mut strict = Arc::unwrap_or_clone(policy_of(SAID, &["am"]));
        strict.settings.receivers[0].min_severity = Severity::Critical;
        world.priced(200, 50.0);
        world.until(205);
        world.down.extend(down.then_some("am"));
        world.reload(Arc::new(strict));
        world.until(240);
        if down {
            assert_eq!(ends(&world), ["firing delivered ", "resolved queued down"]);
            let why = world.engine.view().messages[0].receivers[0].why.clone();
            let said = "its end as severity=warning at 2023-11-14T22:16:45.000Z is not told yet";
            let kept = "kept up there since 2023-11-14T22:13:30.000Z; am fails since ";
            assert!(why.starts_with(&format!("{said} ({reason}), {kept}")), "{why}");
            assert_eq!(world.engine.view().receivers[0].queued, 1);
            // It stays so when the alert ends meanwhile.
            world.down.clear();
            world.until(260);
        } else {
            assert_eq!(world.seconds("am", AlertState::Resolved), [205], "at once");
        }
        let end = world.taken.last().expect("its end").2[0].clone();
        assert_eq!(end, ("agent=a".into(), AlertState::Resolved, format!("50 > 10 warning ({reason})")));
        assert_eq!(ends(&world), ["firing delivered ".to_owned(), format!("resolved delivered {reason}")]);
        assert!(world.engine.view().messages[0].receivers.is_empty(), "{:?}", world.engine.view().messages);
        assert_eq!(world.engine.view().receivers[0].queued, 0);
        // It is another one as soon as it is grave enough, and the same one again when it may be as mild.
        let before = world.taken.len();
        world.priced(400, 500.0);
        assert!(world.taken[before..].iter().all(|taken| taken.2[0].2.ends_with(" critical")), "{:?}", world.taken);
        world.priced(600, 50.0);
        world.reload(policy_of(SAID, &["am"]));
        world.until(610);
        assert_eq!(world.taken.last().expect("it is told").2[0].2, "50 > 10 warning");
        world.priced(800, 1.0);
        assert_eq!(not_told(&world), [""; 0]);
    }
}

#[test]
fn what_was_told_before_a_peer_took_graver_alerts_alone_ends_there_whatever_comes_first() {
    let last = |world: &World| world.last[&Severity::Warning].0;
    // It ends by its value, or its rule goes, before the peer has heard so.
    for gone in [false, true] {
        let mut world = World::new(&["am"]);
        world.priced(100, 50.0);
        world.down.insert("am");
        let rules = if gone { &RULES[..RULES.find("  - name: dear").expect("it is there")] } else { RULES };
        let mut strict = Arc::unwrap_or_clone(policy_of(rules, &["am"]));
        strict.settings.receivers[0].min_severity = Severity::Critical;
        world.reload(Arc::new(strict));
        world.priced(200, 1.0);
        let [ended] = &world.engine.view().ended[..] else { panic!("one ended") };
        let why = &ended.messages.receivers[0].why;
        assert!(why.contains(" is not told yet, kept up there since 2023-11-14T22:13:30.000Z; am fails"), "{why}");
        world.down.clear();
        world.until(300);
        assert_eq!(last(&world), AlertState::Resolved);
        assert_eq!((world.engine.view().ended, not_told(&world)), (vec![], vec![]));
    }
    // The peer takes milder ones again before it has.
    let mut world = World::new(&["am"]);
    world.priced(100, 50.0);
    world.down.insert("am");
    world.reload(strict(&["am"]));
    world.priced(120, 50.0);
    world.reload(policy(&["am"]));
    assert_eq!(rows(&world), ["am a firing delivered", "am a resolved superseded"]);
    world.down.clear();
    world.priced(200, 50.0);
    assert_eq!((last(&world), not_told(&world)), (AlertState::Firing, vec![]));
    // It was on its way.
    let mut world = World { slow: Some(Vec::new()), ..World::new(&["am"]) };
    world.priced(100, 50.0);
    world.reload(strict(&["am"]));
    assert_eq!(rows(&world), ["am a firing queued"]);
    world.answer_slow(&Attempt::Done);
    world.until(120);
    assert_eq!(rows(&world), ["am a firing delivered", "am a resolved delivered"]);
    // And did not come.
    let mut world = World { slow: Some(Vec::new()), ..World::new(&["am"]) };
    world.priced(100, 50.0);
    world.reload(strict(&["am"]));
    world.answer_slow(&Attempt::Retry { reason: "down".into(), after: None });
    world.until(120);
    assert_eq!((rows(&world), world.taken.len()), (vec!["am a firing dropped".to_owned()], 0));
}

#[test]
fn an_episode_that_a_peer_was_told_of_ends_there_though_the_next_one_is_too_mild_for_it() {
    let last = |world: &World| world.last.get(&Severity::Warning).map(|(state, _)| *state);
    let retry = Attempt::Retry { reason: "down".into(), after: None };
    // When the reload comes: before or after the next one begins. What is on its way then, and what becomes of that.
    for late in [false, true] {
        for (told, result) in [(true, None), (true, Some(&retry)), (false, Some(&Attempt::Done))] {
            let mut world = World::new(&["am"]);
            world.slow = (!told).then(Vec::new);
            world.priced(100, 50.0);
            match result {
                None => drop(world.down.insert("am")),
                Some(_) => drop(world.slow.get_or_insert_default()),
            }
            world.priced(170, 1.0);
            for reloads in [!late, late] {
                if reloads {
                    world.reload(strict(&["am"]));
                } else {
                    world.priced(260, 50.0);
                }
            }
            world.down.clear();
            result.into_iter().for_each(|result| world.answer_slow(result));
            world.priced(320, 50.0);
            assert_eq!(last(&world), Some(AlertState::Resolved), "late: {late}, {result:?}: {:?}", rows(&world));
            assert_eq!(world.engine.view().receivers[0].queued, 0);
        }
    }
}
