//! A seeded fleet through a faulty world: records lost, late, doubled and reordered; receivers
//! down, slow and picky; targets edited; the policy changed; the process killed anywhere. Stories of receivers and of
//! Alertmanagers alone go further into what those do.
//!
//! Every story is a function of its seed, and one in three has everything in it that can be configured. A failure prints
//! its seed; `EVENKEEL_SEED=n` runs that one alone, `EVENKEEL_SEEDS=n` runs n of them, on all processors.

mod alertmanagers;
mod checks;
mod policies;
mod receivers;
mod seeds;
mod world;

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
    let (seeds, told) = seeds::tell(12, check);
    let sum = |of: fn(&Count) -> usize| told.iter().map(of).sum::<usize>();
    let (fired, changes) = (sum(|c| c.fired), sum(|c| c.changes));
    assert!(fired >= told.len() && changes >= told.len(), "stories in which nothing happens test nothing");
    println!(
        "seeds {} to {}: every one killed 3 times, {} events, {fired} alerts fired, {} messages, {changes} changes; \
         nothing was lost, doubled or decided otherwise",
        seeds.start(),
        seeds.end(),
        sum(|c| c.events),
        sum(|c| c.messages)
    );
}
