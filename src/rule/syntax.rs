//! Holds tokens to the grammar and hands the normalised text to the expression parser.
//!
//! The parser behind accepts `error_rate >` and `a and b` and fails when it is too late, so the
//! order of the tokens is checked here, with places. What passes, it parses: numbers are floats in
//! base units, `and or not` are its symbols, and `not` reaches to the next `and` or `or` as in
//! Python and SQL. Operands keep their order, so the n-th leaf of its tree is the n-th operand of
//! the text: that is how the tree gets its places back.

use super::lex::{Fault, Kind, Token};
use super::{Aggregate, Arithmetic, Comparison, names};

/// The longest condition, in bytes.
pub const CONDITION_LIMIT: usize = 4_096;
/// The most names and numbers in a condition.
pub const OPERANDS_LIMIT: usize = 100;
/// How deep parentheses and signs may nest.
pub const NESTING_LIMIT: usize = 32;

/// The operator tree of a condition.
///
/// # Errors
/// The first token that cannot stand where it stands; what follows it would be guesswork.
pub(super) fn parse(text: &str, tokens: &[Token]) -> Result<evalexpr::Node, Fault> {
    order(text, tokens)?;
    evalexpr::build_operator_tree(&normalise(tokens)).map_err(|error| {
        let message = format!("the condition cannot be read: {error}");
        Fault::error(0..text.len(), message, "put parentheses around its parts")
    })
}

/// Whether a token begins or is an operand.
pub(super) fn is_operand(kind: &Kind) -> bool {
    matches!(kind, Kind::Number(..) | Kind::Name(..) | Kind::Call(..))
}

fn order(text: &str, tokens: &[Token]) -> Result<(), Fault> {
    let mut open: Vec<&Token> = Vec::new();
    let mut operands = 0;
    let mut signs = 0;
    let mut wants_operand = true;
    for (i, token) in tokens.iter().enumerate() {
        let word = &text[token.bytes.clone()];
        let at = token.bytes.clone();
        match (&token.kind, wants_operand) {
            (Kind::Number(..) | Kind::Name(..) | Kind::Call(..), true) => {
                wants_operand = false;
                operands += 1;
                signs = 0;
                if operands > OPERANDS_LIMIT {
                    let message = format!("the condition has more than {OPERANDS_LIMIT} names and numbers");
                    return Err(Fault::error(at, message, "split it into several rules"));
                }
            }
            (Kind::Open | Kind::Not | Kind::Arithmetic(Arithmetic::Subtract), true) => {
                signs += 1;
                if token.kind == Kind::Open {
                    open.push(token);
                }
                if open.len().max(signs) > NESTING_LIMIT {
                    let message = format!("the condition nests deeper than the limit of {NESTING_LIMIT}");
                    return Err(Fault::error(at, message, "remove parentheses"));
                }
            }
            (Kind::And | Kind::Or | Kind::Arithmetic(_) | Kind::Comparison(_), false) => wants_operand = true,
            (Kind::Close, false) => {
                if open.pop().is_none() {
                    return Err(Fault::error(at, "this `)` closes nothing", "delete it"));
                }
            }
            (Kind::Open, false) if matches!(tokens[i - 1].kind, Kind::Name(..)) => {
                let called = tokens[i - 1].bytes.clone();
                let name = &text[called.clone()];
                let message = format!("there is no function `{name}`");
                return Err(Fault::error(called.start..at.end, message, Aggregate::remedy(name)));
            }
            (_, true) => {
                let message = format!("a name or a number is expected before `{word}`");
                return Err(Fault::error(at, message, "such as `error_rate > 10%`"));
            }
            (_, false) => {
                let message = format!("an operator is expected before `{word}`");
                return Err(Fault::error(at, message, "join conditions with `and` or `or`, compare with > or <"));
            }
        }
    }
    let end = tokens.last().map_or(0, |token| token.bytes.end);
    if tokens.is_empty() {
        return Err(Fault::error(0..text.len(), "the condition is empty", "write one such as `error_rate > 10%`"));
    }
    if wants_operand {
        let message = "the condition ends where a name or a number is expected";
        return Err(Fault::error(end..end, message, "such as `error_rate > 10%`"));
    }
    if let Some(token) = open.last() {
        return Err(Fault::error(token.bytes.clone(), "this `(` is not closed", "add `)`"));
    }
    Ok(())
}

