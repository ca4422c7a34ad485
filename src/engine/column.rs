//! A numeric record field over a sliding window.
//!
//! Not every aggregate can be taken back when a pane leaves the window (a maximum cannot), but all can
//! be merged. So the panes are a queue made of two stacks: of the older ones there is, for each, what it and
//! all after it in that stack come to; of the younger ones what they come to so far. The whole is a merge of
//! three at most, and a pane is merged twice in its life, however often the window is read (the two-stacks
//! algorithm; Tangwongsan, Hirzel, Schneider: Low-Latency Sliding-Window Aggregation in Worst-Case
//! Constant Time, DEBS 2017).

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::field::FieldSum;
use super::window::Shape;
use crate::model::Timestamp;

/// The values of one field in one window of one series, by pane.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Column {
    /// The newest pane with values, by number; apart, because a record touches it alone.
    newest: Option<(i64, FieldSum)>,
    /// The panes before it, oldest first.
    older: VecDeque<(i64, FieldSum)>,
    /// Of the first panes of `older`, last one first: what it and those behind it in this stack come to.
    tails: Vec<FieldSum>,
    /// What the other panes of `older` come to.
    rest: Option<FieldSum>,
}

impl Column {
    /// Adds a value that the window at `now` still holds; others are none of its business.
    pub fn insert(&mut self, shape: Shape, now: Timestamp, at: Timestamp, value: f64) {
        let number = shape.number(at);
        match &mut self.newest {
            Some((newest, sum)) if *newest == number => sum.insert(at, value),
            _ if number < shape.first(now) => {}
            newest if newest.is_none_or(|newest| newest.0 < number) => self.push(number, FieldSum::of(at, value)),
            _ => self.insert_late(number, at, value),
        }
    }

    /// Puts a pane behind the newest.
    pub fn push(&mut self, number: i64, sum: FieldSum) {
        if let Some(pane) = self.newest.replace((number, sum)) {
            self.rest = Some(merged(self.rest, &pane.1));
            self.older.push_back(pane);
        }
    }

    #[cold]
    fn insert_late(&mut self, number: i64, at: Timestamp, value: f64) {
        let place = self.older.partition_point(|pane| pane.0 < number);
        match self.older.get_mut(place).filter(|pane| pane.0 == number) {
            Some(pane) => pane.1.insert(at, value),
            None => self.older.insert(place, (number, FieldSum::of(at, value))),
        }
        self.tails.clear();
        self.rest = self.older.iter().fold(None, |all, pane| Some(merged(all, &pane.1)));
    }

    /// The same values in panes that are whole multiples of the old ones.
    pub fn refit(&self, old: Shape, new: Shape) -> Column {
        let mut column = Column::default();
        for (number, sum) in self.panes() {
            let number = new.number(Timestamp(number.saturating_mul(old.pane.0)));
            match column.newest.as_mut().filter(|newest| newest.0 == number) {
                Some(newest) => newest.1.merge(sum),
                None => column.push(number, *sum),
            }
        }
        column
    }

    /// Loses what `now` has left behind.
    pub fn expire(&mut self, shape: Shape, now: Timestamp) {
        let start = shape.first(now);
        while self.older.front().is_some_and(|pane| pane.0 < start) {
            if self.tails.is_empty() {
                self.turn();
            }
            self.older.pop_front();
            self.tails.pop();
        }
        self.newest = self.newest.take().filter(|pane| pane.0 >= start);
    }

    /// Makes one stack of all panes.
    fn turn(&mut self) {
        for (_, sum) in self.older.iter().rev() {
            let mut tail = *sum;
            if let Some(behind) = self.tails.last() {
                tail.merge(behind);
            }
            self.tails.push(tail);
        }
        self.rest = None;
    }

    /// What all values come to; `None` without any.
    pub fn sum(&self) -> Option<FieldSum> {
        let parts = self.tails.last().into_iter().chain(&self.rest).chain(self.newest.as_ref().map(|pane| &pane.1));
        parts.fold(None, |all, part| Some(merged(all, part)))
    }

    /// The panes, oldest first, with their numbers.
    pub fn panes(&self) -> impl Iterator<Item = &(i64, FieldSum)> {
        self.older.iter().chain(&self.newest)
    }

    /// Reads what an insert will write; the value means nothing.
    pub fn glance(&self) -> u64 {
        self.newest.as_ref().map_or(0, |pane| pane.0 as u64 ^ pane.1.n)
    }
}

fn merged(all: Option<FieldSum>, more: &FieldSum) -> FieldSum {
    all.map_or(*more, |mut all| {
        all.merge(more);
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    /// Whatever comes late and however panes leave, the window is what its values come to.
    #[test]
    fn a_column_agrees_with_the_values_themselves() {
        let shape = Shape { span: Span(300), pane: Span(10) };
        let (mut column, mut kept) = (Column::default(), Vec::new());
        let mut state = 1u64;
        let mut left = 0;
        for now in 0..20_000i64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = state >> 33;
            // Gaps, and one in four late by up to two windows.
            if bits.is_multiple_of(3) && !(5_000..5_500).contains(&now) {
                let late = if bits.is_multiple_of(4) { (bits % 600) as i64 } else { 0 };
                // Whole numbers, so that sums are exact in any order.
                let (at, value) = (Timestamp(now - late), (bits % 97) as f64);
                column.insert(shape, Timestamp(now), at, value);
                if shape.number(at) >= shape.first(Timestamp(now)) {
                    kept.push((at, value));
                } else {
                    left += 1;
                }
            }
            if now % 7 == 0 {
                column.expire(shape, Timestamp(now));
                kept.retain(|(at, _)| shape.number(*at) >= shape.first(Timestamp(now)));
                let mut panes: Vec<(i64, FieldSum)> = Vec::new();
                for (at, value) in &kept {
                    let number = shape.number(*at);
                    match panes.iter_mut().find(|pane| pane.0 == number) {
                        Some(pane) => pane.1.insert(*at, *value),
                        None => panes.push((number, FieldSum::of(*at, *value))),
                    }
                }
                panes.sort_by_key(|pane| pane.0);
                assert_eq!(column.panes().copied().collect::<Vec<_>>(), panes, "at {now}");
                let all = panes.iter().fold(None, |all, pane| Some(merged(all, &pane.1)));
                assert_eq!(column.sum(), all, "at {now}");
            }
        }
        assert!(left > 500, "{left}");
    }
}
