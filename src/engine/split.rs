//! Executions split into series by labels: flat arrays under interned keys.
//!
//! A split is shared by every rule, score and tuning rule that looks at the same labels and
//! filter. It is bounded: subjects beyond the bound share the overflow subject.

mod glance;
mod refit;
mod rest;
mod subjects;

use serde::{Deserialize, Serialize};

use super::column::Column;
use super::field::Keep;
use super::index::{Index, Key};
use super::leeway::Room;
use super::look::Look;
use super::names::Name;
use super::pane::{Counts, Features, Sample};
use super::window::{Ring, Shape, Tier, Window, WindowSet, Windows};
use crate::model::{Dimension, Span, Timestamp};
use crate::rule::{Matcher, Rule, Takes};

/// "Not before something happens."
pub const NEVER: Timestamp = Timestamp(i64::MAX);

/// What part of its span a ring may keep beyond it while nobody minds.
const IDLE: i64 = 4;

/// The labels of one record or delivery, by dimension.
pub type Labels = [Name; Dimension::PLACES];

/// Which executions a split takes and what makes its subjects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SplitSpec {
    /// Labels of a subject; empty is the whole fleet.
    pub by: Vec<Dimension>,
    /// Every matcher must match.
    pub filter: Vec<Matcher>,
    /// What it splits.
    pub takes: Takes,
}

impl SplitSpec {
    /// The split that a rule looks at.
    pub fn of(rule: &Rule) -> SplitSpec {
        SplitSpec { by: rule.by.clone(), filter: rule.filter.clone(), takes: rule.takes() }
    }

    /// `agent,model{task_type}`: for people and metrics.
    pub fn name(&self) -> String {
        let by: Vec<_> = self.by.iter().map(|d| d.as_str()).collect();
        let filter: Vec<_> = self.filter.iter().map(ToString::to_string).collect();
        let by = if by.is_empty() { "fleet".to_owned() } else { by.join(",") };
        if filter.is_empty() { by } else { format!("{by}{{{}}}", filter.join(",")) }
    }
}

/// A window that a split keeps for each of its subjects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WindowSpec {
    /// Length and slices.
    pub shape: Shape,
    /// What is kept beside the sums.
    pub features: Features,
}

/// One subject's state in a split, its windows apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// When it was first seen, by the end of an execution.
    pub first_seen: Timestamp,
    /// End of its newest execution.
    pub last_seen: Timestamp,
    /// Executions ever.
    pub total: u64,
    /// What may come before rules have to look at it, see [`Leeway`](super::leeway::Leeway).
    pub room: Room,
    /// Whether any rule has an alert on it, and looks at every record.
    busy: bool,
    /// Whether it is among the split's [fresh](Split::fresh) ones.
    fresh: bool,
    /// Whether any of its windows may have its durations in order of size.
    #[serde(skip)]
    ordered: bool,
}

impl Series {
    /// When its newest record was; `None` of what has none, such as a part of evenkeel whose time does not run, or a
    /// subject that only an alert tells of.
    pub fn newest(&self) -> Option<Timestamp> {
        Some(self.last_seen).filter(|at| *at != NEVER && self.total > 0)
    }
}

/// A record field that a window keeps.
#[derive(Debug, Clone, Copy)]
struct Kept {
    window: usize,
    shape: Shape,
    /// Its place among the fields of records.
    field: usize,
    /// What of its values is read.
    keep: Keep,
}

/// A split and its series.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Split {
    /// What it takes.
    pub spec: SplitSpec,
    /// Windows kept per subject.
    pub windows: Vec<WindowSpec>,
    /// Which of them share a ring.
    #[serde(skip)]
    tiers: Vec<Tier>,
    /// By window: its place in `tiers`.
    #[serde(skip)]
    tier_of: Vec<usize>,
    keys: Vec<Key>,
    #[serde(skip)]
    index: Index,
    /// The subjects' states, in order of first appearance.
    pub series: Vec<Series>,
    /// The windows of all series, those of one side by side.
    looks: Vec<Window>,
    /// When each of them loses its first slice, or its first pane of a record field; [`NEVER`] for an empty one.
    expiries: Vec<Timestamp>,
    /// What its windows keep of record fields, window by window.
    #[serde(skip)]
    kept: Vec<Kept>,
    /// One for each, for all series, those of one side by side.
    columns: Vec<Column>,
    /// The rings of all series, those of one side by side.
    rings: Vec<Ring>,
    /// Per subject: the next instant at which a rule could see something else; [`NEVER`] when
    /// idle. Apart from the series, because every evaluation looks at all of them.
    pub wakes: Vec<Timestamp>,
    /// Per subject: until when the rules without an alert on it say nothing of it while there is room.
    calms: Vec<Timestamp>,
    /// Executions that went to the overflow subject.
    pub overflow: u64,
    /// The least of `wakes`.
    pub wake: Timestamp,
    /// Whether any rule learns how long its subjects pause.
    pub pauses: bool,
    /// The series that got an execution since rules last learned how long they pause, if any rule does.
    fresh: Vec<u32>,
    /// Per matcher and name: whether it matches; filled as names appear.
    #[serde(skip)]
    matches: Vec<Vec<Option<bool>>>,
}

