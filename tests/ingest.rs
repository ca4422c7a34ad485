//! Real executions and requests, read as their sources wrote them.
//!
//! The recordings are public: the run reports of Significant-Gravitas/Auto-GPT-Benchmarks and the
//! `raw_data` of ray-project/llmperf-leaderboard. They are looked for in the folder that
//! `EVENKEEL_DATA` names, else in `../shared/data`; without them these tests say so and pass.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use evenkeel::diagnostic::SourceFile;
use evenkeel::model::Outcome;
use evenkeel::profile::price::PriceTable;
use evenkeel::settings::{CostTrust, Mapping, Settings, Source};
use evenkeel::stats::Durations;
use evenkeel::wire::document::read_all;
use evenkeel::wire::execution::Reader;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of the recordings, if they are there.
fn recordings(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("EVENKEEL_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let folder = data.join(name);
    if !folder.is_dir() {
        println!("not tested: there are no recordings in {}", folder.display());
        return None;
    }
    Some(folder)
}

fn reader(mapping: Mapping) -> Reader {
    let source = Source { name: "recording".into(), path: "recording.jsonl".into(), mapping };
    Reader::new(&source, &PriceTable::shipped(), &[]).expect("the zone is UTC")
}

/// The source that a configuration of one source describes.
fn configured(yaml: &str) -> Reader {
    let file = SourceFile::new("evenkeel.yaml", yaml);
    let (settings, diagnostics) = Settings::load(&file, root());
    assert_eq!(diagnostics, []);
    let settings = settings.expect("there are no errors");
    Reader::new(&settings.sources[0], &PriceTable::shipped(), &[]).expect("the zone is UTC")
}

#[derive(Debug, Default, Clone, PartialEq)]
struct Tally {
    records: usize,
    ok: usize,
    censored: usize,
    ok_and_censored: usize,
    priced: usize,
    counted: usize,
}

#[test]
fn executions_of_seven_agents() {
    let Some(folder) = recordings("autogpt") else { return };
    // Two fifths of the reports have real costs, some of them really zero.
    let reader = reader(Mapping { trust_cost: CostTrust::Always, ..Mapping::default() });
    let mut agents: BTreeMap<String, Tally> = BTreeMap::new();
    let mut durations: BTreeMap<String, Durations> = BTreeMap::new();
    let mut ids = Vec::new();
    let file = File::open(folder.join("executions.jsonl")).expect("the recording");
    read_all(&reader, file, "executions", |batch| {
        assert_eq!((batch.chunk.rejected, batch.chunk.blank), (vec![], 0));
        for record in batch.chunk.records {
            ids.extend(record.id);
            let ok = record.outcome == Outcome::Ok;
            for name in [record.agent.as_ref(), "all"] {
                let tally = agents.entry(name.to_owned()).or_default();
                tally.records += 1;
                tally.ok += usize::from(ok);
                tally.censored += usize::from(record.censored);
                tally.ok_and_censored += usize::from(ok && record.censored);
                tally.priced += usize::from(record.cost.is_some());
                tally.counted += usize::from(record.tokens.is_some());
            }
            let ms = record.duration_ms.expect("every execution has a duration");
            durations.entry(record.agent.into_owned()).or_default().insert(ms, record.censored);
        }
    })
    .expect("the file can be read");

    let all = Tally { records: 4_435, ok: 2_334, censored: 1_646, ok_and_censored: 693, priced: 1_666, counted: 0 };
    assert_eq!(agents.remove("all"), Some(all));
    let counts: Vec<(&str, usize, usize)> = agents.iter().map(|(a, t)| (a.as_str(), t.records, t.priced)).collect();
    let expected = [
        ("Auto-GPT", 705, 320),
        ("BabyAGI", 108, 31),
        ("PolyGPT", 191, 172),
        ("beebot", 978, 279),
        ("gpt-engineer", 515, 160),
        ("mini-agi", 1_327, 503),
        ("smol-developer", 611, 201),
    ];
    assert_eq!(counts, expected);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4_435, "no two executions are taken for one");
    // Most runs of BabyAGI were cut off: its median is unknown, and not its cut-off.
    let median = |agent: &str| durations[agent].quantile(0.5).expect("there are durations");
    assert!(median("BabyAGI").at_least);
    assert!(!median("smol-developer").at_least);
    assert!((median("smol-developer").value - 8_300.0).abs() < 500.0, "{:?}", median("smol-developer"));
}

/// The configuration that docs/formats.md gives for these requests: seconds, one code for good and
/// bad, zeros that mean missing, no time, no agent.
fn documented() -> String {
    let page = fs::read_to_string(root().join("docs/formats.md")).expect("the page ships");
    let mut blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains("name: llmperf")).expect("the page has a configuration").to_owned()
}

#[test]
fn requests_of_ten_providers() {
    let Some(folder) = recordings("llmperf/raw_data") else { return };
    let reader = configured(&documented());
    let mut requests = 0;
    for (name, n, ok, limited) in [
        ("anyscale_13b", 150, 150, 0),
        ("anyscale_7b", 150, 150, 0),
        ("bedrock_70b", 150, 101, 0),
        ("fireworks_70b", 150, 150, 0),
        ("groq_70b", 150, 150, 0),
        ("lepton_70b", 150, 20, 130),
        ("perplexity_70b", 150, 148, 2),
        ("replicate_70b", 145, 145, 0),
        ("together_13b", 150, 149, 0),
        ("together_7b", 150, 150, 0),
    ] {
        let (mut durations, mut outcomes) = (Durations::default(), Vec::new());
        let file = File::open(folder.join("individual").join(format!("{name}.json"))).expect(name);
        read_all(&reader, file, name, |batch| {
            assert_eq!(batch.chunk.rejected, []);
            for record in &batch.chunk.records {
                assert_eq!((record.agent.as_ref(), record.at, record.id), (name, None, None));
                let void = matches!(record.error_class.as_deref(), Some("429" | "-1"));
                assert_eq!((record.duration_ms.is_none(), record.tokens.is_none()), (void, void));
                if record.outcome == Outcome::Ok {
                    durations.insert(record.duration_ms.expect("good requests took time"), record.censored);
                }
                outcomes.push(record.outcome);
            }
        })
        .expect(name);
        let count = |outcome| outcomes.iter().filter(|o| **o == outcome).count();
        let found = (outcomes.len(), count(Outcome::Ok), count(Outcome::Limit), count(Outcome::Error));
        assert_eq!(found, (n, ok, limited, n - ok - limited), "{name}");
        requests += n;

        let summary = fs::read_to_string(folder.join("summary").join(format!("{name}.json"))).expect(name);
        let summary: serde_json::Value = serde_json::from_str(&summary).expect(name);
        for (q, word) in [(0.50, "p50"), (0.95, "p95"), (0.99, "p99")] {
            let key = format!("results_end_to_end_latency_s_quantiles_{word}");
            let published = summary[&key].as_f64().expect("a number") * 1_000.0;
            let own = durations.quantile(q).expect("there are durations").value;
            assert!((own / published - 1.0).abs() < 0.01, "{name} {word}: {own} ms, published are {published} ms");
        }
    }
    assert_eq!(requests, 1_495);
}
