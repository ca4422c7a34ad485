//! What is said again, and what is said of that.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::world::{RULES, SAID, START, Taken, World, hook, lines, policy, policy_of};
use evenkeel::engine::event::{AlertState, Attempt, Event, NotificationStatus, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Severity, Timestamp};

#[test]
fn an_alert_is_said_again_with_its_newest_value_and_its_end_for_a_quarter_of_an_hour() {
    let mut world = World::new(&["am"]);
    world.executions("a", 80, 20);
    world.until(100);
    world.executions("a", 0, 25);
    world.until(200);
    world.executions("a", 1_000, 0);
    world.until(7_000);
    let values: Vec<(i64, &str)> =
        world.taken.iter().filter(|t| t.2[0].1 == AlertState::Firing).map(|t| (t.0, t.2[0].2.as_str())).collect();
    let [first, second, third, last] = values[..] else { panic!("{values:?}") };
    assert!(first.0 <= 15, "at the first evaluation: {values:?}");
    assert_eq!((second.0 - first.0, third.0 - second.0, last.0 - third.0), (60, 60, 60));
    assert_eq!((first.1, second.1, third.1, last.1), ("value 20%", "value 20%", "value 36%", "value 36%"));
    let ends = world.seconds("am", AlertState::Resolved);
    assert_eq!(ends.len(), 16, "at once and for 15 min: {ends:?}");
    assert!((200..=215).contains(&ends[0]) && ends[15] - ends[0] == 900, "{ends:?}");
    assert_eq!(world.engine.view().receivers[0].delivered, 2, "two states were heard");
}

#[test]
fn a_peer_that_was_down_hears_the_newest_state_and_nothing_else() {
    let mut world = World::new(&["am/one", "am/two"]);
    world.down.insert("am/two");
    world.executions("a", 80, 20);
    world.executions("b", 80, 20);
    world.until(600);
    world.executions("a", 1_000, 0);
    world.until(3 * 3_600 - 3);
    assert_eq!(world.engine.view().receivers[1].queued, 2, "two states are unheard, however often they were due");
    assert!(world.seconds("am/two", AlertState::Firing).is_empty());
    world.down.clear();
    world.until(3 * 3_600 + 2);
    let back: Vec<&Taken> = world.taken.iter().filter(|t| t.1 == "am/two").collect();
    let mut said: Vec<_> =
        back.iter().flat_map(|t| &t.2).map(|(subject, state, _)| (subject.as_str(), *state)).collect();
    said.sort_unstable();
    // b's executions have left the window meanwhile.
    assert_eq!(said, [("agent=a", AlertState::Resolved), ("agent=b", AlertState::Resolved)], "{back:?}");
    assert!(world.seconds("am/one", AlertState::Firing).len() >= 10, "the other peer was told all the time");
    assert!(world.attempts["am/two"] < 3_000, "a peer that is down is asked every few seconds at most");
}

#[test]
fn requests_hold_64_alerts_at_most_and_one_is_in_flight() {
    let mut world = World::new(&["am"]);
    let agents: Vec<String> = (0..200).map(|n| format!("agent-{n:03}")).collect();
    agents.iter().for_each(|agent| world.executions(agent, 8, 2));
    world.until(20);
    let sizes: Vec<usize> = world.taken.iter().map(|t| t.2.len()).collect();
    assert_eq!(sizes, [64, 64, 64, 8]);
    let subjects: BTreeSet<&String> = world.taken.iter().flat_map(|t| &t.2).map(|(subject, ..)| subject).collect();
    assert_eq!(subjects.len(), 200);
}

#[test]
fn what_a_peer_refuses_is_shown_as_refused_until_it_takes_it() {
    let mut world = World::new(&["am", "bm"]);
    world.refusing.insert("am");
    world.executions("a", 80, 20);
    world.until(130);
    let refused = |world: &World| -> Vec<(String, Option<String>)> {
        let messages = world.engine.view().messages;
        let of = messages[0].receivers.iter();
        of.map(|m| (m.receiver.clone(), m.refused.as_ref().map(ToString::to_string))).collect()
    };
    let since = Some("refused since 2023-11-14T22:13:30.000Z: 400 Bad Request".to_owned());
    assert_eq!(refused(&world), [("am".to_owned(), since), ("bm".to_owned(), None)], "since the first of three");
    let ways = world.engine.why(world.at(), "failing", "a").expect("it is known").telling.ways;
    let shown: Vec<bool> = ways.iter().map(|way| way.refused.is_some()).collect();
    assert_eq!(shown, [true, false], "{ways:?}");
    world.refusing.clear();
    world.until(200);
    assert_eq!(refused(&world), [("am".to_owned(), None), ("bm".to_owned(), None)]);
}

