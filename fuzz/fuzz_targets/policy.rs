//! Any text is a policy or has faults, each within the text; the first byte says which file it is.

#![no_main]

use std::path::Path;

use evenkeel::diagnostic::has_errors;
use evenkeel::policy::{Policy, PolicySource};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, String)| {
    let (kind, text) = input;
    let length = text.len();
    let file = ("fuzz.yaml".to_owned(), text);
    let mut source = PolicySource::default();
    match kind % 4 {
        0 => source.config = Some(file),
        1 => source.rules.push(file),
        2 => source.profiles.push(file),
        _ => source.prices.push(file),
    }
    let (policy, diagnostics) = Policy::load(&source, Path::new("/"));
    assert_eq!(policy.is_none(), has_errors(&diagnostics));
    for diagnostic in &diagnostics {
        assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
        assert!(diagnostic.bytes.end <= length || diagnostic.file != "fuzz.yaml");
        assert!(!diagnostic.to_string().is_empty());
    }
});
