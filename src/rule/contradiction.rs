//! Comparisons of one value that contradict each other, or leave nothing out, as `and`, `or` and `not` join them.
//!
//! For every value that a condition compares, the interval is worked out in which it must lie for the condition to
//! hold. Of what `or` joins it is the smallest interval around both, so it may claim more than is needed, never less:
//! what it calls impossible is. Equal inputs have one slot, and those of other windows another, so that values are only
//! held against themselves. What always holds is what never does the other way round.

use std::ops::Range;

use super::lex::Fault;
use super::{Arithmetic, Comparison, Node};

/// What is compared: a value, and what it is held against unless that is a number.
type Compared<'a> = (&'a Node, Option<&'a Node>);

/// Numbers from one end to the other; whether an end belongs to them.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Interval {
    low: (f64, bool),
    high: (f64, bool),
}

impl Interval {
    const ALL: Interval = Interval { low: (f64::NEG_INFINITY, true), high: (f64::INFINITY, true) };

    /// The numbers for which `number op bound` holds; all, where they are no interval.
    fn of(op: Comparison, bound: f64) -> Interval {
        match op {
            Comparison::Less => Interval { high: (bound, false), ..Interval::ALL },
            Comparison::LessEqual => Interval { high: (bound, true), ..Interval::ALL },
            Comparison::Greater => Interval { low: (bound, false), ..Interval::ALL },
            Comparison::GreaterEqual => Interval { low: (bound, true), ..Interval::ALL },
            Comparison::Equal => Interval { low: (bound, true), high: (bound, true) },
            Comparison::NotEqual => Interval::ALL,
        }
    }

    fn is_empty(self) -> bool {
        self.low.0 > self.high.0 || self.low.0 == self.high.0 && !(self.low.1 && self.high.1)
    }

    /// What is in both.
    fn and(self, other: Interval) -> Interval {
        let low =
            if other.low.0 > self.low.0 || other.low.0 == self.low.0 && !other.low.1 { other.low } else { self.low };
        let lower = other.high.0 < self.high.0 || other.high.0 == self.high.0 && !other.high.1;
        Interval { low, high: if lower { other.high } else { self.high } }
    }

    /// The smallest interval around both.
    fn or(self, other: Interval) -> Interval {
        let low =
            if other.low.0 < self.low.0 || other.low.0 == self.low.0 && other.low.1 { other.low } else { self.low };
        let higher = other.high.0 > self.high.0 || other.high.0 == self.high.0 && other.high.1;
        Interval { low, high: if higher { other.high } else { self.high } }
    }
}

/// What is wrong with what `and` or `or` joins at `bytes` of the text, unless a part of it has the same fault.
pub(super) fn fault(node: &Node, text: &str, bytes: &Range<usize>) -> Option<Fault> {
    let bytes = closed(text, bytes);
    let written = &text[bytes.clone()];
    match node {
        Node::And(left, right) if never(node) && !never(left) && !never(right) => {
            let help = "no value is both: join them with `or`, or turn one of the comparisons round";
            Some(Fault::error(bytes, format!("`{written}` can never hold"), help))
        }
        Node::Or(left, right) if always(node) && !always(left) && !always(right) => {
            let help = "every value is one or the other: join them with `and`, or leave a gap between them";
            Some(Fault::warning(bytes, format!("`{written}` always holds when there is data"), help))
        }
        _ => None,
    }
}

/// The bytes with the parentheses around its first and its last part.
fn closed(text: &str, bytes: &Range<usize>) -> Range<usize> {
    let (mut start, mut end) = (bytes.start, bytes.end);
    loop {
        let (mut open, mut least) = (0i32, 0i32);
        for c in text[start..end].chars() {
            open += i32::from(c == '(') - i32::from(c == ')');
            least = least.min(open);
        }
        if least < 0
            && let Some(before) = text[..start].rfind('(')
        {
            start = before;
        } else if open > 0
            && let Some(after) = text[end..].find(')')
        {
            end += after + 1;
        } else {
            return start..end;
        }
    }
}

/// Whether the condition can never hold because of what it says of one value.
pub(super) fn never(node: &Node) -> bool {
    needs(node, true).is_none()
}

/// Whether the condition holds whatever the values are.
pub(super) fn always(node: &Node) -> bool {
    needs(node, false).is_none()
}

/// Where values must lie for the node to come out as `wanted`; `None`: it cannot.
fn needs(node: &Node, wanted: bool) -> Option<Vec<(Compared<'_>, Interval)>> {
    match node {
        Node::Not(inner) => needs(inner, !wanted),
        Node::Compare { op, left, right, .. } => {
            let op = if wanted { *op } else { op.negated() };
            let (value, factor) = scaled(left);
            Some(vec![match right.as_ref() {
                Node::Const(bound) => ((value, None), Interval::of(op, bound / factor)),
                // Of the difference of the two.
                other => ((left.as_ref(), Some(other)), Interval::of(op, 0.0)),
            }])
        }
        Node::And(left, right) | Node::Or(left, right) => {
            let both = matches!(node, Node::And(..)) == wanted;
            match (needs(left, wanted), needs(right, wanted)) {
                (Some(left), Some(right)) if both => all(left, right),
                (Some(left), Some(right)) => Some(either(&left, &right)),
                (left, right) if !both => left.or(right),
                _ => None,
            }
        }
        _ => Some(Vec::new()),
    }
}

