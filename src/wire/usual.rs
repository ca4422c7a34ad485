//! JSON objects as programs write them, read by hand: the same keys in the same order on every line.
//!
//! A line is compared with the keys of the lines before it, so a key costs one comparison; plain
//! strings and numbers are read here, and a value that is anything else goes to serde_json alone.
//! Whatever is not exactly an object goes there as a whole, which also says what is wrong with it. What
//! this way takes it reads as the other would; a test holds them together.

use super::mapping::{Cell, Keys, Value};
use serde::de::IgnoredAny;

/// Keys that are remembered, at most.
const KEYS: usize = 64;
/// Keys that a line may leave out before one is looked up anew.
const LEFT_OUT: usize = 3;
/// Digits of a number whose nearest double is one division away (Clinger, "How to Read Floating
/// Point Numbers Accurately": both sides of it are exact).
const EXACT: usize = 15;
/// Digits of a number that is read here.
const DIGITS: usize = 40;

const POWERS: [f64; EXACT + 1] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The keys of the lines before, in their order: each from its quote to the value behind it.
pub(super) type Order<'a> = Vec<(&'a str, Option<Cell>)>;

/// Puts the wanted values of an object into their cells; `None` when it is for serde_json to read, cells
/// then being anything.
pub(super) fn read<'a>(keys: &Keys, text: &'a str, order: &mut Order<'a>, cells: &mut [Value<'a>]) -> Option<()> {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let (mut at, mut turn) = (blank(bytes, 1), 0);
    loop {
        let rest = &bytes[at..];
        let ahead = order[turn.min(order.len())..].iter().take(LEFT_OUT);
        let known = ahead.enumerate().find(|(_, (key, _))| begins(rest, key.as_bytes()));
        let cell = match known {
            Some((left_out, (key, cell))) => {
                turn += left_out + 1;
                at += key.len();
                *cell
            }
            None => {
                let end = quote(bytes, at)?;
                let colon = blank(bytes, end + 1);
                if bytes.get(colon) != Some(&b':') {
                    return None;
                }
                let (start, cell) = (at, keys.find(&text[at + 1..end]));
                at = blank(bytes, colon + 1);
                if order.len() < KEYS {
                    order.insert(turn, (&text[start..at], cell));
                    turn += 1;
                }
                cell
            }
        };
        let (value, end) = value(text, blank(bytes, at), cell.is_some())?;
        if let Some(cell) = cell {
            cells[cell] = value;
        }
        at = blank(bytes, end);
        match bytes.get(at)? {
            b',' => at = blank(bytes, at + 1),
            b'}' => return (at + 1 == bytes.len()).then_some(()),
            _ => return None,
        }
    }
}

/// Whether a text begins with a key, eight bytes at a time: it mostly does, and is too short for a call.
#[inline]
fn begins(text: &[u8], key: &[u8]) -> bool {
    let Some(text) = text.get(..key.len()) else { return false };
    let (Some(end), Some(key_end)) = (text.last_chunk::<8>(), key.last_chunk::<8>()) else { return text == key };
    end == key_end && text.as_chunks::<8>().0.iter().zip(key.as_chunks::<8>().0).all(|(a, b)| a == b)
}

/// The value at `at` and where it ends.
#[inline]
fn value(text: &str, at: usize, wanted: bool) -> Option<(Value<'_>, usize)> {
    let bytes = text.as_bytes();
    let word = |word: &[u8], value| bytes[at..].starts_with(word).then_some((value, at + word.len()));
    let plain = match bytes.get(at)? {
        b'"' => quote(bytes, at).map(|end| (Value::Text(text[at + 1..end].into()), end + 1)),
        b'0'..=b'9' => number(text, at),
        b'n' => word(b"null", Value::Null),
        b't' => word(b"true", Value::Bool(true)),
        b'f' => word(b"false", Value::Bool(false)),
        _ => None,
    };
    plain.or_else(|| unusual(&text[at..], wanted).map(|(value, length)| (value, at + length)))
}

/// The value that a text begins with, and its length.
#[cold]
fn unusual(text: &str, wanted: bool) -> Option<(Value<'_>, usize)> {
    let json = serde_json::Deserializer::from_str(text);
    if wanted {
        let mut values = json.into_iter::<Value<'_>>();
        return Some((values.next()?.ok()?, values.byte_offset()));
    }
    let mut values = json.into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some((Value::Absent, values.byte_offset()))
}

/// A number without a sign.
#[inline]
fn number(text: &str, at: usize) -> Option<(Value<'_>, usize)> {
    let bytes = text.as_bytes();
    let (whole, mut end) = digits(bytes, at, 0);
    let (length, mut all, mut places) = (end - at, whole, 0);
    if length > 1 && bytes[at] == b'0' || length > DIGITS {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        let start = end + 1;
        (all, end) = digits(bytes, start, whole);
        places = end - start;
        if places == 0 || places > DIGITS {
            return None;
        }
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = matches!(bytes.get(end + 1), Some(b'+' | b'-'));
        let start = end + 1 + usize::from(signed);
        (_, end) = digits(bytes, start, 0);
        let number: f64 = text[at..end].parse().ok().filter(|_| end > start)?;
        return (number.is_finite() && number > 0.0).then_some((Value::Float(number), end));
    }
    let number = match places {
        // The largest of 18 digits is below 2^63.
        0 if length <= 18 => Value::Integer(all as i64),
        1.. if length + places <= EXACT => Value::Float(all as f64 / POWERS[places]),
        1.. => Value::Float(text[at..end].parse().ok()?),
        _ => return None,
    };
    Some((number, end))
}

