//! Sliding windows of one series over one ring of slices of time.
//!
//! A window of span `s` with panes of length `p` holds, at an instant `t`, the panes that begin at
//! or after `t - s`. Windows whose panes are whole multiples of one slice share a ring of such
//! slices ([`Tier`]): an execution is kept once, and each window is its sums and the place in the
//! ring where it begins. Slices without executions are not stored, so a quiet subject costs nothing.
//!
//! A record of a large fleet meets cold memory, and what decides the time it takes is how many
//! places must be fetched before the next can be named. So the newest slice and all sums of a
//! series lie side by side, and only a slice's end touches the ring. Sums only grow: a window's are
//! those of everything that ever came less those of what it lost, so an execution is added once,
//! however many windows look at it, and to the newest slice alone while that is the newest.

mod refit;
mod shape;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::pane::{Counts, Sample, Slice, Tally};
use super::split::NEVER;
use crate::model::Timestamp;
use crate::stats::Sliding;
pub use shape::{Shape, Tier};

/// Durations of a window that are kept in order of size, at most.
pub(super) const SORTED: usize = 2_048;

/// The slices of one series.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Ring {
    /// The newest slice.
    pub(super) newest: Option<Slice>,
    /// The slices before it, oldest first.
    older: VecDeque<Slice>,
    /// Slices dropped so far: the number of the first one of `older`.
    dropped: u64,
    /// The sums of all executions that ever came before the newest slice, wrapping.
    before: Tally,
}

/// One window of one series: what it does not hold of its ring, and where in the ring it begins.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Window {
    /// The sums of the executions that it lost or that came too late for it, wrapping.
    pub(super) lost: Tally,
    /// Number of the first slice it holds.
    pub(super) first: u64,
    /// The durations of all slices in order of size; made when a rule asks for a percentile, and
    /// only while they are few. The slices alone decide what a percentile is.
    #[serde(skip)]
    pub(super) sorted: Option<Box<Sliding>>,
}

impl PartialEq for Window {
    fn eq(&self, other: &Window) -> bool {
        (&self.lost, self.first) == (&other.lost, other.first)
    }
}

/// The windows of one series, and when each loses something: apart, because every look at
/// the series asks for the times and few ask for the sums. [`NEVER`] when a window is empty.
#[derive(Debug)]
pub struct Windows<'a> {
    /// In the order of the split.
    pub windows: &'a mut [Window],
    /// One for each.
    pub expiries: &'a mut [Timestamp],
}

impl Ring {
    fn slice(&self, number: u64) -> Option<&Slice> {
        let at = number.checked_sub(self.dropped)? as usize;
        match self.older.get(at) {
            Some(slice) => Some(slice),
            None => self.newest.as_ref().filter(|_| at == self.older.len()),
        }
    }

    pub(super) fn slices(&self, first: u64) -> impl Iterator<Item = &Slice> {
        let skip = first.saturating_sub(self.dropped) as usize;
        let newest = self.newest.as_ref().filter(|_| skip <= self.older.len());
        self.older.range(skip.min(self.older.len())..).chain(newest)
    }

    /// Reads what an insert will write, what lies `depth` references away; the value means nothing.
    #[inline]
    pub fn glance(&self, depth: usize) -> u64 {
        match depth {
            0 => self.dropped ^ self.before.glance(),
            _ => self.newest.as_ref().map_or(0, |slice| slice.glance(depth - 1)),
        }
    }

    /// Reads the slice that a window will lose next, in the same way.
    #[inline]
    pub fn glance_at(&self, window: &Window, depth: usize) -> u64 {
        match depth {
            0 => 0,
            1 => self.slice(window.first).map_or(0, |slice| slice.slot as u64),
            _ => self.slice(window.first).map_or(0, |slice| slice.glance(depth - 2)),
        }
    }

    /// Puts a slice behind the newest.
    #[inline]
    pub(super) fn push(&mut self, slice: Slice) {
        if let Some(before) = self.newest.replace(slice) {
            self.before.add(&before.counts());
            self.older.push_back(before);
        }
    }

    /// The sums of all that a window holds.
    #[inline]
    pub fn held(&self, window: &Window) -> Counts {
        let mut all = self.before;
        self.newest.iter().for_each(|newest| all.add(&newest.counts()));
        all.less(&window.lost)
    }

