//! What a slice of time keeps of one numeric record field: enough for every aggregate of the
//! condition language, and mergeable from slice to slice.
//!
//! `increase` is for counters that only grow: the rises between neighbouring samples, a fall being
//! a counter that began again at zero, as Prometheus reads it. Samples that come late into the
//! middle of a slice count for everything else but not as neighbours; without a reset between them
//! that makes no difference, because the rises around them add up to the same.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::plan::Asked;
use crate::model::Timestamp;
use crate::rule::{Aggregate, Input};

/// What is kept of the values of a field in one slice of time; nothing of them is kept by default.
pub trait Part: Copy + Default {
    /// One value.
    fn of(at: Timestamp, value: f64) -> Self;
    /// What a whole sum says, as far as it is kept.
    fn part_of(whole: &FieldSum) -> Self;
    /// As a whole sum: what is not kept is unknown.
    fn whole(&self) -> FieldSum;
    /// Whether there is no value.
    fn is_empty(&self) -> bool;
    /// Adds the values of another slice or a part of this one, neither of them empty.
    fn join(&mut self, other: &Self);

    /// Adds the values of another slice or a part of this one.
    #[inline]
    fn merge(&mut self, other: &Self) {
        match (self.is_empty(), other.is_empty()) {
            (_, true) => {}
            (true, _) => *self = *other,
            _ => self.join(other),
        }
    }
}

/// How much of the values of a field the aggregates that are asked for need; each is more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// Their number and sum.
    Total,
    /// The newest, too.
    Latest,
    /// All that there is to know.
    Whole,
}

impl Keep {
    /// What one aggregate needs.
    fn of(aggregate: Aggregate) -> Keep {
        match aggregate {
            Aggregate::Mean | Aggregate::Sum => Keep::Total,
            Aggregate::Last => Keep::Latest,
            Aggregate::Min | Aggregate::Max | Aggregate::Increase => Keep::Whole,
        }
    }

    /// What is asked of a field in a window.
    pub fn asked(asked: &[Asked], window: usize, field: &str) -> Keep {
        let of = |asked: &Asked| match &asked.input {
            Input::Field { name, aggregate, .. } if asked.window == window && name == field => Keep::of(*aggregate),
            _ => Keep::Total,
        };
        asked.iter().map(of).max().unwrap_or(Keep::Total)
    }
}

/// The number and the sum of values.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Total {
    sum: f64,
    n: u32,
}

/// The newest of values, and what they all come to.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Latest {
    total: Total,
    last: f64,
    at: Timestamp,
}

/// The values of one field in one slice of time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FieldSum {
    /// Values.
    pub n: u64,
    /// Of them: those of which number and sum alone are known.
    unread: u64,
    sum: f64,
    min: f64,
    max: f64,
    first: f64,
    first_at: Timestamp,
    last: f64,
    last_at: Timestamp,
    increase: f64,
}

impl Part for Total {
    #[inline]
    fn of(_: Timestamp, value: f64) -> Total {
        Total { sum: value, n: 1 }
    }

    fn part_of(whole: &FieldSum) -> Total {
        Total { sum: whole.sum, n: whole.n as u32 }
    }

    fn whole(&self) -> FieldSum {
        let n = u64::from(self.n);
        FieldSum { n, unread: n, sum: self.sum, ..FieldSum::UNREAD }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.n == 0
    }

    #[inline]
    fn join(&mut self, other: &Total) {
        self.n = self.n.saturating_add(other.n);
        self.sum += other.sum;
    }
}

impl Part for Latest {
    #[inline]
    fn of(at: Timestamp, value: f64) -> Latest {
        Latest { total: Total::of(at, value), last: value, at }
    }

    fn part_of(whole: &FieldSum) -> Latest {
        Latest { total: Total::part_of(whole), last: whole.last, at: whole.last_at }
    }

    fn whole(&self) -> FieldSum {
        FieldSum { last: self.last, last_at: self.at, ..self.total.whole() }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.total.is_empty()
    }

    #[inline]
    fn join(&mut self, other: &Latest) {
        self.total.join(&other.total);
        // Of two at one instant the one that came later is the newer.
        if other.at >= self.at {
            (self.last, self.at) = (other.last, other.at);
        }
    }
}

