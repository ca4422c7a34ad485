//! Turns a condition into tokens, each with its bytes and with units already resolved.
//!
//! The lexer is our own because the expression parser behind it reads `10%` as a modulo and `15s`
//! as a variable, and knows no places. It decides nothing about order or types.

use std::ops::Range;

use crate::diagnostic::Level;
use crate::model::time::unit_millis;
use crate::model::{Span, Unit};
use crate::rule::{Aggregate, Arithmetic, Comparison};

/// A fault in a text, in bytes of that text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub level: Level,
    pub bytes: Range<usize>,
    pub message: String,
    pub help: String,
}

impl Fault {
    pub(super) fn error(bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { level: Level::Error, bytes, message: message.into(), help: help.into() }
    }

    pub(super) fn warning(bytes: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault { level: Level::Warning, bytes, message: message.into(), help: help.into() }
    }
}

/// A token and its bytes in the condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub kind: Kind,
    pub bytes: Range<usize>,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A number in the base of its unit (0.1 for `10%`, 15000 for `15s`); no unit when bare.
    Number(f64, Option<Unit>),
    /// The name of a metric, a baseline or a field: `error_rate`, `error_rate[1h]`.
    Name(String, Option<Window>),
    /// A function over a field: `last(queue_depth)`, `last(queue_depth[1h])`.
    Call(Aggregate, String, Option<Window>),
    Arithmetic(Arithmetic),
    Comparison(Comparison),
    And,
    Or,
    Not,
    Open,
    Close,
}

/// The time range behind a name, as PromQL writes it: `[5m]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub span: Span,
    /// With its brackets.
    pub bytes: Range<usize>,
}

/// Symbols, longest first.
const SYMBOLS: [(&str, Kind); 15] = [
    ("&&", Kind::And),
    ("||", Kind::Or),
    ("<=", Kind::Comparison(Comparison::LessEqual)),
    (">=", Kind::Comparison(Comparison::GreaterEqual)),
    ("==", Kind::Comparison(Comparison::Equal)),
    ("!=", Kind::Comparison(Comparison::NotEqual)),
    ("<", Kind::Comparison(Comparison::Less)),
    (">", Kind::Comparison(Comparison::Greater)),
    ("!", Kind::Not),
    ("+", Kind::Arithmetic(Arithmetic::Add)),
    ("-", Kind::Arithmetic(Arithmetic::Subtract)),
    ("*", Kind::Arithmetic(Arithmetic::Multiply)),
    ("/", Kind::Arithmetic(Arithmetic::Divide)),
    ("(", Kind::Open),
    (")", Kind::Close),
];

/// Where a time range stands.
const WINDOW_PLACE: &str = "a time range stands right behind a name: `error_rate[5m]`, `sum(errors[5m])`";

/// What people write from other languages, and what to write here. Looked at before the symbols.
const FOREIGN: [(&str, &str); 19] = [
    ("===", "write `==`"),
    ("=>", "write `>=`"),
    ("=<", "write `<=`"),
    ("<>", "write `!=`"),
    ("=~", "select executions with `where:`"),
    ("≥", "write `>=`"),
    ("≤", "write `<=`"),
    ("≠", "write `!=`"),
    ("×", "write `*`"),
    ("\"", "a condition compares numbers; select executions with `where:`"),
    ("'", "a condition compares numbers; select executions with `where:`"),
    ("[", WINDOW_PLACE),
    ("{", "a condition compares numbers; select executions with `where:`"),
    ("]", WINDOW_PLACE),
    ("}", "select executions with `where:`"),
    (",", "a condition has no lists, and a function takes one field"),
    (";", "a condition is one expression; join two with `and`"),
    ("^", "a condition has + - * / only"),
    ("€", "money is in US dollars: `$2`"),
];

/// The tokens of a condition.
///
/// # Errors
/// Every piece of text that is no token.
pub(super) fn lex(text: &str) -> Result<Vec<Token>, Vec<Fault>> {
    let mut tokens = Vec::new();
    let mut faults = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let start = at;
        let found = if c.is_ascii_digit() || c == '$' || (c == '.' && starts_with_digit(&text[at + 1..])) {
            literal(text, &mut at)
        } else if c.is_ascii_alphabetic() || c == '_' {
            name(text, &mut at)
        } else {
            symbol(text, &mut at)
        };
        match found {
            Ok(kind) => tokens.push(Token { kind, bytes: start..at }),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(tokens) } else { Err(faults) }
}

