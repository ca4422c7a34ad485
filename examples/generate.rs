//! Writes a made-up fleet's executions to standard output:
//! `cargo run --release --example generate -- --agents 1000 --records 1000000 > fleet.jsonl`

mod fleet;

use std::io::{self, BufWriter, Write};

use clap::Parser;
use evenkeel::model::{Span, Timestamp};

/// Writes the executions of a made-up fleet as JSON lines, the same for the same arguments.
#[derive(Debug, Parser)]
struct Arguments {
    /// Agents.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    agents: u32,
    /// Lines.
    #[arg(long, default_value_t = 2_300)]
    records: u64,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Time of the first line.
    #[arg(long, default_value = "2026-03-03T15:00:00Z", value_parser = instant)]
    start: Timestamp,
    /// From the first line to the last, such as `3d` or `12h`.
    #[arg(long, default_value = "2d", value_parser = Span::parse)]
    span: Span,
    /// Let things go wrong near the end.
    #[arg(long)]
    incidents: bool,
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text, &jiff::tz::TimeZone::UTC)
        .ok_or_else(|| "expected a time such as 2026-03-03T15:00:00Z".to_owned())
}

fn main() -> io::Result<()> {
    let Arguments { agents, records, seed, start, span, incidents } = Arguments::parse();
    let mut out = BufWriter::new(io::stdout().lock());
    fleet::write(&fleet::Plan { agents: agents as usize, records, seed, start, span, incidents }, &mut out)?;
    out.flush()
}
