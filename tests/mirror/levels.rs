//! Alerts whose level rises and falls.

use crate::world::{RULES, SAID, START, World, history, lines, not_told, policy_of, strict};
use evenkeel::engine::event::{AlertState, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Severity, Timestamp};

#[test]
fn a_fall_of_level_ends_the_graver_alert_and_goes_on_as_the_milder_one() {
    let mut world = World::new(&["am"]);
    world.priced(200, 500.0);
    world.priced(400, 50.0);
    world.priced(600, 1.0);
    use AlertState::{Firing, Resolved};
    let said: Vec<(AlertState, &str)> =
        world.taken.iter().flat_map(|t| &t.2).map(|(_, state, severity)| (*state, severity.as_str())).collect();
    let mut course: Vec<(AlertState, &str)> = Vec::new();
    said.iter().filter(|said| said.0 == Firing).for_each(|said| course.push(*said));
    course.dedup();
    assert_eq!(course, [(Firing, "critical"), (Firing, "warning")], "{:?}", world.taken);
    let fell = world.taken.iter().find(|t| t.2.iter().any(|a| a.2 == "warning")).expect("the milder one").0;
    let ended = world.seconds("am", Resolved)[0];
    assert_eq!(ended, fell, "{:?}", world.taken);
    // What ended is what was said of it last, and says that it is not over.
    let over: Vec<&str> = said.iter().filter(|said| said.0 == Resolved).map(|said| said.1).collect();
    assert_eq!(over[0], "critical (goes on as severity=warning)", "{:?}", world.taken);
    assert!(over.contains(&"warning"), "it ends as what it is there: {:?}", world.taken);
    // Both have ended in the end, and each under the labels it fired with.
    assert_eq!(world.engine.view().alerts, []);
    assert_eq!(world.engine.view().receivers[0].delivered, 4, "{:?}", world.taken);
}

#[test]
fn a_level_that_changed_has_not_ended_for_a_peer_that_is_down() {
    for (before, after, [from, to]) in [(500.0, 50.0, ["critical", "warning"]), (50.0, 500.0, ["warning", "critical"])]
    {
        let mut world = World::new(&["am"]);
        world.priced(200, before);
        world.down.insert("am");
        world.priced(400, after);
        assert_eq!(world.engine.view().alerts[0].severity.as_str(), to);
        assert_eq!(world.engine.view().ended, [], "it goes on");
        let [line] = &lines(&world)[..] else { panic!("one peer") };
        assert!(line.starts_with("Some(") && line.contains(" am fails since "), "it was told of it: {line}");
        let end = line.split(&format!("; its end as severity={from} at ")).nth(1).expect("its end");
        let (fell, rest) = end.split_at(24);
        let goes = format!("(goes on as severity={to}), kept up there since 2023-11-14T22:13:30.000Z");
        assert_eq!(rest, format!(" is not told yet {goes}"));
        let fell = fell.to_owned();
        world.priced(600, 1.0);
        // One alert, whatever its levels, which is over as a whole, and told of as in the history.
        let ended = |world: &World| {
            let [ended] = &world.engine.view().ended[..] else { panic!("one ended") };
            let [am] = &ended.messages.receivers[..] else { panic!("one peer") };
            (ended.alert.severity, ended.alert.condition.clone(), ended.alert.at, am.why.clone(), am.last.is_some())
        };
        let (severity, condition, at, why, told) = ended(&world);
        assert_eq!((severity, condition.as_str(), told), (Severity::Critical, "mean(price) > 100", true));
        assert!(why.starts_with(&format!("its end at {at} is not told yet, kept up there ")), "{why}");
        assert!(at.to_string() > fell, "{why}");
        world.down.clear();
        world.priced(700, 1.0);
        assert_eq!(world.engine.view().ended, []);
    }
}