impl Part for FieldSum {
    fn of(at: Timestamp, value: f64) -> FieldSum {
        FieldSum {
            n: 1,
            unread: 0,
            sum: value,
            min: value,
            max: value,
            first: value,
            first_at: at,
            last: value,
            last_at: at,
            increase: 0.0,
        }
    }

    fn part_of(whole: &FieldSum) -> FieldSum {
        *whole
    }

    fn whole(&self) -> FieldSum {
        *self
    }

    fn is_empty(&self) -> bool {
        self.n == 0
    }

    fn join(&mut self, other: &FieldSum) {
        self.n += other.n;
        self.unread += other.unread;
        self.sum += other.sum;
        // Of a number and one that is not known it is the number.
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.increase += other.increase;
        if other.first_at >= self.last_at {
            self.increase += rise(self.last, other.first);
        } else if other.last_at < self.first_at {
            self.increase += rise(other.last, self.first);
        }
        if other.first_at < self.first_at {
            (self.first, self.first_at) = (other.first, other.first_at);
        }
        if other.last_at >= self.last_at {
            (self.last, self.last_at) = (other.last, other.last_at);
        }
    }
}

impl FieldSum {
    /// Values of which no more is known: what no rule read before begins with the values that come then.
    const UNREAD: FieldSum = FieldSum {
        n: 0,
        unread: 0,
        sum: 0.0,
        min: f64::NAN,
        max: f64::NAN,
        first: f64::NAN,
        first_at: Timestamp(i64::MAX),
        last: f64::NAN,
        last_at: Timestamp(i64::MIN),
        increase: 0.0,
    };

    /// The aggregate of the values, when it is known; an increase needs two.
    pub fn value(&self, aggregate: Aggregate) -> Option<f64> {
        let value = match aggregate {
            Aggregate::Mean => self.sum / self.n as f64,
            Aggregate::Sum => self.sum,
            Aggregate::Min => self.min,
            Aggregate::Max => self.max,
            Aggregate::Last => self.last,
            Aggregate::Increase if self.n - self.unread > 1 => self.increase,
            Aggregate::Increase => return None,
        };
        (!value.is_nan()).then_some(value)
    }
}

fn rise(from: f64, to: f64) -> f64 {
    match from.partial_cmp(&to) {
        Some(Ordering::Greater) => to,
        Some(_) => to - from,
        None => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(i64, f64)]) -> FieldSum {
        let mut all = FieldSum::of(Timestamp(values[0].0), values[0].1);
        values[1..].iter().for_each(|(at, value)| all.merge(&FieldSum::of(Timestamp(*at), *value)));
        all
    }

    #[test]
    fn aggregates_are_what_they_are_called() {
        let all = of(&[(1, 4.0), (2, 7.0), (3, 1.0), (4, 3.0)]);
        for (aggregate, expected) in [
            (Aggregate::Mean, 3.75),
            (Aggregate::Sum, 15.0),
            (Aggregate::Min, 1.0),
            (Aggregate::Max, 7.0),
            (Aggregate::Last, 3.0),
            // 4 to 7, begun again at 0 and up to 1, then to 3.
            (Aggregate::Increase, 6.0),
        ] {
            assert_eq!(all.value(aggregate), Some(expected), "{aggregate:?}");
        }
        assert_eq!(of(&[(1, 4.0)]).value(Aggregate::Increase), None, "one sample says nothing of a rise");
    }

    #[test]
    fn slices_merge_to_the_whole() {
        let values = [(1, 5.0), (2, 9.0), (3, 2.0), (4, 2.5), (5, 0.5)];
        for cut in 1..values.len() {
            let mut merged = of(&values[..cut]);
            merged.merge(&of(&values[cut..]));
            assert_eq!(merged, of(&values), "cut at {cut}");
        }
    }

    #[test]
    fn late_values_do_not_move_the_newest() {
        let late = of(&[(1, 1.0), (5, 9.0), (3, 4.0), (0, 0.5)]);
        assert_eq!(late.value(Aggregate::Last), Some(9.0));
        assert_eq!(late.value(Aggregate::Increase), Some(8.5));
        assert_eq!(late.n, 4);
    }
}
