//! The engine through its one door: windows, rules, alerts, messages, snapshots.

use std::sync::Arc;

use evenkeel::engine::event::{AlertEvent, AlertState, Attempt, Command, Effect, Event, Receipt, Report};
use evenkeel::engine::view::Class;
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Befell, Dimension, Metric, Outcome, Part, Record, RecordId, Severity, Span, Timestamp, Unit};
use evenkeel::policy::Policy;
use evenkeel::replay;
use evenkeel::rule::{Comparison, Input, Node, Program, Rule};
use evenkeel::settings::routing::{Repeat, Route};
use evenkeel::settings::{Channel, Receiver};

const START: i64 = 1_700_000_000_000;

fn rule(name: &str, metric: Metric, op: Comparison, threshold: f64, window: Span) -> Rule {
    Rule {
        name: name.into(),
        condition: name.into(),
        program: Program {
            inputs: vec![Input::Metric(metric, None)],
            root: Node::Compare {
                op,
                left: Box::new(Node::Slot(0)),
                right: Box::new(Node::Const(threshold)),
                unit: metric.unit(),
            },
        },
        window,
        budget: None,
        by: vec![Dimension::Agent],
        filter: Vec::new(),
        hold: Span::ZERO,
        keep_firing_for: Span::ZERO,
        min_samples: 5,
        severity: Severity::Critical,
        labels: Default::default(),
        annotations: Default::default(),
        terms: Default::default(),
        place: "test".into(),
    }
}

fn receiver(name: &str) -> Receiver {
    Receiver {
        name: name.into(),
        min_severity: Severity::Info,
        send_resolved: true,
        channel: Channel::Webhook {
            url: "http://127.0.0.1:1/".into(),
            secret: None,
            token: None,
            timeout: Span::seconds(5),
        },
    }
}

fn policy(rules: Vec<Rule>) -> Arc<Policy> {
    let mut policy = Policy { rules, ..Policy::default() };
    policy.settings.evaluation_interval = Span::seconds(15);
    policy.settings.receivers = vec![receiver("ops")];
    Arc::new(policy)
}

fn record(agent: &str, second: i64, outcome: Outcome, ms: f64) -> Record<'_> {
    let mut record = Record::new("test", agent, Some(Timestamp(START + second * 1_000)), outcome);
    record.duration_ms = Some(ms);
    record
}

/// Ten minutes of a healthy agent and one that fails from minute five to minute seven.
fn story() -> Vec<Record<'static>> {
    let mut records = Vec::new();
    for second in (0..900).step_by(5) {
        records.push(record("steady", second, Outcome::Ok, 100.0));
        let bad = (300..420).contains(&second);
        records.push(record("shaky", second, if bad { Outcome::Error } else { Outcome::Ok }, 200.0));
    }
    records
}

fn transitions(effects: &[(Timestamp, Effect)]) -> Vec<(i64, String, AlertState)> {
    effects
        .iter()
        .filter_map(|(_, e)| match e {
            Effect::Report(Report::Alert(a)) => Some(((a.at.0 - START) / 1_000, a.subject.to_string(), a.state)),
            _ => None,
        })
        .collect()
}

/// Feeds records in a world without faults; every effect with its instant.
fn drive(engine: &mut Engine, records: &[Record<'_>]) -> Vec<(Timestamp, Effect)> {
    let mut seen = Vec::new();
    replay::feed(engine, records, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |now, e| seen.push((now, e.clone())));
    });
    seen
}

/// [`drive`], and the evaluation after the last record.
fn run(engine: &mut Engine, records: &[Record<'_>]) -> Vec<(Timestamp, Effect)> {
    let mut seen = drive(engine, records);
    seen.extend(end(engine));
    seen
}

fn end(engine: &mut Engine) -> Vec<(Timestamp, Effect)> {
    let mut seen = Vec::new();
    replay::finish(engine, |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |now, e| seen.push((now, e.clone())));
    });
    seen
}

