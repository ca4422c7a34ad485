//! Any text is a target or is left alone; an edit changes the bytes of its one value and no other.

#![no_main]

use evenkeel::settings::TargetFormat;
use evenkeel::wire::target::{Content, Node, Path, Scalar, Step, parse, set};
use libfuzzer_sys::fuzz_target;

/// The integers of a document with their paths.
fn integers(node: &Node, path: &mut Vec<Step>, found: &mut Vec<(Path, Scalar)>) {
    match &node.content {
        Content::Scalar(value @ Scalar::Integer(_)) => found.push((Path(path.clone()), value.clone())),
        Content::Scalar(_) | Content::Opaque { .. } | Content::Alias(_) => {}
        Content::Map(members) => {
            for (key, member) in members {
                path.push(Step::Key(key.clone()));
                integers(member, path, found);
                path.pop();
            }
        }
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                integers(item, path, found);
                path.pop();
            }
        }
    }
}

fuzz_target!(|input: (u8, u16, String)| {
    let (format, new, text) = input;
    let format = [TargetFormat::Json, TargetFormat::Yaml, TargetFormat::Toml][usize::from(format) % 3];
    let Ok(root) = parse(&text, format) else { return };
    let mut found = Vec::new();
    integers(&root, &mut Vec::new(), &mut found);
    for (path, old) in found.into_iter().take(8) {
        let new = old.with_number(f64::from(new)).expect("an integer takes a whole number");
        let Ok(edit) = set(&text, format, &path, &old, &new) else { continue };
        let tail = &text[edit.span.end..];
        assert!(edit.text.starts_with(&text[..edit.span.start]) && edit.text.ends_with(tail));
        let again = set(&edit.text, format, &path, &new, &old).expect("what was written can be taken back");
        assert_eq!(again.before, edit.after);
    }
});
