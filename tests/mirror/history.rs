//! What the history says of alerts at Alertmanagers.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::world::{World, history, hook, not_told, policy, rows};
use evenkeel::engine::event::{Attempt, NotificationStatus, Report};
use evenkeel::engine::{Engine, State};

#[test]
fn after_an_outage_the_history_says_of_nobody_that_they_were_not_told() {
    let mut world = World::new(&["am"]);
    world.executions("a", 80, 20);
    world.until(30);
    assert_eq!(rows(&world), ["am a firing delivered"]);
    for outage in [100, 400] {
        world.down.insert("am");
        world.until(outage);
        let agent = if outage == 100 { "b" } else { "c" };
        world.executions(agent, 80, 20);
        world.until(outage + 200);
        // What it was told stays told, however often saying it again fails.
        assert_eq!(not_told(&world), [format!("am {agent} firing queued down")]);
        world.down.clear();
        world.until(outage + 210);
        assert_eq!(not_told(&world), [""; 0]);
    }
    assert_eq!(rows(&world), ["am a firing delivered", "am b firing delivered", "am c firing delivered"]);
    // Its end, too, is one row, however often it is said.
    world.executions("a", 1_000, 0);
    world.until(2_000);
    assert_eq!(rows(&world)[..2], ["am a firing delivered", "am a resolved delivered"]);
    assert_eq!(rows(&world).len(), 4);
}

#[test]
fn what_waits_when_an_outage_begins_has_its_reason() {
    let mut world = World::new(&["am"]);
    world.down.insert("am");
    world.executions("a", 80, 20);
    world.executions("b", 80, 20);
    world.until(60);
    assert_eq!(not_told(&world), ["am a firing queued down", "am b firing queued down"]);
    let failing = |world: &World| world.reports.iter().filter(|report| matches!(report, Report::Failing(_))).count();
    assert_eq!(failing(&world), 1, "it is said once");
    // And again when it is another one.
    world.error = "answered 502";
    world.until(120);
    assert_eq!(not_told(&world), ["am a firing queued answered 502", "am b firing queued answered 502"]);
    assert_eq!(failing(&world), 2);
}

#[test]
fn a_row_counts_its_own_attempts() {
    let mut world = World::new(&["am"]);
    world.down.insert("am");
    world.executions("a", 80, 20);
    world.until(60);
    let many = world.attempts["am"];
    assert!(many > 5, "{many}");
    let row =
        |agent| format!("SELECT attempts || '' FROM deliveries WHERE json_extract(subject, '$.agent') = '{agent}'");
    world.executions("b", 80, 20);
    world.until(80);
    let begins = world.reports.iter().rev().find_map(|report| match report {
        Report::Notification(n) if n.status == NotificationStatus::Queued => Some((n.subject.to_string(), n.attempts)),
        _ => None,
    });
    assert_eq!(begins, Some(("agent=b".to_owned(), 0)), "whatever failed before");
    world.error = "answered 502";
    world.until(88);
    world.down.clear();
    world.until(100);
    let count = |agent| -> u32 { history(&world, &row(agent)).concat()[0].parse().expect("a number") };
    let (a, b) = (count("a"), count("b"));
    assert_eq!(a, world.attempts["am"], "each request held it");
    assert!((1..a - 4).contains(&b), "{b} of {a}");
    // What was never tried was never tried.
    world.down.insert("am");
    world.slow = Some(Vec::new());
    world.executions("a", 1_000, 0);
    world.until(130);
    world.answer_slow(&Attempt::Retry { reason: "down".into(), after: None });
    world.executions("c", 80, 20);
    world.until(145);
    world.reload(policy(&["bm"]));
    let row = "SELECT status || ' ' || attempts FROM deliveries WHERE receiver = 'am' AND json_extract(subject, '$.agent') = 'c'";
    assert_eq!(history(&world, row).concat(), ["dropped 0"]);
}

#[test]
fn a_refused_level_is_told_apart_and_made_up_for_by_a_graver_one() {
    let mut hooked = Arc::unwrap_or_clone(policy(&[]));
    hooked.settings.receivers = vec![hook("ops")];
    let hooked = Arc::new(hooked);
    let severities = |world: &World| history(world, "SELECT severity || ' ' || status FROM untold ORDER BY 1").concat();
    for (refuses, left) in [(true, vec!["critical refused", "warning refused"]), (false, vec![])] {
        let engine = Engine::new(hooked.clone(), State::default());
        let mut world = World { engine, refusing: BTreeSet::from(["ops"]), ..World::new(&[]) };
        world.priced(200, 50.0);
        let failing = world.engine.view().receivers[0].clone();
        assert!(failing.refusing_since.is_some() && failing.failing_since.is_none(), "{failing:?}");
        assert_eq!(severities(&world), ["warning refused"]);
        world.refusing.retain(|_| refuses);
        world.priced(400, 500.0);
        assert_eq!(severities(&world), left);
        assert_eq!(world.engine.view().receivers[0].refusing_since.is_some(), refuses);
    }
}

#[test]
fn of_an_alert_that_ended_during_an_outage_the_history_says_that_its_beginning_was_not_told() {
    let mut world = World::new(&["am", "bm"]);
    world.down.insert("am");
    world.executions("a", 80, 20);
    world.until(100);
    world.executions("a", 1_000, 0);
    world.until(200);
    // It never heard the beginning, so there is no end that it is to know.
    let superseded = "am a firing superseded the alert changed before it was told: down";
    assert_eq!(not_told(&world), [superseded]);
    world.down.clear();
    world.until(300);
    assert_eq!(not_told(&world), [superseded]);
}

