//! What the rules of a split read of one series, each value once and only if asked for.
//!
//! Of a hundred rules that look at an agent most differ in their thresholds and read the same few values.

use super::pane::Counts;
use super::plan::Asked;
use super::reading::Reading;
use super::split::Split;
use crate::model::Timestamp;
use crate::rule::Input;

/// The values of one series that are known so far.
#[derive(Debug, Default)]
pub struct Sheet {
    /// Number of the series; what was read in another turn is not known.
    turn: u64,
    /// By window: its sums.
    counts: Vec<(u64, Counts)>,
    /// By what is asked of the split.
    values: Vec<(u64, Option<f64>)>,
}

impl Sheet {
    /// An empty one for so many windows and questions.
    pub fn new(windows: usize, asked: usize) -> Sheet {
        Sheet { turn: 0, counts: vec![Default::default(); windows], values: vec![Default::default(); asked] }
    }

    /// Forgets all, for the next series.
    pub fn turn(&mut self) {
        self.turn += 1;
    }

    /// One window of a series, to be read.
    pub fn reading<'a>(&mut self, window: usize, of: (&'a Split, usize), now: Timestamp) -> Reading<'a> {
        let (turn, counts) = &mut self.counts[window];
        let look = of.0.look(of.1, window);
        if *turn != self.turn {
            (*turn, *counts) = (self.turn, look.counts());
        }
        Reading { of, window, look, counts: *counts, now }
    }

    /// The answer to a question that rules have, `place` being its own.
    pub fn value(&mut self, place: usize, asked: &Asked, of: (&Split, usize), now: Timestamp) -> Option<f64> {
        let (turn, value) = self.values[place];
        if turn == self.turn {
            return value;
        }
        let reading = self.reading(asked.window, of, now);
        let value = match &asked.input {
            Input::Metric(metric, _) => reading.metric(*metric, asked.least).0,
            Input::Field { name, aggregate, .. } => reading.field(name, *aggregate, asked.least).0,
            _ => None,
        };
        self.values[place] = (self.turn, value);
        value
    }
}
