//! Documents and texts by lot.

use crate::fleet::{Fleet, PATH, parameter};
use evenkeel::settings::{Mode, Target, TargetFormat};
use evenkeel::wire::target::{Template, parse, read, set};
use proptest::prelude::*;

/// A document in pieces: before the value, the value as written, after it; and its template.
#[derive(Debug, Clone)]
struct Document {
    format: TargetFormat,
    before: String,
    token: String,
    after: String,
}

const NAMES: [&str; 6] = ["a", "gpt-4.1", "日本", "with space", "x_y", "Ünï"];

fn document() -> impl Strategy<Value = Document> {
    let token = (1_u32..100_000, 0_u8..4).prop_map(|(n, style)| match style {
        0 => n.to_string(),
        1 => format!("{n}.5"),
        2 => format!("\"{n}\""),
        _ => format!("'{n}'"),
    });
    let shape = (0_usize..3, 0_usize..NAMES.len(), any::<[bool; 5]>(), "[ -~é日]{0,12}", 0_usize..4);
    (token, shape).prop_map(|(token, (format, name, [crlf, bom, flow, end, comment], noise, others))| {
        let newline = if crlf { "\r\n" } else { "\n" };
        let key = format!("\"{}\"", NAMES[name]);
        let text = serde_json::Value::String(noise.clone()).to_string();
        let remark = if comment { format!("   # {noise}") } else { String::new() };
        let mark = if bom { "\u{feff}" } else { "" };
        let last = if end { newline } else { "" };
        let (format, before, token, after) = match format {
            0 => {
                let others: String =
                    (0..others).map(|i| format!("  \"o{i}\": {{\"note\": {text}}},{newline}")).collect();
                let token = token.replace('\'', "\"");
                let remark = remark.replace('#', "//");
                let (before, after) = (
                    format!("{mark}{{{newline}{others}  {key}:{{\"timeout\" :"),
                    format!("}}{remark}{newline}}}{last}"),
                );
                (TargetFormat::Json, before, token, after)
            }
            1 => {
                let others: String = (0..others)
                    .map(|i| format!("o{i}:{newline}  - note: {text}{remark}{newline}  - {i}{newline}"))
                    .collect();
                let (open, close) = if flow {
                    (" {n: [1, 2], timeout: ".to_owned(), "}")
                } else {
                    (format!("{newline}  timeout:  "), "")
                };
                let (before, after) = (format!("{mark}{others}{key}:{open}"), format!("{close}{remark}{last}"));
                (TargetFormat::Yaml, before, token, after)
            }
            _ => {
                let others: String =
                    (0..others).map(|i| format!("[o{i}]{newline}note = {text}{remark}{newline}")).collect();
                let (open, close) = if flow {
                    (format!("{key} = {{ n = [1], timeout = "), " }")
                } else {
                    (format!("{others}[{key}]{newline}timeout ="), "")
                };
                (TargetFormat::Toml, format!("{mark}{open}"), token, format!("{close}{remark}{last}"))
            }
        };
        Document { format, before, token, after }
    })
}

/// Everything that means something in one of the formats.
const HOSTILE: &str = "[-\\[\\]{}:,\"'#&*!|>%@`?~ \n\r\t\\\\a-c0-9./=<é\u{feff}]{0,80}";

proptest! {
    #[test]
    fn only_the_bytes_of_the_scalar_differ(document in document(), new in 1_u32..1_000_000) {
        let Document { format, before, token, after } = document;
        let text = [before.as_str(), &token, &after].concat();
        let root = match parse(&text, format) {
            Ok(root) => root,
            Err(error) => return Err(TestCaseError::fail(format!("{text:?}: {error}"))),
        };
        let quoted = token.starts_with(['"', '\'']);
        let mut settings = Fleet::new("x", "", Mode::Suggest, parameter(PATH, 1_000.0, quoted)).settings;
        let mut target = settings.tune.targets.remove(0);
        target.format = format;
        let reading = read(&text, &target).expect("read");
        prop_assert_eq!(reading.values.len(), 1, "{} {:?}", &text, &reading.untunable);
        let value = &reading.values[0];
        prop_assert_eq!(&text[value.path.follow(&root).expect("there").span.clone()], &token);
        let scalar = value.scalar.with_number(f64::from(new)).expect("a number");
        let edit = set(&text, format, &value.path, &value.scalar, &scalar).expect("edited");
        prop_assert!(edit.text.starts_with(&before) && edit.text.ends_with(&after));
        let back = set(&edit.text, format, &value.path, &scalar, &value.scalar).expect("edited back");
        prop_assert_eq!(back.text, text);
    }

    #[test]
    fn nothing_makes_the_readers_panic(text in HOSTILE) {
        let mut settings = Fleet::new("x", "", Mode::Suggest, parameter(PATH, 1_000.0, false)).settings;
        let target = settings.tune.targets.remove(0);
        for format in [TargetFormat::Json, TargetFormat::Yaml, TargetFormat::Toml] {
            let target = Target { format, ..target.clone() };
            if let Ok(reading) = read(&text, &target) {
                for value in reading.values {
                    let new = value.scalar.with_number(7.0).expect("a number");
                    let _ = set(&text, format, &value.path, &value.scalar, &new);
                }
            }
        }
        let _ = Template::parse(&text);
    }
}