#[test]
fn what_is_said_of_a_peer_is_what_became_of_its_requests() {
    let mut world = World::new(&["am", "bm"]);
    world.down.insert("am");
    world.executions("a", 80, 20);
    world.until(40);
    let failing = "am fails since 2023-11-14T22:13:30.000Z: down; next attempt at 2023-11-14T22:14:01.500Z";
    let [am, bm] = &lines(&world)[..] else { panic!("a line per peer") };
    assert!(am.starts_with("None Some(4") && am.ends_with(failing), "nothing is kept up there: {am}");
    let kept = "Some(10) Some(70) kept up since 2023-11-14T22:13:30.000Z, told again at 2023-11-14T22:14:30.000Z";
    assert_eq!(bm, kept);
    // It comes back, and is gone once more.
    world.down.clear();
    world.until(100);
    let [am, bm] = &lines(&world)[..] else { panic!("a line per peer") };
    assert!(am.starts_with("Some(") && am.contains(" kept up since 2023-11-14T22:14:01.500Z, told again at "), "{am}");
    assert!(bm.starts_with("Some(70) Some(130) kept up since 2023-11-14T22:13:30.000Z, told"), "{bm}");
    world.down.insert("bm");
    world.until(140);
    let gone = "kept up since 2023-11-14T22:13:30.000Z; bm fails since 2023-11-14T22:15:30.000Z: down";
    assert!(lines(&world)[1].starts_with("Some(70) ") && lines(&world)[1].contains(gone), "{:?}", lines(&world));
}

#[test]
fn an_alert_that_ended_is_shown_until_every_peer_has_heard_so() {
    let mut world = World::new(&["am", "bm"]);
    world.executions("a", 80, 20);
    world.until(40);
    world.down.insert("am");
    world.executions("a", 1_000, 0);
    world.until(75);
    assert_eq!(world.engine.view().alerts, []);
    // After a restart as before.
    world.engine = Engine::new(policy(&["am", "bm"]), world.engine.state().clone());
    let [ended] = &world.engine.view().ended[..] else { panic!("one ended") };
    let [am] = &ended.messages.receivers[..] else { panic!("bm has heard of it: {:?}", ended.messages) };
    let next = am.next.expect("it is tried again");
    let why = "its end at 2023-11-14T22:14:15.000Z is not told yet, kept up there since 2023-11-14T22:13:30.000Z; am fails \
               since 2023-11-14T22:14:15.000Z: down";
    assert_eq!((am.receiver.as_str(), am.why.clone()), ("am", format!("{why}; next attempt at {next}")));
    assert!(am.last.is_some() && next > world.at(), "{am:?}");
    let ways = world.engine.why(world.at(), "failing", "a").expect("it is known").telling.ways;
    assert!(ways[0].why == am.why && !ways[0].active && ways[1].why.contains("kept up while"), "{ways:?}");
    // It was told at 10 s, and to believe it for four minutes.
    world.until(251);
    let why = &world.engine.view().ended[0].messages.receivers[0].why;
    let until =
        "its end at 2023-11-14T22:14:15.000Z is not told yet, kept up there until 2023-11-14T22:17:30.000Z; am fails";
    assert!(why.starts_with(until), "{why}");
    world.down.clear();
    world.until(270);
    assert_eq!(world.engine.view().ended, []);
}

