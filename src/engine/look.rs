//! What a window of a series says, read from its ring.

use super::column::Column;
use super::field::FieldSum;
use super::pane::{Counts, Slice};
use super::split::NEVER;
use super::window::{Ring, SORTED, Shape, Window};
use crate::model::{Span, Timestamp};
use crate::stats::{Durations, Estimate};

/// A window to be read.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Its sums and place.
    pub window: &'a Window,
    /// The slices it looks at.
    pub ring: &'a Ring,
    /// Length of those slices.
    pub slice: Span,
    /// Its length and panes.
    pub shape: Shape,
    /// What it keeps of record fields.
    pub columns: &'a [Column],
    /// The names of these fields, sorted.
    pub fields: &'a [String],
}

impl<'a> Look<'a> {
    /// Sums over the window.
    #[inline]
    pub fn counts(&self) -> Counts {
        self.ring.held(self.window)
    }

    /// The first instant at which the window will have lost more than so many executions.
    pub fn lost(&self, executions: u64) -> Timestamp {
        let mut sum = 0;
        let more = self.slices().find(|slice| {
            sum += slice.executions();
            sum > executions
        });
        more.map_or(NEVER, |slice| self.shape.expiry(Timestamp(slice.slot.saturating_mul(self.slice.0))))
    }

    fn slices(&self) -> impl Iterator<Item = &'a Slice> {
        self.ring.slices(self.window.first)
    }

    /// The sums of every pane that has any, with its number, oldest first.
    pub fn panes(&self) -> Vec<(i64, Counts)> {
        let mut panes: Vec<(i64, Counts)> = Vec::new();
        for slice in self.slices() {
            let pane = slice.slot.saturating_mul(self.slice.0).div_euclid(self.shape.pane.0);
            match panes.last_mut().filter(|last| last.0 == pane) {
                Some(last) => last.1 = last.1.plus(&slice.counts()),
                None => panes.push((pane, slice.counts())),
            }
        }
        panes
    }

    /// Shows every pane that has any executions as a window of its own, oldest first, with its end; or
    /// the window as it filled up, pane by pane.
    pub fn each_pane(&self, adding_up: bool, mut see: impl FnMut(Timestamp, Look<'_>)) {
        let pane = |slice: &Slice| slice.slot.saturating_mul(self.slice.0).div_euclid(self.shape.pane.0);
        let span = if adding_up { self.shape.span } else { self.shape.pane };
        let (mut ring, window) = (Ring::default(), Window::default());
        let kept = &self.columns[..self.fields.len()];
        let mut columns: Vec<Column> = kept.iter().map(Column::emptied).collect();
        let mut panes: Vec<_> = kept.iter().map(|column| column.panes().into_iter().peekable()).collect();
        let mut slices = self.slices().peekable();
        while let Some(slice) = slices.next() {
            ring.push(slice.clone());
            let number = pane(slice);
            if slices.peek().is_some_and(|next| pane(next) == number) {
                continue;
            }
            for (column, panes) in columns.iter_mut().zip(&mut panes) {
                while let Some((at, sum)) = panes.next_if(|pane| pane.0 <= number) {
                    column.push(at, &sum);
                }
            }
            let end = Timestamp((number + 1).saturating_mul(self.shape.pane.0));
            let shape = Shape { span, pane: self.shape.pane };
            let (slice, fields) = (self.slice, self.fields);
            see(end, Look { window: &window, ring: &ring, slice, shape, columns: &columns, fields });
            if !adding_up {
                ring = Ring::default();
                columns.iter_mut().for_each(|column| *column = column.emptied());
            }
        }
    }

    /// The `q` quantile of the durations: exact while they are few, else within 1 %.
    pub fn quantile(&self, q: f64) -> Option<Estimate> {
        if let Some(sorted) = &self.window.sorted {
            return sorted.quantile(q);
        }
        let mut all = Durations::default();
        self.durations_up_to(&mut all, SORTED);
        all.quantile(q)
    }

    /// How many durations were cut off or may have been at least so long, in milliseconds, if all are kept.
    pub fn slow(&self, least: f32) -> Option<u64> {
        let all = self.slices().map(|slice| slice.slow(least));
        let (slow, kept) = all.fold((0, 0), |sum, (slow, kept)| (sum.0 + slow, sum.1 + kept));
        (kept == self.counts().durations).then_some(slow)
    }

    /// All durations of the window, merged into `into`, up to `exact` of them exactly.
    pub fn durations_up_to(&self, into: &mut Durations, exact: usize) {
        self.slices().for_each(|slice| slice.durations_into(into, exact));
    }

    /// What the values of a kept field come to.
    pub fn field(&self, name: &str) -> Option<FieldSum> {
        let place = self.fields.binary_search_by(|field| field.as_str().cmp(name)).ok()?;
        self.columns.get(place)?.sum()
    }
}