#[test]
fn of_a_level_that_a_peer_takes_no_more_its_end_is_said_until_it_is_told() {
    let mut world = World { engine: Engine::new(strict(&["am"]), State::default()), ..World::new(&[]) };
    world.priced(200, 500.0);
    world.down.insert("am");
    world.priced(400, 50.0);
    let messages = world.engine.view().messages.remove(0);
    assert_eq!(messages.receivers.len(), 1, "{messages:?}");
    let why = &messages.receivers[0].why;
    assert!(why.starts_with("its end as severity=critical at 2023-11-14T22:1"), "{why}");
    let goes =
        " is not told yet (goes on as severity=warning), kept up there since 2023-11-14T22:13:30.000Z; am fails ";
    assert!(why.contains(goes), "{why}");
    assert!(!messages.why.is_empty(), "nobody is told of the warning");
    world.priced(600, 1.0);
    let [ended] = &world.engine.view().ended[..] else { panic!("one ended") };
    let why = &ended.messages.receivers[0].why;
    assert!(why.starts_with("its end as severity=critical at 2023-11-14T22:1"), "when that was over: {why}");
    world.down.clear();
    world.priced(700, 1.0);
    assert_eq!(world.engine.view().ended, []);
}

#[test]
fn an_alert_that_rises_outside_its_hours_goes_on_as_what_it_was_told() {
    let late = || {
        let hours = "    window: 1m\n    active_hours: [{times: \"00:00-22:20\"}, {times: \"22:40-23:00\"}]\n";
        let rules = SAID.replace("    window: 1m\n", hours);
        let mut world = World { engine: Engine::new(policy_of(&rules, &["am"]), State::default()), ..World::new(&[]) };
        world.priced(390, 50.0);
        world.priced(800, 500.0);
        world.priced(1_100, 700.0);
        assert_eq!(world.said(), ["50 > 10 warning", "500 > 10 warning", "700 > 10 warning"]);
        let messages = world.engine.view().messages.remove(0);
        let why = &messages.receivers[0].why;
        assert!(why.starts_with("kept up as severity=warning since 2023-11-14T22:13:30.000Z, told again at "), "{why}");
        assert_eq!(messages.why, "outside of the rule's active hours until 2023-11-14T22:40:00.000Z");
        world
    };
    // It ends as what it is there, whatever ends it, and as what it came to in the history.
    let mut world = late();
    world.priced(1_300, 7.0);
    assert_eq!(world.said().last(), Some(&"7 > 10 warning"));
    let row = "SELECT severity || ' ' || threshold FROM alerts WHERE state = 'resolved'";
    assert_eq!(history(&world, row).concat(), ["critical 100.0"]);
    let mut world = late();
    world.reload(policy_of(&SAID[..SAID.find("  - name: dear").expect("it is there")], &["am"]));
    world.until(1_200);
    let end =
        "700 > 10 warning (the rule was removed by a reload at 2023-11-14T22:31:40.000Z, the value is from before)";
    assert_eq!(world.said().last(), Some(&end));
    // And as what it came to, when its hours begin.
    let mut world = late();
    world.priced(1_700, 800.0);
    let said = world.said();
    let rose = said.iter().position(|said| *said == "800 > 100 critical").expect("it is told");
    assert_eq!(said[rose - 1], "800 > 10 warning (goes on as severity=critical)", "{said:?}");
}

