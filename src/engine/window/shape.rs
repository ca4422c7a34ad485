//! Lengths of windows and of their panes, and which windows share a ring of slices.

use serde::{Deserialize, Serialize};

use crate::engine::split::WindowSpec;
use crate::model::{Span, Timestamp};

/// Panes in a window, at most.
const PANES: i64 = 30;
/// Slices in a ring, at most, unless one window alone has more.
pub(super) const SLICES: i64 = 240;
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
    #[inline]
    pub(super) fn start(self, now: Timestamp) -> Timestamp {
        Timestamp(self.first(now).saturating_mul(self.pane.0))
    }

    /// Number of the oldest pane that a window at `now` still holds.
    #[inline]
    pub fn first(self, now: Timestamp) -> i64 {
        let start = now.0.saturating_sub(self.span.0);
        start.div_euclid(self.pane.0) + i64::from(start.rem_euclid(self.pane.0) != 0)
    }

    /// Number of the pane that an instant falls into.
    #[inline]
    pub fn number(self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.pane.0)
    }

    /// The first instant at which a window does not hold what happened at `at` any more.
    #[inline]
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
    pub(super) shapes: Vec<Shape>,
    /// The shortest of their spans, rounded down to what any of them surely holds.
    pub(super) surely: Span,
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

    #[inline]
    pub(super) fn slot(&self, at: Timestamp) -> i64 {
        at.0.div_euclid(self.slice.0)
    }

    #[inline]
    pub(super) fn time(&self, slot: i64) -> Timestamp {
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
