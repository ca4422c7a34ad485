//! What a record costs from line to decision: reading alone, and reading plus the engine under the
//! shipped rules, over the same lines in the same run. The difference is the engine's.
//!
//! `cargo bench --bench engine`; elements per second are records.

#[path = "../examples/fleet/mod.rs"]
mod fleet;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use evenkeel::engine::{Engine, State};
use evenkeel::model::{Span, Timestamp};
use evenkeel::policy::{Policy, PolicySource};
use evenkeel::replay;
use evenkeel::settings::{Mapping, Source};
use evenkeel::wire::execution::Reader;

const RECORDS: u64 = 100_000;

fn decide(criterion: &mut Criterion) {
    let plan = fleet::Plan {
        agents: 1_000,
        records: RECORDS,
        seed: 1,
        start: Timestamp(1_772_550_000_000),
        // 1,000 agents at 100 executions a day each.
        span: Span::days(1),
        incidents: true,
    };
    let mut lines = Vec::new();
    fleet::write(&plan, &mut lines).expect("memory takes all");
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/default.yaml");
    let rules = ("default.yaml".to_owned(), fs::read_to_string(rules).expect("it ships"));
    let source = PolicySource { rules: vec![rules], ..PolicySource::default() };
    let policy = Arc::new(Policy::load(&source, Path::new("")).0.expect("the shipped rules load"));
    let empty = || Engine::new(policy.clone(), State::default());
    let source = Source { name: "fleet".into(), path: "fleet.jsonl".into(), mapping: Mapping::default() };
    let reader = Reader::new(&source, &policy.prices, empty().fields()).expect("the zone is UTC");
    let chunks =
        || lines.split_inclusive(|b| *b == b'\n').collect::<Vec<_>>().chunks(1_000).map(<[_]>::concat).collect();
    let chunks: Vec<Vec<u8>> = chunks();

    let mut group = criterion.benchmark_group("line");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(10);
    group.bench_function("read", |bencher| {
        bencher.iter(|| chunks.iter().for_each(|chunk| drop(black_box(reader.read(chunk, "fleet")))));
    });
    group.bench_function("read and decide", |bencher| {
        bencher.iter_batched(
            empty,
            |mut engine| {
                for chunk in &chunks {
                    let read = reader.read(chunk, "fleet");
                    replay::feed(&mut engine, &read.records, |engine, now, effects| {
                        replay::perfect_world(engine, now, effects, &mut |_, effect| drop(black_box(effect.clone())));
                    });
                }
                engine
            },
            BatchSize::LargeInput,
        );
    });
}

criterion_group!(benches, decide);
criterion_main!(benches);
