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

use super::field::{FieldSum, Keep, Latest, Part, Total};
use super::split::NEVER;
use super::window::Shape;
use crate::model::Timestamp;

/// The values of one field in one window of one series, by pane. It keeps what the rules read of them: a fleet has
/// many columns, and most are read for their mean alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Column {
    Total(Panes<Total>),
    Latest(Box<Panes<Latest>>),
    Whole(Box<Panes<FieldSum>>),
}

/// What is kept of the values, pane by pane; an empty part is none. In this order in memory: what a record touches,
/// what the first one of a pane touches, what is touched when a pane leaves.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[repr(C)]
pub struct Panes<P> {
    /// The newest pane with values, by number; apart, because a record touches it alone.
    number: i64,
    newest: P,
    /// What the panes of `older` that are in no tail come to.
    rest: P,
    /// The panes before the newest, oldest first.
    older: VecDeque<(i64, P)>,
    /// Of the first panes of `older`: what the first and those behind it in this stack come to, and its number.
    tail: (i64, P),
    /// The same of those after the first one, last one first.
    tails: Vec<(i64, P)>,
}

impl Default for Column {
    fn default() -> Column {
        Column::Total(Panes::default())
    }
}

impl Column {
    /// Adds a value that the window at `now` still holds; others are none of its business.
    #[inline]
    pub fn insert(&mut self, keep: Keep, shape: Shape, now: Timestamp, at: Timestamp, value: f64) {
        match (self, keep) {
            (Column::Total(panes), Keep::Total) => panes.insert(shape, now, at, value),
            (Column::Latest(panes), Keep::Latest) => panes.insert(shape, now, at, value),
            (Column::Whole(panes), Keep::Whole) => panes.insert(shape, now, at, value),
            (column, _) => {
                *column = column.keeping(keep);
                column.insert(keep, shape, now, at, value);
            }
        }
    }

    /// The same values, of which something else is kept from now on.
    #[cold]
    fn keeping(&self, keep: Keep) -> Column {
        match keep {
            Keep::Total => Column::Total(Panes::of(self.panes())),
            Keep::Latest => Column::Latest(Box::new(Panes::of(self.panes()))),
            Keep::Whole => Column::Whole(Box::new(Panes::of(self.panes()))),
        }
    }

    /// The same values in panes that are whole multiples of the old ones.
    pub fn refit(&self, old: Shape, new: Shape) -> Column {
        let panes = self.panes().into_iter();
        let panes = panes.map(|(number, sum)| (new.number(Timestamp(number.saturating_mul(old.pane.0))), sum));
        match self {
            Column::Total(_) => Column::Total(Panes::of(panes)),
            Column::Latest(_) => Column::Latest(Box::new(Panes::of(panes))),
            Column::Whole(_) => Column::Whole(Box::new(Panes::of(panes))),
        }
    }

    /// Puts a pane behind the newest, or adds to it.
    pub fn push(&mut self, number: i64, sum: &FieldSum) {
        match self {
            Column::Total(panes) => panes.push(number, Part::part_of(sum)),
            Column::Latest(panes) => panes.push(number, Part::part_of(sum)),
            Column::Whole(panes) => panes.push(number, *sum),
        }
    }

    /// An empty one that keeps the same.
    pub fn emptied(&self) -> Column {
        match self {
            Column::Total(_) => Column::default(),
            Column::Latest(_) => Column::Latest(Box::default()),
            Column::Whole(_) => Column::Whole(Box::default()),
        }
    }

    /// Loses what `now` has left behind.
    pub fn expire(&mut self, shape: Shape, now: Timestamp) {
        match self {
            Column::Total(panes) => panes.expire(shape, now),
            Column::Latest(panes) => panes.expire(shape, now),
            Column::Whole(panes) => panes.expire(shape, now),
        }
    }

    /// When it loses its first pane; [`NEVER`] for an empty one.
    pub fn expiry(&self, shape: Shape) -> Timestamp {
        let oldest = match self {
            Column::Total(panes) => panes.oldest(),
            Column::Latest(panes) => panes.oldest(),
            Column::Whole(panes) => panes.oldest(),
        };
        oldest.map_or(NEVER, |number| shape.expiry(Timestamp(number.saturating_mul(shape.pane.0))))
    }