/// Goes on with a number from `at`: `sum` with the digits there, wrapping, and where they end.
#[inline]
fn digits(bytes: &[u8], at: usize, sum: u64) -> (u64, usize) {
    let (mut sum, mut end) = (sum, at);
    while let Some(digit) = bytes.get(end).map(|b| b.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        sum = sum.wrapping_mul(10).wrapping_add(u64::from(digit));
        end += 1;
    }
    (sum, end)
}

/// The first byte from `at` on that is not white space.
#[inline]
fn blank(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// Where the string that begins at `at` has its closing quote; `None` when it has escapes or is none.
#[inline]
fn quote(bytes: &[u8], at: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // Marks the bytes that are zero; above the first of them it may mark others.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let ends = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
        if ends != 0 {
            at += ends.trailing_zeros() as usize / 8;
            return (bytes[at] == b'"').then_some(at);
        }
        at += 8;
    }
    let ends = |b: &u8| matches!(b, b'"' | b'\\' | 0..=0x1f);
    let end = at + bytes.get(at..)?.iter().position(ends)?;
    (bytes[end] == b'"').then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WANTED: [&str; 4] = ["id", "model", "execution_time_ms", "größe"];

    /// Reads lines one after another, and compares with serde_json what is read here; how many were.
    fn agrees(lines: &[String]) -> usize {
        let keys = Keys::of(&WANTED);
        let (mut order, mut taken) = (Order::new(), 0);
        for line in lines {
            let mut short = vec![Value::Absent; keys.len()];
            let mut long = short.clone();
            if read(&keys, line, &mut order, &mut short).is_some() {
                keys.read_any(line, &mut long).expect(line);
                assert_eq!(short, long, "{line}");
                taken += 1;
            }
        }
        taken
    }

    #[test]
    fn what_programs_write_is_read_here() {
        for value in [
            "0",
            "7",
            "123456789012345678",
            "24623.4",
            "0.023892",
            "24623.399999999998",
            "3.2e-06",
            "1E5",
            "-7",
            "-0",
            "-0.5",
            "\"\"",
            "\"plain\"",
            "\"ends in eight\"",
            "\"größer\"",
            r#""es\"caped\u0041""#,
            "null",
            "true",
            "false",
            "[]",
            r#"[1, {"model": "x"}]"#,
            r#"{"id": [2, "}"]}"#,
            "18446744073709551615",
        ] {
            for text in [
                format!(r#"{{"model": {value}}}"#),
                format!(r#"{{"id":{value},"other":{value} , "größe" :{value}}}"#),
                format!("{{ \"model\"\t: {value}, \"model\": {value}, \"x\": 1 }}"),
            ] {
                assert_eq!(agrees(&[text.clone(), text.clone()]), 2, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_object_is_left_to_the_other_way() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "7",
            r#"{"id""#,
            r#"{"id":"#,
            r#"{"id": }"#,
            r#"{"id": 1"#,
            r#"{"id": 1}}"#,
            r#"{"id": 1,}"#,
            r#"{"id": 01}"#,
            r#"{"id": 1.}"#,
            r#"{"id": .5}"#,
            r#"{"id": 1e}"#,
            r#"{"id": 1e999}"#,
            r#"{"id": tru}"#,
            r#"{"id": nullx}"#,
            r#"{"id": "open}"#,
            "{\"id\": \"a\u{1}\"}",
            r#"{id: 1}"#,
            r#"{"i\u0064": 1}"#,
            r#"{"id" 1}"#,
            r#"{"id": 1 "model": 2}"#,
            r#"{"id": [1}"#,
            r#"{"id": 0x1}"#,
        ] {
            assert_eq!(agrees(&[text.to_owned()]), 0, "{text}");
        }
    }

    #[test]
    fn keys_may_be_left_out_and_change_places() {
        let lines: Vec<String> = [
            r#"{"a": 1, "id": 2, "model": 3}"#,
            r#"{"a": 1, "model": 3}"#,
            r#"{"model": 3, "a": 1, "b": 2, "id": 2}"#,
            r#"{"id": 2}"#,
            r#"{"a": 1, "id": 2, "model": 3}"#,
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(agrees(&lines), lines.len());
        let many: Vec<String> = (0..200).map(|n| format!(r#"{{"key{n}": {n}, "id": {n}}}"#)).collect();
        assert_eq!(agrees(&many), many.len());
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof![prop::sample::select(WANTED.to_vec()).prop_map(str::to_owned), "[a-z_]{0,20}"]
    }

    fn token() -> impl Strategy<Value = String> {
        prop_oneof![
            "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
            "\"[ -~äß€]{0,20}\"",
            any::<f64>().prop_map(|n| format!("{n:?}")),
            any::<i64>().prop_map(|n| n.to_string()),
            prop::sample::select(vec!["null", "true", "false", "[]", "{}", "[1, [2]]", "\"a\\nb\""])
                .prop_map(str::to_owned),
            "[ -~]{0,10}",
        ]
    }

    proptest! {
        #[test]
        fn both_ways_read_the_same(
            lines in prop::collection::vec((prop::collection::vec((key(), token()), 1..8), " {0,2}", 0usize..200), 1..6),
        ) {
            let lines: Vec<String> = lines
                .into_iter()
                .map(|(pairs, gap, cut)| {
                    let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("\"{k}\":{gap}{v}")).collect();
                    let line = format!("{{{}}}", pairs.join(", "));
                    // One in five is cut short.
                    line.chars().take(if cut < 40 { cut } else { usize::MAX }).collect()
                })
                .collect();
            agrees(&lines);
        }
    }
}