impl Split {
    /// An empty split.
    pub fn new(spec: SplitSpec, windows: Vec<WindowSpec>) -> Split {
        Split {
            matches: vec![Vec::new(); spec.filter.len()],
            index: Index::new(spec.by.len(), &[]),
            spec,
            tier_of: Tier::places(&Tier::of(&windows)),
            tiers: Tier::of(&windows),
            windows,
            keys: Vec::new(),
            series: Vec::new(),
            looks: Vec::new(),
            expiries: Vec::new(),
            kept: Vec::new(),
            columns: Vec::new(),
            rings: Vec::new(),
            wakes: Vec::new(),
            calms: Vec::new(),
            overflow: 0,
            wake: NEVER,
            pauses: false,
            fresh: Vec::new(),
        }
    }

    /// Finds the fields that its windows keep among those of records, `fields`; `keep` says what of the values.
    pub fn find_fields(&mut self, fields: &[String], keep: impl Fn(usize, &str) -> Keep) {
        let own = self.windows.iter().enumerate().flat_map(|(at, w)| w.features.fields.iter().map(move |f| (at, w, f)));
        let place = |field: &String| fields.iter().position(|own| own == field);
        let kept = own.filter_map(|(window, w, f)| {
            Some(Kept { window, shape: w.shape, field: place(f)?, keep: keep(window, f) })
        });
        self.kept = kept.collect();
    }

    /// Adds a sample, `counts` being its own, to a series; the number of windows it came too late for. `fields` are its
    /// values of the record fields that are kept, not a number where it has none.
    pub fn insert(&mut self, index: usize, now: Timestamp, sample: &Sample, counts: &Counts, fields: &[f64]) -> u64 {
        let series = &mut self.series[index];
        series.total += 1;
        series.first_seen = series.first_seen.min(sample.at);
        // What a part loses says nothing of how long it is stale.
        if self.spec.takes != Takes::Parts {
            series.last_seen = series.last_seen.max(sample.at);
        }
        let (room, ordered) = (series.room.take(sample, counts), series.ordered);
        let all = index * self.windows.len()..(index + 1) * self.windows.len();
        let of = &mut Windows { windows: &mut self.looks[all.clone()], expiries: &mut self.expiries[all] };
        let rings = &mut self.rings[index * self.tiers.len()..][..self.tiers.len()];
        let mut late = None;
        for (ring, tier) in rings.iter_mut().zip(&self.tiers) {
            let missed = ring.insert(tier, of, now, sample, counts, tier.durations);
            if ordered && missed.is_none() {
                ring.order(tier, of, sample);
            }
            late = missed.map_or(late, |missed| Some(missed + late.unwrap_or(0)));
        }
        if late.is_some() {
            self.expire_columns(index, now);
        }
        for (column, kept) in self.columns[index * self.kept.len()..].iter_mut().zip(&self.kept) {
            if let Some(value) = fields.get(kept.field).filter(|value| !value.is_nan()) {
                column.insert(kept.keep, kept.shape, now, sample.at, *value);
            }
        }
        if !room || late.is_some() {
            self.touch_one(index);
        } else if self.series[index].busy {
            (self.wakes[index], self.wake) = (Timestamp::MIN, Timestamp::MIN);
        }
        self.freshen(index);
        late.unwrap_or(0)
    }

    /// Lets the windows of a series lose what `now` has left behind.
    pub fn expire(&mut self, index: usize, now: Timestamp) {
        let all = index * self.windows.len()..(index + 1) * self.windows.len();
        let expiries = &mut self.expiries[all.clone()];
        if expiries.iter().any(|expiry| *expiry <= now) {
            let of = &mut Windows { windows: &mut self.looks[all], expiries };
            let rings = &mut self.rings[index * self.tiers.len()..][..self.tiers.len()];
            rings.iter_mut().zip(&self.tiers).for_each(|(ring, tier)| ring.expire(tier, of, now));
            self.expire_columns(index, now);
        }
    }

    /// Lets the columns of a series follow its rings, which know their own slices alone: after a reload what is kept of
    /// a field lies in coarser panes, and goes at other moments.
    fn expire_columns(&mut self, index: usize, now: Timestamp) {
        let expiries = &mut self.expiries[index * self.windows.len()..];
        for (column, kept) in self.columns[index * self.kept.len()..].iter_mut().zip(&self.kept) {
            column.expire(kept.shape, now);
            expiries[kept.window] = expiries[kept.window].min(column.expiry(kept.shape));
        }
    }

