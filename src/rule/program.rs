//! Evaluates a [`Program`]: one walk over a small tree, no allocation, no way to fail.

use super::{Arithmetic, Comparison, Node, Program, Verdict};
use crate::model::Unit;

/// Where a condition finds the values of its slots; `None` is no data.
pub trait Slots {
    /// The value of a slot.
    fn value(&self, slot: usize) -> Option<f64>;
}

impl Slots for [Option<f64>] {
    fn value(&self, slot: usize) -> Option<f64> {
        self[slot]
    }
}

impl Program {
    /// The verdict over the values of [`Program::inputs`], in their order; `None` is no data, and
    /// so is a division by zero or any other result that is no finite number.
    ///
    /// Its value is of the first comparison that settles the matter; people are shown that of [`Node::deciding`].
    ///
    /// # Panics
    /// When `inputs` is shorter than [`Program::inputs`].
    pub fn eval(&self, inputs: &[Option<f64>]) -> Option<Verdict> {
        truth(&self.root, inputs)
    }
}

/// One node of a condition with its value, for people.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Traced {
    /// How deep it lies below the root.
    pub depth: usize,
    /// The node: an operator, a name or a number.
    pub node: String,
    /// Its value; of a comparison and what joins them 1 for true, 0 for false; null without data.
    pub value: Option<f64>,
    /// The value as people write it.
    pub shown: String,
}

impl Program {
    /// Every node of `root`, a condition on the program's slots, with its value, each found by the evaluation
    /// itself, parents before children.
    pub fn trace(&self, root: &Node, inputs: &[Option<f64>]) -> Vec<Traced> {
        let mut lines = Vec::new();
        self.trace_node(root, inputs, Unit::Any, 0, &mut lines);
        lines
    }

    fn trace_node(&self, node: &Node, inputs: &[Option<f64>], unit: Unit, depth: usize, lines: &mut Vec<Traced>) {
        let mut below = unit;
        let (name, children): (String, Vec<&Node>) = match node {
            Node::Const(_) => ("number".into(), vec![]),
            Node::Slot(slot) => (self.inputs[*slot].to_string(), vec![]),
            Node::Arithmetic(op, left, right) => {
                // Which side of a product has the unit is not known here.
                if matches!(op, Arithmetic::Multiply | Arithmetic::Divide) {
                    below = Unit::Any;
                }
                let sign = match op {
                    Arithmetic::Add => "+",
                    Arithmetic::Subtract => "-",
                    Arithmetic::Multiply => "*",
                    Arithmetic::Divide => "/",
                };
                (sign.into(), vec![left, right])
            }
            Node::Negate(inner) => ("-".into(), vec![inner]),
            Node::Compare { op, left, right, unit } => {
                below = *unit;
                (op.sign().into(), vec![left, right])
            }
            Node::And(left, right) => ("and".into(), vec![left, right]),
            Node::Or(left, right) => ("or".into(), vec![left, right]),
            Node::Not(inner) => ("not".into(), vec![inner]),
        };
        let logical = matches!(node, Node::Compare { .. } | Node::And(..) | Node::Or(..) | Node::Not(_));
        let value = match logical {
            true => truth(node, inputs).map(|verdict| f64::from(u8::from(verdict.holds))),
            false => number(node, inputs),
        };
        let own = match node {
            Node::Slot(slot) => self.inputs[*slot].unit(),
            _ => unit,
        };
        let shown = match value {
            None => "no data".into(),
            Some(value) if logical => if value == 1.0 { "true" } else { "false" }.into(),
            Some(value) => own.show(value),
        };
        lines.push(Traced { depth, node: name, value, shown });
        for child in children {
            self.trace_node(child, inputs, below, depth + 1, lines);
        }
    }
}

impl Node {
    /// The verdict of a condition on the slots of a program, as [`Program::eval`] gives it.
    pub fn eval(&self, inputs: &[Option<f64>]) -> Option<Verdict> {
        truth(self, inputs)
    }

    /// The comparison that decides, which every message and list shows the value, threshold and samples of: of `and`
    /// that holds the last, of `or` that holds the first that does; of `and` that does not, of the sides that fail the
    /// one that is furthest from holding, of `or` the nearest. `None` where [`Node::eval`] has no data.
    pub fn deciding(&self, inputs: &[Option<f64>]) -> Option<&Node> {
        self.decided(inputs).map(|(node, _)| node)
    }

