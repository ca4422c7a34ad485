//! What a slice of time keeps of one numeric record field: enough for every aggregate of the
//! condition language, and mergeable from slice to slice.
//!
//! `increase` is for counters that only grow: the rises between neighbouring samples, a fall being
//! a counter that began again at zero, as Prometheus reads it. Samples that come late into the
//! middle of a slice count for everything else but not as neighbours; without a reset between them
//! that makes no difference, because the rises around them add up to the same.

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::rule::Aggregate;

/// The values of one field in one slice of time; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FieldSum {
    /// Values.
    pub n: u64,
    sum: f64,
    min: f64,
    max: f64,
    first: f64,
    first_at: Timestamp,
    last: f64,
    last_at: Timestamp,
    increase: f64,
}

impl FieldSum {
    /// One value.
    pub fn of(at: Timestamp, value: f64) -> FieldSum {
        FieldSum {
            n: 1,
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

    /// Adds a value; of two at one instant the one that came later is the newer.
    pub fn insert(&mut self, at: Timestamp, value: f64) {
        self.merge(&FieldSum::of(at, value));
    }

    /// Adds the values of another slice or a part of this one.
    pub fn merge(&mut self, other: &FieldSum) {
        self.n += other.n;
        self.sum += other.sum;
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

    /// The aggregate of the values; an increase needs two.
    pub fn value(&self, aggregate: Aggregate) -> Option<f64> {
        match aggregate {
            Aggregate::Mean => Some(self.sum / self.n as f64),
            Aggregate::Sum => Some(self.sum),
            Aggregate::Min => Some(self.min),
            Aggregate::Max => Some(self.max),
            Aggregate::Last => Some(self.last),
            Aggregate::Increase => (self.n > 1).then_some(self.increase),
        }
    }
}

fn rise(from: f64, to: f64) -> f64 {
    if to >= from { to - from } else { to }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(i64, f64)]) -> FieldSum {
        let mut all = FieldSum::of(Timestamp(values[0].0), values[0].1);
        values[1..].iter().for_each(|(at, value)| all.insert(Timestamp(*at), *value));
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
