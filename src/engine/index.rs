//! Where the series of a subject is.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::names::Name;
use crate::rule::BY_LIMIT;

/// The labels that make a subject, in the order of the split.
pub type Key = [Name; BY_LIMIT];

/// Where the series of a key is. A single label needs no hash: names are small integers.
#[derive(Debug, Clone)]
pub enum Index {
    /// By the name of the one label.
    One(Vec<Option<u32>>),
    /// By several labels.
    Many(HashMap<Key, u32, FixedState>),
}

impl Default for Index {
    fn default() -> Index {
        Index::Many(HashMap::default())
    }
}

impl Index {
    /// The index of so many labels over keys in the order of their series.
    pub fn new(labels: usize, keys: &[Key]) -> Index {
        let mut index = if labels > 1 { Index::default() } else { Index::One(Vec::new()) };
        keys.iter().enumerate().for_each(|(series, key)| index.insert(*key, series));
        index
    }

    /// The series of a key.
    pub fn get(&self, key: &Key) -> Option<usize> {
        let found = match self {
            Index::One(series) => *series.get(key[0].index())?,
            Index::Many(series) => series.get(key).copied(),
        };
        found.map(|series| series as usize)
    }

    /// Says where the series of a key is.
    pub fn insert(&mut self, key: Key, at: usize) {
        match self {
            Index::One(series) => {
                let name = key[0].index();
                series.resize(series.len().max(name + 1), None);
                series[name] = Some(at as u32);
            }
            Index::Many(series) => drop(series.insert(key, at as u32)),
        }
    }
}