#[test]
fn an_error_burst_fires_for_its_agent_and_resolves() {
    let burst = rule("burst", Metric::ErrorRate, Comparison::Greater, 0.5, Span::minutes(1));
    let mut engine = Engine::new(policy(vec![burst]), State::default());
    let effects = run(&mut engine, &story());
    let found = transitions(&effects);
    assert_eq!(found.len(), 2, "{found:?}");
    let (fired, resolved) = (&found[0], &found[1]);
    assert_eq!((fired.1.as_str(), fired.2), ("agent=shaky", AlertState::Firing));
    assert!((330..=360).contains(&fired.0), "half of a minute's runs fail half a minute in: {}", fired.0);
    assert_eq!(resolved.2, AlertState::Resolved);
    assert!((440..=480).contains(&resolved.0), "{}", resolved.0);
    let delivered = effects.iter().filter(|(_, e)| matches!(e, Effect::Deliver(_))).count();
    assert_eq!(delivered, 2);
    assert_eq!(engine.view().receivers[0].delivered, 2);
}

#[test]
fn cutting_a_recording_differently_decides_the_same() {
    let rules = || {
        vec![
            rule("burst", Metric::ErrorRate, Comparison::Greater, 0.5, Span::minutes(1)),
            rule("slow", Metric::P95Latency, Comparison::Greater, 150.0, Span::minutes(5)),
        ]
    };
    let records = story();
    let mut whole = Engine::new(policy(rules()), State::default());
    let expected = transitions(&run(&mut whole, &records));
    for size in [1, 7, 100] {
        let mut engine = Engine::new(policy(rules()), State::default());
        let mut seen = Vec::new();
        for chunk in records.chunks(size) {
            seen.extend(drive(&mut engine, chunk));
        }
        seen.extend(end(&mut engine));
        assert_eq!(transitions(&seen), expected, "chunks of {size}");
    }
}

#[test]
fn a_snapshot_anywhere_changes_nothing() {
    let burst = || policy(vec![rule("burst", Metric::ErrorRate, Comparison::Greater, 0.5, Span::minutes(1))]);
    let records = story();
    let mut straight = Engine::new(burst(), State::default());
    let expected = transitions(&run(&mut straight, &records));
    let mut engine = Engine::new(burst(), State::default());
    let mut seen = Vec::new();
    for chunk in records.chunks(13) {
        let bytes = postcard::to_stdvec(engine.state()).expect("state encodes");
        engine = Engine::new(burst(), postcard::from_bytes(&bytes).expect("state decodes"));
        seen.extend(drive(&mut engine, chunk));
    }
    seen.extend(end(&mut engine));
    assert_eq!(transitions(&seen), expected);
    assert_eq!(engine.view().agents, straight.view().agents);
}

#[test]
fn history_is_learned_quietly_and_what_still_fires_is_told_at_its_end() {
    let burst = rule("burst", Metric::ErrorRate, Comparison::Greater, 0.5, Span::minutes(1));
    let mut engine = Engine::new(policy(vec![burst]), State::default());
    let records: Vec<Record<'_>> = story().into_iter().filter(|r| r.at < Some(Timestamp(START + 400_000))).collect();
    engine.handle(Timestamp(START), Event::Command(Command::BeginBackfill));
    let mut told = 0;
    replay::feed(&mut engine, &records, |_, _, effects| {
        told += effects.iter().filter(|e| matches!(e, Effect::Deliver(_))).count();
    });
    assert_eq!(told, 0);
    let effects = engine.handle(Timestamp(START + 400_000), Event::Command(Command::EndBackfill));
    let delivered: Vec<_> =
        effects.iter().filter_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None }).collect();
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].notification().expect("about alerts").state(), AlertState::Firing);
}