    /// How far the comparison that decides is from the other answer.
    pub fn margin(&self, inputs: &[Option<f64>]) -> Option<Margin> {
        self.decided(inputs).map(|(_, margin)| margin)
    }

    fn decided(&self, inputs: &[Option<f64>]) -> Option<(&Node, Margin)> {
        let (left, right) = match self {
            Node::Compare { op, left, right, unit } => {
                let (value, threshold) = (number(left, inputs)?, number(right, inputs)?);
                let holds = op.holds(value, threshold);
                let apart = (value - threshold).abs();
                let share = if apart == 0.0 { 0.0 } else { apart / threshold.abs() };
                let share = if holds { -share } else { share };
                return Some((self, Margin { holds, share, value, threshold, unit: *unit }));
            }
            Node::Not(inner) => {
                let (node, margin) = inner.decided(inputs)?;
                return Some((node, Margin { holds: !margin.holds, share: -margin.share, ..margin }));
            }
            Node::And(left, right) | Node::Or(left, right) => (left, right),
            _ => return None,
        };
        let (is_and, holds) = (matches!(self, Node::And(..)), truth(self, inputs)?.holds);
        let (Some(left), Some(right)) = (left.decided(inputs), right.decided(inputs)) else {
            // The other side has no data and makes no difference.
            return left.decided(inputs).or_else(|| right.decided(inputs));
        };
        let takes_right = match (left.1.holds == holds, right.1.holds == holds) {
            (true, true) if holds => is_and,
            (true, true) if is_and => right.1.share > left.1.share,
            (true, true) => right.1.share < left.1.share,
            (left_alone, _) => !left_alone,
        };
        Some(if takes_right { right } else { left })
    }

    /// What it comes to, if it is a number.
    pub fn number<S: Slots + ?Sized>(&self, inputs: &S) -> Option<f64> {
        number(self, inputs)
    }

    /// Shows every comparison whose left side is one slot: the slot, and what it is held against.
    pub fn each_limit(&self, see: &mut impl FnMut(usize, &Node)) {
        match self {
            Node::And(left, right) | Node::Or(left, right) => {
                left.each_limit(see);
                right.each_limit(see);
            }
            Node::Not(inner) => inner.each_limit(see),
            Node::Compare { left, right, .. } => {
                if let Node::Slot(slot) = left.as_ref() {
                    see(*slot, right);
                }
            }
            _ => {}
        }
    }

    /// The slots that it reads, in their order in the text.
    pub fn slots(&self) -> Vec<usize> {
        match self {
            Node::Slot(slot) => vec![*slot],
            Node::Const(_) => Vec::new(),
            Node::Negate(inner) | Node::Not(inner) => inner.slots(),
            Node::Arithmetic(_, left, right)
            | Node::And(left, right)
            | Node::Or(left, right)
            | Node::Compare { left, right, .. } => [left.slots(), right.slots()].concat(),
        }
    }

    /// The first of them, which of a comparison is on its left side.
    pub fn first_slot(&self) -> Option<usize> {
        self.slots().first().copied()
    }

    /// The value of a comparison's left side.
    pub fn left(&self, inputs: &[Option<f64>]) -> Option<f64> {
        if let Node::Compare { left, .. } = self { number(left, inputs) } else { None }
    }

    /// Whether a condition holds; asks only for the values that decide.
    pub fn holds(&self, slots: &(impl Slots + ?Sized)) -> bool {
        truth(self, slots).is_some_and(|verdict| verdict.holds)
    }

    /// The unit of the first comparison.
    pub fn unit(&self) -> Unit {
        match self {
            Node::Compare { unit, .. } => *unit,
            Node::And(left, _) | Node::Or(left, _) => left.unit(),
            Node::Not(inner) => inner.unit(),
            _ => Unit::Any,
        }
    }
}

/// How far a condition is from the other answer, and the comparison that says so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margin {
    /// Whether the condition holds.
    pub holds: bool,
    /// How far the value may still move before the condition holds, as a share of the threshold; negative
    /// beyond it. Infinite when the threshold is zero and the value is not.
    pub share: f64,
    /// The left side.
    pub value: f64,
    /// The right side.
    pub threshold: f64,
    /// The unit of both.
    pub unit: Unit,
}

