//! Silences, maintenance and hours.

use crate::plan::{DOWN, LATE, Plan, incident, lines, policy_of, silence, telling};
use evenkeel::engine::event::{Command, Delivery};
use evenkeel::engine::{Engine, State};
use evenkeel::model::Severity;

#[test]
fn a_silence_holds_back_until_it_ends_or_is_taken_back() {
    let mut plan = Plan::new("routes:\n- {receivers: [ops], repeat_interval: 1m}\n");
    plan.agent("b", "down");
    plan.until(2);
    plan.command(Command::Silence(silence("agent=a|b", &plan, 300)));
    plan.agent("a", "down");
    plan.until(200);
    assert_eq!(plan.told("ops"), ["2 firing b/down"], "neither the new one nor the repeat");
    assert!(plan.why("a").starts_with("silenced by ada until "), "{}", plan.why("a"));
    plan.agent("b", "ok");
    plan.until(250);
    assert!(plan.told("ops")[1].ends_with("ended b/down"), "what was told is ended");
    plan.until(310);
    assert_eq!(plan.told("ops")[2..], ["302 firing a/down"]);
    plan.agent("c", "down");
    plan.command(Command::Silence(silence("agent=c", &plan, 3_000)));
    plan.until(320);
    plan.command(Command::ExpireSilence { id: "s1".into() });
    plan.until(330);
    assert!(plan.told("ops").iter().any(|line| line.ends_with("firing c/down")), "{:?}", plan.told("ops"));
}

#[test]
fn what_nobody_is_told_of_because_of_its_hours_holds_nothing_back() {
    // 2026-05-28T20:26:40Z is the start.
    let covers = "covers: [down], by: provider, min_samples: 1, severity: critical";
    let hours = "active_hours: \"20:30-21:00\"";
    let outage = format!("- {{name: outage, condition: alerting_agents >= 2, {covers}, {hours}}}\n");
    let mut plan = incident(&format!("alerts:\n- {DOWN}\n{outage}"), "routes:\n- {receivers: [ops], group_wait: 5s}\n");
    plan.until(60);
    assert_eq!(plan.told("ops"), ["7 firing x/down", "7 firing y/down"]);
    // Those that begin in its hours are held back, and why says so.
    plan.until(230);
    assert_eq!(plan.told("ops")[2..], ["205 firing -/outage"]);
    plan.agent("z", "down at openai");
    plan.until(260);
    assert_eq!(plan.told("ops").len(), 3);
    assert_eq!(telling(&plan, "down", "z").0, ["inhibited by outage on provider=openai while that fires"]);

    let slow = "{name: slow, condition: p95_latency > 20s, window: 10s, min_samples: 1}";
    let rules = format!("alerts:\n- {}\n- {slow}\n", DOWN.replace("severity", &format!("{hours}, severity")));
    let inhibit = "inhibit:\n- {source: alertname=down, target: alertname=slow, equal: [agent]}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, inhibit), State::default()), ..Plan::new("") };
    plan.agent("a", "down slow");
    plan.until(60);
    assert_eq!(plan.told("ops"), ["2 firing a/slow"]);
    assert_eq!(telling(&plan, "slow", "a").0, [""; 0]);
    plan.agent("b", "down slow");
    plan.until(220);
    assert_eq!(plan.told("ops")[1..], ["62 firing b/slow", "200 firing a/down", "200 firing b/down"]);
}

