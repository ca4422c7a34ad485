//! The subjects of a split: which executions have one, and which labels make it.

use super::{Labels, NEVER, Series, Split};
use crate::engine::column::Column;
use crate::engine::index::Key;
use crate::engine::leeway::Room;
use crate::engine::names::{Name, Names};
use crate::engine::window::{Ring, Window};
use crate::model::{Dimension, Subject, Timestamp};
use crate::rule::{BY_LIMIT, Takes};

impl Split {
    /// Whether the filter lets these labels in.
    pub fn admits(&mut self, labels: &Labels, names: &Names) -> bool {
        for (matcher, memo) in self.spec.filter.iter().zip(&mut self.matches) {
            let name = labels[matcher.dimension.place()];
            if memo.len() <= name.index() {
                memo.resize(name.index() + 1, None);
            }
            if !*memo[name.index()].get_or_insert_with(|| matcher.matches(names.text(name))) {
                return false;
            }
        }
        true
    }

    /// The series of these labels, made if new.
    pub fn series_of(&mut self, labels: &Labels, at: Timestamp, limit: u32) -> usize {
        let mut key = [Name::NONE; BY_LIMIT];
        for (slot, dimension) in key.iter_mut().zip(&self.spec.by) {
            *slot = labels[dimension.place()];
        }
        if let Some(index) = self.index.get(&key) {
            return index;
        }
        if self.series.len() >= limit as usize && !self.spec.by.is_empty() {
            self.overflow += 1;
            let overflow = {
                let mut key = [Name::NONE; BY_LIMIT];
                key[..self.spec.by.len()].fill(Name::OVERFLOW);
                key
            };
            return match self.index.get(&overflow) {
                Some(index) => index,
                None => self.add(overflow, at),
            };
        }
        self.add(key, at)
    }

    fn add(&mut self, key: Key, at: Timestamp) -> usize {
        let index = self.series.len();
        self.keys.push(key);
        self.index.insert(key, index);
        self.wake = Timestamp::MIN;
        // The time of a part of evenkeel runs only when something lets it, see [`Split::run_from`].
        let last_seen = if self.spec.takes == Takes::Parts { NEVER } else { at };
        self.series.push(Series {
            first_seen: at,
            last_seen,
            total: 0,
            room: Room::NONE,
            busy: false,
            fresh: false,
            ordered: false,
        });
        self.looks.resize(self.looks.len() + self.windows.len(), Window::default());
        self.expiries.resize(self.looks.len(), NEVER);
        self.rings.resize(self.rings.len() + self.tiers.len(), Ring::default());
        self.columns.resize(self.columns.len() + self.kept.len(), Column::default());
        self.wakes.push(Timestamp::MIN);
        self.calms.push(Timestamp::MIN);
        index
    }

    /// The series with this one label, of a split by one label.
    pub fn find(&self, name: Name) -> Option<usize> {
        let mut key = [Name::NONE; BY_LIMIT];
        key[0] = name;
        self.index.get(&key)
    }

    /// The series whose labels `label` gives.
    pub fn at(&self, label: impl Fn(Dimension) -> Name) -> Option<usize> {
        let mut key = [Name::NONE; BY_LIMIT];
        key.iter_mut().zip(&self.spec.by).for_each(|(slot, dimension)| *slot = label(*dimension));
        self.index.get(&key)
    }

    /// The label of a series in one of the split's dimensions.
    pub fn label(&self, index: usize, dimension: Dimension) -> Option<Name> {
        let at = self.spec.by.iter().position(|d| *d == dimension)?;
        Some(self.keys[index][at])
    }

    /// The subject of a series; labels that the source does not say are left out.
    pub fn subject(&self, index: usize, names: &Names) -> Subject {
        let labels = self.spec.by.iter().zip(&self.keys[index]).filter(|(_, name)| **name != Name::NONE);
        labels.map(|(dimension, name)| (dimension.as_str(), names.text(*name))).collect()
    }
}
