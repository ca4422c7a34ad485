//! Alerts that another route leads to the same receiver, as they get graver and milder.

use crate::plan::{FIRES, OVER, Plan, RULES, late_on, levels_told, with_pager};
use evenkeel::model::Severity;

/// Seconds of the messages to `ops`, and how grave the alert is in each.
fn said(plan: &Plan) -> Vec<(i64, Severity)> {
    let alerts = plan.got.iter().filter(|(_, to, _)| to == "ops");
    alerts.map(|(at, _, d)| (*at, d.notification().expect("about alerts").lead().severity)).collect()
}

/// A plan begins at 20:26: the route of milder alerts says nothing before the next morning.
#[test]
fn a_critical_alert_does_not_wait_for_the_hours_of_the_route_that_it_was_on_as_a_milder_one() {
    for by in ["", ", group_by: [alertname]", ", group_by: [severity]"] {
        for (first, hours) in [("late", "08:00-18:00"), ("ok", "08:00-18:00"), ("late", "00:00-20:28")] {
            let mut plan = late_on(&format!(
                "routes:\n- {{matchers: [severity=critical], receivers: [ops]}}\n\
                 - {{receivers: [ops], active_hours: \"{hours}\"{by}, group_wait: 0s, group_interval: 1s}}\n"
            ));
            plan.agent("a", first);
            plan.until(120);
            let before = said(&plan).len();
            plan.agent("a", "latest");
            plan.until(300);
            let critical: Vec<_> = said(&plan).split_off(before);
            assert!(
                matches!(critical[..], [(120..=160, Severity::Critical)]),
                "first {first}, hours {hours}{by}: {critical:?}"
            );
            plan.agent("a", "ok");
            plan.until(400);
            let last = levels_told(&plan, "ops").pop();
            assert_eq!(last, Some((OVER, Severity::Critical)), "first {first}, hours {hours}{by}");
        }
    }
}

#[test]
fn an_alert_is_told_and_repeated_as_the_route_has_it_that_leads_to_it_now() {
    let mut plan = late_on(
        "routes:\n- {matchers: [severity=critical], receivers: [ops], repeat_interval: 1m}\n\
         - {receivers: [ops], group_wait: 5m}\n",
    );
    plan.agent("a", "late");
    plan.until(30);
    assert_eq!(said(&plan), []);
    plan.agent("a", "latest");
    plan.until(180);
    let first = said(&plan).first().map_or(i64::MAX, |(at, _)| *at);
    assert!(first < 60, "it does not wait with the milder ones: {:?}", said(&plan));
    let minutes = [0, 60, 120].map(|after| (first + after, Severity::Critical));
    assert_eq!(said(&plan), minutes, "it is repeated every minute");
    plan.agent("a", "late");
    plan.until(600);
    assert!(said(&plan).len() <= 4, "milder ones are not repeated: {:?}", said(&plan));
    assert!(levels_told(&plan, "ops").iter().all(|(state, _)| *state == FIRES));
}

/// A rise of its only alert has the group follow the route of graver ones, for as long as one of these fires in it. What
/// stays in the end, with the route that repeats it, is told every minute.
#[test]
fn a_group_follows_the_route_of_graver_alerts_while_one_of_these_fires_in_it() {
    let (by, repeated) = ("group_by: [alertname], group_wait: 0s, group_interval: 1s", ", repeat_interval: 1m");
    for (critical, others, gone) in [("", repeated, "a"), (repeated, "", "w")] {
        let mut plan = late_on(&format!(
            "routes:\n- {{matchers: [severity=critical], receivers: [ops], {by}{critical}}}\n- {{receivers: [ops], {by}{others}}}\n"
        ));
        for (agent, wrong, second) in [("a", "late", 20), ("a", "latest", 40), ("w", "late", 60), (gone, "ok", 80)] {
            plan.agent(agent, wrong);
            plan.until(second);
        }
        let before = said(&plan).len();
        plan.until(80 + 150);
        assert_eq!(said(&plan).len(), before + 2, "without {gone}: {:?}", plan.told("ops"));
    }
}

#[test]
fn alerts_that_get_graver_together_are_a_flood_where_they_are_led_then() {
    for first in ["late", "latest"] {
        let mut plan = with_pager(RULES, "damping: {flood: 3}\n");
        plan.agent("00", first);
        (1..30).for_each(|n| plan.agent(&format!("{n:02}"), "late"));
        plan.until(20);
        (0..30).for_each(|n| plan.agent(&format!("{n:02}"), "latest"));
        plan.until(50);
        assert!(plan.told("ops").len() <= 2, "first {first}: {:?}", plan.told("ops"));
    }
}
