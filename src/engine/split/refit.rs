//! The windows of a split under another policy: they go on with what the old ones kept of the time they look at.

use super::{NEVER, Split, WindowSpec};
use crate::engine::column::Column;
use crate::engine::index::Index;
use crate::engine::window::{Ring, Shape, Tier, Window, Windows};

impl Split {
    /// Makes the tables that a snapshot leaves out, and gives every series the windows of
    /// `wanted`: they go on with what the old ones kept of the time they look at.
    pub fn restore(&mut self, wanted: Vec<WindowSpec>) {
        self.index = Index::new(self.spec.by.len(), &self.keys);
        self.matches = vec![Vec::new(); self.spec.filter.len()];
        let old = Tier::of(&self.windows);
        self.tiers = Tier::of(&wanted);
        self.tier_of = Tier::places(&self.tiers);
        if wanted == self.windows {
            return;
        }
        self.touch();
        let from: Vec<Vec<usize>> = self.tiers.iter().map(|tier| tier.sources(&old)).collect();
        let rings = std::mem::take(&mut self.rings);
        self.looks = vec![Window::default(); wanted.len() * self.series.len()];
        self.expiries = vec![NEVER; self.looks.len()];
        for index in 0..self.series.len() {
            let all = index * wanted.len()..(index + 1) * wanted.len();
            let of = &mut Windows { windows: &mut self.looks[all.clone()], expiries: &mut self.expiries[all] };
            for (tier, from) in self.tiers.iter().zip(&from) {
                let from: Vec<_> = from.iter().map(|i| (&old[*i], &rings[index * old.len() + *i])).collect();
                self.rings.push(Ring::refit(&from, tier, of));
            }
        }
        self.refit_columns(&wanted);
        self.windows = wanted;
    }

    /// Makes the columns of `wanted` of the old ones, each of the finest that reaches back far enough.
    fn refit_columns(&mut self, wanted: &[WindowSpec]) {
        let fields = |windows: &[WindowSpec]| -> Vec<(usize, Shape, String)> {
            let all = windows.iter().enumerate();
            all.flat_map(|(at, w)| w.features.fields.iter().map(move |field| (at, w.shape, field.clone()))).collect()
        };
        let (old, new) = (fields(&self.windows), fields(wanted));
        let from = |(_, shape, field): &(usize, Shape, String)| {
            let reach = |i: &usize| (old[*i].1.span.min(shape.span), -old[*i].1.pane.0);
            let of = (0..old.len()).filter(|i| old[*i].2 == *field);
            of.max_by_key(reach).map(|i| (i, old[i].1))
        };
        let from: Vec<_> = new.iter().map(from).collect();
        let columns = std::mem::take(&mut self.columns);
        for series in 0..self.series.len() {
            for ((window, shape, _), from) in new.iter().zip(&from) {
                let column = match from {
                    Some((at, old_shape)) => columns[series * old.len() + at].refit(*old_shape, *shape),
                    None => Column::default(),
                };
                let expiry = &mut self.expiries[series * wanted.len() + window];
                *expiry = (*expiry).min(column.expiry(*shape));
                self.columns.push(column);
            }
        }
    }
}
