//! More alerts than the queue of an Alertmanager holds.

use std::sync::Arc;

use crate::world::{RULES, World, history, lines, not_told, policy, rows};
use evenkeel::engine::event::AlertState;
use evenkeel::engine::{Engine, State};
use evenkeel::policy::{Policy, PolicySource};

#[test]
fn a_former_level_is_no_end_where_the_next_one_finds_no_room() {
    let mut world = World::new(&["am"]);
    let mut crowded = Arc::unwrap_or_clone(policy(&["am"]));
    crowded.settings.limits.outbox = 1;
    world.engine = Engine::new(Arc::new(crowded), State::default());
    world.priced(200, 50.0);
    world.slow = Some(Vec::new());
    world.priced(400, 500.0);
    assert_eq!(world.engine.view().ended, []);
    let line = lines(&world).concat();
    assert!(line.contains("not kept up: there are as many alerts already"), "{line}");
    assert!(
        line.contains("; its end as severity=warning at 2023-11-14T22:16:45.000Z is told now (goes on as "),
        "{line}"
    );
}

#[test]
fn an_alert_that_finds_no_room_is_not_called_kept_up() {
    let world = crowded();
    let whys: Vec<String> =
        world.engine.view().messages.iter().map(|messages| messages.receivers[0].why.clone()).collect();
    assert_eq!(whys[0], "not kept up: there are as many alerts already as `limits.outbox` allows");
    assert!(whys[1].starts_with("kept up since "), "{whys:?}");
}

#[test]
fn what_found_no_room_and_was_told_later_is_told() {
    // What was never said waits for room alone, not for the interval of its group.
    let config = "receivers: [{name: ops, webhook: {url: 'http://127.0.0.1:1'}}]
routes: [{receivers: [ops], group_by: [agent], group_interval: 1h}]\nlimits: {outbox: 10}";
    let source = PolicySource {
        config: Some(("evenkeel.yaml".to_owned(), config.to_owned())),
        rules: vec![("rules.yaml".to_owned(), RULES.to_owned())],
        ..PolicySource::default()
    };
    let (policy, faults) = Policy::load(&source, std::path::Path::new(""));
    let policy = Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}")));
    let mut world = World { engine: Engine::new(policy, State::default()), ..World::new(&[]) };
    world.down.insert("ops");
    let agents: Vec<String> = (0..16).map(|n| format!("a{n:02}")).collect();
    agents.iter().for_each(|agent| world.executions(agent, 80, 20));
    world.until(60);
    let states = |world: &World, status: &str| not_told(world).iter().filter(|row| row.contains(status)).count();
    assert_eq!((states(&world, " queued down") > 0, states(&world, " dropped the queue holds")), (true, 6));
    world.down.clear();
    world.until(200);
    let dropped = "SELECT count(*) || '' FROM deliveries WHERE status = 'dropped'";
    assert_eq!(history(&world, dropped).concat(), ["6"], "the messages were dropped");
    assert_eq!(not_told(&world), [""; 0], "and what they said was told in others");
}

/// Room for one alert alone, which b has, and a has not.
fn crowded() -> World {
    let mut world = World::new(&["am"]);
    let mut policy = Arc::unwrap_or_clone(policy(&["am"]));
    policy.settings.limits.outbox = 1;
    world.engine = Engine::new(Arc::new(policy), State::default());
    world.executions("b", 80, 20);
    world.until(20);
    world.executions("a", 80, 20);
    world.until(40);
    assert_eq!(not_told(&world), [NO_ROOM]);
    world
}

const NO_ROOM: &str = "am a firing dropped there are as many alerts already as `limits.outbox` allows";

#[test]
fn what_found_no_room_is_told_when_there_is() {
    let mut world = crowded();
    // Asking for it again is no further loss.
    world.reload(Arc::clone(world.engine.policy()));
    world.until(50);
    assert_eq!(world.engine.view().counters.outbox_dropped, 1);
    world.executions("b", 1_000, 0);
    world.until(62);
    let said: Vec<_> = world.taken.iter().flat_map(|t| &t.2).map(|(who, state, _)| (who.as_str(), *state)).collect();
    assert_eq!(said[said.len() - 2..], [("agent=b", AlertState::Resolved), ("agent=a", AlertState::Firing)]);
    assert!(lines(&world)[0].starts_with("Some(55) Some(115) kept up since "), "{:?}", lines(&world));
    world.executions("a", 1_000, 0);
    world.until(200);
    assert_eq!(not_told(&world), [""; 0]);
    assert_eq!(rows(&world)[..2], ["am a firing delivered", "am a resolved delivered"]);
    assert_eq!(world.engine.view().counters.outbox_dropped, 1);
}

#[test]
fn what_found_no_room_and_ended_is_told_no_more() {
    let mut world = crowded();
    world.executions("a", 1_000, 0);
    world.until(100);
    world.executions("b", 1_000, 0);
    world.until(200);
    assert_eq!(not_told(&world), [NO_ROOM]);
    assert_eq!(rows(&world), ["am a firing dropped", "am b firing delivered", "am b resolved delivered"]);
}

#[test]
fn an_end_that_cannot_be_told_makes_room_for_what_fires() {
    let mut world = crowded();
    world.down.insert("am");
    world.executions("b", 1_000, 0);
    world.until(70);
    let end = "am b resolved dropped there are as many alerts already as `limits.outbox` allows";
    assert_eq!(not_told(&world), ["am a firing queued down", end]);
    assert!(lines(&world)[0].contains(" am fails since "), "{:?}", lines(&world));
    world.down.clear();
    world.until(80);
    assert_eq!(not_told(&world), [end]);
}

#[test]
fn what_waits_for_a_day_is_given_up_in_the_history() {
    let mut world = World::new(&["am"]);
    world.executions("b", 80, 20);
    world.until(20);
    world.down.insert("am");
    world.until(50);
    world.executions("b", 1_000, 0);
    world.until(24 * 3_600);
    assert_eq!(not_told(&world), ["am b resolved queued down"]);
    world.until(24 * 3_600 + 100);
    assert_eq!(not_told(&world), ["am b resolved expired not delivered within 1d: down"]);
}