#[test]
fn what_holds_back_without_an_end_says_so_and_how_to_end_it() {
    let holds = |routing: &str| {
        let mut plan = Plan::new(routing);
        plan.agent("a", "down");
        plan.until(20);
        let why = plan.why("a");
        for mute in &plan.engine.view().messages[0].mutes {
            assert_eq!((&mute.why, mute.until.is_some()), (&why, why.contains(" until ")));
        }
        why
    };
    let maintenance =
        |hours: &str| holds(&format!("maintenance:\n- {{name: work, matchers: [agent=a], hours: {hours}}}\n"));
    let endless = "maintenance `work` of the configuration, which has no end: delete it there to end it";
    assert_eq!(maintenance("mon-sun"), endless);
    assert_eq!(maintenance("[mon-fri 00:00-24:00, \"sat,sun\"]"), endless);
    // Until nothing of it holds, not until another stretch begins.
    let long = maintenance("[thu 20:00-20:30, thu 20:28-21:00]");
    assert_eq!(long, "maintenance `work` until 2026-05-28T21:00:00.000Z");

    let route = |hours: &str| holds(&format!("routes:\n- {{receivers: [ops, team], {hours}}}\n"));
    assert_eq!(route("mute: mon-sun"), "muted by `mute: mon-sun` of the route, which has no end");
    assert_eq!(
        route("active_hours: 2026-01-01T00:00:00Z/2026-01-02T00:00:00Z"),
        "outside `active_hours: 2026-01-01T00:00:00Z/2026-01-02T00:00:00Z` of the route, which come no more"
    );
    assert_eq!(
        route("active_hours: mon, mute: mon"),
        "kept by `active_hours: mon` of the route, which come no more without its `mute: mon`"
    );
}

#[test]
fn a_route_that_is_muted_says_so() {
    let routes = "routes:\n- {receivers: [ops], mute: \"thu 20:00-20:30\"}\n";
    let mut plan = Plan::new(routes);
    plan.agent("a", "down");
    plan.until(20);
    let until = "muted until 2026-05-28T20:30:00.000Z";
    assert_eq!(plan.why("a"), until);
    plan.agent("b", "ok");
    plan.until(30);
    assert_eq!(telling(&plan, "down", "b").1, [format!("ops: its route is {until}")]);
    plan.until(300);
    assert_eq!(plan.told("ops"), ["200 firing a/down"]);
}

#[test]
fn an_alert_that_got_graver_outside_of_its_hours_is_told_so_when_they_begin() {
    let hours = "active_hours: [\"20:00-20:28\", \"20:32-21:00\"]";
    let late = format!(
        "alerts: [{{name: late, levels: {{warning: p50_latency > 100s, critical: p50_latency > 200s}}, window: 10s, min_samples: 1, {hours}}}]"
    );
    let mut plan = Plan {
        engine: Engine::new(policy_of(&late, "routes:\n- {receivers: [ops]}\n"), State::default()),
        ..Plan::new("")
    };
    plan.agent("a", "late");
    plan.until(100);
    plan.agent("a", "latest");
    plan.until(130);
    assert_eq!(lines(&plan), ["ops: outside of the rule's active hours until 2026-05-28T20:32:00.000Z"]);
    plan.until(400);
    assert_eq!(plan.told("ops"), ["2 firing a/late", "320 firing a/late"]);
}

