//! What a hundred rules over ten thousand agents cost: CPU seconds per evaluation, memory per series, and
//! the whole replay of 65 minutes of history with an evaluation every 30 seconds.
//!
//! ```sh
//! cargo run --release --example many_rules
//! cargo run --release --example many_rules -- --print > rules.yaml
//! cargo run --release --example many_rules -- --write history.jsonl
//! ```
//!
//! Ten shapes of rules are taken in turn, each with thresholds of its own: ratios of sums, means over up to
//! an hour, cost against its own baseline, the fleet, a model, silence. One agent in a hundred is bad; with
//! `--hot` it breaks the thresholds of all rules, else nothing does. Every agent logs a line each 15
//! seconds, with what it did since the line before: ten series per agent.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use evenkeel::engine::event::{Effect, Event, Report};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::replay;
use evenkeel::settings::{Mapping, Source};
use evenkeel::wire::execution::Reader;

/// Series of an agent: nine numbers and when it was last heard of.
const SERIES: usize = 10;
/// Time between two lines of an agent.
const TICK: Span = Span::seconds(15);
/// Time between two evaluations.
const STEP: Span = Span::seconds(30);
/// Evaluations that are measured: the last ones, when all windows are full.
const MEASURED: usize = 10;

/// Measures many rules over many agents.
#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long, default_value_t = 10_000)]
    agents: usize,
    /// Minutes of history.
    #[arg(long, default_value_t = 65)]
    minutes: i64,
    #[arg(long, default_value_t = 100)]
    rules: usize,
    /// Let the bad agents break every threshold.
    #[arg(long)]
    hot: bool,
    /// Print the rules and measure nothing.
    #[arg(long)]
    print: bool,
    /// Write the history to a file, for `evenkeel replay`, and measure nothing.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// `rules` rules in ten shapes, their thresholds scaled by a factor that differs from rule to rule.
fn rules(rules: usize, hot: bool) -> String {
    let mut text = "alerts:\n".to_owned();
    for number in 0..rules {
        let i = number as f64;
        let f = if hot { 1.0 + 0.001 * i } else { 100.0 + 0.1 * i };
        let (name, severity, window, by, condition) = match number % 10 {
            0 => ("high_error_rate", "critical", "5m", "agent", format!("sum(errors) / sum(requests) > {}", 0.1 * f)),
            1 => ("p95_latency_high", "critical", "15m", "agent", format!("mean(latency_s) > {}s", 15.0 * f)),
            2 => ("cost_spike", "warning", "1h", "agent", format!("cost[5m] * 12 > cost * {}", 2.0 * f)),
            3 => ("success_rate_drop", "warning", "1h", "agent", format!("mean(success_ratio) < {}", 0.95 / f)),
            4 => ("semantic_slow", "info", "30m", "agent", format!("mean(semantic_s) > {}s", 3.0 * f)),
            5 => ("cache_miss_high", "info", "1h", "agent", format!("mean(cache_miss_ratio) > {}", 0.8 * f)),
            6 => ("queue_depth", "warning", "5m", "agent", format!("last(queue_depth) > {}", 50.0 * f)),
            7 => ("fleet_error_rate", "critical", "5m", "fleet", format!("sum(errors) / sum(requests) > {}", 0.01 * f)),
            8 => ("model_cost", "warning", "5m", "model", format!("hourly_cost > ${}", f)),
            _ => ("heartbeat_lost", "critical", "5m", "agent", format!("silence > {}s", 120.0 * f)),
        };
        let _ = writeln!(text, "  - name: {name}_{number:03}\n    condition: {condition}\n    window: {window}");
        let _ = writeln!(text, "    by: {by}\n    severity: {severity}");
        let _ = writeln!(text, "    annotations: {{summary: \"{{{{ subject }}}} is at {{{{ value }}}}\"}}");
    }
    text
}

