//! How soon a receiver that comes back has its message, by the engine's own clock: after 20 s, 5 min and an hour; and
//! that a Retry-After is kept to the second.

use std::sync::Arc;

use evenkeel::engine::event::{Attempt, Effect, Event, Receipt};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Severity, Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::settings::{Channel, Receiver};

const START: i64 = 1_700_000_000_000;

const RULES: &str = "
alerts:
  - name: failing
    condition: error_rate > 10%
    window: 3h
    severity: critical
";

fn engine() -> Engine {
    let rules = vec![("rules.yaml".to_owned(), RULES.to_owned())];
    let source = PolicySource { rules, ..PolicySource::default() };
    let (policy, faults) = Policy::load(&source, std::path::Path::new(""));
    let mut policy = policy.unwrap_or_else(|| panic!("{faults:?}"));
    let (url, timeout) = ("http://127.0.0.1:1/".to_owned(), Span::seconds(5));
    policy.settings.receivers = vec![Receiver {
        name: "ops".into(),
        min_severity: Severity::Info,
        send_resolved: true,
        channel: Channel::Webhook { url, secret: None, token: None, timeout },
    }];
    Engine::new(Arc::new(policy), State::default())
}

/// The instants of all attempts at one message, in milliseconds since the first; `answer` gives what each one meets.
fn attempts(answer: impl Fn(i64, usize) -> Attempt) -> Vec<i64> {
    let mut engine = engine();
    let now = Timestamp(START);
    let failed = |_| Record::new("test", "a", Some(now), Outcome::Error);
    let records: Vec<Record<'_>> = (0..20).map(failed).collect();
    let mut effects = engine.handle(now, Event::Records(&records));
    let mut at = now;
    let mut tried: Vec<Timestamp> = Vec::new();
    loop {
        let found = effects.iter().find_map(|e| if let Effect::Deliver(d) = e { Some(d.id.clone()) } else { None });
        effects = match found {
            Some(id) => {
                tried.push(at);
                let since = at.since(tried[0]).0;
                let result = answer(since, tried.len());
                let done = result == Attempt::Done;
                let effects = engine.handle(at, Event::Receipt(Receipt::Delivery { id, result }));
                if done {
                    return tried.iter().map(|t| t.since(tried[0]).0).collect();
                }
                effects
            }
            None => {
                at = engine.next_deadline().expect("a message waits");
                engine.handle(at, Event::Deadline)
            }
        };
    }
}

#[test]
fn a_receiver_that_is_back_has_its_message_within_five_seconds() {
    for outage in [Span::seconds(20), Span::minutes(5), Span::hours(1)] {
        let tried = attempts(|since, _| {
            let down = Attempt::Retry { reason: "down".into(), after: None };
            if since < outage.0 { down } else { Attempt::Done }
        });
        let late = Span(tried[tried.len() - 1] - outage.0);
        assert!((Span::ZERO..=Span::seconds(5)).contains(&late), "{outage}: {late} late");
        assert!(tried.len() as i64 <= 5 + outage.0 / 4_000, "{outage}: {} attempts hammer it", tried.len());
    }
}

#[test]
fn a_retry_after_is_kept_to_the_second() {
    for after in [Span::seconds(1), Span::seconds(7), Span::seconds(90), Span::minutes(30)] {
        let tried = attempts(|_, attempt| {
            let busy = Attempt::Retry { reason: "answered 429".into(), after: Some(after) };
            if attempt == 1 { busy } else { Attempt::Done }
        });
        assert_eq!(tried, [0, after.0], "{after}");
    }
}

#[test]
fn the_success_of_another_message_does_not_cut_a_retry_after_short() {
    let mut engine = engine();
    let now = Timestamp(START);
    let agents = ["a", "b", "c", "d", "e", "f"];
    let failed =
        agents.iter().flat_map(|agent| (0..20).map(|_| Record::new("test", *agent, Some(now), Outcome::Error)));
    let records: Vec<Record<'_>> = failed.collect();
    let mut effects = engine.handle(now, Event::Records(&records));
    effects.extend(engine.handle(now + Span::seconds(15), Event::Deadline));
    let delivered = |effects: Vec<Effect>| {
        effects
            .into_iter()
            .filter_map(|e| if let Effect::Deliver(d) = e { Some(d.id) } else { None })
            .collect::<Vec<_>>()
    };
    let mut at = now + Span::seconds(15);
    let flying = delivered(effects);
    assert_eq!(flying.len(), 4, "as many as fly at once");
    let after = Some(Span::seconds(30));
    let said = [Attempt::Retry { reason: "answered 429".into(), after }, Attempt::Done, Attempt::Done, Attempt::Done];
    for (id, result) in flying.into_iter().zip(said) {
        let effects = engine.handle(at, Event::Receipt(Receipt::Delivery { id, result }));
        assert_eq!(delivered(effects), [], "at {at}");
        at = at + Span(100);
    }
    let quiet = engine.handle(now + Span::seconds(15 + 29), Event::Deadline);
    assert_eq!(delivered(quiet), []);
    assert_eq!(delivered(engine.handle(now + Span::seconds(15 + 30), Event::Deadline)).len(), 3, "the rest");
}