    /// Adds a sample, `counts` being its own, to the ring and to `windows`, all windows of the
    /// series; `Some` when a window may lose something sooner than before, because it came late or to an empty
    /// window, with the number of windows that it came too late for.
    pub fn insert(
        &mut self,
        tier: &Tier,
        of: &mut Windows<'_>,
        now: Timestamp,
        sample: &Sample,
        counts: &Counts,
        durations: bool,
    ) -> Option<u64> {
        let slot = tier.slot(sample.at);
        let newest = self.newest.as_ref().map_or(i64::MIN, |s| s.slot);
        if slot < newest || now.since(tier.time(slot)) >= tier.surely {
            return Some(self.insert_late(tier, of, now, sample, counts, durations));
        }
        // While every window surely holds the newest slice none is empty.
        let held = newest != i64::MIN && now.since(tier.time(newest)) < tier.surely;
        match &mut self.newest {
            Some(slice) if slot == newest => slice.insert(sample, counts, durations),
            _ => self.push(Slice::of(slot, sample, counts, durations)),
        }
        if held {
            return None;
        }
        for (&window, shape) in tier.windows.iter().zip(&tier.shapes) {
            of.expiries[window] = of.expiries[window].min(shape.expiry(sample.at));
        }
        self.order(tier, of, sample);
        Some(0)
    }

    /// Puts the duration of a sample that was just inserted, and not late, in its place of those windows that keep
    /// theirs in order of size.
    pub fn order(&self, tier: &Tier, of: &mut Windows<'_>, sample: &Sample) {
        for window in &tier.sorted {
            of.windows[*window].add(sample, || self.newest.as_ref().is_none_or(Slice::is_exact));
        }
    }

    /// A sample before the newest slice, or old enough for some window to have left it behind.
    #[cold]
    fn insert_late(
        &mut self,
        tier: &Tier,
        of: &mut Windows<'_>,
        now: Timestamp,
        sample: &Sample,
        counts: &Counts,
        durations: bool,
    ) -> u64 {
        self.expire(tier, of, now);
        let slot = tier.slot(sample.at);
        let takes = |shape: &Shape| tier.time(slot) >= shape.start(now);
        if !tier.shapes.iter().any(takes) {
            return tier.shapes.len() as u64;
        }
        let at = self.older.partition_point(|s| s.slot < slot);
        let number = self.dropped + at as u64;
        let known = self.slice(number).is_some_and(|s| s.slot == slot);
        let mut before_newest = at < self.older.len();
        match self.older.get_mut(at).or(self.newest.as_mut()) {
            Some(slice) if slice.slot == slot => slice.insert(sample, counts, durations),
            Some(slice) if slice.slot > slot => {
                self.older.insert(at, Slice::of(slot, sample, counts, durations));
                before_newest = true;
            }
            _ => self.push(Slice::of(slot, sample, counts, durations)),
        }
        if before_newest {
            self.before.add(counts);
        }
        let exact = || self.slice(number).is_none_or(Slice::is_exact);
        let mut late = 0;
        for (&window, shape) in tier.windows.iter().zip(&tier.shapes) {
            if takes(shape) {
                of.expiries[window] = of.expiries[window].min(shape.expiry(sample.at));
                of.windows[window].add(sample, exact);
            } else {
                late += 1;
                of.windows[window].lost.add(counts);
                // It begins after the new slice, whose place moves all behind it by one.
                of.windows[window].first += u64::from(!known);
            }
        }
        late
    }

    /// Lets every window of the tier lose what `now` has left behind, and drops what none holds
    /// any more. Which windows lost something is for the caller to see by their expiry before.
    pub fn expire(&mut self, tier: &Tier, of: &mut Windows<'_>, now: Timestamp) {
        let mut needed = u64::MAX;
        for (&index, shape) in tier.windows.iter().zip(&tier.shapes) {
            let (window, expiry) = (&mut of.windows[index], &mut of.expiries[index]);
            if *expiry <= now {
                let start = shape.start(now);
                while let Some(slice) = self.slice(window.first).filter(|s| tier.time(s.slot) < start) {
                    window.lose(slice);
                    window.first += 1;
                }
                *expiry = self.slice(window.first).map_or(NEVER, |s| shape.expiry(tier.time(s.slot)));
            }
            needed = needed.min(window.first);
        }
        while self.dropped < needed && self.older.pop_front().is_some() {
            self.dropped += 1;
        }
        if self.dropped < needed
            && let Some(newest) = self.newest.take()
        {
            self.before.add(&newest.counts());
            self.dropped += 1;
        }
    }
}

impl Window {
    /// Reads what lies `depth` references away; the value means nothing.
    #[inline]
    pub fn glance(&self, depth: usize) -> u64 {
        match depth {
            0 => self.lost.glance() ^ self.first,
            _ => self.sorted.as_ref().map_or(0, |sorted| sorted.glance(depth - 1)),
        }
    }

    /// Puts a duration among the others; `exact` says that its slice keeps them as they are.
    #[inline]
    fn add(&mut self, sample: &Sample, exact: impl Fn() -> bool) {
        let (Some(sorted), Some(ms)) = (&mut self.sorted, sample.duration_ms) else { return };
        sorted.insert((ms as f32).min(f32::MAX), sample.censored);
        if sorted.len() > SORTED || !exact() {
            self.sorted = None;
        }
    }