fn truth<S: Slots + ?Sized>(node: &Node, inputs: &S) -> Option<Verdict> {
    match node {
        Node::Compare { op, left, right, unit } => {
            let (value, threshold) = (number(left, inputs)?, number(right, inputs)?);
            Some(Verdict { holds: op.holds(value, threshold), value, threshold, unit: *unit })
        }
        Node::And(left, right) => match truth(left, inputs) {
            Some(left) if !left.holds => Some(left),
            left => truth(right, inputs).filter(|right| !right.holds || left.is_some()),
        },
        Node::Or(left, right) => match truth(left, inputs) {
            Some(left) if left.holds => Some(left),
            left => match truth(right, inputs) {
                Some(right) if right.holds => Some(right),
                right => left.filter(|_| right.is_some()),
            },
        },
        Node::Not(inner) => truth(inner, inputs).map(|v| Verdict { holds: !v.holds, ..v }),
        Node::Const(_) | Node::Slot(_) | Node::Arithmetic(..) | Node::Negate(_) => {
            unreachable!("the check lets only comparisons stand where truth is wanted")
        }
    }
}

fn number<S: Slots + ?Sized>(node: &Node, inputs: &S) -> Option<f64> {
    let value = match node {
        Node::Const(value) => *value,
        Node::Slot(slot) => inputs.value(*slot)?,
        Node::Negate(inner) => -number(inner, inputs)?,
        Node::Arithmetic(op, left, right) => {
            let (left, right) = (number(left, inputs)?, number(right, inputs)?);
            match op {
                Arithmetic::Add => left + right,
                Arithmetic::Subtract => left - right,
                Arithmetic::Multiply => left * right,
                Arithmetic::Divide => left / right,
            }
        }
        Node::Compare { .. } | Node::And(..) | Node::Or(..) | Node::Not(_) => {
            unreachable!("the check lets no truth stand where a number is wanted")
        }
    };
    value.is_finite().then_some(value)
}