#[test]
fn what_an_alert_came_to_outside_of_its_hours_is_news_when_they_begin_although_it_was_repeated() {
    let hours = "active_hours: [\"20:00-20:28\", \"20:30-21:00\"]";
    let rules = format!("alerts:\n- {}, {hours}}}\n- {DOWN}\n", LATE.trim_end_matches('}'));
    let route = "routes:\n- {receivers: [ops], repeat_interval: 1m}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, route), State::default()), ..Plan::new("") };
    plan.agent("a", "late");
    plan.until(100);
    plan.agent("a", "latest");
    plan.until(190);
    assert_eq!(plan.told("ops"), [2, 62, 122, 182].map(|second| format!("{second} firing a/late")));
    assert!(plan.why("a").starts_with("repeat at "), "{}", plan.why("a"));
    // Until then it is what its receiver knows, with the newest value against the limit of that.
    let said = |plan: &Plan| -> Vec<(Severity, String, Option<f64>, Option<f64>)> {
        let of = |delivery: &Delivery| delivery.notification().expect("about alerts").lead().clone();
        let all = plan.got.iter().filter(|(_, to, _)| to == "ops").map(|(_, _, delivery)| of(delivery));
        all.map(|alert| (alert.severity, alert.condition, alert.value, alert.threshold)).collect()
    };
    let (mild, grave) = ("p50_latency > 100s".to_owned(), "p50_latency > 200s".to_owned());
    assert_eq!(said(&plan)[3], (Severity::Warning, mild, Some(300_000.0), Some(100_000.0)));
    plan.until(230);
    assert_eq!(plan.told("ops")[4..], ["200 firing a/late"], "its hours begin");
    assert_eq!(said(&plan)[4], (Severity::Critical, grave, Some(300_000.0), Some(200_000.0)));

    // One that was not told before they ended is in no message until they begin.
    let route = "routes:\n- {receivers: [ops], group_by: [], group_wait: 60s, group_interval: 1s}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, route), State::default()), ..Plan::new("") };
    plan.until(50);
    plan.agent("b", "down");
    plan.agent("a", "late");
    plan.until(85);
    plan.agent("a", "latest");
    plan.until(100);
    assert_eq!(plan.why("a"), "outside of the rule's active hours until 2026-05-28T20:30:00.000Z");
    plan.until(230);
    assert_eq!(plan.told("ops"), ["112 firing b/down", "200 firing a/late b/down"]);
}

/// What nobody was told it came to outside of its rule's hours, nobody is told when it ends there or is taken on.
#[test]
fn an_alert_that_rose_outside_of_its_hours_ends_as_what_was_told() {
    let hours = "active_hours: [\"20:00-20:28\", \"20:50-21:00\"]";
    let rules = format!("alerts:\n- {}, {hours}}}\n- {DOWN}\n", LATE.trim_end_matches('}'));
    let route = "routes:\n- {receivers: [ops], group_by: [], group_wait: 1s, group_interval: 1s}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, route), State::default()), ..Plan::new("") };
    plan.agent("a", "late");
    plan.until(100);
    plan.agent("a", "latest");
    plan.until(150);
    // The news of another one in its group shows it, too.
    plan.agent("b", "down");
    plan.until(200);
    plan.agent("a", "ok");
    plan.until(230);
    let said: Vec<String> = plan
        .got
        .iter()
        .filter(|(_, to, _)| to == "ops")
        .flat_map(|(_, _, delivery)| delivery.notification().expect("about alerts").alerts.clone())
        .filter(|alert| alert.rule == "late")
        .map(|alert| format!("{} {} {}", alert.state.as_str(), alert.severity.as_str(), alert.condition))
        .collect();
    let firing = "firing warning p50_latency > 100s";
    assert_eq!(said, [firing, firing, "resolved warning p50_latency > 100s"]);
}

/// A plan begins at 20:26:40.
#[test]
fn it_is_known_when_what_is_shown_changes_though_nothing_happens() {
    let rules = "alerts: [{name: down, condition: error_rate > 50%, window: 10s, active_hours: \"21:00-23:30\"}]";
    let routing = "maintenance: [{name: nightly, matchers: [\"agent=a\"], hours: [\"22:00-23:00\"]}]\n\
                   routes: [{receivers: [ops], active_hours: \"20:00-21:30\", mute: \"22:30-22:45\"}]\n";
    let mut plan = Plan { engine: Engine::new(policy_of(rules, routing), State::default()), ..Plan::new("") };
    plan.command(Command::Silence(silence("agent=a", &plan, 300)));
    let mut at = plan.at();
    let mut changes = Vec::new();
    while changes.len() < 9 {
        at = plan.engine.next_change(at).expect("the next day comes");
        changes.push(at.to_rfc3339()[11..16].to_owned());
    }
    let expected = ["20:31", "21:00", "21:30", "22:00", "22:30", "22:45", "23:00", "23:30", "20:00"];
    assert_eq!(changes, expected);
    assert_eq!(Plan::new("").engine.next_change(at), None);
}
