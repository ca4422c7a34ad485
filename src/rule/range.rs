//! The values that an expression can take at all, to find conditions that decide nothing.
//!
//! Plain interval arithmetic: it may claim more values than there are (it does not know that two
//! mentions of a metric are the same number), never fewer, so what it calls impossible is.

use super::{Arithmetic, Comparison};

/// All values from `low` to `high`, both included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub low: f64,
    pub high: f64,
}

impl Range {
    pub(super) const ALL: Range = Range { low: f64::NEG_INFINITY, high: f64::INFINITY };

    pub(super) fn of(low: f64, high: f64) -> Range {
        if low.is_nan() || high.is_nan() { Range::ALL } else { Range { low, high } }
    }

    pub(super) fn negated(self) -> Range {
        Range::of(-self.high, -self.low)
    }

    pub(super) fn arithmetic(self, op: Arithmetic, other: Range) -> Range {
        match op {
            Arithmetic::Add => Range::of(self.low + other.low, self.high + other.high),
            Arithmetic::Subtract => self.arithmetic(Arithmetic::Add, other.negated()),
            Arithmetic::Multiply => {
                // Ends that are infinite stand for values that are finite, so 0 times one is 0.
                let product = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
                let ends = [
                    product(self.low, other.low),
                    product(self.low, other.high),
                    product(self.high, other.low),
                    product(self.high, other.high),
                ];
                Range::of(
                    ends.into_iter().fold(f64::INFINITY, f64::min),
                    ends.into_iter().fold(f64::NEG_INFINITY, f64::max),
                )
            }
            // A division by zero is no data, so zero itself may be left out of the divisor.
            Arithmetic::Divide if other.low >= 0.0 => {
                self.arithmetic(Arithmetic::Multiply, Range::of(1.0 / other.high, 1.0 / other.low.abs()))
            }
            Arithmetic::Divide if other.high <= 0.0 => self.negated().arithmetic(op, other.negated()),
            Arithmetic::Divide => Range::ALL,
        }
    }

    /// Whether `self op other` is the same for all values: always true or never true.
    pub(super) fn decides(self, op: Comparison, other: Range) -> Option<bool> {
        let apart = self.high < other.low || other.high < self.low;
        let (always, never) = match op {
            Comparison::Less => (self.high < other.low, self.low >= other.high),
            Comparison::LessEqual => (self.high <= other.low, self.low > other.high),
            Comparison::Greater | Comparison::GreaterEqual => return other.decides(op.mirrored(), self),
            Comparison::Equal => (false, apart),
            Comparison::NotEqual => (apart, false),
        };
        // Infinite ends are never reached.
        match (always, never) {
            _ if self == other && self.low.is_infinite() => None,
            (true, _) => Some(true),
            (_, true) if self.low.is_finite() || other.high.is_finite() => Some(false),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_ranges_decide() {
        let ratio = Range::of(0.0, 1.0);
        let positive = Range::of(0.0, f64::INFINITY);
        let point = |x| Range::of(x, x);
        for (left, op, right, expected) in [
            (ratio, Comparison::Greater, point(1.5), Some(false)),
            (ratio, Comparison::Greater, point(1.0), Some(false)),
            (ratio, Comparison::GreaterEqual, point(1.0), None),
            (ratio, Comparison::GreaterEqual, point(0.0), Some(true)),
            (ratio, Comparison::Less, point(0.0), Some(false)),
            (ratio, Comparison::Equal, point(2.0), Some(false)),
            (ratio, Comparison::NotEqual, point(2.0), Some(true)),
            (positive, Comparison::Greater, positive, None),
            (positive, Comparison::Less, point(0.0), Some(false)),
            (positive, Comparison::Greater, point(-1.0), Some(true)),
            (Range::ALL, Comparison::Greater, point(3.0), None),
            (positive.arithmetic(Arithmetic::Divide, positive), Comparison::Less, point(0.0), Some(false)),
            (positive.arithmetic(Arithmetic::Multiply, point(2.0)), Comparison::Greater, point(7.0), None),
        ] {
            assert_eq!(left.decides(op, right), expected, "{left:?} {op:?} {right:?}");
        }
    }

    proptest! {
        #[test]
        fn results_lie_in_the_range(
            (a, b) in (-9f64..9.0, -9f64..9.0), (c, d) in (-9f64..9.0, -9f64..9.0), s in 0f64..=1.0, t in 0f64..=1.0,
        ) {
            let (left, right) = (Range::of(a.min(b), a.max(b)), Range::of(c.min(d), c.max(d)));
            let x = left.low + s * (left.high - left.low);
            let y = right.low + t * (right.high - right.low);
            for (op, value) in [
                (Arithmetic::Add, x + y),
                (Arithmetic::Subtract, x - y),
                (Arithmetic::Multiply, x * y),
                (Arithmetic::Divide, x / y),
            ] {
                let range = left.arithmetic(op, right);
                let slack = 1e-9 * value.abs().max(1.0);
                prop_assert!(range.low - slack <= value && value <= range.high + slack, "{:?} {} {} {:?}", op, x, y, range);
            }
        }
    }
}