#[test]
fn an_alert_that_fires_on_is_not_among_those_that_ended_whatever_a_peer_was_told() {
    let mut world = World::new(&["am"]);
    world.executions("a", 0, 20);
    world.until(100);
    world.down.insert("am");
    let shadow = RULES.replace("    window: 1h\n", "    window: 1h\n    shadow: true\n");
    let shown = |world: &World| {
        let view = world.engine.view();
        let why = world.engine.why(world.at(), "failing", "a").expect("it is known").telling;
        let messages = view.messages.first().map_or(&[][..], |messages| &messages.receivers[..]);
        let whys: Vec<&str> = messages.iter().map(|message| message.why.as_str()).collect();
        assert_eq!(whys, why.ways.iter().map(|way| way.why.as_str()).collect::<Vec<_>>());
        (view.alerts.len(), view.ended.len(), whys.concat())
    };
    for round in [130, 200] {
        world.reload(policy_of(&shadow, &["am"]));
        world.until(round);
        let (alerts, ended, why) = shown(&world);
        assert_eq!((alerts, ended), (1, 0), "it fires on");
        assert!(why.starts_with("its end as severity=critical at "), "{why}");
        assert!(why.contains(" is not told yet (its rule became a shadow rule by a reload at "), "{why}");
        world.reload(policy(&["am"]));
        world.until(round + 40);
        let (alerts, ended, why) = shown(&world);
        assert_eq!((alerts, ended), (1, 0), "it fires on");
        assert!(why.starts_with("kept up since 2023-11-14T22:13:30.000Z; am fails since "), "{why}");
    }
    // One that ended while nobody was to know of it has ended there, too.
    world.reload(policy_of(&shadow, &["am"]));
    world.executions("a", 1_000, 0);
    world.until(300);
    let view = world.engine.view();
    assert_eq!((view.alerts.len(), view.ended.len()), (0, 1));
    let why = &view.ended[0].messages.receivers[0].why;
    assert!(
        why.starts_with(
            "its end as severity=critical at 2023-11-14T22:17:20.000Z is not told yet, kept up there since "
        ),
        "{why}"
    );
    world.down.clear();
    world.until(400);
    assert_eq!(world.engine.view().ended, []);
}

#[test]
fn an_alert_that_a_peer_gave_up_for_want_of_news_is_kept_up_anew() {
    let mut world = World::new(&["am"]);
    world.executions("a", 80, 20);
    world.until(100);
    world.down.insert("am");
    // It was told at 70 s, and to believe it for four minutes.
    world.until(300);
    let kept =
        "kept up since 2023-11-14T22:13:30.000Z; am fails since 2023-11-14T22:15:30.000Z: down; next attempt at ";
    assert!(lines(&world)[0].contains(kept), "{:?}", lines(&world));
    world.until(330);
    let ended =
        "kept up until 2023-11-14T22:18:30.000Z; am fails since 2023-11-14T22:15:30.000Z: down; next attempt at ";
    assert!(lines(&world)[0].contains(ended), "{:?}", lines(&world));
    world.down.clear();
    world.until(340);
    let back = world.taken.last().expect("it is told").0;
    let anew = format!("Some({back}) Some({}) kept up since 2023-11-14T22:18:5", back + 60);
    assert!(lines(&world)[0].starts_with(&anew), "{:?}", lines(&world));
    // A shorter outage is none to the alert.
    world.down.insert("am");
    world.until(500);
    world.down.clear();
    world.until(520);
    assert!(lines(&world)[0].contains("kept up since 2023-11-14T22:18:5"), "{:?}", lines(&world));
}

#[test]
fn another_episode_is_kept_up_since_it_was_told_of_itself() {
    let mut world = World::new(&["am"]);
    world.executions("a", 80, 20);
    world.until(100);
    world.executions("a", 800, 0);
    world.until(200);
    assert_eq!(world.engine.view().alerts, []);
    world.down.insert("am");
    world.executions("a", 0, 900);
    world.until(230);
    let lines = lines(&world);
    assert!(lines[0].starts_with("None ") && lines[0].contains(" am fails since "), "{lines:?}");
}

#[test]
fn what_a_peer_hears_late_and_is_not_true_any_more_is_made_good() {
    let mut world = World::new(&["am"]);
    world.priced(200, 50.0);
    world.slow = Some(Vec::new());
    world.priced(400, 500.0);
    world.priced(600, 50.0);
    let warning = |world: &World| {
        let taken = world.reports.iter().filter_map(|r| if let Report::Notification(n) = r { Some(n) } else { None });
        let first = taken.clone().next().expect("it is queued").id.clone();
        taken.filter(|n| n.id == first).map(|n| n.status).collect::<Vec<_>>()
    };
    use NotificationStatus::{Delivered, Queued};
    assert_eq!(warning(&world), [Queued, Delivered]);
    world.answer_slow(&Attempt::Done);
    assert_eq!(warning(&world), [Queued, Delivered, Queued, Delivered], "it believed that the warning is over");
}

#[test]
fn an_alert_that_ended_is_the_same_whoever_waits() {
    let mut mixed = Arc::unwrap_or_clone(policy(&["am"]));
    mixed.settings.receivers.push(hook("ops"));
    let mut world = World { engine: Engine::new(Arc::new(mixed), State::default()), ..World::new(&[]) };
    world.priced(200, 500.0);
    world.priced(400, 50.0);
    world.down.extend(["am", "ops"]);
    world.priced(600, 1.0);
    let ended = |world: &World| world.engine.view().ended.iter().map(|ended| ended.alert.severity).collect::<Vec<_>>();
    assert_eq!(ended(&world), [Severity::Critical]);
    world.down.remove("ops");
    world.until(610);
    assert_eq!(ended(&world), [Severity::Critical]);
    assert_eq!(world.engine.view().ended[0].messages.receivers.len(), 1, "ops has it");
}