#[test]
fn a_row_counts_on_when_its_state_comes_back() {
    let mut world = World::new(&["am"]);
    let attempts = |world: &World| {
        let row = "SELECT status || ' ' || attempts FROM deliveries WHERE severity = 'warning' AND state = 'firing'";
        history(world, row).concat().concat()
    };
    world.priced(100, 50.0);
    world.priced(200, 500.0);
    assert_eq!(attempts(&world), "delivered 1", "however often it was said again");
    world.down.insert("am");
    world.priced(300, 50.0);
    let failed: u32 = {
        world.error = "answered 502";
        world.priced(330, 50.0);
        attempts(&world).strip_prefix("queued ").expect("it waits").parse().expect("a number")
    };
    assert!(failed > 2, "{failed}");
    world.priced(430, 500.0);
    assert!(attempts(&world).starts_with("superseded "), "{}", attempts(&world));
    let before: u32 = attempts(&world)["superseded ".len()..].parse().expect("a number");
    assert!(before >= failed, "{before} < {failed}");
    world.priced(530, 50.0);
    world.down.clear();
    world.priced(600, 50.0);
    let after: u32 = attempts(&world).strip_prefix("delivered ").expect("it has it").parse().expect("a number");
    assert!(after > before, "{after} <= {before}");
}

#[test]
fn what_an_alertmanager_refuses_is_refused_in_the_history_until_it_takes_it() {
    let mut world = World::new(&["am"]);
    world.refusing.insert("am");
    world.executions("a", 80, 20);
    world.until(130);
    assert_eq!(not_told(&world), ["am a firing refused 400 Bad Request"]);
    world.refusing.clear();
    world.until(200);
    assert_eq!(rows(&world), ["am a firing delivered"]);
    assert_eq!(world.engine.view().receivers[0].delivered, 1);
    // What it took once it was told.
    world.refusing.insert("am");
    world.until(300);
    assert_eq!(not_told(&world), [""; 0]);
}

#[test]
fn every_level_of_an_alert_has_its_beginning_and_its_end_in_the_history() {
    let mut world = World::new(&["am", "bm"]);
    world.priced(200, 50.0);
    world.priced(400, 500.0);
    assert_eq!(not_told(&world), [""; 0]);
    let of = |receiver: &str, state: &str| {
        rows(&world).iter().filter(|row| **row == format!("{receiver} a {state} delivered")).count()
    };
    assert_eq!([of("am", "firing"), of("am", "resolved")], [2, 1], "warning, its end, critical: {:?}", rows(&world));
    let reason =
        "SELECT severity || ': ' || reason FROM deliveries WHERE state = 'resolved' AND receiver = 'bm' ORDER BY at";
    assert_eq!(history(&world, reason).concat(), ["warning: goes on as severity=critical"]);
    world.down.insert("am");
    world.priced(600, 50.0);
    assert_eq!(not_told(&world), ["am a firing queued down", "am a resolved queued down"]);
    world.priced(800, 1.0);
    world.down.clear();
    world.priced(900, 1.0);
    assert_eq!(not_told(&world), ["am a firing superseded the alert changed before it was told: down"]);
    assert_eq!(rows(&world).iter().filter(|row| row.starts_with("bm")).count(), 4, "{:?}", rows(&world));
    assert_eq!(
        history(&world, reason).concat(),
        ["critical: goes on as severity=warning", "warning: "],
        "one is its end"
    );
}

#[test]
fn what_changes_while_a_request_is_on_its_way_is_settled_by_what_becomes_of_it() {
    let retry = Attempt::Retry { reason: "slow".into(), after: None };
    let waits = "am a resolved queued ";
    for (result, settled) in [
        (Attempt::Done, "am a firing delivered "),
        (Attempt::Refuse { reason: "400".into() }, "am a firing refused 400"),
        (retry, "am a firing superseded the alert changed before it was told: slow"),
    ] {
        let mut mute = Arc::unwrap_or_clone(policy(&["am"]));
        mute.settings.receivers[0].send_resolved = false;
        let mut world = World { slow: Some(Vec::new()), ..World::new(&[]) };
        world.engine = Engine::new(Arc::new(mute), State::default());
        world.executions("a", 80, 20);
        world.until(20);
        world.executions("a", 1_000, 0);
        world.until(40);
        assert_eq!(world.engine.view().alerts, []);
        assert_eq!(not_told(&world), ["am a firing queued "]);
        // The end is to be told from now on.
        world.reload(policy(&["am"]));
        assert_eq!(not_told(&world), ["am a firing queued ", waits]);
        world.down.insert("am");
        world.answer_slow(&result);
        world.down.clear();
        world.until(60);
        let all = "SELECT 'am a ' || state || ' ' || status || ' ' || reason FROM deliveries ORDER BY 1";
        assert_eq!(history(&world, all).concat(), [settled, "am a resolved delivered "], "{result:?}");
    }
}

#[test]
fn what_a_peer_has_heard_and_nothing_else_since_stays_delivered() {
    let mut world = World::new(&["am"]);
    world.priced(200, 50.0);
    world.down.insert("am");
    // Its end as a warning is not told before it is one again.
    world.priced(400, 500.0);
    world.priced(600, 50.0);
    let critical = "am a firing superseded the alert changed before it was told: down";
    assert!(rows(&world).contains(&"am a firing delivered".to_owned()), "{:?}", rows(&world));
    assert!(not_told(&world).contains(&critical.to_owned()), "{:?}", not_told(&world));
    world.priced(800, 1.0);
    world.down.clear();
    world.priced(900, 1.0);
    let settled = ["firing delivered", "firing superseded", "resolved delivered", "resolved delivered"];
    assert_eq!(rows(&world), settled.map(|row| format!("am a {row}")));
    assert_eq!(not_told(&world), [critical]);
}