#[test]
fn a_failing_receiver_is_probed_and_gets_everything_in_order_when_it_returns() {
    let burst = rule("burst", Metric::ErrorRate, Comparison::Greater, 0.5, Span::minutes(1));
    let mut engine = Engine::new(policy(vec![burst]), State::default());
    let mut open = Vec::new();
    let collect = |effects: Vec<Effect>, open: &mut Vec<_>| {
        open.extend(effects.into_iter().filter_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None }));
    };
    replay::feed(&mut engine, &story(), |_, _, effects| collect(effects, &mut open));
    let mut now = engine.now().expect("records were fed");
    assert_eq!(open.len(), 1, "the resolved message waits for the firing one");
    let mut ids = vec![open[0].id.clone()];
    let mut waits = Vec::new();
    for attempt in 1..=6 {
        let delivery = open.pop().expect("one in flight");
        assert_eq!((delivery.attempt, &delivery.id), (attempt, &ids[0]));
        let result = Attempt::Retry { reason: "down".into(), after: (attempt == 3).then_some(Span::seconds(30)) };
        collect(engine.handle(now, Event::Receipt(Receipt::Delivery { id: delivery.id, result })), &mut open);
        assert!(open.is_empty());
        let due = engine.next_deadline().expect("a retry is due");
        while open.is_empty() {
            let next = engine.next_deadline().expect("a retry is due");
            collect(engine.handle(next, Event::Deadline), &mut open);
            waits.push((next.0 - now.0, attempt));
            now = next;
        }
        assert!(due <= now);
    }
    let total = |attempt| waits.iter().filter(|w| w.1 == attempt).map(|w| w.0).sum::<i64>();
    assert_eq!((1..=6).map(total).collect::<Vec<_>>(), [500, 1_000, 30_000, 4_000, 4_000, 4_000]);
    for _ in 0..2 {
        let delivery = open.pop().expect("one in flight");
        ids.push(delivery.id.clone());
        let receipt = Receipt::Delivery { id: delivery.id, result: Attempt::Done };
        collect(engine.handle(now, Event::Receipt(receipt.clone())), &mut open);
        let again = engine.handle(now, Event::Receipt(receipt));
        assert!(again.is_empty(), "a second receipt is ignored");
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[1], ids[2]);
    assert!(open.is_empty());
}

#[test]
fn doubles_count_once_and_late_records_are_counted() {
    let mut engine = Engine::new(policy(Vec::new()), State::default());
    let mut records = story();
    for (i, record) in records.iter_mut().enumerate() {
        record.id = Some(RecordId(i as u64));
    }
    run(&mut engine, &records);
    let before = engine.view();
    run(&mut engine, &records);
    let after = engine.view();
    assert_eq!(after.counters.records, before.counters.records);
    assert_eq!(after.counters.duplicates, records.len() as u64);
    assert_eq!(
        after.agents,
        before
            .agents
            .iter()
            .cloned()
            .map(|mut a| {
                // Only the clock moved on.
                a.baseline = after.agents.iter().find(|b| b.agent == a.agent).expect("same agents").baseline;
                a
            })
            .collect::<Vec<_>>()
    );
}

#[test]
fn silence_is_an_alert() {
    let mut silent = rule("silent", Metric::Silence, Comparison::Greater, 600_000.0, Span::minutes(5));
    silent.by = vec![Dimension::Source];
    silent.min_samples = 1;
    let mut engine = Engine::new(policy(vec![silent]), State::default());
    run(&mut engine, &story());
    assert!(engine.view().alerts.is_empty());
    let effects = engine.handle(Timestamp(START + 3_600_000), Event::Deadline);
    let alerts: Vec<_> =
        effects.iter().filter_map(|e| if let Effect::Report(Report::Alert(a)) = e { Some(a) } else { None }).collect();
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].unit, Unit::Duration);
    assert_eq!(
        (alerts[0].at.0 - START) / 1_000,
        1_510,
        "on the first step (START + 15 k + 10) after more than ten minutes"
    );
}