    /// Lets one window of every series lose what `now` has left behind, out of turn.
    pub fn age(&mut self, window: usize, now: Timestamp) {
        for index in 0..self.series.len() {
            if self.expiry(index, window) <= now {
                self.expire(index, now);
            }
        }
    }

    /// Lets all windows of all series lose what `now` has left behind, out of turn.
    pub fn age_all(&mut self, now: Timestamp) {
        (0..self.series.len()).for_each(|index| self.expire(index, now));
    }

    /// When a window of a series loses something; [`NEVER`] for an empty one.
    pub fn expiry(&self, index: usize, window: usize) -> Timestamp {
        self.expiries[index * self.windows.len() + window]
    }

    /// Puts the durations of a window in order of size, see [`Window::sort`].
    pub fn sort(&mut self, index: usize, window: usize) {
        if !self.windows[window].features.percentiles {
            return;
        }
        let tier = self.tier(window);
        self.looks[index * self.windows.len() + window].sort(&self.rings[index * self.tiers.len() + tier]);
        self.series[index].ordered = true;
    }

    /// Lets all windows of a series but those in `sorted` forget the order of their durations.
    pub fn keep_sorted(&mut self, index: usize, sorted: WindowSet) {
        let series = &mut self.series[index];
        if std::mem::take(&mut series.ordered) {
            let looks = &mut self.looks[index * self.windows.len()..][..self.windows.len()];
            for &window in self.tiers.iter().flat_map(|tier| &tier.sorted) {
                looks[window].sorted.take_if(|_| !sorted.has(window));
                series.ordered |= looks[window].sorted.is_some();
            }
        }
    }

    /// One window of a series.
    pub fn look(&self, index: usize, window: usize) -> Look<'_> {
        let tier = self.tier(window);
        let columns = &self.columns[index * self.kept.len()..][..self.kept.len()];
        Look {
            columns: &columns[self.kept.partition_point(|kept| kept.window < window)..],
            fields: &self.windows[window].features.fields,
            window: &self.looks[index * self.windows.len() + window],
            ring: &self.rings[index * self.tiers.len() + tier],
            slice: self.tiers[tier].slice,
            shape: self.windows[window].shape,
        }
    }

    /// One series by itself, its windows without what `now` has left behind; `None` when they hold
    /// nothing of that kind. A series that no rule minds is not aged at every step; whoever reads
    /// between the steps must not take from the split what the next one has to see going.
    pub fn aged(&self, index: usize, now: Timestamp) -> Option<Split> {
        let all = index * self.windows.len()..(index + 1) * self.windows.len();
        if self.expiries[all.clone()].iter().all(|expiry| *expiry > now) {
            return None;
        }
        let mut alone = Split::new(self.spec.clone(), self.windows.clone());
        alone.keys.push(self.keys[index]);
        alone.series.push(self.series[index].clone());
        alone.looks = self.looks[all.clone()].to_vec();
        alone.expiries = self.expiries[all].to_vec();
        alone.kept = self.kept.clone();
        alone.columns = self.columns[index * self.kept.len()..][..self.kept.len()].to_vec();
        alone.rings = self.rings[index * self.tiers.len()..][..self.tiers.len()].to_vec();
        alone.expire(0, now);
        Some(alone)
    }

    /// How long a window may keep what it should have lost while nobody minds: the longest of its ring a part of its
    /// span, so that the ring stays short, and the others until then.
    pub fn idle(&self, window: usize) -> Span {
        let (span, ring) = (self.windows[window].shape.span, self.tiers[self.tier(window)].span());
        if span == ring { Span(span.0 / IDLE) } else { Span(i64::MAX) }
    }

    fn tier(&self, window: usize) -> usize {
        self.tier_of[window]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    #[test]
    fn a_column_loses_what_its_window_lost_out_of_turn() {
        let features = Features { fields: vec!["depth".to_owned()], ..Features::default() };
        let shape = Shape::new(Span::minutes(10), Span::seconds(15));
        let spec = SplitSpec { by: Vec::new(), filter: Vec::new(), takes: Takes::Executions };
        let mut split = Split::new(spec, vec![WindowSpec { shape, features }]);
        split.find_fields(&["depth".to_owned()], |_, _| Keep::Total);
        let index = split.series_of(&[Name::NONE; Dimension::PLACES], Timestamp(0), 1);
        let insert = |split: &mut Split, now: i64, at: i64| {
            let sample = Sample::bare(Timestamp(at * 60_000), Outcome::Ok);
            split.insert(index, Timestamp(now * 60_000), &sample, &Counts::of(&sample), &[1.0]);
        };
        insert(&mut split, 0, 0);
        insert(&mut split, 12, 12);
        insert(&mut split, 12, 5);
        split.expire(index, Timestamp(12 * 60_000));
        let look = split.look(index, 0);
        assert_eq!((look.counts().n, look.field("depth").map(|sum| sum.n)), (2, Some(2)));
    }
}
