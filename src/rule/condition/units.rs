//! Units of the parts of a condition: what goes together, and what is said of what does not.

use super::{Check, Kind, Part};
use crate::model::Unit;
use crate::rule::Node;
use crate::rule::lex::Fault;

impl Check<'_> {
    /// The kind that two sides share.
    pub fn unify(&mut self, left: &Part, right: &Part) -> Option<Kind> {
        let zero = |part: &Part| matches!(part.node, Node::Const(0.0));
        match (left.kind, right.kind) {
            (Kind::Bare, Kind::Of(Unit::Duration)) if !zero(left) => self.no_unit(left, right),
            (Kind::Of(Unit::Duration), Kind::Bare) if !zero(right) => self.no_unit(right, left),
            (Kind::Bare, other) | (other, Kind::Bare) => Some(other),
            (Kind::Of(Unit::Any), other) | (other, Kind::Of(Unit::Any)) => Some(other),
            (left, right) if left == right => Some(left),
            _ => {
                // The number is the more likely slip, so the caret stands there.
                let (wrong, other) = match (&left.node, &right.node) {
                    (Node::Const(_), _) => (left.bytes.clone(), right),
                    (_, Node::Const(_)) => (right.bytes.clone(), left),
                    _ => (left.bytes.start..right.bytes.end, left),
                };
                let help = match other.kind {
                    Kind::Of(unit) => format!("compare it with {}", example(unit)),
                    Kind::Bare | Kind::Truth => "use one unit on both sides".to_owned(),
                };
                let message = self.kinds(left, right);
                self.faults.push(Fault::error(wrong, message, help));
                None
            }
        }
    }

    fn no_unit(&mut self, bare: &Part, other: &Part) -> Option<Kind> {
        let (number, name) = (&self.text[bare.bytes.clone()], &self.text[other.bytes.clone()]);
        let message = format!("`{name}` is a duration, `{number}` has no unit");
        let help = format!("write `{number}ms`, `{number}s` or whatever is meant");
        self.faults.push(Fault::error(bare.bytes.clone(), message, help));
        None
    }

    pub fn number(&mut self, part: &Part) -> Option<Kind> {
        if part.kind != Kind::Truth {
            return Some(part.kind);
        }
        let message = format!("`{}` is true or false, not a number", &self.text[part.bytes.clone()]);
        self.faults.push(Fault::error(part.bytes.clone(), message, "compute with numbers, then compare once"));
        None
    }

    pub fn truth(&mut self, part: Part) -> Option<Node> {
        if part.kind == Kind::Truth {
            return Some(part.node);
        }
        let written = &self.text[part.bytes.clone()];
        let help = match part.kind {
            Kind::Of(unit) => format!("compare it: `{written} > {}`", threshold(unit)),
            Kind::Bare | Kind::Truth => "compare a metric with it, such as `error_rate > 10%`".to_owned(),
        };
        self.faults.push(Fault::error(part.bytes.clone(), format!("`{written}` is a number, not a condition"), help));
        None
    }

    pub fn quote(&self, left: &Part, right: &Part) -> String {
        format!("`{}` and `{}`", &self.text[left.bytes.clone()], &self.text[right.bytes.clone()])
    }

    pub fn kinds(&self, left: &Part, right: &Part) -> String {
        let kind = |part: &Part| {
            let kind = match part.kind {
                Kind::Of(unit) => noun(unit),
                Kind::Bare => "a number",
                Kind::Truth => "true or false",
            };
            format!("`{}` is {kind}", &self.text[part.bytes.clone()])
        };
        format!("{}, {}", kind(left), kind(right))
    }
}

/// What a value in the unit is called.
fn noun(unit: Unit) -> &'static str {
    match unit {
        Unit::Ratio => "a ratio",
        Unit::Duration => "a duration",
        Unit::Money => "an amount of money",
        Unit::Tokens => "a number of tokens",
        Unit::Count => "a count",
        Unit::Points => "a number of points",
        Unit::Any => "a number of no declared unit",
    }
}

/// A literal that a value in the unit may be compared with.
pub fn threshold(unit: Unit) -> &'static str {
    match unit {
        Unit::Ratio => "10%",
        Unit::Duration => "15s",
        Unit::Money => "$2",
        Unit::Tokens => "1_000 tokens",
        Unit::Count | Unit::Any => "100",
        Unit::Points => "80 points",
    }
}

fn example(unit: Unit) -> String {
    format!("{}, such as `{}`", noun(unit), threshold(unit))
}