    /// What all values come to; `None` without any.
    pub fn sum(&self) -> Option<FieldSum> {
        let sum = match self {
            Column::Total(panes) => panes.sum().whole(),
            Column::Latest(panes) => panes.sum().whole(),
            Column::Whole(panes) => panes.sum(),
        };
        (!sum.is_empty()).then_some(sum)
    }

    /// The panes, oldest first, with their numbers.
    pub fn panes(&self) -> Vec<(i64, FieldSum)> {
        match self {
            Column::Total(panes) => panes.all().collect(),
            Column::Latest(panes) => panes.all().collect(),
            Column::Whole(panes) => panes.all().collect(),
        }
    }

    /// Reads what an insert will write; the value means nothing.
    #[inline]
    pub fn glance(&self) -> u64 {
        match self {
            Column::Total(panes) => panes.number as u64 ^ u64::from(panes.rest.is_empty()),
            Column::Latest(panes) => panes.number as u64,
            Column::Whole(panes) => panes.number as u64,
        }
    }
}

impl<P: Part> Panes<P> {
    /// The parts that are kept of panes, oldest first; of two with one number their sum.
    fn of(panes: impl IntoIterator<Item = (i64, FieldSum)>) -> Panes<P> {
        let mut own = Panes::default();
        panes.into_iter().for_each(|(number, sum)| own.push(number, P::part_of(&sum)));
        own
    }

    #[inline]
    fn insert(&mut self, shape: Shape, now: Timestamp, at: Timestamp, value: f64) {
        let number = shape.number(at);
        let fresh = self.newest.is_empty() || number > self.number;
        if !fresh && number == self.number {
            self.newest.join(&P::of(at, value));
        } else if number >= shape.first(now) {
            if fresh { self.push(number, P::of(at, value)) } else { self.insert_late(number, at, value) }
        }
    }

    #[inline]
    fn push(&mut self, number: i64, part: P) {
        if self.newest.is_empty() || self.number == number {
            self.newest.merge(&part);
        } else {
            self.rest.merge(&self.newest);
            self.older.push_back((self.number, self.newest));
            self.newest = part;
        }
        self.number = number;
    }

    #[cold]
    fn insert_late(&mut self, number: i64, at: Timestamp, value: f64) {
        let place = self.older.partition_point(|pane| pane.0 < number);
        match self.older.get_mut(place).filter(|pane| pane.0 == number) {
            Some(pane) => pane.1.merge(&P::of(at, value)),
            None => self.older.insert(place, (number, P::of(at, value))),
        }
        self.tails.clear();
        (self.tail, self.rest) = Default::default();
        self.older.iter().for_each(|pane| self.rest.merge(&pane.1));
    }

    fn expire(&mut self, shape: Shape, now: Timestamp) {
        let start = shape.first(now);
        while self.first().is_some_and(|number| number < start) {
            if self.tail.1.is_empty() {
                self.turn();
            }
            self.older.pop_front();
            self.tail = self.tails.pop().unwrap_or_default();
        }
        if self.number < start {
            self.newest = P::default();
        }
    }

    /// The oldest pane before the newest. It is not looked at: it lies far away, and the tails know its number.
    fn first(&self) -> Option<i64> {
        if self.tail.1.is_empty() { self.older.front().map(|pane| pane.0) } else { Some(self.tail.0) }
    }

    /// The oldest pane.
    fn oldest(&self) -> Option<i64> {
        self.first().or((!self.newest.is_empty()).then_some(self.number))
    }

    /// Makes one stack of all panes.
    fn turn(&mut self) {
        for (number, pane) in self.older.iter().rev() {
            let mut tail = *pane;
            tail.merge(&self.tail.1);
            self.tail = (*number, tail);
            self.tails.push(self.tail);
        }
        self.tails.pop();
        self.rest = P::default();
    }

    #[inline]
    fn sum(&self) -> P {
        let mut sum = self.tail.1;
        sum.merge(&self.rest);
        sum.merge(&self.newest);
        sum
    }

