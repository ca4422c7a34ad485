//! A seeded fleet through a faulty world: records lost, late, doubled and reordered; receivers
//! down, slow and picky; targets edited; the policy changed; the process killed anywhere.
//!
//! Every story is a function of its seed, and one in three has everything in it that can be configured. A failure prints
//! its seed; `EVENKEEL_SEED=n` runs that one alone, `EVENKEEL_SEEDS=n` runs n of them, on all processors.

mod checks;
mod policies;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use evenkeel::engine::event::{AlertState, Effect};
use policies::Kind;

/// What happened in a story.
#[derive(Default)]
struct Count {
    events: usize,
    fired: usize,
    messages: usize,
    changes: usize,
}

fn check(seed: u64) -> Count {
    let story = world::live(seed, None);
    checks::crash_changes_nothing(seed, &story);
    checks::alerts_obey_their_timing(seed, &story);
    checks::thresholds_are_reached_once(seed, &story);
    checks::error_budgets_are_what_runs_left(seed, &story);
    checks::messages_are_kept(seed, &story);
    checks::refusals_are_no_beginnings(seed, &story);
    match story.kind {
        Kind::Plain => {}
        Kind::Routed => checks::messages_have_a_reason(seed, &story),
        Kind::Full => {
            checks::ends_follow_beginnings(seed, &story);
            checks::alertmanagers_hold_the_truth(seed, &story);
            checks::the_history_of_alertmanagers_is_settled(seed, &story);
        }
    }
    checks::changes_obey_their_guards(seed, &story);
    checks::agents_do_not_touch_each_other(seed, &story);
    let effects = || story.effects.iter().flatten();
    Count {
        events: story.entries.len(),
        fired: world::alerts(&story).filter(|a| a.state == AlertState::Firing).count(),
        messages: effects().filter(|e| matches!(e, Effect::Deliver(d) if d.attempt == 1)).count(),
        changes: effects().filter(|e| matches!(e, Effect::Apply(_))).count(),
    }
}

#[test]
fn stories_keep_their_promises() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let (first, last) = match number("EVENKEEL_SEED") {
        Some(seed) => (seed, seed),
        None => (1, number("EVENKEEL_SEEDS").unwrap_or(12)),
    };
    let next = AtomicU64::new(first);
    let work = || {
        let mut sum = Count::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > last {
                return sum;
            }
            let count = std::panic::catch_unwind(|| check(seed)).unwrap_or_else(|fault| {
                eprintln!("seed {seed} breaks a promise; EVENKEEL_SEED={seed} runs it alone");
                std::panic::resume_unwind(fault)
            });
            sum.events += count.events;
            sum.fired += count.fired;
            sum.messages += count.messages;
            sum.changes += count.changes;
            if seed.is_multiple_of(500) {
                eprintln!("{seed} seeds");
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min((last - first + 1) as usize);
    let sums: Vec<Count> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("every promise is kept")).collect()
    });
    let sum = |of: fn(&Count) -> usize| sums.iter().map(of).sum::<usize>();
    let (count, fired, changes) = ((last - first + 1) as usize, sum(|c| c.fired), sum(|c| c.changes));
    assert!(fired >= count && changes >= count, "stories in which nothing happens test nothing");
    println!(
        "seeds {first} to {last}: every one killed 3 times, {} events, {fired} alerts fired, {} messages, {changes} changes; \
         nothing was lost, doubled or decided otherwise",
        sum(|c| c.events),
        sum(|c| c.messages)
    );
}
