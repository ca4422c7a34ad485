//! Any bytes are a document; what is read does not depend on how the input hands them out.

#![no_main]

use std::io::{self, Read};
use std::sync::LazyLock;

use evenkeel::profile::price::PriceTable;
use evenkeel::settings::{Mapping, Source};
use evenkeel::wire::document::read_all;
use evenkeel::wire::execution::Reader;
use libfuzzer_sys::fuzz_target;

static READER: LazyLock<Reader> = LazyLock::new(|| {
    let source = Source { name: "fuzz".into(), path: "fuzz.jsonl".into(), mapping: Mapping::default() };
    Reader::new(&source, &PriceTable::default(), &[]).expect("the zone is UTC").with_line_limit(200)
});

/// Hands out one byte at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

fn read(input: impl Read) -> (Vec<String>, Vec<(u64, String)>) {
    let (mut records, mut rejected) = (Vec::new(), Vec::new());
    read_all(&READER, input, "stem", |batch| {
        records.extend(batch.chunk.records.iter().map(|record| format!("{record:?}")));
        for line in batch.chunk.rejected {
            assert!(batch.bytes.get(line.bytes.clone()).is_some());
            rejected.push((batch.first + line.line as u64, line.reason));
        }
    })
    .expect("a slice does not fail");
    (records, rejected)
}

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(read(bytes), read(Drip(bytes)));
});
