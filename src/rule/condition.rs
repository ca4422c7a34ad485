//! Checks a condition's names and units and lowers it to a [`Program`].
//!
//! The expression parser's tree is walked once; its leaves are the operands of the text in order,
//! so every fault points at the bytes that are meant, and one run finds them all. Values from
//! data stand on the left of a comparison and what they are held against on the right, whichever way
//! the condition is written, so that a message can say "value" and "threshold".

mod units;

use std::ops::Range as Bytes;

use evalexpr::Operator;

use super::lex::{Fault, Kind as TokenKind, Token, Window, lex};
use super::load::WINDOW_LIMIT;
use super::range::Range;
use super::{Arithmetic, Comparison, INPUT_LIMIT, Input, Node, Program, contradiction, names, syntax, trial};
use crate::model::{Metric, Span, Unit};
pub(super) use units::threshold;

/// What a part of a condition is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// True or false.
    Truth,
    /// A number without a unit, which takes on that of its neighbour.
    Bare,
    /// A number in a unit.
    Of(Unit),
}

/// A checked part of a condition.
struct Part {
    node: Node,
    kind: Kind,
    range: Range,
    bytes: Bytes<usize>,
}

/// Checks a condition: how it is evaluated, unless there are errors, and everything worth saying about
/// it. What it reads is added to `inputs`, the slots that all conditions of a rule share; `step` is the evaluation
/// interval.
pub(super) fn check(text: &str, inputs: &mut Vec<Input>, step: Span) -> (Option<Node>, Vec<Fault>) {
    let (read, mut faults) = read(text, inputs, step, |check, part| check.truth(part));
    let Some((root, tree, leaves)) = read else { return (None, faults) };
    let program = Program { inputs: inputs.clone(), root };
    if let Err(message) = trial::agrees(&program, &tree, &leaves) {
        faults.push(Fault::error(0..text.len(), message, "put parentheses around its parts"));
        return (None, faults);
    }
    (Some(program.root), faults)
}

/// [`check`] of an expression that is a number, with its unit; `None` for one without.
pub(super) fn number(text: &str, inputs: &mut Vec<Input>, step: Span) -> (Option<(Node, Option<Unit>)>, Vec<Fault>) {
    let (read, faults) = read(text, inputs, step, |check, part| {
        let kind = check.number(&part)?;
        Some((part.node, if let Kind::Of(unit) = kind { Some(unit) } else { None }))
    });
    (read.map(|(number, ..)| number), faults)
}

/// What was made of a text, the parser's tree, and the slot and the factor of each name in it.
type Read<T> = (T, evalexpr::Node, Vec<(usize, f64)>);

/// Reads an expression; `finish` takes the whole of it.
fn read<T>(
    text: &str,
    inputs: &mut Vec<Input>,
    step: Span,
    finish: impl FnOnce(&mut Check<'_>, Part) -> Option<T>,
) -> (Option<Read<T>>, Vec<Fault>) {
    if text.len() > syntax::CONDITION_LIMIT {
        let message = format!("the condition has {} bytes, the limit is {}", text.len(), syntax::CONDITION_LIMIT);
        return (None, vec![Fault::error(0..text.len(), message, "split it into several rules")]);
    }
    let tokens = match lex(text) {
        Ok(tokens) => tokens,
        Err(faults) => return (None, faults),
    };
    let tree = match syntax::parse(text, &tokens) {
        Ok(tree) => tree,
        Err(fault) => return (None, vec![fault]),
    };
    let operands: Vec<&Token> = tokens.iter().filter(|token| syntax::is_operand(&token.kind)).collect();
    let mut check = Check {
        text,
        step,
        operands: operands.into_iter(),
        inputs: std::mem::take(inputs),
        leaves: Vec::new(),
        near: Vec::new(),
        faults: Vec::new(),
    };
    let root = check.part(&tree);
    let root = root.and_then(|part| finish(&mut check, part));
    let Check { inputs: read, leaves, faults, .. } = check;
    *inputs = read;
    (root.map(|root| (root, tree, leaves)), faults)
}

struct Check<'a> {
    text: &'a str,
    step: Span,
    /// The operands that were not met yet.
    operands: std::vec::IntoIter<&'a Token>,
    inputs: Vec<Input>,
    /// For each name in the text, in order: its slot and the factor on it.
    leaves: Vec<(usize, f64)>,
    /// What a bare `baseline` or `peers` may be of.
    near: Vec<Input>,
    faults: Vec<Fault>,
}

