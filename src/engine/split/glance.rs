//! Memory that is about to be needed, fetched for many series at once.
//!
//! Called for many series at one depth after the other, so that no fetch waits for another one.

use super::Split;
use crate::model::Timestamp;

impl Split {
    /// Reads what an insert into a series will need, what lies `depth` references away; the value means nothing.
    #[inline]
    pub fn glance(&self, index: usize, depth: usize) -> u64 {
        let (series, rings) = (&self.series[index], &self.rings[index * self.tiers.len()..][..self.tiers.len()]);
        let mut sum = rings.iter().fold(0, |sum, ring| sum ^ ring.glance(depth));
        if series.ordered {
            let looks = &self.looks[index * self.windows.len()..];
            let sorted = self.tiers.iter().flat_map(|tier| &tier.sorted);
            sum = sorted.fold(sum, |sum, window| sum ^ looks[*window].glance(depth));
        }
        if depth == 0 {
            let columns = &self.columns[index * self.kept.len()..][..self.kept.len()];
            sum = columns.iter().fold(sum ^ series.total, |sum, column| sum ^ column.glance());
        }
        sum
    }

    /// [`Split::glance`] of what an evaluation at `now` will need.
    #[inline]
    pub fn glance_due(&self, index: usize, now: Timestamp, depth: usize) -> u64 {
        let all = index * self.windows.len()..(index + 1) * self.windows.len();
        let rings = &self.rings[index * self.tiers.len()..][..self.tiers.len()];
        let (looks, expiries) = (&self.looks[all.clone()], &self.expiries[all]);
        let mut sum = if depth == 0 { self.series[index].total } else { 0 };
        for (ring, tier) in rings.iter().zip(&self.tiers) {
            sum ^= if depth == 0 { ring.glance(0) } else { 0 };
            for &window in &tier.windows {
                sum ^= looks[window].glance(depth);
                if expiries[window] <= now {
                    sum ^= ring.glance_at(&looks[window], depth);
                }
            }
        }
        sum
    }
}