    fn all(&self) -> impl Iterator<Item = (i64, FieldSum)> {
        let newest = Some((self.number, self.newest)).filter(|pane| !pane.1.is_empty());
        self.older.iter().copied().chain(newest).map(|(number, part)| (number, part.whole()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;
    use crate::rule::Aggregate;

    const KEEPS: [(Keep, &[Aggregate]); 3] = [
        (Keep::Total, &[Aggregate::Mean, Aggregate::Sum]),
        (Keep::Latest, &[Aggregate::Mean, Aggregate::Sum, Aggregate::Last]),
        (Keep::Whole, &[Aggregate::Mean, Aggregate::Last, Aggregate::Min, Aggregate::Max, Aggregate::Increase]),
    ];

    /// Whatever comes late and however panes leave, the window is what its values come to.
    #[test]
    fn a_column_agrees_with_the_values_themselves() {
        let shape = Shape { span: Span(300), pane: Span(10) };
        let (mut columns, mut kept) = ([(); 3].map(|()| Column::default()), Vec::new());
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
                for (column, (keep, _)) in columns.iter_mut().zip(KEEPS) {
                    column.insert(keep, shape, Timestamp(now), at, value);
                }
                if shape.number(at) >= shape.first(Timestamp(now)) {
                    kept.push((at, value));
                } else {
                    left += 1;
                }
            }
            if now % 7 == 0 {
                for column in &mut columns {
                    let (loses, before) = (column.expiry(shape) <= Timestamp(now), column.panes().len());
                    column.expire(shape, Timestamp(now));
                    assert_eq!(column.panes().len() < before, loses, "at {now}");
                }
                kept.retain(|(at, _)| shape.number(*at) >= shape.first(Timestamp(now)));
                let mut panes: Vec<(i64, FieldSum)> = Vec::new();
                for (at, value) in &kept {
                    let number = shape.number(*at);
                    match panes.iter_mut().find(|pane| pane.0 == number) {
                        Some(pane) => pane.1.merge(&FieldSum::of(*at, *value)),
                        None => panes.push((number, FieldSum::of(*at, *value))),
                    }
                }
                panes.sort_by_key(|pane| pane.0);
                let mut all = FieldSum::default();
                panes.iter().for_each(|pane| all.merge(&pane.1));
                let all = Some(all).filter(|all| !all.is_empty());
                for (column, (keep, aggregates)) in columns.iter().zip(KEEPS) {
                    let same = |own: &FieldSum, sum: &FieldSum| {
                        own.n == sum.n && aggregates.iter().all(|of| own.value(*of) == sum.value(*of))
                    };
                    let own = column.panes();
                    let agree =
                        |(own, pane): (&(i64, FieldSum), &(i64, FieldSum))| own.0 == pane.0 && same(&own.1, &pane.1);
                    assert!(own.len() == panes.len() && own.iter().zip(&panes).all(agree), "{keep:?} at {now}");
                    assert_eq!(column.sum().is_some(), all.is_some(), "{keep:?} at {now}");
                    let agree = column.sum().iter().zip(&all).all(|(own, all)| same(own, all));
                    assert!(agree, "{keep:?} at {now}: {:?}, not {all:?}", column.sum());
                }
            }
        }
        assert!(left > 500, "{left}");
    }

    #[test]
    fn what_was_not_kept_begins_with_the_values_that_come() {
        let shape = Shape { span: Span(300), pane: Span(10) };
        let mut column = Column::default();
        let mut insert = |keep, at: i64, value| {
            column.insert(keep, shape, Timestamp(at), Timestamp(at), value);
            let sum = column.sum().expect("not empty");
            let all = [Aggregate::Sum, Aggregate::Last, Aggregate::Min, Aggregate::Max, Aggregate::Increase];
            (sum.n, all.map(|aggregate| sum.value(aggregate)))
        };
        assert_eq!(insert(Keep::Total, 5, 7.0), (1, [Some(7.0), None, None, None, None]));
        assert_eq!(insert(Keep::Whole, 8, 3.0), (2, [Some(10.0), Some(3.0), Some(3.0), Some(3.0), None]));
        assert_eq!(insert(Keep::Whole, 25, 4.0), (3, [Some(14.0), Some(4.0), Some(3.0), Some(4.0), Some(1.0)]));
        assert_eq!(insert(Keep::Latest, 26, 9.0), (4, [Some(23.0), Some(9.0), None, None, None]));
        assert_eq!(insert(Keep::Total, 27, 1.0), (5, [Some(24.0), None, None, None, None]));
    }
}
