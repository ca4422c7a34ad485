//! How the value of an alert went: a bounded number of points, for the picture in a message.
//!
//! Keeps what came before the alert as the slices of its window, and what followed as the values that
//! were evaluated. When the values become too many, every second one goes, so that the whole life of the
//! alert stays in view.

use serde::{Deserialize, Serialize};

use super::{Span, Timestamp};

/// Values kept at most.
const VALUES: usize = 60;

/// An instant and the value at it.
pub type Point = (Timestamp, f64);

/// The course of a value.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Trend {
    /// What each slice of the window held when the alert began to fire, at the slice's end, oldest first.
    pub slices: Vec<Point>,
    /// Length of a slice.
    pub slice: Span,
    /// The slices add up from the begin of the window, as sums do, rather than each standing alone.
    pub adds_up: bool,
    /// What evaluations found since the alert became active, oldest first.
    pub values: Vec<Point>,
}

impl Trend {
    /// Adds what an evaluation found.
    pub fn push(&mut self, now: Timestamp, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        if let (Some((first, _)), Some((last, _))) = (self.values.first(), self.values.last())
            && now.since(*last).0 < now.since(*first).0 / VALUES as i64
        {
            return;
        }
        if self.values.len() == VALUES {
            let mut number = 0;
            self.values.retain(|_| {
                number += 1;
                number % 2 == 1
            });
        }
        self.values.push((now, value));
    }

    /// All points in the order of time: the slices, then the values.
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.slices.iter().chain(&self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_bounded_and_spread_over_the_whole_life() {
        let mut trend = Trend::default();
        for step in 0..10_000 {
            trend.push(Timestamp(step * 15_000), Some(step as f64));
            assert!(trend.values.len() <= VALUES);
        }
        trend.push(Timestamp(10_000 * 15_000), None);
        trend.push(Timestamp(20_000 * 15_000), Some(f64::NAN));
        let times: Vec<i64> = trend.values.iter().map(|(at, _)| at.0 / 15_000).collect();
        assert_eq!(times[0], 0, "the begin is kept");
        assert!(times.len() >= VALUES / 2 && *times.last().expect("some") > 9_800, "{times:?}");
        let widest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest <= Some(1_000), "{times:?}");
    }
}