#[test]
fn a_level_ends_with_the_value_that_ended_it() {
    let mut world = World { engine: Engine::new(policy_of(SAID, &["am"]), State::default()), ..World::new(&[]) };
    world.priced(200, 50.0);
    world.priced(400, 500.0);
    world.priced(600, 60.0);
    world.priced(800, 1.0);
    let ends = world.taken.iter().flat_map(|t| &t.2).filter(|said| said.1 == AlertState::Resolved);
    let mut ends: Vec<&str> = ends.map(|(.., summary)| summary.as_str()).collect();
    ends.sort_unstable();
    ends.dedup();
    let mean = |severity| ends.iter().find(|end| end.ends_with(severity)).copied();
    // The mean of a minute in which the price changed.
    let (rise, fall) = (mean(" > 10 warning (goes on as severity=critical)"), mean("(goes on as severity=warning)"));
    let value = |end: Option<&str>| end.and_then(|end| end.split(' ').next()?.parse::<f64>().ok());
    assert!(value(rise).is_some_and(|value| value > 100.0), "{ends:?}");
    assert!(value(fall).is_some_and(|value| value <= 100.0), "{ends:?}");
    assert!(mean(" > 10 warning").and_then(|end| value(Some(end))).is_some_and(|value| value <= 10.0), "{ends:?}");
}

#[test]
fn an_alert_that_rose_and_fell_is_over_under_all_labels_that_it_had() {
    let mut world = World::new(&["am"]);
    for (second, price) in [(200, 50.0), (400, 500.0), (600, 50.0), (800, 500.0), (1_000, 1.0)] {
        world.priced(second, price);
    }
    world.until(5_000);
    let last = &world.last;
    assert_eq!(last.keys().copied().collect::<Vec<_>>(), [Severity::Warning, Severity::Critical]);
    assert!(last.values().all(|(state, second)| *state == AlertState::Resolved && *second < 2_200), "{last:?}");
    assert_eq!(world.engine.view().receivers[0].queued, 0);
}

#[test]
fn a_severity_that_a_reload_changes_is_in_the_history() {
    let mut world = World::new(&["am"]);
    world.executions("a", 80, 20);
    world.until(60);
    let graver = RULES.replace("severity: critical", "severity: high");
    world.reload(policy_of(&graver, &["am"]));
    world.until(90);
    let rows = "SELECT severity || ' ' || at FROM alerts WHERE state = 'firing'";
    assert_eq!(history(&world, rows).concat(), ["high 2023-11-14T22:14:20.000Z"]);
    let reported = world.reports.iter().rev().find_map(|r| match r {
        Report::Regraded { alert, before } => Some((alert.reason.as_str(), *before)),
        _ => None,
    });
    let reason = "the rule was changed by a reload at 2023-11-14T22:14:20.000Z, severity critical before";
    assert_eq!(reported, Some((reason, Severity::Critical)));
    assert_eq!(not_told(&world), [""; 0]);
}

#[test]
fn a_level_that_ended_and_came_back_is_kept_up_since_then() {
    let mut world = World::new(&["am"]);
    world.priced(200, 500.0);
    world.priced(400, 50.0);
    let before = world.taken.len();
    world.priced(600, 500.0);
    let rose = world.taken[before..].iter().find(|taken| taken.2.iter().any(|said| said.2 == "critical"));
    let rose = START + rose.expect("it rose").0 * 1_000;
    let why = &world.engine.view().messages[0].receivers[0].why;
    assert!(why.starts_with(&format!("kept up since {}, ", Timestamp(rose))), "{why}");
}

#[test]
fn a_peer_that_heard_the_end_of_a_level_is_not_said_to_keep_it_up() {
    let mut world = World::new(&["am"]);
    world.priced(200, 500.0);
    world.priced(400, 50.0);
    world.down.insert("am");
    world.priced(600, 500.0);
    let [line] = &lines(&world)[..] else { panic!("one peer") };
    let (own, before) = line.split_once("; its end as severity=warning at ").expect("that of the level before");
    assert!(own.contains(" am fails since ") && !own.contains("kept up"), "it heard of its end alone: {line}");
    assert!(before.contains(" is not told yet (goes on as severity=critical), kept up there since "), "{line}");
}