    fn lose(&mut self, slice: &Slice) {
        self.lost.add(&slice.counts());
        if let Some(sorted) = &mut self.sorted {
            slice.for_each_duration(|value, censored| sorted.remove(value, censored));
        }
    }

    /// Puts the durations in order of size, if they are few and not in order yet.
    pub fn sort(&mut self, ring: &Ring) {
        if self.sorted.is_some()
            || ring.held(self).durations as usize > SORTED
            || !ring.slices(self.first).all(Slice::is_exact)
        {
            return;
        }
        let mut sorted = Box::new(Sliding::default());
        for slice in ring.slices(self.first) {
            slice.for_each_duration(|value, censored| sorted.insert(value, censored));
        }
        self.sorted = Some(sorted);
    }
}

/// Some of a split's windows, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowSet(u128);

impl WindowSet {
    /// Windows of one split, at most: rules name spans and few of them; beyond, every place is the last.
    const LAST: usize = 127;

    /// Adds a window; beyond the bound all share a place, which costs an evaluation and no more.
    pub fn add(&mut self, window: usize) {
        self.0 |= 1 << window.min(WindowSet::LAST);
    }

    /// Adds all of another set.
    pub fn join(&mut self, other: WindowSet) {
        self.0 |= other.0;
    }

    /// Whether it was added.
    pub fn has(self, window: usize) -> bool {
        self.0 & (1 << window.min(WindowSet::LAST)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::shape::SLICES;
    use super::*;
    use crate::engine::look::Look;
    use crate::engine::pane::Features;
    use crate::engine::split::WindowSpec;
    use crate::model::{Outcome, Span};
    use crate::stats::Durations;

    fn sample(at: i64, ms: f64) -> Sample {
        Sample {
            at: Timestamp(at),
            outcome: Outcome::Ok,
            duration_ms: Some(ms),
            censored: false,
            tokens: None,
            cost: Some(7),
            quality: None,
        }
    }

    /// One series with windows of these lengths in seconds, evaluated every 15 s.
    struct Bed {
        tiers: Vec<Tier>,
        rings: Vec<Ring>,
        windows: Vec<Window>,
        expiries: Vec<Timestamp>,
        shapes: Vec<Shape>,
    }

    impl Bed {
        fn new(spans: &[i64]) -> Bed {
            let features = Features { durations: true, percentiles: true, fields: Vec::new() };
            let shapes: Vec<Shape> = spans.iter().map(|s| Shape::new(Span::seconds(*s), Span::seconds(15))).collect();
            let specs: Vec<WindowSpec> =
                shapes.iter().map(|shape| WindowSpec { shape: *shape, features: features.clone() }).collect();
            let tiers = Tier::of(&specs);
            Bed {
                rings: vec![Ring::default(); tiers.len()],
                windows: vec![Window::default(); spans.len()],
                expiries: vec![NEVER; spans.len()],
                tiers,
                shapes,
            }
        }

        fn add(&mut self, now: Timestamp, sample: &Sample) -> u64 {
            let mut of = Windows { windows: &mut self.windows, expiries: &mut self.expiries };
            let all = self.tiers.iter().zip(&mut self.rings);
            all.map(|(tier, ring)| {
                let late = ring.insert(tier, &mut of, now, sample, &Counts::of(sample), true);
                if late.is_none() {
                    ring.order(tier, &mut of, sample);
                }
                late.unwrap_or(0)
            })
            .sum()
        }

        fn expire(&mut self, now: Timestamp) {
            for (tier, ring) in self.tiers.iter().zip(&mut self.rings) {
                ring.expire(tier, &mut Windows { windows: &mut self.windows, expiries: &mut self.expiries }, now);
            }
        }

        fn look(&self, window: usize) -> Look<'_> {
            let at = self.tiers.iter().position(|t| t.windows.contains(&window)).expect("every window has a tier");
            let (ring, slice) = (&self.rings[at], self.tiers[at].slice);
            let shape = self.shapes[window];
            Look { window: &self.windows[window], ring, slice, shape, columns: &[], fields: &[] }
        }
    }

    #[test]
    fn shapes_have_at_most_thirty_panes_of_whole_steps() {
        for (span, step, pane) in [(300, 15, 15), (900, 15, 30), (3_600, 15, 120), (86_400, 15, 2_880), (10, 15, 15)] {
            let shape = Shape::new(Span::seconds(span), Span::seconds(step));
            assert_eq!(shape.pane, Span::seconds(pane), "{span}");
        }
    }

    #[test]
    fn windows_of_like_length_share_a_ring_and_others_do_not() {
        let tiers = |spans: &[i64]| Bed::new(spans).tiers.iter().map(|t| t.windows.clone()).collect::<Vec<_>>();
        assert_eq!(tiers(&[3_600, 600, 1_800, 86_400]), [vec![1, 2, 0], vec![3]]);
        assert_eq!(tiers(&[600, 1_350]), [vec![0], vec![1]], "45 s are no multiple of 30 s");
    }

    /// Every window holds exactly what falls into its panes, whatever comes late and whichever
    /// windows share a ring.
    #[test]
    fn windows_agree_with_the_samples_themselves() {
        let spans = [300, 1_800, 3_600];
        let mut bed = Bed::new(&spans);
        let mut kept: Vec<(Timestamp, f64)> = Vec::new();
        let mut refused = 0;
        for second in 8_000..28_000i64 {
            let now = Timestamp(second * 1_000);
            let bits = (second as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            // Bursts and gaps; one in five is late by up to twice the longest window.
            if bits.is_multiple_of(7) && !(17_000..20_000).contains(&second) {
                let age = if bits.is_multiple_of(5) { (bits % 7_200) as i64 * 1_000 } else { 0 };
                let sample = sample(now.0 - age, (bits % 977) as f64);
                refused += bed.add(now, &sample);
                kept.push((sample.at, (bits % 977) as f64));
            }
            if second % 45 != 0 {
                continue;
            }
            bed.expire(now);
            for (index, shape) in bed.shapes.iter().enumerate() {
                let inside = |at: Timestamp| at >= shape.start(now);
                let mut expected = Durations::default();
                kept.iter().filter(|(at, _)| inside(*at)).for_each(|(_, ms)| expected.insert_up_to(*ms, false, SORTED));
                assert_eq!(bed.look(index).counts().n, expected.len(), "{second} s, window {index}");
                assert_eq!(bed.look(index).quantile(0.9), expected.quantile(0.9), "{second} s, window {index}");
                if second % 90 == 0 {
                    let ring = bed.tiers.iter().position(|t| t.windows.contains(&index)).expect("a tier");
                    bed.windows[index].sort(&bed.rings[ring]);
                }
                let sum: u64 = bed.look(index).panes().iter().map(|(_, counts)| counts.n).sum();
                assert_eq!(sum, expected.len());
            }
        }
        assert!(refused > 100, "{refused}");
        assert!(bed.rings.iter().all(|ring| ring.older.len() <= SLICES as usize));
        bed.expire(Timestamp(100_000_000));
        for index in 0..spans.len() {
            assert_eq!(bed.look(index).counts(), Counts::default());
            assert_eq!(bed.expiries[index], NEVER);
        }
        assert!(bed.rings.iter().all(|ring| ring.slices(0).count() == 0));
    }

    #[test]
    fn a_window_says_when_it_loses_something() {
        let mut bed = Bed::new(&[300]);
        bed.add(Timestamp(20_000), &sample(20_000, 1.0));
        let expiry = bed.expiries[0];
        assert_eq!(expiry, Timestamp(15_000 + 300_000 + 1));
        bed.expire(Timestamp(expiry.0 - 1));
        assert_eq!(bed.look(0).counts().n, 1);
        bed.expire(expiry);
        assert_eq!(bed.look(0).counts().n, 0);
    }

    #[test]
    fn another_set_of_windows_goes_on_with_the_ring() {
        let mut bed = Bed::new(&[600, 1_800]);
        for second in 0..1_800 {
            bed.add(Timestamp(second * 1_000), &sample(second * 1_000, 1.0));
        }
        let mut next = Bed::new(&[1_800, 3_600]);
        let ring = Ring::refit(
            &[(&bed.tiers[0], &bed.rings[0])],
            &next.tiers[0],
            &mut Windows { windows: &mut next.windows, expiries: &mut next.expiries },
        );
        next.rings[0] = ring;
        assert_eq!(next.look(0).counts(), bed.look(1).counts());
        assert_eq!(next.look(1).counts().n, 1_800);
        let mut finer = Bed::new(&[300]);
        let ring = Ring::refit(
            &[(&bed.tiers[0], &bed.rings[0])],
            &finer.tiers[0],
            &mut Windows { windows: &mut finer.windows, expiries: &mut finer.expiries },
        );
        finer.rings[0] = ring;
        finer.expire(Timestamp(1_799_000));
        assert_eq!(finer.look(0).counts().n, 300, "slices of 30 s are put into slices of 15 s");
        let old = [bed.tiers[0].clone(), next.tiers[0].clone()];
        assert_eq!((finer.tiers[0].sources(&old), next.tiers[0].sources(&old)), (vec![0], vec![0, 1]));
    }
}
