//! Alerts that others make not worth a message, and incidents.

use std::sync::Arc;

use crate::plan::{DOWN, Plan, incident, policy_of, telling};
use evenkeel::engine::{Engine, State};
use evenkeel::model::Severity;

#[test]
fn a_critical_alert_inhibits_the_warning_of_the_same_agent() {
    let mut plan = Plan::new(
        "inhibit:\n- {source: severity=critical, target: severity<critical, equal: [agent]}\n"
            .replace("severity<critical", "severity=warning")
            .as_str(),
    );
    plan.agent("a", "down slow");
    plan.agent("b", "slow");
    plan.until(30);
    let mut told = plan.told("ops");
    told.sort();
    assert_eq!(told, ["2 firing a/down", "2 firing b/slow"]);
    plan.agent("a", "slow");
    plan.until(60);
    let told = plan.told("ops");
    assert!(
        told.iter().any(|l| l.ends_with("ended a/down")) && told.iter().any(|l| l.ends_with("firing a/slow")),
        "{told:?}"
    );
}

#[test]
fn an_inhibition_ends_when_its_source_becomes_too_mild() {
    let mut plan = Plan::new("inhibit:\n- {source: severity=critical, target: alertname=slow, equal: [agent]}\n");
    plan.agent("a", "latest");
    plan.until(30);
    assert_eq!(plan.told("ops"), ["2 firing a/late"]);
    plan.agent("a", "late");
    plan.until(60);
    let told = plan.told("ops");
    assert!(told.len() == 2 && told[1].ends_with("firing a/slow"), "{told:?}");
}

#[test]
fn who_leaves_an_incident_and_goes_on_failing_is_told_of() {
    let rules = "
alerts:
  - {name: down, condition: error_rate > 50%, window: 10s, min_samples: 1}
  - {name: outage, condition: alerting_agents >= 2, covers: [down], by: provider, min_samples: 1, severity: critical}
";
    let route = "routes:\n- {receivers: [ops], group_wait: 5s, group_interval: 10s}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(rules, route), State::default()), ..Plan::new("") };
    for agent in ["x", "y", "z"] {
        plan.agent(agent, "down at openai");
    }
    plan.until(60);
    assert_eq!(plan.told("ops"), ["7 firing -/outage"], "their own alerts are held back");
    plan.agent("x", "down at mistral");
    plan.until(120);
    assert_eq!(plan.told("ops"), ["7 firing -/outage", "67 firing x/down"], "there is no incident at the other one");
    // One for another: as many fail there as before.
    plan.agent("x", "down at openai");
    plan.agent("y", "down at mistral");
    plan.until(180);
    assert_eq!(plan.told("ops")[2..], ["127 firing y/down"]);
}

#[test]
fn an_incident_holds_nothing_back_from_who_is_not_told_of_it() {
    let rules = format!(
        "alerts:\n- {DOWN}\n- {{name: outage, condition: alerting_agents >= 2, covers: [down], by: provider, min_samples: 1}}\n"
    );
    let waits = "group_wait: 5s, group_interval: 10s";
    // Too mild for the pager; not on its routes.
    let apart = format!("- {{matchers: [alertname=outage], receivers: [team], {waits}}}\n");
    for (min_severity, first) in [(Severity::Critical, String::new()), (Severity::Info, apart)] {
        let routes = format!("routes:\n{first}- {{receivers: [ops, team], {waits}}}\n");
        let mut plan = incident(&rules, &routes);
        let mut policy = (**plan.engine.policy()).clone();
        policy.settings.receivers[0].min_severity = min_severity;
        plan.engine = Engine::new(Arc::new(policy), State::default());
        plan.until(60);
        let each = ["7 firing x/down", "7 firing y/down"];
        assert_eq!(
            (plan.told("ops"), plan.told("team")),
            (each.map(String::from).to_vec(), vec!["7 firing -/outage".into()])
        );
        let by = "inhibited by outage on provider=openai while that fires";
        let ways = vec!["ops: nothing more until it ends".to_owned(), format!("team: {by}")];
        assert_eq!(telling(&plan, "down", "x"), (vec![format!("{by}, at team")], ways));
    }
}

#[test]
fn an_alert_that_gets_graver_outside_of_its_hours_inhibits_nothing_from_then_on() {
    let hours = "active_hours: \"20:00-20:28\"";
    let late = format!(
        "{{name: late, levels: {{warning: p50_latency > 100s, critical: p50_latency > 200s}}, window: 10s, min_samples: 1, {hours}}}"
    );
    let rules = format!("alerts:\n- {late}\n- {}\n", DOWN.replace("critical", "warning"));
    let inhibit = "inhibit:\n- {source: alertname=late, target: alertname=down, equal: [agent]}\n";
    let mut plan = Plan { engine: Engine::new(policy_of(&rules, inhibit), State::default()), ..Plan::new("") };
    plan.agent("a", "late down");
    plan.until(100);
    assert_eq!(plan.told("ops"), ["2 firing a/late"]);
    plan.agent("a", "latest down");
    plan.until(130);
    assert_eq!(plan.told("ops").len(), 2, "{:?}", plan.told("ops"));
    assert!(plan.told("ops")[1].ends_with("firing a/down"), "{:?}", plan.told("ops"));
}

#[test]
fn whoever_works_by_now_counts_when_an_incident_would_begin() {
    let rules = "
alerts:
  - {name: down, condition: error_rate > 50%, window: 10s, min_samples: 1}
  - {name: outage, condition: alerting_share > 50%, covers: [down], by: fleet, min_samples: 3, severity: critical}
";
    let mut plan = Plan { engine: Engine::new(policy_of(rules, ""), State::default()), ..Plan::new("") };
    for (agent, does) in [("x", "down"), ("y", "ok"), ("z", "ok")] {
        plan.agent(agent, does);
    }
    // All are counted every two minutes: after 80 and after 200 seconds.
    plan.until(85);
    (0..9).for_each(|agent| plan.agent(&format!("h{agent}"), "ok"));
    plan.until(115);
    plan.agent("y", "down");
    plan.until(160);
    let outage = |plan: &Plan| plan.told("ops").iter().any(|said| said.ends_with("/outage"));
    assert!(!outage(&plan), "2 of 12 agents are no incident: {:?}", plan.told("ops"));
    (0..5).for_each(|agent| plan.agent(&format!("h{agent}"), "down"));
    plan.until(195);
    assert!(outage(&plan), "7 of 12 are: {:?}", plan.told("ops"));
}

#[test]
fn an_incident_that_its_receiver_refuses_holds_nothing_back() {
    let rules = format!(
        "alerts:\n- {DOWN}\n- {{name: outage, condition: alerting_agents >= 2, covers: [down], by: provider, \
         min_samples: 1, severity: critical}}\n"
    );
    let mut plan = incident(&rules, "routes:\n- {receivers: [ops, team], group_wait: 5s, group_interval: 10s}\n");
    plan.refusing.push("ops".to_owned());
    plan.until(60);
    assert_eq!(plan.told("team"), ["7 firing -/outage"]);
    let told = plan.told("ops");
    assert!(told.iter().any(|said| said.ends_with("firing x/down")), "{told:?}");
    let (_, ways) = telling(&plan, "down", "x");
    assert!(ways[0].starts_with("ops: ") && !ways[0].contains("inhibited"), "{ways:?}");
}