/// The lines of all agents at one tick. Values wobble by up to a twentieth, so that nothing is constant.
fn lines(agents: usize, at: Timestamp, tick: u64, text: &mut String) {
    text.clear();
    let at = at.to_rfc3339();
    for agent in 0..agents {
        let bad = agent % 100 == 7;
        let mut turn = agent as u64 * SERIES as u64;
        let mut value = |healthy: f64, bad_one: f64| {
            turn += 1;
            let wobble = 0.95 + ((turn * 7_919 + tick * 104_729) % 1_000) as f64 * 0.000_1;
            (if bad { bad_one } else { healthy }) * wobble
        };
        let (requests, errors, cost) = (value(30.0, 30.0), value(0.3, 9.0), value(0.006, 0.03));
        let (tokens, latency) = (value(13_500.0, 60_000.0), value(4.0, 21.0));
        let (success, semantic, misses, queue) =
            (value(0.99, 0.7), value(0.8, 4.5), value(0.35, 0.93), value(3.0, 90.0));
        let _ = writeln!(
            text,
            "{{\"timestamp\": \"{at}\", \"agent_name\": \"agent-{agent:06}\", \"model\": \"model-{}\", \
             \"requests\": {requests:.4}, \"errors\": {errors:.4}, \"estimated_cost\": {cost:.6}, \
             \"output_tokens\": {tokens:.0}, \"latency_s\": {latency:.4}, \"success_ratio\": {success:.4}, \
             \"semantic_s\": {semantic:.4}, \"cache_miss_ratio\": {misses:.4}, \"queue_depth\": {queue:.3}}}",
            agent % 8,
        );
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let text = rules(arguments.rules, arguments.hot);
    if arguments.print {
        print!("{text}");
        return Ok(());
    }
    let start = Timestamp(1_772_550_000_000);
    let ticks = 0..arguments.minutes * 60_000 / TICK.0;
    if let Some(file) = arguments.write {
        let (mut file, mut buffer) = (File::create(file)?, String::new());
        for tick in ticks {
            lines(arguments.agents, Timestamp(start.0 + tick * TICK.0), tick as u64, &mut buffer);
            file.write_all(buffer.as_bytes())?;
        }
        return Ok(());
    }
    let config = ("many_rules".to_owned(), format!("evaluation_interval: {}s\n", STEP.0 / 1_000));
    let source = PolicySource { config: Some(config), rules: vec![("rules".to_owned(), text)], ..Default::default() };
    let (policy, diagnostics) = Policy::load(&source, Path::new(""));
    let policy = Arc::new(policy.ok_or_else(|| format!("the rules do not load: {diagnostics:?}"))?);
    let mut engine = Engine::new(policy.clone(), State::default());
    let source = Source { name: "fleet".into(), path: "fleet.jsonl".into(), mapping: Mapping::default() };
    let reader = Reader::new(&source, &policy.prices, engine.fields())?;

    let before = resident_kib()?;
    let (mut reading, mut taking, mut evaluations) = (0.0, 0.0, Vec::new());
    let (mut lines_read, mut firing, mut buffer) = (0, 0, String::new());
    for tick in ticks {
        let at = Timestamp(start.0 + tick * TICK.0);
        lines(arguments.agents, at, tick as u64, &mut buffer);
        let begun = cpu_seconds()?;
        let chunk = reader.read(buffer.as_bytes(), "fleet");
        let read = cpu_seconds()?;
        let effects = engine.handle(at, Event::Deadline);
        let mut count = |effect: &Effect| firing += usize::from(matches!(effect, Effect::Report(Report::Alert(_))));
        replay::perfect_world(&mut engine, at, effects, &mut |_, effect| count(effect));
        let evaluated = cpu_seconds()?;
        replay::feed(&mut engine, &chunk.records, |engine, now, effects| {
            replay::perfect_world(engine, now, effects, &mut |_, effect| count(effect));
        });
        lines_read += chunk.records.len();
        drop(chunk);
        reading += read - begun;
        taking += cpu_seconds()? - evaluated;
        if at.0 % STEP.0 == 0 && tick > 0 {
            evaluations.push(evaluated - read);
        }
    }
    let evaluating: f64 = evaluations.iter().sum();
    let mut last = evaluations.split_off(evaluations.len().saturating_sub(MEASURED));
    let n = evaluations.len() + last.len();
    last.sort_by(f64::total_cmp);
    let middle = last.get(last.len() / 2).copied().unwrap_or_default();
    let (least, most) = (last.first().copied().unwrap_or_default(), last.last().copied().unwrap_or_default());
    let series = arguments.agents * SERIES;
    let kib = resident_kib()? - before;
    println!("{} rules, {} agents, {series} series, {} minutes", arguments.rules, arguments.agents, arguments.minutes);
    println!("{lines_read} lines, {n} evaluations, {firing} changes of alerts");
    println!("evaluation  {middle:.3} s of CPU time, median of the last {} ({least:.3} to {most:.3})", last.len());
    println!(
        "replay      {:.2} s of CPU time: {reading:.2} s read, {taking:.2} s taken in, {evaluating:.2} s evaluated",
        reading + taking + evaluating
    );
    println!("memory      {:.0} MiB, {:.0} bytes per series", kib / 1_024.0, kib * 1_024.0 / series as f64);
    Ok(())
}

/// CPU time of the main thread, as Linux counts it: in nanoseconds.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string("/proc/self/schedstat")?;
    Ok(stat.split(' ').next().unwrap_or_default().parse::<f64>()? / 1e9)
}

fn resident_kib() -> Result<f64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    Ok(resident.trim_end_matches("kB").trim().parse()?)
}