fn normalise(tokens: &[Token]) -> String {
    let mut text = String::new();
    // How many parentheses `not` has opened, per level of the user's own.
    let mut nots = vec![0usize];
    for token in tokens {
        if matches!(token.kind, Kind::And | Kind::Or | Kind::Close) {
            let ended = std::mem::take(nots.last_mut().expect("one level per open parenthesis"));
            text.extend(std::iter::repeat_n(')', ended));
        }
        match &token.kind {
            // The float form always has a point, so the parser never sees an integer.
            Kind::Number(value, _) if value.fract() == 0.0 => text += &format!("{value}.0"),
            Kind::Number(value, _) => text += &value.to_string(),
            // A bare `baseline` is not that of a name with a time range.
            Kind::Name(name, Some(_)) => text += &format!("{}{name}", names::RANGED),
            Kind::Name(name, None) => text += name,
            // Any name that is no metric's: the tree only tells leaves apart.
            Kind::Call(aggregate, name, _) => text += &format!("{}.{name}", aggregate.as_str()),
            Kind::Arithmetic(Arithmetic::Add) => text.push('+'),
            Kind::Arithmetic(Arithmetic::Subtract) => text.push('-'),
            Kind::Arithmetic(Arithmetic::Multiply) => text.push('*'),
            Kind::Arithmetic(Arithmetic::Divide) => text.push('/'),
            Kind::Comparison(op) => text += Comparison::sign(*op),
            Kind::And => text += "&&",
            Kind::Or => text += "||",
            Kind::Not => {
                text += "!(";
                *nots.last_mut().expect("one level per open parenthesis") += 1;
            }
            Kind::Open => {
                text.push('(');
                nots.push(0);
            }
            Kind::Close => {
                text.push(')');
                nots.pop();
            }
        }
        text.push(' ');
    }
    text.extend(std::iter::repeat_n(')', nots.iter().sum()));
    text
}

#[cfg(test)]
mod tests {
    use super::super::lex::lex;
    use super::*;

    #[test]
    fn texts_are_normalised_for_the_parser() {
        for (text, expected) in [
            ("error_rate > 10%", "error_rate > 0.1 "),
            ("p95_latency > 15s", "p95_latency > 15000.0 "),
            ("not a > 1 and b > 2", "!( a > 1.0 )&& b > 2.0 "),
            ("(not not a > 1) or b > 2", "( !( !( a > 1.0 ))) || b > 2.0 "),
            ("a > -1", "a > - 1.0 "),
        ] {
            let tokens = lex(text).expect(text);
            order(text, &tokens).expect(text);
            assert_eq!(normalise(&tokens), expected);
        }
    }

    #[test]
    fn a_token_out_of_order_is_shown() {
        let deep = format!("{}a > 1{}", "(".repeat(40), ")".repeat(40));
        let signs = format!("a > {}1", "-".repeat(40));
        let long = vec!["a > 1"; 60].join(" or ");
        for (text, place, part) in [
            ("", 0, "empty"),
            ("error_rate >", 12, "ends where"),
            ("> 5", 0, "before `>`"),
            ("a > > 1", 4, "before `>`"),
            ("a b", 2, "operator is expected before `b`"),
            ("a > 1)", 5, "closes nothing"),
            ("(a > 1", 0, "not closed"),
            ("abs(a) > 1", 0, "no function `abs`"),
            ("a > +1", 4, "before `+`"),
            ("a not b", 2, "operator"),
            (deep.as_str(), 32, "limit of 32"),
            (signs.as_str(), 36, "limit of 32"),
            (long.as_str(), 450, "more than 100"),
        ] {
            let fault = parse(text, &lex(text).expect(text)).expect_err(text);
            assert_eq!(fault.bytes.start, place, "{text}: {fault:?}");
            assert!(fault.message.contains(part), "{text}: {fault:?}");
        }
    }
}