#[test]
fn what_was_learned_of_a_subject_is_not_held_against_another_after_a_change_of_the_filter() {
    let mut silent = rule("silent", Metric::Silence, Comparison::Greater, 0.0, Span::minutes(5));
    silent.min_samples = 1;
    silent.program = Program {
        inputs: vec![Input::Metric(Metric::Silence, None), Input::Baseline { metric: Metric::Silence, percent: 99 }],
        root: Node::Compare {
            op: Comparison::Greater,
            left: Box::new(Node::Slot(0)),
            right: Box::new(Node::Slot(1)),
            unit: Unit::Duration,
        },
    };
    let mut engine = Engine::new(policy(vec![silent.clone()]), State::default());
    let days: Vec<Record<'_>> = (0..2 * 86_400)
        .step_by(30)
        .flat_map(|second| {
            let slow = (second % 3_600 == 0).then(|| record("slow", second, Outcome::Ok, 100.0));
            [Some(record("busy", second, Outcome::Ok, 100.0)), slow].into_iter().flatten()
        })
        .collect();
    drive(&mut engine, &days);
    assert!(engine.view().alerts.is_empty());
    // The one subject that is left takes the place of the other.
    silent.filter =
        vec![evenkeel::rule::Matcher { dimension: Dimension::Agent, patterns: vec!["slow".into()], negated: false }];
    let now = engine.now().expect("records were fed");
    engine.reload(now, policy(vec![silent]));
    drive(&mut engine, &[record("slow", 2 * 86_400, Outcome::Ok, 100.0)]);
    let effects = engine.handle(Timestamp(START + (2 * 86_400 + 1_800) * 1_000), Event::Deadline);
    assert!(effects.is_empty() && engine.view().alerts.is_empty(), "half an hour is not long for it: {effects:?}");
}

#[test]
fn what_is_shown_or_said_again_is_of_now_and_what_is_sent_first_of_the_decision() {
    let mut silent = rule("silent", Metric::Silence, Comparison::Greater, 600_000.0, Span::minutes(5));
    (silent.min_samples, silent.condition) = (1, "silence > 10m".into());
    silent.annotations = [("summary".into(), "silent for {{ value }}".into())].into();
    let mut policy = (*policy(vec![silent])).clone();
    let repeat = Repeat { interval: Span::hours(4), growth: 1.0, max: Span::hours(4) };
    let route = Route { receivers: vec!["ops".into()], repeat: Some(repeat), ..Route::default() };
    policy.settings.routing.routes = vec![route];
    let mut engine = Engine::new(Arc::new(policy), State::default());
    drive(&mut engine, &[record("a", 0, Outcome::Ok, 100.0)]);
    let effects = engine.handle(Timestamp(START + 3_600_000), Event::Deadline);
    let sent = effects.iter().find_map(|e| if let Effect::Deliver(d) = e { d.notification() } else { None });
    let minutes = |alert: &AlertEvent| alert.value.map(|ms| (ms / 60_000.0) as i64);
    assert_eq!(sent.map(|n| minutes(n.lead())), Some(Some(10)), "{sent:?}");
    let shown = |seen: i64| {
        let alert = engine.view_at(Timestamp(START + seen * 60_000)).alerts.remove(0);
        (minutes(&alert), alert.annotations["summary"].clone())
    };
    assert_eq!(shown(0), (Some(60), "silent for 1h".to_owned()), "the engine's clock");
    assert_eq!(shown(90), (Some(90), "silent for 1h30m".to_owned()));
    let why = engine.why(Timestamp(START + 90 * 60_000), "silent", "a").expect("it is known");
    assert_eq!(why.alert.as_ref().map(minutes), Some(Some(90)));
    assert_eq!((why.value, why.window), (why.alert.as_ref().and_then(|alert| alert.value), None));
    assert_eq!(engine.alerts().iter().map(minutes).collect::<Vec<_>>(), [Some(10)], "what it was judged by");

    let mut said = Vec::new();
    replay::perfect_world(&mut engine, Timestamp(START + 3_600_000), effects, &mut |_, _| {});
    replay::wake(&mut engine, Timestamp(START + 12 * 3_600_000), &mut |engine, now, effects| {
        replay::perfect_world(engine, now, effects, &mut |now, effect| {
            if let Effect::Deliver(delivery) = effect {
                let lead = delivery.notification().map(|n| minutes(n.lead()));
                said.push((lead, Some(Some((now.0 - START) / 60_000))));
            }
        });
    });
    assert!(said.len() > 1 && said.iter().all(|(lead, now)| lead == now), "{said:?}");
}

