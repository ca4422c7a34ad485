//! A seeded fleet through a faulty world: records lost, late, doubled and reordered; receivers
//! down, slow and picky; targets edited; the process killed anywhere.
//!
//! Every story is a function of its seed. The checkers know nothing of how the engine works: they
//! look at what went in and what came out. A failure prints its seed; `EVENKEEL_SEED=n` runs that
//! one alone, `EVENKEEL_SEEDS=n` runs n of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel::diagnostic::SourceFile;
use evenkeel::engine::event::{
    AlertEvent, AlertState, Attempt, ChangeResult, Command, CurrentValue, Decision, DeliveryId, Effect, Event,
    NotificationStatus, Receipt, Report, Silence,
};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Outcome, Record, RecordId, Severity, Span, Timestamp};
use evenkeel::policy::Policy;
use evenkeel::rule;
use evenkeel::settings::{Channel, Guard, Mode, Parameter, ParameterKind, Receiver, Settings, Target, TargetFormat};
use evenkeel::wire::matcher::LabelMatcher;

const START: i64 = 1_780_000_000_000;
const AGENTS: usize = 6;
const RULES: &str = "
alerts:
  - name: error_burst
    condition: error_rate > 40%
    window: 5m
    for: 1m
    keep_firing_for: 1m
    min_samples: 5
    severity: critical
  - name: slow
    condition: p95_latency > 20s and executions >= 10
    window: 10m
    severity: warning
  - name: cost_shift
    condition: hourly_cost > baseline * 3
    window: 15m
    severity: info
  - name: receiver_failing
    condition: error_rate > 50%
    by: [receiver]
    window: 5m
    min_samples: 4
  - name: quota
    budget: hourly
    condition: budget >= 50%
";
const BUDGETS: &str = "budgets: [{name: hourly, amount: 60 executions, period: hour, by: agent}]";

