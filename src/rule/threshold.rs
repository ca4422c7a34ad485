//! Rules with a threshold moved: what mutation of tests and the curve of a replay are made of.
//!
//! The threshold is the right side of a comparison, whatever stands there: a number, a baseline
//! times two, a baseline less 20 points. Moving it by a factor keeps its unit.

use super::{Arithmetic, Node, Rule};

/// How many comparisons of the condition have a threshold that a factor moves.
pub fn thresholds(rule: &Rule) -> usize {
    let mut n = 0;
    rule.roots().for_each(|root| visit(root, &mut |_| n += 1));
    n
}

/// The rule with the threshold of its `which`th comparison multiplied by `factor`; `None`: of all.
pub fn scaled(rule: &Rule, which: Option<usize>, factor: f64) -> Rule {
    let mut rule = rule.clone();
    let mut n = 0;
    let mut change = |right: &mut Node| {
        if which.is_none_or(|which| which == n) {
            *right = times(right.clone(), factor);
        }
        n += 1;
    };
    rule.roots_mut().for_each(|root| visit_mut(root, &mut change));
    rule
}

/// The threshold of the `which`th comparison, when it is a plain number.
pub fn constant(rule: &Rule, which: usize) -> Option<f64> {
    let mut found = Vec::new();
    let mut note = |right: &Node| found.push(if let Node::Const(value) = right { Some(*value) } else { None });
    rule.roots().for_each(|root| visit(root, &mut note));
    found.get(which).copied().flatten()
}

fn times(node: Node, factor: f64) -> Node {
    match node {
        Node::Const(value) => Node::Const(value * factor),
        other => Node::Arithmetic(Arithmetic::Multiply, Box::new(other), Box::new(Node::Const(factor))),
    }
}

fn movable(right: &Node) -> bool {
    !matches!(right, Node::Const(0.0))
}

fn visit(node: &Node, see: &mut impl FnMut(&Node)) {
    match node {
        Node::Compare { right, .. } if movable(right) => see(right),
        Node::And(left, right) | Node::Or(left, right) => {
            visit(left, see);
            visit(right, see);
        }
        Node::Not(inner) => visit(inner, see),
        _ => {}
    }
}

fn visit_mut(node: &mut Node, see: &mut impl FnMut(&mut Node)) {
    match node {
        Node::Compare { right, .. } if movable(right) => see(right),
        Node::And(left, right) | Node::Or(left, right) => {
            visit_mut(left, see);
            visit_mut(right, see);
        }
        Node::Not(inner) => visit_mut(inner, see),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::model::Span;
    use crate::rule::load::load;

    fn rule(condition: &str) -> Rule {
        let text = format!("alerts:\n- {{name: r, condition: \"{condition}\"}}\n");
        let (rules, faults) = load(&[SourceFile::new("r.yaml", text)], Span::seconds(15));
        rules.into_iter().next().unwrap_or_else(|| panic!("{faults:?}"))
    }

    #[test]
    fn thresholds_move_by_a_factor() {
        for (condition, count, values, threshold) in [
            ("error_rate > 10%", 1, vec![Some(0.5)], Some(0.11)),
            ("error_rate > 10% and executions > 0", 1, vec![Some(0.05), Some(2.0)], Some(0.11)),
            ("hourly_cost > baseline * 2", 1, vec![Some(9.0), Some(2.0)], Some(4.4)),
            ("success_rate < baseline - 20%", 1, vec![Some(0.5), Some(0.9)], Some(0.77)),
            ("p95_latency > 10s and p95_latency > baseline * 2", 2, vec![Some(1e6), Some(1e4)], Some(2.2e4)),
        ] {
            let moved = scaled(&rule(condition), None, 1.1);
            assert_eq!(thresholds(&moved), count, "{condition}");
            let found = moved.program.eval(&values).map(|v| v.threshold);
            assert!(found.zip(threshold).is_some_and(|(a, b)| (a - b).abs() < 1e-9), "{condition}: {found:?}");
        }
        let two = rule("error_rate > 10% or limit_rate > 20%");
        let moved = scaled(&two, Some(1), 2.0);
        assert_eq!((constant(&moved, 0), constant(&moved, 1)), (Some(0.1), Some(0.4)));
    }
}
