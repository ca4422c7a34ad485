//! How the value of an alert went, as its messages tell it.

use std::path::Path;
use std::sync::Arc;

use evenkeel::engine::event::{AlertState, Attempt, Command, Delivery, Effect, Event, Receipt};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Span, Timestamp, Trend};
use evenkeel::policy::Policy;

const START: i64 = 1_780_000_000_000;
const MAIL: &str = "receivers: [{name: ops, email: {smtp: 127.0.0.1, tls: none, from: a@b.example, to: c@d.example}}]";
const HOOK: &str = "receivers: [{name: ops, webhook: {url: http://a}}]";

fn policy(receivers: &str, condition: &str) -> Arc<Policy> {
    let rules = format!("alerts:\n- {{name: r, condition: {condition}, window: 2m, min_samples: 5, severity: high}}\n");
    crate::watch::policy(&format!("evaluation_interval: 10s\n{receivers}\n"), &rules)
}

/// An agent that works every two seconds for ten minutes; `bad` says in which seconds it fails, and
/// then it costs ten times as much. Every minute the state goes through a snapshot if `killed`.
fn story(receivers: &str, condition: &str, bad: std::ops::Range<i64>, killed: bool) -> Vec<Delivery> {
    let mut engine = Engine::new(policy(receivers, condition), State::default());
    let mut told = Vec::new();
    for second in (0..600).step_by(2) {
        let now = Timestamp(START + second * 1_000);
        let failing = bad.contains(&second);
        let outcome = if failing { Outcome::Error } else { Outcome::Ok };
        let mut record = Record::new("story", "worker".to_owned(), Some(now), outcome);
        record.duration_ms = Some(if failing { 9_000.0 } else { 1_000.0 });
        let mut open = std::collections::VecDeque::from(engine.handle(now, Event::Records(&[record])));
        while let Some(effect) = open.pop_front() {
            let Effect::Deliver(delivery) = effect else { continue };
            told.push(delivery.clone());
            let receipt = Receipt::Delivery { id: delivery.id, result: Attempt::Done };
            open.extend(engine.handle(now, Event::Receipt(receipt)));
        }
        if killed && second % 60 == 0 {
            engine = crate::watch::restarted(&engine);
        }
    }
    told
}

fn trend(delivery: &Delivery) -> &Trend {
    delivery.notification().expect("about alerts").lead().trend.as_deref().expect("a course")
}

#[test]
fn a_message_tells_what_came_before_and_since() {
    let told = story(MAIL, "error_rate > 25%", 200..330, false);
    let states: Vec<AlertState> = told.iter().map(|d| d.notification().expect("about alerts").state()).collect();
    assert_eq!(states, [AlertState::Firing, AlertState::Resolved]);
    let (fired, lead) = (trend(&told[0]), told[0].notification().expect("about alerts").lead());
    assert_eq!((fired.slice, fired.adds_up), (Span::seconds(10), false));
    // 12 slices of 10 s: all well, and then every execution fails.
    let values: Vec<f64> = fired.slices.iter().map(|(_, value)| *value).collect();
    let first_bad = values.iter().position(|v| *v > 0.0).expect("bad slices");
    assert!((11..=12).contains(&values.len()) && first_bad >= 6, "{values:?}");
    assert!(values[..first_bad].iter().all(|v| *v == 0.0), "{values:?}");
    assert!(values[first_bad + 1..].iter().all(|v| *v == 1.0), "{values:?}");
    assert!(fired.slices.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(fired.values, [(lead.at, lead.value.expect("a value"))], "one evaluation so far");
    let ended = trend(&told[1]);
    assert_eq!(ended.slices, fired.slices, "the begin stays in view");
    let peak = ended.values.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    assert_eq!(peak, 1.0);
    let last = *ended.values.last().expect("values");
    assert_eq!(Some(last.1), told[1].notification().expect("about alerts").lead().value);
    assert_eq!(last.0, told[1].notification().expect("about alerts").lead().at);
}

/// The picture of the documentation is one that a mail holds; `UPDATE_GENERATED=1` draws it anew.
#[test]
fn the_picture_of_the_documentation_is_what_a_mail_shows() {
    let told = story(MAIL, "error_rate > 25%", 200..330, false);
    let drawn = evenkeel::wire::picture::png(told[1].notification().expect("about alerts").lead()).expect("a picture");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/mail.png");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&file, &drawn).expect("the picture can be written");
    }
    let found = std::fs::read(&file).unwrap_or_default();
    assert!(found == drawn, "docs/mail.png is stale: run `UPDATE_GENERATED=1 cargo test --test trend` and commit it");
}

#[test]
fn sums_add_up_to_what_the_rule_saw_and_percentiles_stand_alone() {
    let told = story(MAIL, "executions > 50", 0..0, false);
    let fired = trend(&told[0]);
    assert!(fired.adds_up);
    assert!(fired.slices.windows(2).all(|pair| pair[0].1 < pair[1].1), "{:?}", fired.slices);
    assert_eq!(
        fired.slices.last().map(|(_, value)| *value),
        told[0].notification().expect("about alerts").lead().value
    );
    let told = story(MAIL, "p95_latency > 5s", 200..600, false);
    let values: Vec<f64> = trend(&told[0]).slices.iter().map(|(_, value)| *value).collect();
    assert_eq!((values[0], *values.last().expect("some")), (1_000.0, 9_000.0), "{values:?}");
}

#[test]
fn a_restart_changes_no_course_and_without_mail_nobody_pays_for_one() {
    let lived = story(MAIL, "error_rate > 25%", 200..330, false);
    assert_eq!(lived, story(MAIL, "error_rate > 25%", 200..330, true));
    let hook = story(HOOK, "error_rate > 25%", 200..330, false);
    assert_eq!(hook.len(), 2);
    assert!(hook.iter().all(|d| d.notification().expect("about alerts").lead().trend.is_none()));
}

#[test]
fn rules_on_silence_have_no_slices() {
    let mut engine = Engine::new(policy(MAIL, "silence > 60s"), State::default());
    for second in 0..10 {
        let now = Timestamp(START + second * 1_000);
        let record = Record::new("story", "worker".to_owned(), Some(now), Outcome::Ok);
        engine.handle(now, Event::Records(&[record]));
    }
    engine.handle(Timestamp(START + 20_000), Event::Command(Command::EndBackfill));
    let effects = engine.handle(Timestamp(START + 100_000), Event::Deadline);
    let told = effects.iter().find_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None }).expect("told");
    assert!(trend(told).slices.is_empty());
    assert_eq!(trend(told).values.len(), 1);
}

#[test]
fn only_messages_that_draw_it_carry_a_course() {
    let both = "receivers: [{name: ops, email: {smtp: 127.0.0.1, tls: none, from: a@b.example, to: c@d.example}}, \
                {name: hook, webhook: {url: http://a}}]";
    let told = story(both, "error_rate > 25%", 200..330, false);
    let courses = |name: &str| {
        let to = told.iter().filter(|delivery| delivery.receiver == name);
        to.map(|d| d.notification().expect("about alerts").lead().trend.is_some()).collect::<Vec<_>>()
    };
    assert_eq!((courses("ops/c@d.example"), courses("hook")), (vec![true; 2], vec![false; 2]));
}