fn symbol(text: &str, at: &mut usize) -> Result<Kind, Fault> {
    let rest = &text[*at..];
    let start = *at;
    if let Some((foreign, help)) = FOREIGN.iter().find(|(foreign, _)| rest.starts_with(foreign)) {
        *at += foreign.len();
        if matches!(*foreign, "\"" | "'")
            && let Some(length) = text[*at..].find(foreign)
        {
            *at += length + 1;
            let message = format!("the text {} is not part of a condition", &text[start..*at]);
            return Err(Fault::error(start..*at, message, *help));
        }
        return Err(Fault::error(start..*at, format!("`{foreign}` is not part of a condition"), *help));
    }
    if let Some((symbol, kind)) = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
        *at += symbol.len();
        return Ok(kind.clone());
    }
    let c = rest.chars().next().expect("called on a character");
    *at += c.len_utf8();
    let help = match c {
        '=' => "compare with `==`; a condition assigns nothing",
        '&' => "write `and`",
        '|' => "write `or`",
        '%' => "a percentage is a number with `%` behind it, such as `10%`; there is no modulo",
        _ => "a condition has names, numbers with units, + - * / < <= > >= == != and or not ( )",
    };
    Err(Fault::error(start..*at, format!("`{}` is not part of a condition", c.escape_default()), help))
}