#[test]
fn a_window_above_its_baseline_fires_and_the_burst_does_not_teach() {
    let mut rule = rule("shift", Metric::MeanLatency, Comparison::Greater, 0.0, Span::minutes(5));
    rule.program = Program {
        inputs: vec![
            Input::Metric(Metric::MeanLatency, None),
            Input::Baseline { metric: Metric::MeanLatency, percent: 50 },
        ],
        root: Node::Compare {
            op: Comparison::Greater,
            left: Box::new(Node::Slot(0)),
            right: Box::new(Node::Arithmetic(
                evenkeel::rule::Arithmetic::Multiply,
                Box::new(Node::Slot(1)),
                Box::new(Node::Const(2.0)),
            )),
            unit: Unit::Duration,
        },
    };
    let mut engine = Engine::new(policy(vec![rule.clone()]), State::default());
    let records: Vec<Record<'_>> = (0..3 * 3_600)
        .step_by(10)
        .map(|s| record("a", s, Outcome::Ok, if s >= 2 * 3_600 { 500.0 } else { 100.0 }))
        .collect();
    let effects = run(&mut engine, &records);
    let found = transitions(&effects);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!((7_200..=7_500).contains(&found[0].0), "{}", found[0].0);
    let view = engine.view();
    assert_eq!(view.alerts.len(), 1);
    assert_eq!(view.alerts[0].threshold, Some(200.0));

    // Another threshold goes on with what was learned; windows of another length have to be learned.
    let now = engine.now().expect("records were fed");
    rule.hold = Span::seconds(1);
    engine.reload(now, policy(vec![rule.clone()]));
    end(&mut engine);
    let id = |alerts: &[AlertEvent]| alerts.iter().map(|alert| (alert.id.clone(), alert.threshold)).collect::<Vec<_>>();
    assert_eq!(id(&engine.view().alerts), id(&view.alerts));
    rule.window = Span::minutes(6);
    engine.reload(now, policy(vec![rule]));
    assert_eq!(transitions(&end(&mut engine)).len(), 0, "it goes on for as long as the window is");
    assert!(engine.view().alerts[0].reason.contains("knows too little yet"), "{:?}", engine.view().alerts);
    let now = engine.now().expect("records were fed") + Span::minutes(6);
    let effects: Vec<_> = engine.handle(now, Event::Deadline).into_iter().map(|effect| (now, effect)).collect();
    let ended = transitions(&effects);
    assert!(engine.view().alerts.is_empty() && ended.len() == 1, "no data, so it ends: {ended:?}");
}

#[test]
fn series_beyond_the_bound_share_the_overflow_subject() {
    let mut policy = Policy::default();
    policy.settings.limits.series = 3;
    let mut engine = Engine::new(Arc::new(policy), State::default());
    let names: Vec<String> = (0..10).map(|i| format!("agent-{i}")).collect();
    let records: Vec<Record<'_>> = names.iter().map(|n| record(n, 0, Outcome::Ok, 1.0)).collect();
    run(&mut engine, &records);
    let view = engine.view();
    let agents: Vec<(&str, u64)> = view.agents.iter().map(|a| (a.agent.as_str(), a.n)).collect();
    assert_eq!(agents.len(), 4, "{agents:?}");
    assert!(agents.contains(&("~overflow", 7)), "{agents:?}");
    assert!(view.splits.iter().all(|s| s.overflow == 7));
    assert!(view.agents.iter().all(|a| a.class == Class::InsufficientData));
}

/// A rule on a metric of parts of evenkeel.
fn part_rule(name: &str, metric: Metric, threshold: f64) -> Rule {
    let rule = rule(name, metric, Comparison::Greater, threshold, Span::minutes(5));
    Rule { by: vec![Dimension::Part], min_samples: 1, ..rule }
}