impl Comparison {
    /// Whether `left op right`.
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Comparison::Less => left < right,
            Comparison::LessEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterEqual => left >= right,
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
        }
    }

    /// The comparison that says the same with its sides exchanged.
    pub fn mirrored(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessEqual => Comparison::GreaterEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterEqual => Comparison::LessEqual,
            Comparison::Equal | Comparison::NotEqual => self,
        }
    }

    /// The comparison that holds when this one does not.
    pub fn negated(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::GreaterEqual,
            Comparison::LessEqual => Comparison::Greater,
            Comparison::Greater => Comparison::LessEqual,
            Comparison::GreaterEqual => Comparison::Less,
            Comparison::Equal => Comparison::NotEqual,
            Comparison::NotEqual => Comparison::Equal,
        }
    }

    /// Its sign in conditions and messages.
    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::LessEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterEqual => ">=",
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Metric, Unit};
    use crate::rule::Input;

    fn compare(slot: usize, op: Comparison, threshold: f64) -> Box<Node> {
        let (left, right) = (Box::new(Node::Slot(slot)), Box::new(Node::Const(threshold)));
        Box::new(Node::Compare { op, left, right, unit: Unit::Count })
    }

    #[test]
    fn missing_data_is_a_value_of_its_own() {
        let (a, b) = (|| compare(0, Comparison::Greater, 1.0), || compare(1, Comparison::Greater, 2.0));
        let and = Node::And(a(), b());
        let or = Node::Or(a(), b());
        let not = Node::Not(a());
        let (yes, no, none) = (Some(9.0), Some(0.0), None);
        for (root, first, second, expected) in [
            // (holds, threshold of the deciding comparison)
            (&and, yes, yes, Some((true, 2.0))),
            (&and, no, yes, Some((false, 1.0))),
            (&and, yes, no, Some((false, 2.0))),
            (&and, none, no, Some((false, 2.0))),
            (&and, no, none, Some((false, 1.0))),
            (&and, none, yes, None),
            (&and, yes, none, None),
            (&and, none, none, None),
            (&or, yes, none, Some((true, 1.0))),
            (&or, none, yes, Some((true, 2.0))),
            (&or, no, yes, Some((true, 2.0))),
            (&or, no, no, Some((false, 1.0))),
            (&or, no, none, None),
            (&or, none, no, None),
            (&not, yes, none, Some((false, 1.0))),
            (&not, none, none, None),
        ] {
            let program = Program { inputs: vec![], root: root.clone() };
            let verdict = program.eval(&[first, second]).map(|v| (v.holds, v.threshold));
            assert_eq!(verdict, expected, "{root:?} {first:?} {second:?}");
            let shown = root.margin(&[first, second]).map(|margin| (margin.holds, margin.threshold));
            assert_eq!(shown, expected, "{root:?} {first:?} {second:?}");
        }
    }

    #[test]
    fn the_trace_says_what_the_evaluation_says() {
        let program =
            |root| Program { inputs: vec![Input::Metric(Metric::Cost, None), Input::Peers(Metric::Cost)], root };
        let (a, b) = (|| compare(0, Comparison::Greater, 1.0), || compare(1, Comparison::Less, 2.0));
        for root in [*a(), Node::And(a(), b()), Node::Or(a(), b()), Node::Not(a())] {
            let program = program(root);
            for inputs in [[Some(9.0), Some(1.0)], [Some(0.5), Some(7.0)], [None, Some(1.0)], [Some(9.0), None]] {
                let trace = program.trace(&program.root, &inputs);
                let holds = program.eval(&inputs).map(|verdict| f64::from(u8::from(verdict.holds)));
                assert_eq!((trace[0].depth, trace[0].value), (0, holds), "{trace:?}");
            }
        }
        let program = program(*a());
        let trace = program.trace(&program.root, &[Some(9.0), None]);
        let lines: Vec<String> = trace.iter().map(|t| format!("{} {} {}", t.depth, t.node, t.shown)).collect();
        assert_eq!(lines, ["0 > true", "1 cost $9.00", "1 number 1"]);
    }

    #[test]
    fn the_margin_is_that_of_the_side_which_decides() {
        let (a, b) = (|| compare(0, Comparison::Greater, 10.0), || compare(1, Comparison::Less, 4.0));
        let and = Node::And(a(), b());
        let or = Node::Or(a(), b());
        let not = Node::Not(a());
        for (root, first, second, expected) in [
            (&and, Some(9.0), Some(6.0), Some((0.5, 4.0))),
            (&and, Some(5.0), Some(4.4), Some((0.5, 10.0))),
            (&and, Some(15.0), Some(3.0), Some((-0.25, 4.0))),
            (&and, Some(11.0), Some(1.0), Some((-0.75, 4.0))),
            (&and, Some(10.0), Some(9.0), Some((1.25, 4.0))),
            (&and, Some(1.0), Some(1.0), Some((0.9, 10.0))),
            (&and, Some(5.0), None, Some((0.5, 10.0))),
            (&and, Some(15.0), None, None),
            (&or, Some(9.0), Some(6.0), Some((0.1, 10.0))),
            (&or, Some(15.0), Some(6.0), Some((-0.5, 10.0))),
            (&or, Some(11.0), Some(1.0), Some((-0.1, 10.0))),
            (&not, Some(9.0), None, Some((-0.1, 10.0))),
            (&not, Some(10.0), None, Some((0.0, 10.0))),
            (&not, None, None, None),
        ] {
            let found = root.margin(&[first, second]);
            let of = root.deciding(&[first, second]).and_then(|node| node.margin(&[first, second]));
            assert_eq!(of.map(|m| (m.value, m.threshold)), found.map(|m| (m.value, m.threshold)), "{root:?}");
            let margin = found.map(|m| ((m.share * 1e9).round() / 1e9, m.threshold));
            assert_eq!(margin, expected, "{root:?} {first:?} {second:?}");
        }
    }

    #[test]
    fn a_division_by_zero_is_no_data() {
        let quotient = Node::Arithmetic(Arithmetic::Divide, Box::new(Node::Slot(0)), Box::new(Node::Slot(1)));
        let (left, right) = (Box::new(quotient), Box::new(Node::Const(2.0)));
        let root = Node::Compare { op: Comparison::Greater, left, right, unit: Unit::Any };
        let program = Program { inputs: vec![], root };
        assert_eq!(program.eval(&[Some(1.0), Some(0.0)]), None);
        assert_eq!(program.eval(&[Some(0.0), Some(0.0)]), None);
        assert!(program.eval(&[Some(9.0), Some(3.0)]).is_some_and(|v| v.holds && v.value == 3.0));
    }
}