fn name(text: &str, at: &mut usize) -> Result<Kind, Fault> {
    let start = *at;
    *at = run(text, start, |c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let word = &text[start..*at];
    if word.eq_ignore_ascii_case("and") {
        return Ok(Kind::And);
    }
    if word.eq_ignore_ascii_case("or") {
        return Ok(Kind::Or);
    }
    if word.eq_ignore_ascii_case("not") {
        return Ok(Kind::Not);
    }
    // The parser behind would read these as values, not as names.
    if matches!(word, "true" | "false") || word.parse::<f64>().is_ok() {
        let help = "compare a metric with a number, such as `error_rate > 10%`";
        return Err(Fault::error(start..*at, format!("`{word}` is not a name"), help));
    }
    match Aggregate::from_word(word) {
        Some(aggregate) if text[run(text, *at, char::is_whitespace)..].starts_with('(') => call(text, at, aggregate),
        _ => Ok(Kind::Name(word.to_owned(), window(text, at)?)),
    }
}

/// The time range behind a name, if there is one.
fn window(text: &str, at: &mut usize) -> Result<Option<Window>, Fault> {
    let open = run(text, *at, char::is_whitespace);
    if !text[open..].starts_with('[') {
        return Ok(None);
    }
    let Some(length) = text[open..].find(']') else {
        *at = text.len();
        return Err(Fault::error(open..open + 1, "this `[` is not closed", "add `]`"));
    };
    *at = open + length + 1;
    let inner = run(text, open + 1, char::is_whitespace)..open + length;
    let inner = inner.start.min(inner.end)..inner.end;
    match Span::parse(&text[inner.clone()]) {
        Ok(span) => Ok(Some(Window { span, bytes: open..*at })),
        Err(reason) => Err(Fault::error(inner, format!("a time range in brackets: {reason}"), WINDOW_PLACE)),
    }
}

/// The field in parentheses behind the name of a function.
fn call(text: &str, at: &mut usize, aggregate: Aggregate) -> Result<Kind, Fault> {
    let open = run(text, *at, char::is_whitespace);
    let start = run(text, open + 1, char::is_whitespace);
    let end = run(text, start, |c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
    let field = &text[start..end];
    let named = field.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let mut behind = end;
    let range = if named { window(text, &mut behind) } else { Ok(None) };
    let close = run(text, behind, char::is_whitespace);
    if named && text[close..].starts_with(')') {
        *at = close + 1;
        let after = run(text, *at, char::is_whitespace);
        if text[after..].starts_with('[') && text[after..].contains(']') {
            *at = after + text[after..].find(']').map_or(1, |length| length + 1);
            let message = "a time range stands inside of the function, behind the field";
            let help = format!("write `{}({field}{})`", aggregate.as_str(), &text[after..*at]);
            return Err(Fault::error(after..*at, message, help));
        }
        return Ok(Kind::Call(aggregate, field.to_owned(), range?));
    }
    // Up to the matching parenthesis, so that what stands inside is not read as anything else.
    let mut depth = 0;
    let length = text[open..].find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    *at = length.map_or(text.len(), |length| open + length + 1);
    let message = format!("`{}` takes the name of one record field", aggregate.as_str());
    let help = format!("such as `{}(queue_depth)`", aggregate.as_str());
    Err(Fault::error(open..*at, message, help))
}

fn literal(text: &str, at: &mut usize) -> Result<Kind, Fault> {
    let start = *at;
    let money = text[start..].starts_with('$');
    if money {
        *at = run(text, start + 1, char::is_whitespace);
    }
    let value = number(text, at, start)?;
    let unit_start = run(text, *at, char::is_whitespace);
    let unit_end = run(text, unit_start, |c| c.is_ascii_alphanumeric() || c == '_');
    let word = &text[unit_start..unit_end];
    if text[unit_start..].starts_with('%') && !money {
        *at = unit_start + 1;
        return Ok(Kind::Number(value / 100.0, Some(Unit::Ratio)));
    }
    if word.is_empty() || ["and", "or"].iter().any(|w| word.eq_ignore_ascii_case(w)) {
        return Ok(Kind::Number(value, money.then_some(Unit::Money)));
    }
    let unit_end = run(text, unit_start, |c| c.is_ascii_alphabetic());
    let unit = &text[unit_start..unit_end];
    if let (Some(millis), false) = (unit_millis(unit), money) {
        *at = unit_end;
        let mut total = value * millis;
        // 1h30m, 5 minutes 30 seconds: the parts of one duration.
        let mut next = run(text, unit_end, char::is_whitespace);
        while starts_with_digit(&text[next..]) {
            let part = next;
            let value = number(text, &mut next, start)?;
            let unit_start = run(text, next, char::is_whitespace);
            next = run(text, unit_start, |c| c.is_ascii_alphabetic());
            *at = next;
            let Some(millis) = unit_millis(&text[unit_start..next]) else {
                *at = next.max(part + 1);
                return Err(no_unit(&text[unit_start..next], part..*at));
            };
            total += value * millis;
            next = run(text, next, char::is_whitespace);
        }
        return Ok(Kind::Number(total, Some(Unit::Duration)));
    }
    *at = unit_end;
    let known = match unit {
        "token" | "tokens" => Some(Unit::Tokens),
        "point" | "points" => Some(Unit::Points),
        "USD" | "usd" => Some(Unit::Money),
        _ => None,
    };
    match known {
        Some(unit) if !money || unit == Unit::Money => Ok(Kind::Number(value, Some(unit))),
        _ => {
            *at = run(text, unit_end, |c| c.is_ascii_alphanumeric() || c == '_');
            Err(no_unit(&text[unit_start..*at], start..*at))
        }
    }
}

fn no_unit(word: &str, bytes: Range<usize>) -> Fault {
    let message =
        if word.is_empty() { "a part of a duration has no unit".to_owned() } else { format!("`{word}` is not a unit") };
    Fault::error(bytes, message, "units are %, ms, s, m, h, d, w (and their words), $, tokens, points")
}

/// A number such as `1_000.5`; `start` is where the literal begins, for messages.
fn number(text: &str, at: &mut usize, start: usize) -> Result<f64, Fault> {
    let from = *at;
    *at = run(text, from, |c| c.is_ascii_digit() || c == '_' || c == '.');
    match text[from..*at].replace('_', "").parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => {
            let message = format!("`{}` is not a number", &text[start..*at]);
            Err(Fault::error(start..(*at).max(start + 1), message, "write a number such as 10, 0.5 or 1_000"))
        }
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// Where the run of characters that `keep` accepts ends.
fn run(text: &str, from: usize, keep: impl Fn(char) -> bool) -> usize {
    text[from..].find(|c| !keep(c)).map_or(text.len(), |length| from + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_carry_their_unit() {
        for (text, value, unit) in [
            ("10%", 0.1, Some(Unit::Ratio)),
            ("12.5 %", 0.125, Some(Unit::Ratio)),
            ("15s", 15_000.0, Some(Unit::Duration)),
            ("5 minutes", 300_000.0, Some(Unit::Duration)),
            ("1h30m", 5_400_000.0, Some(Unit::Duration)),
            ("1 hour 30 min", 5_400_000.0, Some(Unit::Duration)),
            ("250ms", 250.0, Some(Unit::Duration)),
            (".5s", 500.0, Some(Unit::Duration)),
            ("$2", 2.0, Some(Unit::Money)),
            ("$ 1_000.50", 1_000.5, Some(Unit::Money)),
            ("2 USD", 2.0, Some(Unit::Money)),
            ("1_000 tokens", 1_000.0, Some(Unit::Tokens)),
            ("80 points", 80.0, Some(Unit::Points)),
            ("0.1", 0.1, None),
            ("1_000", 1_000.0, None),
        ] {
            let tokens = lex(text).expect(text);
            assert_eq!(tokens, [Token { kind: Kind::Number(value, unit), bytes: 0..text.len() }], "{text}");
        }
    }

    #[test]
    fn every_foreign_piece_is_named_with_its_bytes() {
        for (text, expected) in [
            ("a = 5", vec![(2..3, "`=` is not part")]),
            ("a => 5 & b ≥ 2", vec![(2..4, "`=>`"), (7..8, "`&`"), (11..14, "`≥`")]),
            ("p95 > 1.5k", vec![(6..10, "`k` is not a unit")]),
            ("p95 > 1e5", vec![(6..9, "`e5` is not a unit")]),
            ("p95 > 1h30", vec![(8..10, "no unit")]),
            ("p95 > 1h30x", vec![(8..11, "`x` is not a unit")]),
            ("cost > $2s", vec![(7..10, "`s` is not a unit")]),
            ("cost > $", vec![(7..8, "not a number")]),
            ("cost > 1.2.3", vec![(7..12, "`1.2.3` is not a number")]),
            ("rate[\"x\"] > 1", vec![(5..8, "is not a duration")]),
            ("rate[5] > 1", vec![(5..6, "has no unit")]),
            ("rate[5x] > 1 and rate[5m", vec![(5..7, "`x` is not a unit"), (21..22, "not closed")]),
            ("rate[] > 1", vec![(5..5, "expected a duration")]),
            ("rate[5m:1m] > 1", vec![(5..10, "is not a duration")]),
            ("(a + b)[5m] > 1", vec![(7..8, "`[`"), (10..11, "`]`")]),
            ("sum(a)[5m] > 1", vec![(6..10, "inside of the function")]),
            ("sum(a[5k]) > 1", vec![(6..8, "`k` is not a unit")]),
            ("a % 2", vec![(2..3, "`%`")]),
            ("nan > true", vec![(0..3, "`nan` is not a name"), (6..10, "`true`")]),
            ("a > 1\0", vec![(5..6, "`\\u{0}`")]),
        ] {
            let faults = lex(text).expect_err(text);
            assert_eq!(faults.len(), expected.len(), "{text}: {faults:?}");
            for (fault, (bytes, part)) in faults.iter().zip(expected) {
                assert_eq!(fault.bytes, bytes, "{text}: {fault:?}");
                assert!(fault.message.contains(part), "{text}: {fault:?}");
                assert!(!fault.help.is_empty());
            }
        }
    }

    #[test]
    fn words_and_symbols_mean_the_same() {
        let kinds = |text: &str| lex(text).expect(text).into_iter().map(|t| t.kind).collect::<Vec<_>>();
        assert_eq!(kinds("not a>1 AND b or c"), kinds("! a > 1&&b||c"));
        assert_eq!(kinds("5 and a"), [Kind::Number(5.0, None), Kind::And, Kind::Name("a".to_owned(), None)]);
        assert_eq!(kinds("baseline.p95_latency"), [Kind::Name("baseline.p95_latency".to_owned(), None)]);
    }
}
