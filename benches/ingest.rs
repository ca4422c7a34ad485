//! What it costs to read executions: a fleet of 1,000 agents in memory, its lines parsed into records.
//!
//! `cargo bench --bench ingest`; elements per second are records.

#[path = "../examples/fleet/mod.rs"]
mod fleet;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use evenkeel::model::{Span, Timestamp};
use evenkeel::profile::price::PriceTable;
use evenkeel::settings::{Mapping, Source};
use evenkeel::wire::execution::Reader;

/// Many enough that a chunk does not stay in the innermost cache.
const RECORDS: u64 = 20_000;

fn read(criterion: &mut Criterion) {
    let plan = fleet::Plan {
        agents: 1_000,
        records: RECORDS,
        seed: 1,
        start: Timestamp(1_772_550_000_000),
        span: Span::days(1),
        incidents: false,
    };
    let mut lines = Vec::new();
    fleet::write(&plan, &mut lines).expect("memory takes all");
    let reader = |mapping: Mapping, fields: &[String]| {
        let source = Source { name: "fleet".into(), path: "fleet.jsonl".into(), mapping };
        Reader::new(&source, &PriceTable::shipped(), fields).expect("the zone is known")
    };
    let own_keys = Mapping {
        agent: Some("task_hash".into()),
        id: Some("timestamp".into()),
        zone: "Europe/Berlin".into(),
        ..Mapping::default()
    };
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(RECORDS));
    for (name, reader) in [
        ("usual keys", reader(Mapping::default(), &[])),
        ("usual keys and two fields", reader(Mapping::default(), &["total_tokens".into(), "execution_time_ms".into()])),
        ("own keys and zone", reader(own_keys, &[])),
    ] {
        assert_eq!(reader.read(&lines, "fleet").records.len() as u64, RECORDS);
        group.bench_function(name, |bencher| {
            // In chunks of the size that files are read by.
            bencher.iter(|| {
                let mut rest = &lines[..];
                while !rest.is_empty() {
                    let end = memchr::memrchr(b'\n', &rest[..rest.len().min(1 << 18)]).map_or(rest.len(), |at| at + 1);
                    black_box(reader.read(&rest[..end], "fleet"));
                    rest = &rest[end..];
                }
            });
        });
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