/// The value and a positive number that it is multiplied by.
fn scaled(node: &Node) -> (&Node, f64) {
    match node {
        Node::Arithmetic(Arithmetic::Multiply, value, factor) => match factor.as_ref() {
            Node::Const(factor) if *factor > 0.0 && factor.is_finite() => (value, *factor),
            _ => (node, 1.0),
        },
        _ => (node, 1.0),
    }
}

fn all<'a>(
    mut left: Vec<(Compared<'a>, Interval)>,
    right: Vec<(Compared<'a>, Interval)>,
) -> Option<Vec<(Compared<'a>, Interval)>> {
    for (value, interval) in right {
        match left.iter_mut().find(|(known, _)| *known == value) {
            Some((_, known)) => *known = known.and(interval),
            None => left.push((value, interval)),
        }
    }
    (!left.iter().any(|(_, interval)| interval.is_empty())).then_some(left)
}

fn either<'a>(left: &[(Compared<'a>, Interval)], right: &[(Compared<'a>, Interval)]) -> Vec<(Compared<'a>, Interval)> {
    let of_both = left.iter().filter_map(|(value, interval)| {
        let (_, other) = right.iter().find(|(known, _)| known == value)?;
        Some((*value, interval.or(*other)))
    });
    of_both.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;
    use crate::rule::condition;

    fn root(text: &str) -> Node {
        condition::check(text, &mut Vec::new(), Span::seconds(15)).0.unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn what_can_never_hold_and_what_always_does() {
        for (text, expected) in [
            ("error_rate > 30% and error_rate < 20%", Some(false)),
            ("error_rate > 30% and error_rate < 30%", Some(false)),
            ("error_rate > 30% and error_rate <= 30%", Some(false)),
            ("error_rate >= 30% and error_rate <= 30%", None),
            ("20% > error_rate and 30% < error_rate", Some(false)),
            ("error_rate > 10% or error_rate <= 10%", Some(true)),
            ("error_rate > 10% or error_rate < 10%", None),
            ("error_rate > 10% or error_rate < 20%", Some(true)),
            ("error_rate > 10% or error_rate < 5%", None),
            ("error_rate > 30% or error_rate < 20%", None),
            ("error_rate > 20% and error_rate < 30%", None),
            ("not (error_rate > 10%) and error_rate > 20%", Some(false)),
            ("not (error_rate > 10%) or error_rate > 20%", None),
            ("not (error_rate > 10% and error_rate < 5%)", Some(true)),
            ("executions > 5 and (error_rate > 30% and error_rate < 20%)", Some(false)),
            ("executions > 5 or (error_rate > 30% and error_rate < 20%)", None),
            ("executions > 5 or (error_rate > 10% or error_rate < 20%)", Some(true)),
            ("(error_rate > 30% or cost > $1) and error_rate < 20%", None),
            ("(error_rate > 30% or error_rate > 40%) and error_rate < 20%", Some(false)),
            ("(error_rate > 30% and cost > $1 or error_rate > 40%) and error_rate < 20%", Some(false)),
            // Other windows are other values.
            ("error_rate[5m] > 30% and error_rate[1h] < 20%", None),
            ("error_rate[5m] > 30% and error_rate[5m] < 20%", Some(false)),
            ("error_rate > 30% and success_rate > 90%", None),
            // What is held against another value.
            ("p95_latency > baseline * 2 and p95_latency < baseline * 2", Some(false)),
            ("p95_latency > baseline * 2 and p95_latency < baseline * 3", None),
            ("p95_latency > baseline * 2 or p95_latency <= baseline * 2", Some(true)),
            ("last(wait_s) > 30s and last(wait_s) < 20s", Some(false)),
            ("sum(a) / sum(b) > 5 and sum(a) / sum(b) < 2", Some(false)),
            ("sum(a) > 5 and sum(b) < 2", None),
        ] {
            let node = root(text);
            let found = match (never(&node), always(&node)) {
                (true, false) => Some(false),
                (false, true) => Some(true),
                (false, false) => None,
                both => panic!("{text}: {both:?}"),
            };
            assert_eq!(found, expected, "{text}");
        }
    }

    proptest::proptest! {
        /// Whatever it says holds for numbers: conditions over two values, put together at random.
        #[test]
        fn it_agrees_with_evaluation(seeds in proptest::collection::vec(0u32..1_000_000, 1..6), a in 0i32..6, b in 0i32..6) {
            let atom = |seed: u32| {
                let word = ["sum(a)", "sum(b)"][seed as usize % 2];
                let op = ["<", "<=", ">", ">=", "==", "!="][(seed / 2) as usize % 6];
                format!("{word} {op} {}", (seed / 12) % 6)
            };
            let text = seeds.iter().skip(1).fold(atom(seeds[0]), |text, seed| {
                let join = ["and", "or"][(seed / 72) as usize % 2];
                let not = ["", "not "][(seed / 144) as usize % 2];
                format!("{not}({text} {join} {})", atom(*seed))
            });
            let mut inputs = Vec::new();
            let (node, _) = condition::check(&text, &mut inputs, Span::seconds(15));
            let Some(root) = node else { return Ok(()) };
            let values: Vec<Option<f64>> =
                inputs.iter().map(|input| Some(f64::from(if input.to_string() == "sum(a)" { a } else { b }))).collect();
            let holds = super::super::Program { inputs, root: root.clone() }.eval(&values).is_some_and(|v| v.holds);
            proptest::prop_assert!(!(never(&root) && holds), "{text} {a} {b}");
            proptest::prop_assert!(!always(&root) || holds, "{text} {a} {b}");
        }
    }
}