impl Check<'_> {
    /// Checks a subtree. Both sides of an operator are always walked: that finds all faults and
    /// keeps leaves and operands in step.
    fn part(&mut self, tree: &evalexpr::Node) -> Option<Part> {
        let children = tree.children();
        match tree.operator() {
            Operator::RootNode => self.part(children.first().expect("the order check refuses empty parentheses")),
            Operator::Const { .. } | Operator::VariableIdentifierRead { .. } => self.leaf(),
            Operator::Neg => {
                let inner = self.part(&children[0])?;
                self.number(&inner)?;
                Some(Part { node: Node::Negate(Box::new(inner.node)), range: inner.range.negated(), ..inner })
            }
            Operator::Not => {
                let inner = self.part(&children[0])?;
                let bytes = inner.bytes.clone();
                Some(truth(Node::Not(Box::new(self.truth(inner)?)), bytes))
            }
            Operator::And | Operator::Or => {
                let (left, right) = (self.part(&children[0]), self.part(&children[1]));
                let (left, right) = (left?, right?);
                let bytes = left.bytes.start..right.bytes.end;
                let (left, right) = (self.truth(left), self.truth(right));
                let (left, right) = (Box::new(left?), Box::new(right?));
                let and = *tree.operator() == Operator::And;
                let node = if and { Node::And(left, right) } else { Node::Or(left, right) };
                self.faults.extend(contradiction::fault(&node, self.text, &bytes));
                Some(truth(node, bytes))
            }
            Operator::Add => self.arithmetic(Arithmetic::Add, children),
            Operator::Sub => self.arithmetic(Arithmetic::Subtract, children),
            Operator::Mul => self.arithmetic(Arithmetic::Multiply, children),
            Operator::Div => self.arithmetic(Arithmetic::Divide, children),
            Operator::Lt => self.compare(Comparison::Less, children),
            Operator::Leq => self.compare(Comparison::LessEqual, children),
            Operator::Gt => self.compare(Comparison::Greater, children),
            Operator::Geq => self.compare(Comparison::GreaterEqual, children),
            Operator::Eq => self.compare(Comparison::Equal, children),
            Operator::Neq => self.compare(Comparison::NotEqual, children),
            other => unreachable!("no token makes the operator {other:?}"),
        }
    }

    fn leaf(&mut self) -> Option<Part> {
        let token = self.operands.next().expect("a leaf per operand");
        let bytes = token.bytes.clone();
        match &token.kind {
            TokenKind::Number(value, unit) => Some(Part {
                node: Node::Const(*value),
                kind: unit.map_or(Kind::Bare, Kind::Of),
                range: Range::of(*value, *value),
                bytes,
            }),
            TokenKind::Name(name, window) | TokenKind::Call(_, name, window) => {
                let meaning = match &token.kind {
                    TokenKind::Call(aggregate, field, _) => names::call(*aggregate, field),
                    _ => names::resolve(name, &self.near),
                };
                let meaning = match meaning {
                    Ok(meaning) => meaning,
                    Err((message, help)) => {
                        self.faults.push(Fault::error(bytes, message, help));
                        return None;
                    }
                };
                if let Some((message, help)) = meaning.warning {
                    self.faults.push(Fault::warning(bytes.clone(), message, help));
                }
                let input = self.over(meaning.input, window.as_ref())?;
                let slot = self.slot(input, &bytes)?;
                self.leaves.push((slot, meaning.factor));
                let mut node = Node::Slot(slot);
                if meaning.factor != 1.0 {
                    let factor = Box::new(Node::Const(meaning.factor));
                    node = Node::Arithmetic(Arithmetic::Multiply, Box::new(node), factor);
                }
                let (low, high) = meaning.range;
                Some(Part { node, kind: Kind::Of(meaning.unit), range: Range::of(low, high), bytes })
            }
            _ => unreachable!("only names and numbers are operands"),
        }
    }

    /// The input over the time range that is written behind it.
    fn over(&mut self, input: Input, range: Option<&Window>) -> Option<Input> {
        let Some(Window { span, bytes }) = range else { return Some(input) };
        let input = match input {
            Input::Metric(Metric::Silence, _) => Err("`silence` counts from the last run on"),
            Input::Metric(Metric::Stale, _) => Err("`stale` counts from the moment it began"),
            Input::Metric(metric, _) => Ok(Input::Metric(metric, Some(*span))),
            Input::Field { name, aggregate, .. } => Ok(Input::Field { name, aggregate, window: Some(*span) }),
            Input::Budget => Err("`budget` is of its own period"),
            Input::Baseline { .. } => Err("a baseline is of windows as long as the rule's"),
            Input::Peers(_) => Err("peers are looked at in the rule's window"),
            Input::Score | Input::PeersScore => Err("scores have a window of their own, `scores.window`"),
        };
        let (bytes, step) = (bytes.clone(), self.step);
        match input {
            Err(reason) => {
                let message = format!("{reason}, so `{}` cannot stand behind it", &self.text[bytes.clone()]);
                self.faults.push(Fault::error(bytes, message, "delete it; metrics and record fields may have one"));
                None
            }
            Ok(input) => window_faults(*span, step, &mut |error, message, help| {
                let fault = if error { Fault::error } else { Fault::warning };
                self.faults.push(fault(bytes.clone(), message, help));
            })
            .then_some(input),
        }
    }

    /// The slot that reads an input; equal inputs share one.
    fn slot(&mut self, input: Input, bytes: &Bytes<usize>) -> Option<usize> {
        if let Some(slot) = self.inputs.iter().position(|known| *known == input) {
            return Some(slot);
        }
        if self.inputs.len() == INPUT_LIMIT {
            let message = format!("the condition reads more than {INPUT_LIMIT} different values");
            self.faults.push(Fault::error(bytes.clone(), message, "split it into several rules"));
            return None;
        }
        self.inputs.push(input);
        Some(self.inputs.len() - 1)
    }

    fn arithmetic(&mut self, op: Arithmetic, children: &[evalexpr::Node]) -> Option<Part> {
        let (left, right) = (self.part(&children[0]), self.part(&children[1]));
        let (left, right) = (left?, right?);
        let (l, r) = (self.number(&left), self.number(&right));
        let kind = match op {
            Arithmetic::Add | Arithmetic::Subtract => {
                l?;
                r?;
                self.unify(&left, &right)?
            }
            Arithmetic::Multiply => match (l?, r?) {
                (Kind::Bare, other) | (other, Kind::Bare) => other,
                (Kind::Of(Unit::Any), _) | (_, Kind::Of(Unit::Any)) => Kind::Of(Unit::Any),
                (Kind::Of(Unit::Count), Kind::Of(Unit::Count)) => Kind::Of(Unit::Any),
                (Kind::Of(Unit::Ratio), other) | (other, Kind::Of(Unit::Ratio)) => other,
                (Kind::Of(Unit::Count), other) | (other, Kind::Of(Unit::Count)) => other,
                _ => {
                    let message =
                        format!("{} cannot be multiplied: {}", self.quote(&left, &right), self.kinds(&left, &right));
                    let help = "multiply by a number without a unit, such as `baseline * 2`";
                    self.faults.push(Fault::error(left.bytes.start..right.bytes.end, message, help));
                    return None;
                }
            },
            Arithmetic::Divide => match (l?, r?) {
                (left, Kind::Bare | Kind::Of(Unit::Ratio | Unit::Count)) if left != r? => left,
                (Kind::Of(Unit::Any), _) | (_, Kind::Of(Unit::Any)) => Kind::Of(Unit::Any),
                (left, right) if left == right => Kind::Bare,
                _ => Kind::Of(Unit::Any),
            },
        };
        Some(Part {
            range: left.range.arithmetic(op, right.range),
            bytes: left.bytes.start..right.bytes.end,
            node: Node::Arithmetic(op, Box::new(left.node), Box::new(right.node)),
            kind,
        })
    }

    fn compare(&mut self, op: Comparison, children: &[evalexpr::Node]) -> Option<Part> {
        let (of_left, of_right) = (names::measured(&children[0]), names::measured(&children[1]));
        let outer =
            std::mem::replace(&mut self.near, if of_right.is_empty() { of_left.clone() } else { of_right.clone() });
        let left = self.part(&children[0]);
        self.near = if of_left.is_empty() { of_right } else { of_left };
        let right = self.part(&children[1]);
        self.near = outer;
        let (left, right) = (left?, right?);
        let bytes = left.bytes.start..right.bytes.end;
        if left.kind == Kind::Truth || right.kind == Kind::Truth {
            let message = "comparisons cannot be chained or compared";
            self.faults.push(Fault::error(bytes, message, "join them: `a > 1 and a < 5`"));
            return None;
        }
        let unit = match self.unify(&left, &right)? {
            Kind::Of(unit) => unit,
            Kind::Bare | Kind::Truth => Unit::Any,
        };
        let (op, left, right) = if self.weight(&left.node) < self.weight(&right.node) {
            (op.mirrored(), right, left)
        } else {
            (op, left, right)
        };
        if self.weight(&left.node) == 0 {
            let message = format!("`{}` compares numbers and reads no metric", &self.text[bytes.clone()]);
            self.faults.push(Fault::error(bytes, message, "name a metric, such as `error_rate > 10%`"));
            return None;
        }
        self.decided(op, &left, &right, unit, bytes.clone());
        let (left, right) = (Box::new(left.node), Box::new(right.node));
        Some(truth(Node::Compare { op, left, right, unit }, bytes))
    }

    /// Reports a comparison that comes out the same whatever the data.
    fn decided(&mut self, op: Comparison, left: &Part, right: &Part, unit: Unit, bytes: Bytes<usize>) {
        let Some(holds) = left.range.decides(op, right.range) else { return };
        let written = &self.text[bytes.clone()];
        let value = &self.text[left.bytes.clone()];
        let low = unit.show(left.range.low);
        let span = match left.range.high.is_finite() {
            true => format!("{low} to {}", unit.show(left.range.high)),
            false => format!("{low} or more"),
        };
        let help = match right.node {
            Node::Const(share) if unit == Unit::Ratio && right.kind == Kind::Bare && share > 1.0 => {
                format!("{share} as a share is {}: did you mean `{share}%`?", unit.show(share))
            }
            _ if self.reads(&left.node, Metric::Executions) && !holds => {
                "a window without executions has no data: `silence > 15m` says that nothing runs".to_owned()
            }
            _ if left.range.low.is_finite() => format!("`{value}` is {span}: choose a threshold inside"),
            _ => "choose a threshold inside the range of the value".to_owned(),
        };
        self.faults.push(if holds {
            Fault::warning(bytes, format!("`{written}` always holds when there is data"), help)
        } else {
            Fault::error(bytes, format!("`{written}` can never hold"), help)
        });
    }

    fn reads(&self, node: &Node, metric: Metric) -> bool {
        matches!(node, Node::Slot(slot) if matches!(self.inputs[*slot], Input::Metric(read, _) if read == metric))
    }

    /// How much a side is the value rather than the threshold: 2 reads data, 1 a baseline or peers.
    fn weight(&self, node: &Node) -> u8 {
        match node {
            Node::Const(_) => 0,
            Node::Slot(slot) => 2 - u8::from(self.inputs[*slot].is_yardstick()),
            Node::Negate(inner) | Node::Not(inner) => self.weight(inner),
            Node::Arithmetic(_, left, right)
            | Node::And(left, right)
            | Node::Or(left, right)
            | Node::Compare { left, right, .. } => self.weight(left).max(self.weight(right)),
        }
    }
}

/// Says what is wrong with the length of a window (an error or a warning, message, remedy); whether it can be used.
pub(super) fn window_faults(window: Span, step: Span, say: &mut dyn FnMut(bool, String, String)) -> bool {
    let least = Span(step.0 * 2);
    if window > WINDOW_LIMIT {
        let message = format!("a window of {window} is longer than the limit of {WINDOW_LIMIT}");
        say(true, message, "compare shorter windows with `baseline` to see slow change".to_owned());
    } else if window <= Span::ZERO || window < step {
        let message = format!("a window of {window} is shorter than the evaluation interval of {step}");
        say(true, message, format!("runs between two evaluations would never be seen: write at least {least}"));
    } else if window < least {
        let message = format!("a window of {window} is shorter than two evaluation intervals of {step}");
        say(false, message, format!("write at least {least}"));
    }
    window > Span::ZERO && window >= step && window <= WINDOW_LIMIT
}

fn truth(node: Node, bytes: Bytes<usize>) -> Part {
    Part { node, kind: Kind::Truth, range: Range::ALL, bytes }
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