#[test]
fn of_a_level_whose_end_a_peer_refuses_it_is_said_that_it_is_up_there() {
    for (before, after, [from, to]) in [(500.0, 50.0, ["critical", "warning"]), (50.0, 500.0, ["warning", "critical"])]
    {
        let mut world = World::new(&["am"]);
        world.priced(200, before);
        world.refusing.insert("am");
        world.priced(290, after);
        assert_eq!(world.engine.view().alerts[0].severity.as_str(), to);
        let [line] = &lines(&world)[..] else { panic!("one peer") };
        let goes = format!(" is refused (goes on as severity={to}), kept up there since 2023-11-14T22:13:30.000Z");
        assert!(line.contains(&format!("; its end as severity={from} at ")) && line.contains(&goes), "{line}");
        world.refusing.clear();
        world.priced(400, after);
        let [line] = &lines(&world)[..] else { panic!("one peer") };
        assert!(!line.contains("its end"), "{line}");
    }
}

#[test]
fn of_an_alert_that_ended_all_levels_that_are_up_there_are_named() {
    let mut world = World::new(&["am"]);
    world.priced(200, 50.0);
    world.down.insert("am");
    world.priced(400, 500.0);
    world.priced(600, 1.0);
    let [ended] = &world.engine.view().ended[..] else { panic!("one ended") };
    let why = &ended.messages.receivers[0].why;
    let kept = " is not told yet, kept up there as severity=warning ";
    assert!(why.starts_with(&format!("its end at {}{kept}", ended.alert.at)), "{why}");
}

#[test]
fn the_end_of_a_level_says_how_long_it_was() {
    let rules = SAID.replace("{{ value }} > {{ threshold }}", "{{ value }} for {{ duration }}");
    let mut world =
        World { engine: Engine::new(policy_of(&rules, &["am", "bm"]), State::default()), ..World::new(&[]) };
    world.priced(100, 500.0);
    world.priced(210, 50.0);
    let end = |world: &World, who: &str| {
        let of = world.taken.iter().filter(|taken| taken.1 == who).flat_map(|taken| &taken.2);
        of.rev().find(|said| said.1 == AlertState::Resolved).expect("it ended").2.clone()
    };
    let fell = world.engine.view().messages[0].receivers[0].clone();
    let fell = (fell.last.expect("it is told").0 - START) / 1_000;
    assert!(
        end(&world, "am").contains(" for 2m") || end(&world, "am").contains(" for 1m"),
        "{} {fell}",
        end(&world, "am")
    );
    // By a reload, with and without data; whatever is tried elsewhere.
    world.down.insert("bm");
    for (second, rules) in
        [(290, rules.replace("    window: 1m", "    labels: {team: x}\n    window: 1m")), (380, rules)]
    {
        world.priced(second, 50.0);
        world.reload(policy_of(&rules, &["am", "bm"]));
        let end = end(&world, "am");
        let minutes = format!(" for {}m{}s warning", (second - 10) / 60, (second - 10) % 60);
        assert!(end.contains(&minutes), "{end}: {minutes}");
    }
}

#[test]
fn what_a_reload_made_of_an_alert_is_told_as_the_next_evaluation_judges_it() {
    let levels = |levels: &str| SAID.replace("warning: mean(price) > 10, critical: mean(price) > 100", levels);
    let high = levels("warning: mean(price) > 10, high: mean(price) > 20, critical: mean(price) > 100");
    let mut world = World::new(&["am"]);
    world.engine = Engine::new(policy_of(&high, &["am"]), State::default());
    world.priced(210, 50.0);
    world.until(219);
    let before = world.taken.len();
    // Half a second before an evaluation.
    let now = Timestamp(START + 219_500);
    let milder = levels("warning: mean(price) > 12, critical: mean(price) > 100");
    let effects = world.engine.reload(now, policy_of(&milder, &["am"]));
    world.answer(now, effects);
    world.until(230);
    let told = world.taken[before..].iter().flat_map(|taken| &taken.2);
    let told: Vec<&str> = told.filter(|said| said.1 == AlertState::Firing).map(|said| said.2.as_str()).collect();
    assert_eq!(told, ["50 > 12 warning"]);
}
