//! Drives the engine on recorded time: the clock is the records' own.
//!
//! `replay`, `report`, `tune plan`, the tests and the daemon while it reads history all feed the
//! engine through this file, so they decide alike. Batches end at whole evaluation steps; how a
//! recording was cut into chunks makes no difference to dated records.

use std::ops::RangeInclusive;

use crate::engine::Engine;
use crate::engine::event::{Attempt, ChangeResult, Delivery, Effect, Event, Receipt};
use crate::model::{Record, Timestamp};

/// Feeds records in their order. The clock follows their times and never runs back; records
/// without a time, or older than the clock, count at the clock's instant.
///
/// `on_effects` gets what each step gave, with the instant.
pub fn feed(engine: &mut Engine, records: &[Record<'_>], on_effects: impl FnMut(&mut Engine, Timestamp, Vec<Effect>)) {
    feed_within(engine, records, Timestamp::MIN..=Timestamp(i64::MAX / 4), on_effects);
}

/// [`feed`], but the records move the clock at least to the start of `bounds` and at most to its end: a daemon
/// that reads history knows that the future has not come yet, whatever a record says.
pub fn feed_within(
    engine: &mut Engine,
    records: &[Record<'_>],
    bounds: RangeInclusive<Timestamp>,
    on_effects: impl FnMut(&mut Engine, Timestamp, Vec<Effect>),
) {
    walk(engine, records, bounds, false, on_effects);
}

/// [`feed_within`], but the engine is woken at its own deadlines between the batches, as a daemon is
/// that reads records while they are written: messages that wait go at their time.
pub fn feed_awake(
    engine: &mut Engine,
    records: &[Record<'_>],
    bounds: RangeInclusive<Timestamp>,
    on_effects: impl FnMut(&mut Engine, Timestamp, Vec<Effect>),
) {
    walk(engine, records, bounds, true, on_effects);
}

fn walk(
    engine: &mut Engine,
    records: &[Record<'_>],
    bounds: RangeInclusive<Timestamp>,
    awake: bool,
    mut on_effects: impl FnMut(&mut Engine, Timestamp, Vec<Effect>),
) {
    let step = engine.policy().settings.evaluation_interval.0.max(1);
    let time = |record: &Record<'_>| record.at.map(|at| at.min(*bounds.end()));
    let mut rest = records;
    while let Some(first) = rest.first() {
        let floor = engine.now().or(time(first)).unwrap_or_default().max(*bounds.start());
        let mut clock = floor.max(time(first).unwrap_or(floor));
        let slot = clock.0.div_euclid(step);
        let mut length = 1;
        for record in &rest[1..] {
            let next = clock.max(time(record).unwrap_or(clock));
            if next.0.div_euclid(step) != slot {
                break;
            }
            clock = next;
            length += 1;
        }
        let (batch, tail) = rest.split_at(length);
        if awake && engine.now().is_some() {
            sleep(engine, clock, &mut on_effects);
        }
        let effects = engine.handle(clock, Event::Records(batch));
        on_effects(engine, clock, effects);
        rest = tail;
    }
}

/// Moves the clock on to the next evaluation, so that the last records are looked at too.
pub fn finish(engine: &mut Engine, mut on_effects: impl FnMut(&mut Engine, Timestamp, Vec<Effect>)) {
    let Some(clock) = engine.now() else { return };
    let step = engine.policy().settings.evaluation_interval.0.max(1);
    let end = Timestamp((clock.0.div_euclid(step) + 1) * step);
    let effects = engine.handle(end, Event::Deadline);
    on_effects(engine, end, effects);
}

/// Lets time pass up to `until` as a daemon does that sleeps until the engine's next deadline.
pub fn wake(engine: &mut Engine, until: Timestamp, on_effects: &mut impl FnMut(&mut Engine, Timestamp, Vec<Effect>)) {
    sleep(engine, until, on_effects);
    let effects = engine.handle(until, Event::Deadline);
    on_effects(engine, until, effects);
}

/// Wakes the engine at every deadline before `until`.
fn sleep(engine: &mut Engine, until: Timestamp, on_effects: &mut impl FnMut(&mut Engine, Timestamp, Vec<Effect>)) {
    while let Some(due) = engine.next_deadline().filter(|due| *due < until) {
        let effects = engine.handle(due, Event::Deadline);
        let idle = effects.is_empty();
        on_effects(engine, due, effects);
        if idle && engine.next_deadline().is_some_and(|next| next <= due) {
            break;
        }
    }
}

/// Answers every effect at once as a world without faults would: all is delivered, changes are
/// written down as suggestions and no file is touched. Hands each effect to `see`, those of the answers included.
pub fn perfect_world(
    engine: &mut Engine,
    now: Timestamp,
    effects: Vec<Effect>,
    see: &mut impl FnMut(Timestamp, &Effect),
) {
    answer(engine, now, effects, see, |_| Attempt::Done);
}

/// [`perfect_world`], but `attempt` says how each delivery goes.
pub fn answer(
    engine: &mut Engine,
    now: Timestamp,
    effects: Vec<Effect>,
    see: &mut impl FnMut(Timestamp, &Effect),
    attempt: impl Fn(&Delivery) -> Attempt,
) {
    let mut open = std::collections::VecDeque::from(effects);
    while let Some(effect) = open.pop_front() {
        see(now, &effect);
        let receipt = match effect {
            Effect::Deliver(delivery) => {
                let result = attempt(&delivery);
                Receipt::Delivery { id: delivery.id, result }
            }
            Effect::Apply(change) => Receipt::Change { id: change.id, result: ChangeResult::Suggested },
            Effect::Report(_) => continue,
        };
        open.extend(engine.handle(now, Event::Receipt(receipt)));
    }
}
