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

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::pane::{Counts, Sample, Slice, Tally};
use super::split::{NEVER, WindowSpec};
use crate::model::{Span, Timestamp};
use crate::stats::Sliding;

/// Panes in a window, at most.
const PANES: i64 = 30;
/// Slices in a ring, at most, unless one window alone has more.
const SLICES: i64 = 240;
/// Durations of a window that are kept in order of size, at most.
pub(super) const SORTED: usize = 2_048;

/// Length of a window and its panes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// How far back the window looks.
    pub span: Span,
    /// Length of one pane.
    pub pane: Span,
}

impl Shape {
    /// At most 30 panes, each a whole number of evaluation steps.
    pub fn new(span: Span, step: Span) -> Shape {
        let step = step.0.max(1);
        let pane = (span.0 + PANES * step - 1) / (PANES * step) * step;
        Shape { span, pane: Span(pane.max(step)) }
    }

    /// The time that a window's panes cover: its span, less what is no whole pane.
    pub fn covered(self) -> Span {
        Span((self.span.0 / self.pane.0 * self.pane.0).max(self.pane.0))
    }

    /// Start of the oldest pane that a window at `now` still holds.
    fn start(self, now: Timestamp) -> Timestamp {
        Timestamp(self.first(now).saturating_mul(self.pane.0))
    }

    /// Number of the oldest pane that a window at `now` still holds.
    pub fn first(self, now: Timestamp) -> i64 {
        let start = now.0.saturating_sub(self.span.0);
        start.div_euclid(self.pane.0) + i64::from(start.rem_euclid(self.pane.0) != 0)
    }

    /// Number of the pane that an instant falls into.
    pub fn number(self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.pane.0)
    }

    /// The first instant at which a window does not hold what happened at `at` any more.
    pub fn expiry(self, at: Timestamp) -> Timestamp {
        let pane = at.0.div_euclid(self.pane.0).saturating_mul(self.pane.0);
        Timestamp(pane.saturating_add(self.span.0).saturating_add(1))
    }
}

/// The windows that share a ring, the same for all series of a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Tier {
    /// Length of a slice; every window's pane is a whole multiple of it.
    pub slice: Span,
    /// The windows' places in the split.
    pub windows: Vec<usize>,
    shapes: Vec<Shape>,
    /// The shortest of their spans, rounded down to what any of them surely holds.
    surely: Span,
    /// Whether any of them keeps durations.
    pub durations: bool,
    /// Those whose durations rules want in order of size.
    pub sorted: Vec<usize>,
}

impl Tier {
    /// Puts windows together that may share a ring: from the finest pane on, each joins the first ring
    /// that its pane fits and that stays short with it.
    pub fn of(windows: &[WindowSpec]) -> Vec<Tier> {
        let mut order: Vec<usize> = (0..windows.len()).collect();
        order.sort_by_key(|i| (windows[*i].shape.pane, *i));
        let mut tiers: Vec<Tier> = Vec::new();
        for window in order {
            let WindowSpec { shape, features } = &windows[window];
            let fits = |t: &&mut Tier| shape.pane.0 % t.slice.0 == 0 && shape.span.0 / t.slice.0 <= SLICES;
            let tier = match tiers.iter_mut().find(fits) {
                Some(tier) => tier,
                None => {
                    tiers.push(Tier {
                        slice: shape.pane,
                        windows: Vec::new(),
                        shapes: Vec::new(),
                        surely: Span(i64::MAX),
                        durations: false,
                        sorted: Vec::new(),
                    });
                    tiers.last_mut().expect("pushed above")
                }
            };
            tier.windows.push(window);
            tier.shapes.push(*shape);
            tier.surely = tier.surely.min(Span((shape.span.0 - shape.pane.0).max(0)));
            tier.durations |= features.durations;
            tier.sorted.extend(features.percentiles.then_some(window));
        }
        tiers
    }

    /// By window: which of the tiers it is in.
    pub fn places(tiers: &[Tier]) -> Vec<usize> {
        let all = tiers.iter().enumerate().flat_map(|(at, tier)| tier.windows.iter().map(move |window| (*window, at)));
        let mut places = vec![0; tiers.iter().map(|tier| tier.windows.len()).sum()];
        all.for_each(|(window, at)| places[window] = at);
        places
    }

    fn slot(&self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.slice.0)
    }

    fn time(&self, slot: i64) -> Timestamp {
        Timestamp(slot.saturating_mul(self.slice.0))
    }

    /// Those of other tiers whose slices it goes on with, the finest first: each for what happened before all that the
    /// ones before it have, up to one that reaches back far enough. What lay in a slice lies from then on at its start,
    /// so it leaves a window by one old slice too early at most; of a slice part of which a finer one has, the rest goes on.
    pub fn sources(&self, old: &[Tier]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..old.len()).collect();
        order.sort_by_key(|i| (old[*i].slice, *i));
        let enough = order.iter().position(|i| old[*i].span() >= self.span());
        order.truncate(enough.map_or(order.len(), |enough| enough + 1));
        order
    }

    /// How far back the ring reaches.
    pub fn span(&self) -> Span {
        self.shapes.iter().map(|s| s.span).max().unwrap_or_default()
    }
}

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
    use super::*;
    use crate::engine::look::Look;
    use crate::engine::pane::Features;
    use crate::model::Outcome;
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
