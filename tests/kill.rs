//! The real process is killed at random moments while lines are appended, files are rotated and alerts fire: every
//! transition is delivered, and none twice but one in flight, under the same id.
//!
//! What must be delivered is known from what was written, not from what the program says of itself: every agent
//! fails and recovers in phases that are long against window and hold, so each phase is one firing and each
//! recovery one resolved alert. `EVENKEEL_KILLS` is the number of kills, `EVENKEEL_SEED` the seed.

mod live;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use live::{Dice, Home, Message, Sink, append, execution, now_ms};

const AGENTS: i64 = 48;
/// How long an agent fails, and how long it is well.
const PHASE_MS: i64 = 6_000;
/// Between two lines of one agent.
const STEP_MS: i64 = 100;
/// Files that the agents share.
const FILES: usize = 3;
/// Steps after which one of the files is rotated.
const ROTATE: i64 = 17;

const RULES: &str = "
alerts:
  - name: failing
    condition: error_rate > 50%
    window: 3s
    keep_firing_for: 2s
    severity: critical
";

fn config(url: &str) -> String {
    format!(
        "state_dir: state
evaluation_interval: 1s
rules: [rules.yaml]
listen: off
sources:
  - name: fleet
    path: fleet-*.jsonl
# Every transition is to be told, however often an agent takes turns.
damping: {{flaps: 0, flood: 0}}
receivers:
  - name: ops
    webhook: {{url: \"{url}\"}}
"
    )
}

/// Whether an agent fails at a time since the start; agents take turns.
fn fails(agent: i64, ms: i64) -> bool {
    phase(agent, ms) >= 0 && phase(agent, ms) % 2 == 0
}

fn phase(agent: i64, ms: i64) -> i64 {
    (ms - 1_000 - agent % 8 * PHASE_MS / 8).div_euclid(PHASE_MS)
}

#[test]
fn killed_at_any_moment_it_sends_every_transition_once() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: no number")))
    };
    let (kills, seed) = (number("EVENKEEL_KILLS", 12), number("EVENKEEL_SEED", 20_261_120));
    let mut dice = Dice::new(seed);
    let sink = Sink::start(Duration::from_millis(240));
    let mut home = Home::new(&config(&sink.url), RULES);
    let files: Vec<PathBuf> = (0..FILES).map(|n| home.path(&format!("fleet-{n}.jsonl"))).collect();
    // What fires and resolves in the lines before the first start is history and not sent: there are none.
    home.start();
    home.until_logged("caught up");
    let start = now_ms();
    let stop = AtomicBool::new(false);

    let fired: BTreeMap<i64, i64> = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut fired = BTreeMap::new();
            let mut last = None;
            for step in 0.. {
                let ms = step * STEP_MS;
                let wait = start + ms - now_ms();
                std::thread::sleep(Duration::from_millis(wait.max(0) as u64));
                // Once it is time to end, phases of failure are still played out, then all are well for a while.
                if last.is_none() && stop.load(Ordering::Relaxed) {
                    last = Some((ms, ms + 2 * PHASE_MS));
                }
                if step % ROTATE == ROTATE - 1 {
                    let file = &files[(step / ROTATE) as usize % FILES];
                    std::fs::rename(file, file.with_extension(format!("jsonl.{step}"))).expect("renames");
                }
                let mut lines = vec![String::new(); FILES];
                for agent in 0..AGENTS {
                    let began = last.is_none_or(|(ending, _)| phase(agent, ms) == phase(agent, ending));
                    let fail = fails(agent, ms) && began;
                    if fail {
                        fired.insert(agent * 1_000_000 + phase(agent, ms), ms);
                    }
                    lines[agent as usize % FILES] += &execution(start + ms, &format!("agent-{agent}"), !fail);
                }
                for (file, lines) in files.iter().zip(lines) {
                    append(file, lines.as_bytes());
                }
                if last.is_some_and(|(_, end)| ms >= end) {
                    break;
                }
            }
            fired
        });
        for _ in 0..kills {
            std::thread::sleep(Duration::from_millis(50 + dice.below(1_800)));
            home.kill();
            home.start();
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("writes to the end")
    });

    let expected = 2 * fired.len();
    let delivered = || distinct(&sink.messages()).len();
    home.until(&format!("{expected} transitions are delivered"), || delivered() >= expected);
    // Whatever is too much comes now.
    std::thread::sleep(Duration::from_secs(3));
    let (status, took) = home.stop();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");

    let messages = sink.messages();
    let distinct = distinct(&messages);
    println!(
        "{kills} kills, seed {seed}: {} phases, {} transitions, {} messages, {} of them repeated in flight",
        fired.len(),
        distinct.len(),
        messages.len(),
        messages.len() - distinct.len()
    );
    assert_eq!(distinct.len(), expected, "seed {seed}; transitions of {} phases\n{}", fired.len(), story(&messages));
    for agent in 0..AGENTS {
        let name = format!("agent-{agent}");
        let states: Vec<&str> = distinct.iter().filter(|m| m.agent == name).map(|m| m.status.as_str()).collect();
        let phases = fired.keys().filter(|key| **key / 1_000_000 == agent).count();
        let turns: Vec<&str> = ["firing", "resolved"].into_iter().cycle().take(2 * phases).collect();
        assert_eq!(states, turns, "seed {seed}, {name}\n{}", story(&messages));
    }
    // At most four attempts are in flight to one receiver when the process dies.
    assert!(messages.len() - distinct.len() <= 4 * kills as usize, "seed {seed}\n{}", story(&messages));
}

/// The first message of every id, in the order of arrival.
fn distinct(messages: &[Message]) -> Vec<Message> {
    let mut seen = std::collections::BTreeSet::new();
    messages.iter().filter(|m| seen.insert(m.id.clone())).cloned().collect()
}

fn story(messages: &[Message]) -> String {
    messages
        .iter()
        .map(|m| format!("{} {} {} {}\n", m.agent, m.status, m.id, m.body["alerts"][0]["startsAt"]))
        .collect()
}
