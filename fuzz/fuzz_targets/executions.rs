//! Any bytes are lines: each is a record, rejected or blank, wherever the chunks are cut.

#![no_main]

use std::sync::LazyLock;

use evenkeel::profile::price::PriceTable;
use evenkeel::settings::{Mapping, Source};
use evenkeel::wire::execution::Reader;
use libfuzzer_sys::fuzz_target;

static READER: LazyLock<Reader> = LazyLock::new(|| {
    let source = Source { name: "fuzz".into(), path: "fuzz.jsonl".into(), mapping: Mapping::default() };
    let fields = ["total_tokens".to_owned(), "execution_time_ms".to_owned()];
    Reader::new(&source, &PriceTable::shipped(), &fields).expect("the zone is UTC")
});

fuzz_target!(|bytes: &[u8]| {
    let whole = READER.read(bytes, "stem");
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    assert_eq!(whole.lines(), lines.len());
    let mut records = whole.records.iter();
    for line in lines {
        let alone = READER.read(line, "stem");
        assert_eq!(alone.lines(), 1);
        if let Some(record) = alone.records.first() {
            assert_eq!(records.next(), Some(record));
            assert!(record.duration_ms.is_none_or(|ms| ms >= 0.0 && ms.is_finite()));
            assert!(record.quality.is_none_or(|points| (0.0..=100.0).contains(&points.0)));
        }
    }
    assert_eq!(records.next(), None);
});