#[test]
fn what_the_engine_loses_itself_is_an_alert() {
    let mut policy = Policy::clone(&policy(vec![
        rule("failing", Metric::ErrorRate, Comparison::Greater, 0.5, Span::minutes(5)),
        part_rule("lost", Metric::Lost, 0.0),
    ]));
    policy.settings.limits.series = 3;
    policy.settings.limits.outbox = 2;
    let mut engine = Engine::new(Arc::new(policy), State::default());
    // Four agents for three places, and four messages for a queue of two that nobody takes.
    let agents = ["a", "b", "c", "d"];
    let mut effects = Vec::new();
    for second in 0..60 {
        let records: Vec<Record<'_>> = agents.iter().map(|agent| record(agent, second, Outcome::Error, 1.0)).collect();
        replay::feed(&mut engine, &records, |_, now, more| effects.extend(more.into_iter().map(|e| (now, e))));
    }
    effects.extend(end(&mut engine));
    let fired: Vec<String> = transitions(&effects)
        .into_iter()
        .filter(|(_, who, state)| *state == AlertState::Firing && who.starts_with("part="))
        .map(|(_, who, _)| who)
        .collect();
    assert_eq!(fired, ["part=series", "part=outbox"], "{:?}", transitions(&effects));
    let overflow: u64 = engine.view().splits.iter().map(|split| split.overflow).sum();
    let alert = |part: &str| engine.alerts().into_iter().find(|a| a.subject.get("part") == Some(part)).expect(part);
    assert!(overflow > 0 && alert("series").n == overflow, "{} of {overflow}", alert("series").n);
}

#[test]
fn a_stale_part_is_an_alert_that_a_snapshot_and_a_reload_keep() {
    let at = |second: i64| Timestamp(START + second * 1_000);
    let rules = || vec![part_rule("old", Metric::Stale, 60_000.0)];
    let mut engine = Engine::new(policy(rules()), State::default());
    engine.handle(at(0), Event::Command(Command::Befell(Part::Policy, Befell::Stale)));
    engine.handle(at(30), Event::Command(Command::Befell(Part::Policy, Befell::Stale)));
    // The first step after a minute; nothing is looked at in between.
    let due = engine.next_deadline().expect("a deadline").0;
    assert!((START + 60_000..=START + 75_000).contains(&due), "{}", due - START);
    let mut engine = Engine::new(policy(Vec::new()), engine.state().clone());
    engine.reload(at(40), policy(rules()));
    engine.handle(at(100), Event::Deadline);
    let alert = engine.alerts().pop().expect("an alert");
    assert_eq!((alert.rule.as_str(), alert.state), ("old", AlertState::Firing));
    assert!(alert.value.is_some_and(|ms| ms > 60_000.0), "since it became stale, not since the reload: {alert:?}");
    engine.handle(at(110), Event::Command(Command::Befell(Part::Policy, Befell::Fresh)));
    engine.handle(at(130), Event::Deadline);
    assert_eq!(engine.alerts(), []);
    assert_eq!(engine.next_deadline(), None, "nothing runs any more");
}

#[test]
fn what_a_stale_part_loses_leaves_its_time_alone() {
    let at = |second: i64| Timestamp(START + second * 1_000);
    let rules = vec![part_rule("old", Metric::Stale, 60_000.0), part_rule("lost", Metric::Lost, 5.0)];
    let mut engine = Engine::new(policy(rules), State::default());
    let befell = |engine: &mut Engine, second, what| {
        engine.handle(at(second), Event::Command(Command::Befell(Part::Policy, what)));
        engine.handle(at(second), Event::Deadline);
    };
    befell(&mut engine, 0, Befell::Stale);
    befell(&mut engine, 45, Befell::Lost(1));
    // The step before that is 70 s after it became stale.
    engine.handle(at(75), Event::Deadline);
    let firing =
        |engine: &Engine| engine.alerts().into_iter().map(|alert| (alert.rule, alert.value)).collect::<Vec<_>>();
    assert_eq!(firing(&engine), [("old".to_owned(), Some(70_000.0))]);
    befell(&mut engine, 80, Befell::Fresh);
    befell(&mut engine, 90, Befell::Lost(1));
    engine.handle(at(200), Event::Deadline);
    assert_eq!(firing(&engine), [], "what is lost does not make it stale");
}

