//! Alerts that go on although they do not hold: everywhere it is said why, until when, and with the value of the newest
//! look that had data; and their end tells what was true.

use std::path::Path;
use std::sync::Arc;

use evenkeel::engine::event::{AlertEvent, AlertState, Attempt, Effect, Event, Receipt, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, Severity, Timestamp};
use evenkeel::policy::{Policy, PolicySource};

const START: i64 = 1_772_550_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp(START + second * 1_000)
}

/// An engine with one rule, and what became of its alerts.
struct Watch {
    engine: Engine,
    ends: Vec<AlertEvent>,
    /// Messages: state and summary.
    told: Vec<String>,
}

impl Watch {
    fn new(rule: &str) -> Watch {
        let text = "annotations: {summary: \"{{ agent }} fails {{ value }}, limit {{ threshold }}\"}";
        let config = "evaluation_interval: 1s
receivers: [{name: ops, webhook: {url: http://a}}]
\
                      routes: [{receivers: [ops], repeat_interval: 10m}]
";
        let config = Some(("evenkeel.yaml".to_owned(), config.to_owned()));
        let rules = vec![("rules.yaml".into(), format!("alerts:\n- {{name: failing, {rule}, {text}}}\n"))];
        let (policy, faults) = Policy::load(&PolicySource { config, rules, ..Default::default() }, Path::new(""));
        let policy = Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}")));
        Watch { engine: Engine::new(policy, State::default()), ends: Vec::new(), told: Vec::new() }
    }

    fn handle(&mut self, second: i64, event: Event<'_>) {
        for effect in self.engine.handle(at(second), event) {
            match effect {
                Effect::Report(Report::Alert(event)) if event.state == AlertState::Resolved => self.ends.push(event),
                Effect::Deliver(delivery) => {
                    let alert = delivery.notification().expect("of alerts").lead();
                    self.told.push(format!("{}: {}", alert.state.as_str(), alert.annotations["summary"]));
                    self.handle(second, Event::Receipt(Receipt::Delivery { id: delivery.id, result: Attempt::Done }));
                }
                _ => {}
            }
        }
    }

    /// So many runs of agent a, so many of which fail; they are judged a second later.
    fn runs(&mut self, second: i64, n: usize, failed: usize) {
        let run = |i| Record::new("log", "a", Some(at(second)), if i < failed { Outcome::Error } else { Outcome::Ok });
        let records: Vec<Record<'_>> = (0..n).map(run).collect();
        self.handle(second, Event::Records(&records));
        self.pass(second + 1);
    }

    fn pass(&mut self, second: i64) {
        self.handle(second, Event::Deadline);
    }

    /// The alert as `alerts` and `why` show it, after an evaluation, which must be the same as messages have it but for
    /// a value of which there is no data; and that `why` and `alerts --margin` speak of the same level.
    fn alert(&self) -> AlertEvent {
        let view = self.engine.view();
        let [alert] = &view.alerts[..] else { panic!("{:?}", view.alerts) };
        let now = self.engine.now().expect("it began");
        let why = self.engine.why(now, "failing", "a").expect("it is looked at");
        assert_eq!(why.alert.as_ref(), Some(alert));
        let [said] = &self.engine.alerts()[..] else { panic!("one") };
        assert_eq!((&said.reason, said.threshold), (&alert.reason, alert.threshold));
        if alert.value.is_some() {
            assert_eq!(said, alert);
            assert_eq!((why.value, why.threshold, &why.condition), (alert.value, alert.threshold, &alert.condition));
            let margins = self.engine.margins(now, None, 10).expect("there is a rule").margins;
            assert_eq!(
                (margins[0].value, margins[0].threshold, margins[0].severity),
                (alert.value, alert.threshold, alert.severity)
            );
        }
        alert.clone()
    }
}

#[test]
fn an_alert_that_recovered_ends_with_the_value_that_it_recovered_to_though_data_ran_dry() {
    let mut watch = Watch::new("condition: error_rate > 50%, window: 2m, min_samples: 5, keep_firing_for: 5m");
    for minute in 0..5 {
        watch.runs(minute * 60, 10, 10);
    }
    for minute in 5..9 {
        watch.runs(minute * 60, 10, 0);
    }
    // At minute 5 one of the two minutes in the window has failures: a half is not more than 50 %.
    let alert = watch.alert();
    let kept = format!("holds no more since {}, kept firing until {}", at(301), at(601));
    assert_eq!((alert.value, alert.threshold, alert.reason.as_str()), (Some(0.0), Some(0.5), kept.as_str()));
    assert_eq!(alert.annotations["summary"], format!("a fails 0%, limit 50% ({kept})"));
    watch.pass(630);
    let [end] = &watch.ends[..] else { panic!("{:?}", watch.ends) };
    assert_eq!((end.at, end.value, end.threshold, end.n), (at(601), Some(0.0), Some(0.5), 10));
    // As it ended the last runs left the window, which is not why.
    let reason = format!("held no more since {} and was kept firing until now, no data since {}", at(301), at(601));
    assert_eq!(end.reason, reason);

    // The same with less data at the end.
    let mut watch = Watch::new("condition: error_rate > 50%, window: 2m, min_samples: 5, keep_firing_for: 8m");
    watch.runs(0, 10, 10);
    watch.runs(60, 20, 0);
    watch.pass(300);
    let alert = watch.alert();
    let reason = format!("holds no more since {}, no data since {}, kept firing until {}", at(61), at(181), at(541));
    assert_eq!((alert.value, alert.reason.as_str()), (None, reason.as_str()));
    watch.pass(600);
    let [end] = &watch.ends[..] else { panic!("{:?}", watch.ends) };
    assert_eq!((end.at, end.value, end.n), (at(541), Some(0.0), 20), "{end:?}");
    let reason = format!("held no more since {} and was kept firing until now, no data since {}", at(61), at(181));
    assert_eq!(end.reason, reason);
    assert_eq!(watch.told[1..], [format!("resolved: a fails 0%, limit 50% ({reason})")]);
}

#[test]
fn an_alert_that_ran_dry_while_it_held_ends_for_want_of_data() {
    let mut watch = Watch::new("condition: error_rate > 50%, window: 2m, min_samples: 5, keep_firing_for: 5m");
    watch.runs(0, 10, 10);
    watch.pass(130);
    let alert = watch.alert();
    assert_eq!(alert.reason, format!("no data since {}, kept firing until {}", at(121), at(421)));
    watch.pass(430);
    let end = &watch.ends[0];
    assert_eq!((end.at, end.value, end.n), (at(421), Some(1.0), 10));
    assert_eq!(end.reason, "no data any more, the value is from before");
}

#[test]
fn what_waits_for_its_recovery_says_so_at_its_own_level_and_repeats_tell_it() {
    let mut watch = Watch::new(
        "levels: {warning: error_rate > 20%, critical: error_rate > 50%}, recover: error_rate < 5%, window: 10m, min_samples: 5",
    );
    watch.runs(0, 10, 10);
    watch.runs(60, 90, 0);
    let alert = watch.alert();
    let waits = format!("holds no more since {}, ends when its `recover` holds", at(61));
    assert_eq!(
        (alert.severity, alert.condition.as_str(), alert.value, alert.threshold),
        (Severity::Critical, "error_rate > 50%", Some(0.1), Some(0.5))
    );
    assert_eq!(alert.reason, waits);
    watch.runs(500, 20, 10);
    watch.pass(602);
    assert_eq!(watch.told[1..], [format!("firing: a fails 9.09%, limit 50% ({waits})")]);
}

#[test]
fn no_data_that_fires_or_keeps_says_that_it_does() {
    for (policy, first) in [("alert", "fires"), ("keep", "")] {
        let rule = format!("condition: error_rate > 50%, window: 2m, min_samples: 5, no_data: {policy}");
        let mut watch = Watch::new(&rule);
        watch.runs(0, 10, 10);
        assert_eq!(watch.alert().reason, "");
        watch.pass(3_600);
        let alert = watch.alert();
        let reason = format!("no data since {}, goes on because of `no_data: {policy}`", at(121));
        assert_eq!((alert.value, &alert.reason), (None, &reason));
        assert_eq!(alert.without_value().as_deref(), Some("no data for error_rate > 50%"));
        assert!(watch.told.len() > 2, "it is repeated: {:?}", watch.told);
        let shown =
            if policy == "keep" { "a fails 100%, limit 50%" } else { "no data for error_rate > 50% on agent=a" };
        for repeat in &watch.told[1..] {
            assert_eq!(*repeat, format!("firing: {shown} ({reason})"));
        }

        // And of an agent of which there were too few runs from the first on.
        let mut watch = Watch::new(&rule);
        watch.runs(0, 1, 0);
        watch.pass(60);
        match first {
            "" => assert!(watch.engine.view().alerts.is_empty()),
            _ => assert_eq!(watch.alert().reason, "fires because of `no_data: alert`"),
        }
    }
}
