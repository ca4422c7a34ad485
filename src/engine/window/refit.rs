//! A ring of slices that goes on with those of others, when a reload wants other windows.

use std::collections::VecDeque;

use super::{Ring, Tier, Window, Windows};
use crate::engine::pane::Slice;
use crate::engine::split::NEVER;
use crate::model::Timestamp;

impl Ring {
    /// The executions of other rings, its [sources](Tier::sources), in the slices of `tier`, with the windows' sums over
    /// all of them. Without any it is a ring that never was. Of the rest of a coarse slice sums alone are known.
    pub fn refit(old: &[(&Tier, &Ring)], tier: &Tier, of: &mut Windows<'_>) -> Ring {
        let mut ring = Ring::default();
        // By time, the newest last; what a ring has is not taken from a coarser one again.
        let mut known: VecDeque<(Timestamp, Slice)> = VecDeque::new();
        for (from, old) in old {
            let until = known.front().map_or(NEVER, |(at, _)| *at);
            for slice in old.slices(0).collect::<Vec<_>>().into_iter().rev() {
                let (at, end) = (from.time(slice.slot), from.time(slice.slot + 1));
                if end <= until {
                    known.push_front((at, slice.clone()));
                } else if at < until {
                    let finer = known.iter().take_while(|(own, _)| *own < end).map(|(_, own)| own.counts());
                    let rest = finer.fold(slice.counts(), |rest, own| rest.minus(&own));
                    if rest == slice.counts() {
                        known.push_front((at, slice.clone()));
                    } else if (1..slice.executions()).contains(&rest.n) {
                        known.push_front((at, Slice::of_sums(slice.slot, &rest)));
                    }
                }
            }
        }
        for (at, slice) in &known {
            let slot = tier.slot(*at);
            match &mut ring.newest {
                Some(newest) if newest.slot == slot => newest.merge(slice),
                _ => {
                    let mut slice = slice.clone();
                    slice.slot = slot;
                    ring.push(slice);
                }
            }
        }
        for (&window, shape) in tier.windows.iter().zip(&tier.shapes) {
            of.windows[window] = Window::default();
            of.expiries[window] = ring.slice(0).map_or(NEVER, |s| shape.expiry(tier.time(s.slot)));
        }
        ring
    }
}