#[test]
fn a_reload_keeps_unchanged_rules_and_looks_at_new_ones_without_waiting_for_records() {
    let burst = |name, threshold| rule(name, Metric::ErrorRate, Comparison::Greater, threshold, Span::minutes(5));
    let mut engine = Engine::new(policy(vec![burst("old", 0.1), burst("gone", 0.1)]), State::default());
    let records: Vec<Record<'_>> = story().into_iter().filter(|r| r.at < Some(Timestamp(START + 400_000))).collect();
    run(&mut engine, &records);
    let before = engine.view().alerts;
    assert_eq!(before.len(), 2);
    let now = engine.now().expect("records were fed");
    let resolved = engine.reload(now, policy(vec![burst("old", 0.1), burst("new", 0.2)]));
    let resolved: Vec<(i64, String, AlertState)> =
        transitions(&resolved.into_iter().map(|e| (now, e)).collect::<Vec<_>>());
    assert_eq!(resolved.len(), 1, "{resolved:?}");
    assert_eq!(resolved[0].2, AlertState::Resolved);
    end(&mut engine);
    let after = engine.view().alerts;
    let of =
        |alerts: &[evenkeel::engine::event::AlertEvent], rule: &str| alerts.iter().find(|a| a.rule == rule).cloned();
    assert_eq!(of(&before, "old").map(|a| a.id), of(&after, "old").map(|a| a.id), "the same episode goes on");
    assert!(of(&after, "new").is_some(), "{after:?}");
    assert!(of(&after, "gone").is_none());
}

/// Answers every delivery by receiver and rule until nothing is due for an hour.
fn settle(
    engine: &mut Engine,
    effects: Vec<Effect>,
    mut answer: impl FnMut(&str, &str) -> Attempt,
) -> Vec<(String, String)> {
    let mut delivered = Vec::new();
    let mut open: Vec<_> = effects;
    let mut now = engine.now().expect("something happened");
    let end = now + Span::hours(1);
    loop {
        while let Some(effect) = open.pop() {
            let Effect::Deliver(d) = effect else { continue };
            let result = answer(&d.receiver, &d.notification().expect("about alerts").lead().rule);
            if result == Attempt::Done {
                delivered.push((d.receiver.clone(), d.notification().expect("about alerts").lead().rule.clone()));
            }
            open.extend(engine.handle(now, Event::Receipt(Receipt::Delivery { id: d.id, result })));
        }
        match engine.next_deadline().filter(|due| *due < end) {
            Some(due) => {
                now = now.max(due);
                open.extend(engine.handle(now, Event::Deadline));
            }
            None => return delivered,
        }
    }
}

fn retry() -> Attempt {
    Attempt::Retry { reason: "500".into(), after: None }
}

#[test]
fn a_message_that_is_never_taken_does_not_stand_before_the_others() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let rules = names.iter().map(|n| rule(n, Metric::ErrorRate, Comparison::Greater, 0.1, Span::minutes(5))).collect();
    let mut engine = Engine::new(policy(rules), State::default());
    let mut effects = Vec::new();
    replay::feed(&mut engine, &story()[..160], |_, _, e| effects.extend(e));
    let delivered = settle(&mut engine, effects, |_, rule| if rule == "a" { retry() } else { Attempt::Done });
    for name in &names[1..] {
        assert!(delivered.contains(&("ops".into(), (*name).into())), "{name} in {delivered:?}");
    }
}

#[test]
fn a_receiver_that_is_down_costs_the_others_nothing() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let rules: Vec<Rule> =
        names.iter().map(|n| rule(n, Metric::ErrorRate, Comparison::Greater, 0.1, Span::minutes(5))).collect();
    let mut policy = (*policy(rules)).clone();
    policy.settings.receivers = vec![receiver("dead"), receiver("ops")];
    policy.settings.limits.outbox = 8;
    let mut engine = Engine::new(Arc::new(policy), State::default());
    let mut delivered = Vec::new();
    // Firing and resolved of eight rules: twice what the dead one's queue holds.
    for chunk in story().chunks(20) {
        let mut effects = Vec::new();
        replay::feed(&mut engine, chunk, |_, _, e| effects.extend(e));
        let mut open = effects;
        while let Some(effect) = open.pop() {
            let Effect::Deliver(d) = effect else { continue };
            let up = d.receiver == "ops";
            delivered.extend(up.then(|| d.id.clone()));
            let result = if up { Attempt::Done } else { retry() };
            let now = engine.now().expect("records were fed");
            open.extend(engine.handle(now, Event::Receipt(Receipt::Delivery { id: d.id, result })));
        }
    }
    let view = engine.view();
    assert_eq!(delivered.len(), 16);
    assert_eq!(view.counters.outbox_dropped, 8, "the dead one's resolved messages");
}

