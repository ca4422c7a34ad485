//! Which comparison of a condition a value and its threshold are of, in the condition's own words.
//!
//! An alert keeps the numbers of the comparison that decided, and its condition as text. Of several comparisons the text
//! has one with that threshold, else one in that time range; where it does not, nothing is said rather than guessed.

use std::ops::Range;

use super::Comparison;
use super::lex::{Kind, Token, lex};
use crate::model::Span;

/// One comparison of a condition: `success_rate[1m]`, `<`, and the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deciding<'a> {
    /// What is compared.
    pub left: &'a str,
    /// How.
    pub operator: Comparison,
    /// The same as written.
    pub sign: &'a str,
    /// The comparison as written.
    pub whole: &'a str,
}

/// The comparison of a condition that alone can have had this threshold and range; `None` when several can, or none.
pub fn deciding(condition: &str, threshold: f64, window: Span) -> Option<Deciding<'_>> {
    let tokens = lex(condition).ok()?;
    if tokens.iter().any(|token| token.kind == Kind::Not) {
        return None;
    }
    let places = (0..tokens.len()).filter(|at| matches!(tokens[*at].kind, Kind::Comparison(_)));
    let parts: Vec<(&[Token], usize, &[Token])> = places.map(|at| around(&tokens, at)).collect();
    let literal = |right: &[Token]| match right {
        [Token { kind: Kind::Number(number, _), .. }] => Some(*number),
        _ => None,
    };
    let alike = |number: f64| (number - threshold).abs() <= 1e-9 * threshold.abs().max(1.0);
    let equal = |part: &(&[Token], usize, &[Token])| literal(part.2).is_some_and(alike);
    let alone = parts.len() == 1;
    let mut found: Vec<_> = parts.iter().filter(|part| alone || equal(part)).collect();
    if found.is_empty() {
        found = parts.iter().filter(|part| literal(part.2).is_none()).collect();
    }
    if found.len() > 1 {
        let ranged = |token: &Token| match &token.kind {
            Kind::Name(_, range) | Kind::Call(_, _, range) => range.as_ref().is_some_and(|range| range.span == window),
            _ => false,
        };
        found.retain(|part| part.0.iter().any(ranged));
    }
    let [(left, at, right)] = found[..] else { return None };
    let Token { kind: Kind::Comparison(operator), bytes: sign } = &tokens[*at] else { return None };
    let bytes =
        |tokens: &[Token]| -> Option<Range<usize>> { Some(tokens.first()?.bytes.start..tokens.last()?.bytes.end) };
    let (left, right) = (bytes(left)?, bytes(right)?);
    let whole = &condition[left.start..right.end];
    Some(Deciding { left: &condition[left], operator: *operator, sign: &condition[sign.clone()], whole })
}

/// A comparison and its two sides, as far as the next `and`, `or` or parenthesis around it.
fn around(tokens: &[Token], at: usize) -> (&[Token], usize, &[Token]) {
    let ends = |depth: &mut i32, token: &Token, opens: &Kind, closes: &Kind| {
        *depth += i32::from(token.kind == *opens) - i32::from(token.kind == *closes);
        *depth < 0 || matches!(token.kind, Kind::And | Kind::Or)
    };
    let mut depth = 0;
    let before = tokens[..at].iter().rposition(|token| ends(&mut depth, token, &Kind::Close, &Kind::Open));
    let mut depth = 0;
    let after = tokens[at + 1..].iter().position(|token| ends(&mut depth, token, &Kind::Open, &Kind::Close));
    let first = before.map_or(0, |place| place + 1);
    (&tokens[first..at], at, &tokens[at + 1..after.map_or(tokens.len(), |place| at + 1 + place)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comparison_is_found_by_its_threshold_and_else_by_its_range() {
        let slo = "(failed_executions[1h] >= 3 and success_rate[5m] < 80% and success_rate[1h] < 80%) \
                   or (failed_executions[6h] >= 3 and success_rate[30m] < 90% and success_rate[6h] < 90%)";
        let (minutes, hours) = (Span::minutes, Span::hours);
        for (condition, threshold, window, expected) in [
            (slo, 0.8, minutes(5), Some(("success_rate[5m]", "<", "success_rate[5m] < 80%"))),
            (slo, 0.9, hours(6), Some(("success_rate[6h]", "<", "success_rate[6h] < 90%"))),
            (slo, 3.0, hours(1), Some(("failed_executions[1h]", ">=", "failed_executions[1h] >= 3"))),
            (slo, 0.8, hours(2), None),
            (
                "p95_latency > 30s and executions >= 3",
                30_000.0,
                minutes(1),
                Some(("p95_latency", ">", "p95_latency > 30s")),
            ),
            (
                "error_rate > baseline * 2 and error_rate > 10%",
                0.34,
                minutes(5),
                Some(("error_rate", ">", "error_rate > baseline * 2")),
            ),
            (
                "(cost + 1) / 2 > 3 or executions < 2",
                3.0,
                minutes(5),
                Some(("(cost + 1) / 2", ">", "(cost + 1) / 2 > 3")),
            ),
            ("error_rate > 10% # of all", 0.2, minutes(5), None),
            ("error_rate > 10%", 0.2, minutes(5), Some(("error_rate", ">", "error_rate > 10%"))),
            ("not error_rate > 10% and executions > 3", 0.1, minutes(5), None),
            ("a > 1 and b > 1", 1.0, minutes(5), None),
        ] {
            let found = deciding(condition, threshold, window);
            assert_eq!(found.map(|part| (part.left, part.sign, part.whole)), expected, "{condition}");
        }
    }
}