#[test]
fn an_alertmanager_is_not_said_to_keep_up_what_begins_outside_of_its_hours() {
    let hours = "    window: 1m\n    active_hours: {times: \"23:00-23:30\"}\n";
    let rules = SAID.replace("    window: 1m\n", hours);
    let mut world = World { engine: Engine::new(policy_of(&rules, &["am"]), State::default()), ..World::new(&[]) };
    let said = |world: &World| {
        let telling = world.engine.why(world.at(), "dear", "a").expect("it is known").telling;
        let ways = telling.ways.into_iter().map(|way| (way.receiver, way.active, way.why));
        (telling.mutes.len(), ways.collect::<Vec<_>>())
    };
    world.priced(100, 1.0);
    let routes = "an Alertmanager: kept up while the alert fires, it routes by itself";
    assert_eq!(said(&world).1, [("am".to_owned(), false, routes.to_owned())]);
    world.priced(200, 50.0);
    assert_eq!(said(&world), (1, vec![("am".to_owned(), false, String::new())]), "nothing while it is muted");
    assert_eq!(world.taken.len(), 0);
}

#[test]
fn a_refusal_is_not_shown_while_the_peer_fails_otherwise() {
    let mut world = World { refusing: BTreeSet::from(["am"]), ..World::new(&["am"]) };
    world.executions("a", 80, 20);
    world.until(130);
    let message = |world: &World| world.engine.view().messages[0].receivers[0].clone();
    assert!(message(&world).refused.is_some(), "{:?}", message(&world));
    world.down.insert("am");
    world.error = "answered 429";
    world.until(200);
    assert_eq!(message(&world).refused, None);
    assert!(
        message(&world).why.starts_with("am fails since 2023-11-14T22:16:30.000Z: answered 429"),
        "{:?}",
        message(&world)
    );
    world.down.clear();
    world.until(210);
    let since = Some("2023-11-14T22:13:30.000Z".to_owned());
    assert_eq!(message(&world).refused.map(|refused| refused.since.to_string()), since, "it never took it");
}

#[test]
fn nothing_is_told_again_in_the_past() {
    let mut world = World::new(&["am"]);
    world.priced(205, 50.0);
    // Until the changed rule is judged nothing is said.
    let mut milder = Arc::unwrap_or_clone(policy_of(&RULES.replace("> 10,", "> 11,"), &["am"]));
    milder.settings.receivers[0].send_resolved = false;
    world.reload(Arc::new(milder));
    let message = world.engine.view().messages[0].receivers[0].clone();
    assert!(message.next.is_none_or(|next| next >= world.at()), "{message:?}");
    assert!(message.why.ends_with(", told again now"), "{message:?}");
}

#[test]
fn a_peer_is_said_once_to_fail_and_once_to_answer_again() {
    let mut world = World { down: BTreeSet::from(["am"]), ..World::new(&["am"]) };
    world.executions("a", 80, 20);
    world.until(60);
    world.executions("b", 80, 20);
    world.until(120);
    world.down.clear();
    world.until(300);
    let said = |report: &Report| match report {
        Report::Failing(failing) => Some(format!("{} {}", failing.receiver, failing.reason)),
        Report::Answers(again) => Some(format!("{} since {}", again.receiver, again.since)),
        _ => None,
    };
    let said: Vec<String> = world.reports.iter().filter_map(said).collect();
    assert_eq!(said, ["am down", "am since 2023-11-14T22:13:30.000Z"]);
}

#[test]
fn a_peer_is_told_first_what_was_decided_on() {
    let rules = SAID.replace("{{ value }} > {{ threshold }}", "{{ value }} for {{ duration }}");
    let mut world = World { engine: Engine::new(policy_of(&rules, &["am"]), State::default()), ..World::new(&[]) };
    world.priced(10, 50.0);
    // The evaluation was due before what wakes the engine.
    let late = Timestamp(START + 10_200);
    while world.taken.is_empty() && world.now < 100 {
        let effects = world.engine.handle(Timestamp(late.0 + world.now * 1_000), Event::Deadline);
        world.answer(world.at(), effects);
        world.now += 1;
    }
    assert_eq!(world.taken[0].2[0].2, "50 for 0s warning");
}
