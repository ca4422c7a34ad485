//! The real process is killed at random moments while lines are appended, files are rotated, alerts fire and resolve
//! and their receiver fails at times: every transition is delivered, and none twice but one in flight, under the same id.
//!
//! What must be delivered is known from what was written, not from what the program says of itself: every agent
//! fails and recovers in phases that are long against window and hold, so each phase is one firing and each
//! recovery one resolved alert. `EVENKEEL_KILLS` is the number of kills, `EVENKEEL_SEED` the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Dice, Home, Message, PATIENCE, Sink, append, execution, now_ms};

const AGENTS: i64 = 100;
/// How long an agent fails, and how long it is well.
const PHASE_MS: i64 = 6_000;
/// Between two lines of one agent.
const STEP_MS: i64 = 200;
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

/// What was written: the phases in which each agent failed, and how late the writer was at most.
#[derive(Default)]
struct Written {
    phases: BTreeMap<i64, BTreeSet<i64>>,
    late_ms: i64,
}

impl Written {
    fn transitions(&self) -> usize {
        2 * self.phases.values().map(BTreeSet::len).sum::<usize>()
    }

    /// Of every agent that was not told of as it should have been: what was expected, and what came.
    fn differences(&self, messages: &[Message]) -> String {
        let distinct = distinct(messages);
        let mut text = String::new();
        for agent in 0..AGENTS {
            let name = format!("agent-{agent}");
            let came: Vec<&Message> = distinct.iter().filter(|m| m.agent == name).collect();
            let phases = self.phases.get(&agent).map_or(0, BTreeSet::len);
            let expected = ["firing", "resolved"].into_iter().cycle().take(2 * phases);
            if came.iter().map(|m| m.status.as_str()).eq(expected) {
                continue;
            }
            text += &format!(
                "{name}: {phases} phases {:?}, so {} messages; {} came:\n",
                self.phases.get(&agent),
                2 * phases,
                came.len()
            );
            for m in came {
                text += &format!("  {} {} {} since {}\n", m.at_ms, m.status, m.id, m.body["alerts"][0]["startsAt"]);
            }
        }
        text
    }
}

/// Writes lines of all agents in real time, and rotates the files, until `stop` and then until all are well.
fn write(files: &[PathBuf], start: i64, stop: &AtomicBool) -> Written {
    let mut written = Written::default();
    let mut last = None;
    for step in 0.. {
        let ms = step * STEP_MS;
        let wait = start + ms - now_ms();
        written.late_ms = written.late_ms.max(-wait);
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
                written.phases.entry(agent).or_default().insert(phase(agent, ms));
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
    written
}

#[test]
fn killed_at_any_moment_it_sends_every_transition_once() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: no number")))
    };
    let (kills, seed) = (number("EVENKEEL_KILLS", 12), number("EVENKEEL_SEED", 20_261_120));
    let mut dice = Dice::new(seed);
    let sink = Sink::start(Duration::from_millis(120));
    let mut home = Home::new(&config(&sink.url), RULES);
    let files: Vec<PathBuf> = (0..FILES).map(|n| home.path(&format!("fleet-{n}.jsonl"))).collect();
    // What fires and resolves in the lines before the first start is history and not sent: there are none.
    home.start();
    home.until_logged("caught up");
    let start = now_ms();
    let stop = AtomicBool::new(false);
    let mut killed_ms = Vec::new();
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&files, start, &stop));
        for _ in 0..kills {
            // The receiver is down for one life in four, more or less.
            sink.fails(dice.below(4) == 0);
            std::thread::sleep(Duration::from_millis(50 + dice.below(1_800)));
            killed_ms.push(now_ms());
            home.kill();
            home.start();
        }
        sink.fails(false);
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("writes to the end")
    });

    let expected = written.transitions();
    // A backlog may take as long as it needs, while it shrinks.
    let (mut came, mut since) = (0, Instant::now());
    while came < expected && since.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(200));
        let now = distinct(&sink.messages()).len();
        if now > came {
            (came, since) = (now, Instant::now());
        }
    }
    // Whatever is too much comes now.
    std::thread::sleep(Duration::from_secs(3));
    let (status, took) = home.stop();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");

    let messages = sink.messages();
    let repeated = repeated(&messages);
    println!(
        "{kills} kills, seed {seed}: {expected} transitions of {AGENTS} agents, {} lost, {} messages, {} of them \
         repeated in flight; the writer was {} ms late at most",
        expected.saturating_sub(messages.len() - repeated.len()),
        messages.len(),
        repeated.len(),
        written.late_ms
    );
    let differences = written.differences(&messages);
    let log = home.text("log");
    let end: String = log.chars().skip(log.chars().count().saturating_sub(20_000)).collect();
    assert!(
        differences.is_empty(),
        "seed {seed}; the writer was {} ms late at most (more than 1500 makes phases too short to be seen)\n\
         {differences}the end of the log:\n{end}",
        written.late_ms
    );
    for (first, again) in &repeated {
        let killed = killed_ms.iter().any(|at| (first.at_ms - 50..=again.at_ms).contains(at));
        assert!(killed, "seed {seed}: sent twice without a kill in between: {first:?} {again:?}");
    }
    // At most four attempts are in flight to one receiver when the process dies.
    assert!(repeated.len() <= 4 * kills as usize, "seed {seed}: {} repeated", repeated.len());
}

/// The first message of every id, in the order of arrival.
fn distinct(messages: &[Message]) -> Vec<Message> {
    let mut seen = BTreeSet::new();
    messages.iter().filter(|m| seen.insert(m.id.clone())).cloned().collect()
}

/// Every message that came again, with the one before it under the same id.
fn repeated(messages: &[Message]) -> Vec<(Message, Message)> {
    let mut before: BTreeMap<&str, &Message> = BTreeMap::new();
    messages.iter().filter_map(|m| Some((before.insert(&m.id, m)?.clone(), m.clone()))).collect()
}
