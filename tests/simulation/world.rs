//! A seeded fleet, and a world that answers it with faults.

use std::collections::BTreeMap;

use evenkeel::engine::event::{
    Acknowledgement, AlertEvent, AlertState, Attempt, ChangeResult, Command, CurrentValue, Effect, Event, Receipt,
    Report, Silence,
};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Befell, Outcome, Part, Record, RecordId, Span, Timestamp};
use evenkeel::wire::matcher::LabelMatcher;

use crate::policies::{Kind, policy};
use crate::seeds::Random;

pub const START: i64 = 1_780_000_000_000;
const AGENTS: usize = 6;

/// An event that owns what it holds, as a journal would.
#[derive(Debug, Clone)]
pub enum Entry {
    Records(Vec<Record<'static>>),
    Command(Command),
    Receipt(Receipt),
    /// The later policy of the story's kind.
    Reload,
    Deadline,
}

impl Entry {
    pub fn handle(&self, engine: &mut Engine, kind: Kind, now: Timestamp) -> Vec<Effect> {
        match self {
            Entry::Records(records) => engine.handle(now, Event::Records(records)),
            Entry::Command(command) => engine.handle(now, Event::Command(command.clone())),
            Entry::Receipt(receipt) => engine.handle(now, Event::Receipt(receipt.clone())),
            Entry::Reload => engine.reload(now, policy(kind, true)),
            Entry::Deadline => engine.handle(now, Event::Deadline),
        }
    }
}

/// What happened: every event with its instant, and what the engine gave for it.
pub struct Story {
    pub kind: Kind,
    pub entries: Vec<(Timestamp, Entry)>,
    pub effects: Vec<Vec<Effect>>,
    pub engine: Engine,
}

pub fn agent(index: usize) -> String {
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
    record.work = Some(number % (index as u64 + 6));
    record.provider = Some(if index.is_multiple_of(3) { "acme" } else { "other" }.into());
    record.cost = Some(evenkeel::model::Nanodollars(1_000_000 + random.below(500_000) as i64));
    record
}

/// The world's answer to one effect, some time later.
fn answer(random: &mut Random, kind: Kind, effect: &Effect) -> Option<(i64, Entry)> {
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
        // Somebody takes on one alert in five that begins to fire.
        Effect::Report(Report::Alert(alert)) if kind == Kind::Full && alert.state == AlertState::Firing => {
            let (note, at) = (String::new(), Timestamp(START));
            let ack = Acknowledgement { alert: alert.id.clone(), author: "ada".to_owned(), note, at };
            let after = 20_000 + random.below(100_000) as i64;
            random.chance(20).then_some((after, Entry::Command(Command::Acknowledge(ack))))
        }
        Effect::Report(_) => None,
    }
}

/// Lives through two hours of the fleet. `without` leaves one agent's records out.
pub fn live(seed: u64, without: Option<usize>) -> Story {
    let mut random = Random(seed);
    let kind = Kind::of(seed);
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
    if kind != Kind::Plain {
        let matchers = vec![LabelMatcher::parse("agent=agent-2").expect("a matcher")];
        let starts = Timestamp(START + 1_900_000);
        let (ends, author, comment) = (starts + Span::minutes(20), "ada".to_owned(), "known".to_owned());
        let silence = Silence { id: "s".into(), matchers, author, comment, starts, ends };
        arrivals.push((1_900_000, Entry::Command(Command::Silence(silence))));
        arrivals.push((2_600_000, Entry::Command(Command::ExpireSilence { id: "s".into() })));
    }
    if kind == Kind::Full {
        for (at, what) in [(1_000_000, Befell::Stale), (1_700_000, Befell::Fresh), (3_000_000, Befell::Stale)] {
            arrivals.push((at, Entry::Command(Command::Befell(Part::Policy, what))));
        }
        arrivals.push((2_000_000, Entry::Command(Command::Quarantined { source: "fleet".into(), lines: 3 })));
        arrivals.push((2_500_000 + random.below(3_000_000) as i64, Entry::Reload));
    }
    arrivals.sort_by_key(|(at, _)| *at);

    let mut engine = Engine::new(policy(kind, false), State::default());
    // The world draws from a stream of its own, so that leaving an agent out changes nobody's luck.
    let mut world = Random(seed ^ 0x0077_6f72_6c64);
    let mut pending: BTreeMap<(i64, u64), Entry> = BTreeMap::new();
    for (i, (at, entry)) in arrivals.into_iter().enumerate() {
        pending.insert((at, i as u64), entry);
    }
    let mut story = Story {
        kind,
        entries: Vec::new(),
        effects: Vec::new(),
        engine: Engine::new(policy(kind, false), State::default()),
    };
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
    let effects = entry.handle(engine, story.kind, now);
    for effect in &effects {
        if let Some((after, entry)) = answer(world, story.kind, effect) {
            *sequence += 1;
            pending.insert((now.0 - START + after, *sequence), entry);
        }
    }
    story.entries.push((now, entry));
    story.effects.push(effects);
}

pub fn alert(effect: &Effect) -> Option<&AlertEvent> {
    if let Effect::Report(Report::Alert(event)) = effect { Some(event) } else { None }
}

pub fn alerts(story: &Story) -> impl Iterator<Item = &AlertEvent> {
    story.effects.iter().flatten().filter_map(alert)
}
