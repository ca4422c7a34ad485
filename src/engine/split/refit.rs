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
        // Of the old rings that a new one can be made of, the one that reaches back furthest.
        let furthest = |tier: &Tier| (0..old.len()).filter(|i| tier.fits(&old[*i])).max_by_key(|i| old[*i].span());
        let from: Vec<Option<usize>> = self.tiers.iter().map(furthest).collect();
        let rings = std::mem::take(&mut self.rings);
        self.looks = vec![Window::default(); wanted.len() * self.series.len()];
        self.expiries = vec![NEVER; self.looks.len()];
        for index in 0..self.series.len() {
            let all = index * wanted.len()..(index + 1) * wanted.len();
            let of = &mut Windows { windows: &mut self.looks[all.clone()], expiries: &mut self.expiries[all] };
            for (tier, from) in self.tiers.iter().zip(&from) {
                let ring = from.map(|i| (&old[i], &rings[index * old.len() + i]));
                self.rings.push(Ring::refit(ring, tier, of));
            }
        }
        self.refit_columns(&wanted, &old, &from);
        self.windows = wanted;
    }

    /// Makes the columns of `wanted` of the old ones; `rings` says which of the old `tiers` each of the new ones goes
    /// on with. A column goes on with its ring alone: what the ring does not hold would never leave.
    fn refit_columns(&mut self, wanted: &[WindowSpec], tiers: &[Tier], rings: &[Option<usize>]) {
        let fields = |windows: &[WindowSpec]| -> Vec<(usize, Shape, String)> {
            let all = windows.iter().enumerate();
            all.flat_map(|(at, w)| w.features.fields.iter().map(move |field| (at, w.shape, field.clone()))).collect()
        };
        let (old, new, old_tier_of) = (fields(&self.windows), fields(wanted), Tier::places(tiers));
        let from = |(window, shape, field): &(usize, Shape, String)| {
            let ring = rings[self.tier_of[*window]]?;
            let fits = |i: &usize| {
                let (window, old_shape, old_field) = &old[*i];
                old_tier_of[*window] == ring && old_field == field && shape.pane.0 % old_shape.pane.0 == 0
            };
            (0..old.len()).filter(fits).max_by_key(|i| old[*i].1.span).map(|i| (i, old[i].1))
        };
        let from: Vec<_> = new.iter().map(|wanted| (wanted.1, from(wanted))).collect();
        let columns = std::mem::take(&mut self.columns);
        for series in 0..self.series.len() {
            self.columns.extend(from.iter().map(|(shape, from)| match from {
                Some((at, old_shape)) => columns[series * old.len() + at].refit(*old_shape, *shape),
                None => Column::default(),
            }));
        }
    }
}