/// SplitMix64 (Steele, Lea and Flood 2014): one word of state, enough for stories.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// An event that owns what it holds, as a journal would.
#[derive(Debug, Clone)]
enum Entry {
    Records(Vec<Record<'static>>),
    Command(Command),
    Receipt(Receipt),
    Deadline,
}

impl Entry {
    fn handle(&self, engine: &mut Engine, now: Timestamp) -> Vec<Effect> {
        match self {
            Entry::Records(records) => engine.handle(now, Event::Records(records)),
            Entry::Command(command) => engine.handle(now, Event::Command(command.clone())),
            Entry::Receipt(receipt) => engine.handle(now, Event::Receipt(receipt.clone())),
            Entry::Deadline => engine.handle(now, Event::Deadline),
        }
    }
}

/// What happened: every event with its instant, and what the engine gave for it.
struct Story {
    entries: Vec<(Timestamp, Entry)>,
    effects: Vec<Vec<Effect>>,
    engine: Engine,
}

/// Half of the seeds live without routes, half with them.
fn routed(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

const REPEAT: Span = Span::minutes(10);
const ROUTES: &str = "
receivers: [{name: ops, webhook: {url: \"http://127.0.0.1:1/\"}}, {name: pager, webhook: {url: \"http://127.0.0.1:1/\"}}]
routes:
- {matchers: [severity=critical], receivers: [pager], continue: true, repeat_interval: 10m, repeat_growth: 2}
- {matchers: [\"receiver=\"], receivers: [ops], group_by: [alertname], group_wait: 20s, group_interval: 1m, repeat_interval: 10m}
inhibit: [{source: severity=critical, target: severity=warning, equal: [agent]}]
damping: {flaps: 4, flood: 3}
digests:
- {name: first, at: \"20:40\", receivers: [ops, pager]}
- {name: second, at: \"20:50\", receivers: [ops]}
";

fn policy(seed: u64) -> Arc<Policy> {
    let file = SourceFile::new("rules.yaml", RULES);
    let load = |text: &str| {
        let (settings, faults) = Settings::load(&SourceFile::new("evenkeel.yaml", text), std::path::Path::new(""));
        settings.unwrap_or_else(|| panic!("{faults:?}"))
    };
    let budgets = load(BUDGETS).budgets;
    let (rules, faults) = rule::load::load_with(&[file], Span::seconds(15), &[], &budgets);
    assert!(faults.is_empty(), "{faults:?}");
    let mut policy = Policy { rules, ..Policy::default() };
    policy.settings.evaluation_interval = Span::seconds(15);
    let webhook =
        || Channel::Webhook { url: "http://127.0.0.1:1/".into(), secret: None, token: None, timeout: Span::seconds(5) };
    policy.settings.receivers = [("ops", Severity::Info), ("pager", Severity::Critical)]
        .into_iter()
        .map(|(name, min_severity)| Receiver {
            name: name.into(),
            min_severity,
            send_resolved: true,
            channel: webhook(),
        })
        .collect();
    policy.settings.tune.targets = vec![Target {
        name: "agents".into(),
        file: "agents.yaml".into(),
        format: TargetFormat::Yaml,
        mode: Mode::Apply,
        parameters: vec![Parameter {
            kind: ParameterKind::Timeout,
            path: "agents.{agent}.timeout".into(),
            unit_ms: 1_000.0,
            as_string: false,
            guard: GUARD,
            task_type: "complex".into(),
        }],
    }];
    policy.settings.budgets = budgets;
    if routed(seed) {
        let settings = load(ROUTES);
        (policy.settings.routing, policy.settings.digests) = (settings.routing, settings.digests);
    }
    Arc::new(policy)
}

const GUARD: Guard = Guard {
    floor: 5_000.0,
    ceiling: 300_000.0,
    dead_band: 0.1,
    step_up: 2.0,
    step_down: 0.5,
    cooldown: Span(3_600_000),
    min_samples: 20,
};

fn agent(index: usize) -> String {
    format!("agent-{index}")
}

/// One agent's execution at `second`; agents 1 and 2 have a bad half hour each.
fn execution(random: &mut Random, index: usize, second: i64, number: u64) -> Record<'static> {
    let bad = (1_800..3_600).contains(&second);
    let fails = random.chance(if index == 1 && bad { 80 } else { 5 });
    let slow = if index == 2 && bad { 10 } else { 1 };
    let ms = (1_000 + random.below(3_000)) * slow;
    let outcome = if fails { Outcome::Error } else { Outcome::Ok };
    let mut record = Record::new("sim", agent(index), Some(Timestamp(START + second * 1_000)), outcome);
    record.id = Some(RecordId(number));
    record.duration_ms = Some(ms as f64);
    record.cost = Some(evenkeel::model::Nanodollars(1_000_000 + random.below(500_000) as i64));
    record
}

/// The world's answer to one effect, some time later.
fn answer(random: &mut Random, effect: &Effect) -> Option<(i64, Entry)> {
    match effect {
        Effect::Deliver(delivery) => {
            let result = match random.below(10) {
                0..=5 => Attempt::Done,
                6 => Attempt::Retry { reason: "down".into(), after: None },
                7 => Attempt::Retry { reason: "busy".into(), after: Some(Span::seconds(random.below(90) as i64)) },
                8 => Attempt::Retry { reason: "hung".into(), after: None },
                _ => Attempt::Refuse { reason: "404".into() },
            };
            let after = random.below(if matches!(result, Attempt::Done) { 200 } else { 20_000 }) as i64;
            Some((after, Entry::Receipt(Receipt::Delivery { id: delivery.id.clone(), result })))
        }
        Effect::Apply(change) => {
            let result = match random.below(3) {
                0 => ChangeResult::Refused { reason: "changed since".into() },
                1 => ChangeResult::Suggested,
                _ => ChangeResult::Applied,
            };
            Some((random.below(2_000) as i64, Entry::Receipt(Receipt::Change { id: change.id.clone(), result })))
        }
        Effect::Report(_) => None,
    }
}

/// Lives through two hours of the fleet. `without` leaves one agent's records out.
fn live(seed: u64, without: Option<usize>) -> Story {
    let mut random = Random(seed);
    let mut arrivals: Vec<(i64, Entry)> = Vec::new();
    let values = (0..AGENTS).map(|i| CurrentValue { parameter: 0, agent: agent(i), value: 60_000.0 }).collect();
    arrivals.push((0, Entry::Command(Command::Target { target: "agents".into(), values })));
    let mut number = 0;
    for second in (0..7_200).step_by(10) {
        for index in 0..AGENTS {
            number += 1;
            let record = execution(&mut random, index, second, number);
            let (lost, doubled, late) = (random.chance(2), random.chance(5), random.chance(10));
            let delay = if late { random.below(400_000) as i64 } else { random.below(2_000) as i64 };
            if lost || without == Some(index) {
                continue;
            }
            let at = second * 1_000 + delay;
            if doubled {
                arrivals.push((at + 5_000, Entry::Records(vec![record.clone()])));
            }
            arrivals.push((at, Entry::Records(vec![record])));
        }
    }
    if routed(seed) {
        let matchers = vec![LabelMatcher::parse("agent=agent-2").expect("a matcher")];
        let starts = Timestamp(START + 1_900_000);
        let (ends, author, comment) = (starts + Span::minutes(20), "ada".to_owned(), "known".to_owned());
        let silence = Silence { id: "s".into(), matchers, author, comment, starts, ends };
        arrivals.push((1_900_000, Entry::Command(Command::Silence(silence))));
        arrivals.push((2_600_000, Entry::Command(Command::ExpireSilence { id: "s".into() })));
    }
    arrivals.sort_by_key(|(at, _)| *at);

    let mut engine = Engine::new(policy(seed), State::default());
    // The world draws from a stream of its own, so that leaving an agent out changes nobody's luck.
    let mut world = Random(seed ^ 0x0077_6f72_6c64);
    let mut pending: BTreeMap<(i64, u64), Entry> = BTreeMap::new();
    for (i, (at, entry)) in arrivals.into_iter().enumerate() {
        pending.insert((at, i as u64), entry);
    }
    let mut story =
        Story { entries: Vec::new(), effects: Vec::new(), engine: Engine::new(policy(seed), State::default()) };
    let mut sequence = 1 << 40;
    while let Some(((at, _), entry)) = pending.pop_first() {
        let now = Timestamp(START + at);
        // Now and then the driver wakes the engine for its deadline, as the daemon does; receipts
        // of retries depend on it.
        while let Some(due) = engine.next_deadline().filter(|due| *due <= now) {
            let due = due.max(engine.now().unwrap_or(due));
            step(&mut engine, &mut story, &mut world, &mut pending, &mut sequence, due, Entry::Deadline);
        }
        step(&mut engine, &mut story, &mut world, &mut pending, &mut sequence, now, entry);
    }
    story.engine = engine;
    story
}

fn step(
    engine: &mut Engine,
    story: &mut Story,
    world: &mut Random,
    pending: &mut BTreeMap<(i64, u64), Entry>,
    sequence: &mut u64,
    now: Timestamp,
    entry: Entry,
) {
    let effects = entry.handle(engine, now);
    for effect in &effects {
        if let Some((after, entry)) = answer(world, effect) {
            *sequence += 1;
            pending.insert((now.0 - START + after, *sequence), entry);
        }
    }
    story.entries.push((now, entry));
    story.effects.push(effects);
}

fn alerts(story: &Story) -> impl Iterator<Item = &AlertEvent> {
    story.effects.iter().flatten().filter_map(|e| if let Effect::Report(Report::Alert(a)) = e { Some(a) } else { None })
}

/// A process killed after any event, restored from an older snapshot and the journal since, does
/// from there on what the one that lived did. As the daemon does, the journal leaves out deadlines
/// that handed nothing out: what they decided is decided again, at the same instants, as soon as
/// time goes on.
fn crash_changes_nothing(seed: u64, story: &Story) {
    let mut random = Random(seed ^ 0x6b69_6c6c);
    let out = |e: &Effect| matches!(e, Effect::Deliver(_) | Effect::Apply(_));
    let journalled = |i: &usize| !matches!(story.entries[*i].1, Entry::Deadline) || story.effects[*i].iter().any(out);
    for _ in 0..3 {
        let crash = random.below(story.entries.len() as u64) as usize;
        let snapshot = random.below(crash as u64 + 1) as usize;
        let mut engine = Engine::new(policy(seed), State::default());
        for i in (0..snapshot).filter(journalled) {
            story.entries[i].1.handle(&mut engine, story.entries[i].0);
        }
        let bytes = postcard::to_stdvec(engine.state()).expect("state encodes");
        let mut engine = Engine::new(policy(seed), postcard::from_bytes(&bytes).expect("state decodes"));
        for i in (snapshot..crash).filter(journalled) {
            story.entries[i].1.handle(&mut engine, story.entries[i].0);
        }
        let open: BTreeSet<DeliveryId> = engine
            .unsettled()
            .into_iter()
            .filter_map(|e| if let Effect::Deliver(d) = e { Some(d.id) } else { None })
            .collect();
        assert_eq!(
            open,
            in_flight(&story.effects[..crash], &story.entries[..crash]),
            "seed {seed}, killed after {crash}"
        );
        let mut done = Vec::new();
        for (now, entry) in &story.entries[crash..] {
            done.extend(entry.handle(&mut engine, *now));
        }
        let lived: Vec<Effect> = story.effects[crash..].iter().flatten().cloned().collect();
        let again = done.len().checked_sub(lived.len()).expect("nothing is left out");
        assert!(done[again..] == lived[..], "seed {seed}, killed after {crash}, snapshot {snapshot}");
        assert!(!done[..again].iter().any(out), "seed {seed}, killed after {crash}: handed out twice");
        assert_eq!(engine.view(), story.engine.view(), "seed {seed}, killed after {crash}");
    }
}

/// Deliveries handed out and not answered, seen from outside.
fn in_flight(effects: &[Vec<Effect>], entries: &[(Timestamp, Entry)]) -> BTreeSet<DeliveryId> {
    let mut open = BTreeSet::new();
    for ((_, entry), effects) in entries.iter().zip(effects) {
        if let Entry::Receipt(Receipt::Delivery { id, .. }) = entry {
            open.remove(id);
        }
        open.extend(effects.iter().filter_map(|e| if let Effect::Deliver(d) = e { Some(d.id.clone()) } else { None }));
    }
    open
}

/// Alerts walk the ladder: nothing fires before its `for`, every episode ends as it began.
fn alerts_obey_their_timing(seed: u64, story: &Story) {
    let policy = policy(seed);
    let mut last: BTreeMap<(String, String), AlertState> = BTreeMap::new();
    for event in alerts(story) {
        let rule = policy.rules.iter().find(|r| r.name == event.rule).expect("a rule of the policy");
        let key = (event.rule.clone(), event.subject.to_string());
        let before = last.get(&key).copied().unwrap_or(AlertState::Inactive);
        let legal = match event.state {
            AlertState::Pending => matches!(before, AlertState::Inactive | AlertState::Resolved),
            AlertState::Firing => {
                assert!(event.at.since(event.active_since) >= rule.hold, "seed {seed}: {event:?}");
                assert!(event.value.is_some() && event.n >= u64::from(rule.min_samples), "seed {seed}: {event:?}");
                before == AlertState::Pending || rule.hold == Span::ZERO
            }
            AlertState::Resolved => before == AlertState::Firing,
            AlertState::Inactive => before == AlertState::Pending,
        };
        assert!(legal, "seed {seed}: {before:?} -> {event:?}");
        last.insert(key, event.state);
    }
}

/// A share of a budget is reached once by each subject in each period, and ends with the period.
fn thresholds_are_reached_once(seed: u64, story: &Story) {
    const HOUR: i64 = 3_600_000;
    let mut reached = BTreeSet::new();
    for event in alerts(story).filter(|event| event.rule == "quota") {
        let hour = event.at.0.div_euclid(HOUR);
        match event.state {
            AlertState::Firing => {
                assert!(event.value >= Some(0.5), "seed {seed}: {event:?}");
                assert!(reached.insert((event.subject.to_string(), hour)), "seed {seed}: twice in an hour: {event:?}");
            }
            AlertState::Resolved => {
                let begun = event.fired_at.map(|at| at.0.div_euclid(HOUR));
                assert!(begun < Some(hour), "seed {seed}: ended within its period: {event:?}");
            }
            AlertState::Pending | AlertState::Inactive => {}
        }
    }
    assert!(!reached.is_empty(), "seed {seed}: nobody used half of it");
}

/// Every message ends delivered, refused, expired or dropped, or is still in its queue; none is
/// handed out after its end; attempts count up by one; a resolved message never overtakes.
fn messages_are_kept(seed: u64, story: &Story) {
    let mut ended = BTreeSet::new();
    let mut queued = BTreeSet::new();
    let mut attempts: BTreeMap<DeliveryId, u32> = BTreeMap::new();
    let mut order: BTreeMap<(String, String), AlertState> = BTreeMap::new();
    let mut digests = BTreeMap::new();
    for effect in story.effects.iter().flatten() {
        match effect {
            Effect::Deliver(d) => {
                assert!(!ended.contains(&d.id), "seed {seed}: {d:?} after its end");
                let before = attempts.insert(d.id.clone(), d.attempt).unwrap_or(0);
                assert_eq!(d.attempt, before + 1, "seed {seed}: {d:?}");
                let Some(notification) = d.notification() else {
                    let moment = (d.receiver.clone(), d.message.group().to_owned(), d.message.at());
                    let id = digests.entry(moment).or_insert(d.id.clone());
                    assert_eq!(*id, d.id, "seed {seed}: a digest twice");
                    continue;
                };
                let (key, state) = ((d.receiver.clone(), notification.group.clone()), notification.lead().state);
                let said = order.insert(key, state);
                let ended = said == Some(AlertState::Resolved);
                assert!(routed(seed) || !ended || state == AlertState::Resolved, "seed {seed}: {d:?}");
            }
            Effect::Report(Report::Notification(n)) if n.status == NotificationStatus::Queued => {
                queued.insert(n.id.clone());
            }
            Effect::Report(Report::Notification(n)) => {
                assert!(ended.insert(n.id.clone()), "seed {seed}: {n:?} ended twice");
            }
            _ => {}
        }
    }
    let waiting: u64 = story.engine.view().receivers.iter().map(|r| r.queued).sum();
    assert_eq!(queued.len() as u64, ended.len() as u64 + waiting, "seed {seed}");
    let fired = alerts(story).filter(|a| a.state == AlertState::Firing).count();
    assert!(routed(seed) || queued.len() >= fired, "seed {seed}: {} messages for {fired} alerts", queued.len());
}

/// With routes: nothing is said twice without a reason, no end without a beginning, nothing silenced
/// is told as new, and what still fires is told or says why not.
fn messages_have_a_reason(seed: u64, story: &Story) {
    type Said = BTreeSet<(String, AlertState, Severity)>;
    let mut said: BTreeMap<(String, String), (Timestamp, Said)> = BTreeMap::new();
    let mut told: BTreeSet<(String, String, String)> = BTreeSet::new();
    let deliveries = story.effects.iter().flatten();
    let mut firsts: Vec<_> = deliveries
        .filter_map(|e| if let Effect::Deliver(d) = e { Some(d) } else { None })
        .filter(|d| d.attempt == 1)
        .collect();
    // Messages are judged in the order in which they were decided, not in which a receiver took them.
    firsts.sort_by_key(|d| d.message.at());
    for d in firsts {
        let Some(n) = d.notification() else { continue };
        let says: BTreeSet<_> = n.alerts.iter().map(|a| (a.id.clone(), a.state, a.severity)).collect();
        let key = (d.receiver.clone(), n.group.clone());
        if let Some((at, before)) = said.insert(key, (n.at, says.clone())) {
            let firing = |set: &BTreeSet<(String, AlertState, Severity)>| {
                set.iter().filter(|s| s.1 == AlertState::Firing).cloned().collect::<BTreeSet<_>>()
            };
            let news = !firing(&says).is_subset(&firing(&before)) || says.iter().any(|s| s.1 == AlertState::Resolved);
            assert!(news || n.at.since(at) >= REPEAT, "seed {seed}: said again after {}: {d:?}", n.at.since(at));
        }
        for alert in &n.alerts {
            let key = (d.receiver.clone(), alert.rule.clone(), alert.subject.to_string());
            match alert.state {
                AlertState::Resolved => assert!(told.remove(&key), "seed {seed}: an end without a beginning: {d:?}"),
                _ => {
                    // What was due at the instant of the silence was said before it.
                    let quiet = (1_900_001..2_600_000).contains(&(n.at.0 - START));
                    let hushed = quiet && alert.subject.get("agent") == Some("agent-2");
                    assert!(!hushed, "seed {seed}: silenced and told: {d:?}");
                    told.insert(key);
                }
            }
        }
    }
    let view = story.engine.view();
    for (alert, messages) in view.alerts.iter().zip(&view.messages) {
        let long = alert.fired_at.is_some_and(|at| view.now.is_some_and(|now| now.since(at) > Span::minutes(3)));
        for message in messages.receivers.iter().filter(|_| long) {
            let known = message.last.is_some() || message.why.starts_with("inhibited");
            assert!(known, "seed {seed}: {alert:?} {message:?}");
        }
    }
}

/// No change leaves its guards.
fn changes_obey_their_guards(seed: u64, story: &Story) {
    for effect in story.effects.iter().flatten() {
        let Effect::Apply(change) = effect else { continue };
        let r = &change.recommendation;
        assert_eq!(r.decision, Decision::Change, "seed {seed}");
        let (Some(old), Some(new)) = (r.current, r.proposed) else { panic!("seed {seed}: {r:?}") };
        assert!((GUARD.floor..=GUARD.ceiling).contains(&new), "seed {seed}: {r:?}");
        // A value is written in whole seconds, so a step may be off by one of them.
        assert!(new <= old * GUARD.step_up + 1_000.0 && new >= old * GUARD.step_down - 1_000.0, "seed {seed}: {r:?}");
        assert!(r.n >= u64::from(GUARD.min_samples), "seed {seed}: {r:?}");
    }
}

/// Leaving one agent out changes no other agent's alerts.
fn agents_do_not_touch_each_other(seed: u64, story: &Story) {
    let of_others = |story: &Story| -> Vec<AlertEvent> {
        alerts(story).filter(|a| a.subject.get("agent").is_some_and(|name| name != agent(1))).cloned().collect()
    };
    assert_eq!(of_others(story), of_others(&live(seed, Some(1))), "seed {seed}");
}

#[test]
fn stories_keep_their_promises() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let seeds = match number("EVENKEEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("EVENKEEL_SEEDS").unwrap_or(12) + 1,
    };
    let count = seeds.end - seeds.start;
    let (mut events, mut fired, mut changes) = (0, 0, 0);
    for seed in seeds {
        let story = live(seed, None);
        events += story.entries.len();
        fired += alerts(&story).filter(|a| a.state == AlertState::Firing).count();
        changes += story.effects.iter().flatten().filter(|e| matches!(e, Effect::Apply(_))).count();
        crash_changes_nothing(seed, &story);
        alerts_obey_their_timing(seed, &story);
        thresholds_are_reached_once(seed, &story);
        messages_are_kept(seed, &story);
        if routed(seed) {
            messages_have_a_reason(seed, &story);
        }
        changes_obey_their_guards(seed, &story);
        agents_do_not_touch_each_other(seed, &story);
    }
    assert!(fired as u64 >= count && changes as u64 >= count, "stories in which nothing happens test nothing");
    println!("{count} seeds, {events} events, {fired} alerts fired, {changes} changes");
}
