//! What a whole process costs on a file of executions, from the first byte to the last decision:
//!
//! ```sh
//! cargo run --release --example generate -- --agents 1000 --records 1000000 --span 30d > /tmp/fleet.jsonl
//! cargo run --release --example throughput -- /tmp/fleet.jsonl
//! ```
//!
//! Prints records per second of CPU time and the peak of resident memory, as Linux counts them for
//! this process. `--read-only` leaves the engine out.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use evenkeel::engine::{Engine, State};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::replay;
use evenkeel::settings::{Mapping, Source};
use evenkeel::wire::document::read_all;
use evenkeel::wire::execution::Reader;

/// Measures reading and deciding over a file of executions.
#[derive(Debug, Parser)]
struct Arguments {
    /// JSON lines.
    file: PathBuf,
    /// Rules; by default the shipped ones.
    #[arg(long, default_value = "rules/default.yaml")]
    rules: PathBuf,
    /// Names of the rules that are evaluated, with commas between them; by default all.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Read only, decide nothing.
    #[arg(long)]
    read_only: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let rules = (arguments.rules.display().to_string(), fs::read_to_string(&arguments.rules)?);
    let policy = PolicySource { rules: vec![rules], ..PolicySource::default() };
    let (policy, diagnostics) = Policy::load(&policy, Path::new(""));
    let mut policy = policy.ok_or_else(|| format!("the rules do not load: {diagnostics:?}"))?;
    policy.rules.retain(|rule| arguments.only.is_empty() || arguments.only.contains(&rule.name));
    let (rules, policy) = (policy.rules.len(), Arc::new(policy));
    let mut engine = Engine::new(policy.clone(), State::default());
    let source = Source { name: "file".into(), path: arguments.file.clone(), mapping: Mapping::default() };
    let reader = Reader::new(&source, &policy.prices, engine.fields())?;

    let (begun, mut records, mut rejected, mut effects) = (Instant::now(), 0, 0, 0);
    read_all(&reader, File::open(&arguments.file)?, "file", |batch| {
        records += batch.chunk.records.len();
        rejected += batch.chunk.rejected.len();
        if arguments.read_only {
            return;
        }
        replay::feed(&mut engine, &batch.chunk.records, |engine, now, out| {
            replay::perfect_world(engine, now, out, &mut |_, _| effects += 1);
        });
    })?;
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds()?);
    let evaluations = engine.view().counters.evaluations;
    println!(
        "{records} records, {rejected} lines rejected, {evaluations} evaluations of {rules} rules, {effects} effects"
    );
    println!("{wall:.2} s, {cpu:.2} s of CPU time: {:.0} records per second of CPU time", records as f64 / cpu);
    println!("{:.1} MiB of memory at most", peak_kib()? / 1024.0);
    Ok(())
}

/// User and system time of this process; the kernel counts in hundredths of a second.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name before it may hold spaces; utime and stime are fields 14 and 15 of the whole.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

fn peak_kib() -> Result<f64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(peak.trim_end_matches("kB").trim().parse()?)
}
