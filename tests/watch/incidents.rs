//! Rules that cover others find the fleet where it is when a reload brings them.

use std::borrow::Cow;

use crate::watch::{Watch, at, policy};
use evenkeel::engine::Engine;
use evenkeel::engine::event::{AlertState, Event};
use evenkeel::model::{Outcome, Record};

const CONFIG: &str = "sources: [{name: log, path: log.jsonl, labels: {team: team}}]\n";
const FAILING: &str = "alerts:\n- {name: failing, condition: last(v) > 10, window: 1h}\n";

fn incident(by: &str) -> String {
    let terms = "covers: [failing], min_samples: 3";
    format!("{FAILING}- {{name: inc, condition: alerting_share > 50%, {terms}, by: {by}}}\n")
}

/// An agent logs a value, at provider P and in team T.
fn log(watch: &mut Watch, second: i64, agent: &'static str, value: f64) {
    let mut record = Record::new("log", agent, Some(at(second)), Outcome::Ok);
    record.provider = Some(Cow::Borrowed("P"));
    record.labels = vec![("team", Cow::Borrowed("T"))];
    record.extra = [("v", value)].into_iter().collect();
    watch.handle(second, Event::Records(&[record]));
}

/// Three of four agents fail under a rule of their own.
fn failing() -> Watch {
    let mut watch = Watch::under(policy(CONFIG, FAILING));
    for (agent, value) in [("a", 15.0), ("b", 15.0), ("c", 15.0), ("d", 5.0)] {
        log(&mut watch, 10, agent, value);
    }
    watch.pass(30);
    assert_eq!(watch.engine.alerts().len(), 3);
    watch
}

/// The incidents that fire.
fn open(engine: &Engine) -> Vec<String> {
    let alerts = engine.alerts().into_iter();
    alerts.filter(|a| a.rule == "inc" && a.state == AlertState::Firing).map(|a| a.subject.to_string()).collect()
}

fn uncounted(engine: &Engine) -> Option<String> {
    let rules = engine.rules(at(0)).into_iter();
    rules.filter(|rule| rule.rule == "inc").find_map(|rule| rule.uncounted).map(|uncounted| uncounted.to_string())
}

#[test]
fn a_reload_that_brings_an_incident_finds_the_fleet_where_it_is() {
    for (by, subject) in [("provider", "provider=P"), ("source", "source=log"), ("fleet", "fleet")] {
        let mut watch = failing();
        watch.obey(60, policy(CONFIG, &incident(by)));
        watch.pass(90);
        assert_eq!(open(&watch.engine), [subject], "nobody logged since");
        assert_eq!(uncounted(&watch.engine), None);
    }
    // So it finds the labels that another rule has read.
    let read = format!("{FAILING}- {{name: busy, condition: executions > 1000, by: team}}\n");
    let mut watch = failing();
    watch.obey(60, policy(CONFIG, &read));
    for agent in ["a", "b", "c", "d"] {
        log(&mut watch, 70, agent, if agent == "d" { 5.0 } else { 15.0 });
    }
    watch.obey(100, policy(CONFIG, &incident("team")));
    watch.pass(120);
    assert_eq!(open(&watch.engine), ["team=T"]);
}

#[test]
fn an_incident_goes_on_when_a_reload_has_another_label_read() {
    let mut watch = failing();
    watch.obey(60, policy(CONFIG, &incident("provider")));
    watch.pass(90);
    let more = incident("provider") + "- {name: more, condition: alerting_agents > 9, covers: [failing], by: team}\n";
    watch.obey(100, policy(CONFIG, &more));
    for second in (120..600).step_by(30) {
        watch.pass(second);
        assert_eq!(open(&watch.engine), ["provider=P"], "at {second}");
    }
}

#[test]
fn of_a_label_that_no_rule_read_it_is_said_that_nobody_is_counted_yet() {
    let mut watch = failing();
    watch.obey(60, policy(CONFIG, &incident("team")));
    watch.pass(90);
    assert_eq!(open(&watch.engine), [""; 0]);
    let why = |watch: &Watch| watch.engine.why(at(0), "inc", "T").map(|found| found.uncounted);
    let known = "4 agents, 3 with an alert, logged nothing since team is read: they count from their next record";
    let text = format!("the rule `inc` has counted no agent with an alert yet: {known}");
    assert_eq!(why(&watch), Err(text.clone()));
    assert_eq!(watch.engine.margins(at(0), Some("inc"), 9).expect("there is the rule").lacking, text);
    assert_eq!(uncounted(&watch.engine).as_deref(), Some(known));
    let rules = watch.engine.uncounted_rules();
    assert_eq!(
        rules.iter().map(|(rule, found)| format!("{rule}: {found}")).collect::<Vec<_>>(),
        [format!("inc: {known}")]
    );
    // From its next record on an agent counts.
    for (second, agent) in [(100, "a"), (110, "b")] {
        log(&mut watch, second, agent, 15.0);
    }
    watch.pass(150);
    let known = "2 agents, 1 with an alert, logged nothing since team is read: they count from their next record";
    assert_eq!(uncounted(&watch.engine).as_deref(), Some(known));
    assert_eq!(why(&watch).expect("it is looked at").expect("not all are counted").to_string(), known);
    log(&mut watch, 160, "d", 5.0);
    log(&mut watch, 160, "c", 15.0);
    watch.pass(180);
    assert_eq!((uncounted(&watch.engine), open(&watch.engine)), (None, vec!["team=T".to_owned()]));
}

#[test]
fn agents_whose_records_say_nothing_are_told_of_while_they_have_an_alert() {
    let mut watch = Watch::under(policy(CONFIG, &incident("tenant")));
    for (agent, value) in [("a", 15.0), ("b", 5.0)] {
        log(&mut watch, 10, agent, value);
    }
    watch.pass(30);
    let (why, rules) = (watch.engine.why(at(0), "inc", "x"), watch.engine.rules(at(0)));
    assert!(why.is_err() && rules.iter().all(|rule| (rule.rule == "inc") == rule.window.is_none()), "{rules:?}");
    let known = "1 agent with an alert is not counted: its records say nothing that the rule counts by";
    assert_eq!(uncounted(&watch.engine).as_deref(), Some(known));
    assert!(watch.engine.uncounted_rules().is_empty(), "their next record changes nothing");
}
