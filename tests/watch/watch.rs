//! An engine under a policy, and what becomes of its alerts.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use evenkeel::engine::event::{AlertEvent, AlertState, Attempt, Effect, Event, Receipt, Report};
use evenkeel::engine::inspect::Inspection;
use evenkeel::engine::{Engine, State};
use evenkeel::model::Timestamp;
use evenkeel::policy::{Policy, PolicySource};

const START: i64 = 1_772_550_000_000;

pub fn at(second: i64) -> Timestamp {
    Timestamp(START + second * 1_000)
}

/// The policy of these texts, which have no faults.
pub fn policy(config: &str, rules: &str) -> Arc<Policy> {
    let config = Some(("evenkeel.yaml".to_owned(), config.to_owned()));
    let source = PolicySource { config, rules: vec![("rules.yaml".into(), rules.into())], ..Default::default() };
    let (policy, faults) = Policy::load(&source, Path::new(""));
    Arc::new(policy.unwrap_or_else(|| panic!("{faults:?}")))
}

/// The engine in another process.
pub fn restarted(engine: &Engine) -> Engine {
    let state = postcard::to_stdvec(engine.state()).expect("encodes");
    Engine::new(Arc::clone(engine.policy()), postcard::from_bytes(&state).expect("decodes"))
}

/// An engine that restarts at every reload and whose messages arrive at once.
pub struct Watch {
    pub engine: Engine,
    /// Every change of an alert.
    pub seen: Vec<AlertEvent>,
    /// Messages, as `state: summary`.
    pub told: Vec<String>,
}

impl Watch {
    pub fn under(policy: Arc<Policy>) -> Watch {
        Watch { engine: Engine::new(policy, State::default()), seen: Vec::new(), told: Vec::new() }
    }

    pub fn handle(&mut self, second: i64, event: Event<'_>) {
        let effects = self.engine.handle(at(second), event);
        self.take(second, effects);
    }

    /// Time passes.
    pub fn pass(&mut self, second: i64) {
        self.handle(second, Event::Deadline);
    }

    pub fn obey(&mut self, second: i64, policy: Arc<Policy>) {
        let effects = self.engine.reload(at(second), policy);
        self.take(second, effects);
        self.engine = restarted(&self.engine);
    }

    fn take(&mut self, second: i64, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Report(Report::Alert(event) | Report::Regraded { alert: event, .. }) => self.seen.push(event),
                Effect::Deliver(delivery) => {
                    let alert = delivery.notification().expect("of alerts").lead();
                    let summary = alert.annotations.get("summary").cloned().unwrap_or_default();
                    self.told.push(format!("{}: {summary}", alert.state.as_str()));
                    self.handle(second, Event::Receipt(Receipt::Delivery { id: delivery.id, result: Attempt::Done }));
                }
                _ => {}
            }
        }
    }

    /// The one alert as `alerts` shows it, on agent a, and what `why` says, which must show the same.
    pub fn shown(&self) -> (AlertEvent, Inspection) {
        let view = self.engine.view();
        let [alert] = &view.alerts[..] else { panic!("{:?}", view.alerts) };
        let now = self.engine.now().expect("it began");
        let why = self.engine.why(now, &alert.rule, "a").expect("it is looked at");
        assert_eq!(why.alert.as_ref(), Some(alert));
        (alert.clone(), why)
    }

    /// How the one alert ended: `None` while it fires.
    pub fn end(&self) -> Option<&AlertEvent> {
        let last = self.seen.last().expect("it fired");
        let ids: BTreeSet<&str> = self.seen.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids.len(), 1, "{:?}", self.seen);
        (last.state == AlertState::Resolved).then_some(last)
    }
}