#[test]
fn only_those_who_were_told_of_an_alert_are_told_of_its_end() {
    let burst = || vec![rule("burst", Metric::ErrorRate, Comparison::Greater, 0.5, Span::minutes(1))];
    let mut engine = Engine::new(policy(burst()), State::default());
    let records = story();
    let middle = records.iter().position(|r| r.at >= Some(Timestamp(START + 400_000))).expect("a middle");
    drive(&mut engine, &records[..middle]);
    assert_eq!(engine.view().alerts.len(), 1);
    let mut later = (*policy(burst())).clone();
    later.settings.receivers.push(receiver("new"));
    // Who was told hears that it is over there when the change makes it too mild, and no more of it.
    later.settings.receivers[0].min_severity = Severity::Critical;
    later.rules[0].severity = Severity::Info;
    let now = engine.now().expect("records were fed");
    engine.reload(now, Arc::new(later));
    let effects = drive(&mut engine, &records[middle..]);
    let told: Vec<(&str, AlertState)> = effects
        .iter()
        .filter_map(|(_, e)| if let Effect::Deliver(d) = e { Some(d) } else { None })
        .map(|d| (d.receiver.as_str(), d.notification().expect("about alerts").state()))
        .collect();
    assert_eq!(told, [("new", AlertState::Firing), ("ops", AlertState::Resolved), ("new", AlertState::Resolved)]);
}

#[test]
fn a_reload_that_asks_more_of_a_window_does_not_empty_it() {
    let burst = || rule("burst", Metric::ErrorRate, Comparison::Greater, 0.1, Span::minutes(5));
    let slow = || rule("slow", Metric::P95Latency, Comparison::Greater, 1e9, Span::minutes(5));
    let mut engine = Engine::new(policy(vec![burst()]), State::default());
    let records: Vec<Record<'_>> = story().into_iter().filter(|r| r.at < Some(Timestamp(START + 400_000))).collect();
    run(&mut engine, &records);
    let before = engine.view().alerts;
    let now = engine.now().expect("records were fed");
    engine.reload(now, policy(vec![burst(), slow()]));
    let effects = end(&mut engine);
    assert_eq!(transitions(&effects), []);
    let after = engine.view().alerts;
    assert!(after[0].id == before[0].id && after[0].n > 50, "a step later: {after:?}");
}

#[test]
fn bursts_that_are_always_the_same_are_their_own_baseline() {
    // Ten runs of a dollar each, within a minute, every three hours, always in the middle of an hour.
    let mut spike = rule("spike", Metric::HourlyCost, Comparison::Greater, 0.0, Span::hours(1));
    let threshold =
        Node::Arithmetic(evenkeel::rule::Arithmetic::Multiply, Box::new(Node::Slot(1)), Box::new(Node::Const(3.0)));
    spike.program = Program {
        inputs: vec![
            Input::Metric(Metric::HourlyCost, None),
            Input::Baseline { metric: Metric::HourlyCost, percent: 50 },
        ],
        root: Node::Compare {
            op: Comparison::Greater,
            left: Box::new(Node::Slot(0)),
            right: Box::new(threshold),
            unit: Unit::Money,
        },
    };
    spike.min_samples = 1;
    let mut engine = Engine::new(policy(vec![spike]), State::default());
    let mut records = Vec::new();
    for burst in 0..40 {
        for run in 0..10 {
            let mut record = record("a", burst * 3 * 3_600 + 600 + run * 6, Outcome::Ok, 100.0);
            record.cost = Some(evenkeel::model::Nanodollars(1_000_000_000));
            records.push(record);
        }
    }
    assert_eq!(transitions(&run(&mut engine, &records)), []);
}
