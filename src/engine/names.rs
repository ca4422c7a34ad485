//! Names as small integers.
//!
//! Every string that a record carries is interned once; from then on the engine compares and
//! hashes integers. The table is bounded: beyond the bound every new name is the overflow name.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::settings::OVERFLOW;

/// An interned name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(u32);

impl Name {
    /// "The source does not say."
    pub const NONE: Name = Name(0);
    /// The name that stands for all names beyond the bound.
    pub const OVERFLOW: Name = Name(1);
    /// "Nothing was read that could say it." It has no text.
    pub const UNREAD: Name = Name(u32::MAX);

    /// Position in tables that are indexed by name.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The table of names, in order of first appearance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<Box<str>>", into = "Vec<Box<str>>")]
pub struct Names {
    names: Vec<Box<str>>,
    index: HashMap<Box<str>, Name, FixedState>,
}

impl Default for Names {
    fn default() -> Self {
        Names::from(vec![Box::from(""), Box::from(OVERFLOW)])
    }
}

impl From<Vec<Box<str>>> for Names {
    fn from(names: Vec<Box<str>>) -> Self {
        let index = names.iter().enumerate().map(|(i, n)| (n.clone(), Name(i as u32))).collect();
        Names { names, index }
    }
}

impl From<Names> for Vec<Box<str>> {
    fn from(names: Names) -> Self {
        names.names
    }
}

impl Names {
    /// The name of a text; beyond `limit` names, [`Name::OVERFLOW`].
    pub fn intern(&mut self, text: &str, limit: u32) -> Name {
        if let Some(name) = self.index.get(text) {
            return *name;
        }
        if self.names.len() >= limit as usize {
            return Name::OVERFLOW;
        }
        let name = Name(self.names.len() as u32);
        self.names.push(text.into());
        self.index.insert(text.into(), name);
        name
    }

    /// The text of a name; empty for [`Name::NONE`].
    pub fn text(&self, name: Name) -> &str {
        &self.names[name.index()]
    }

    /// The name of a text that was interned before.
    pub fn find(&self, text: &str) -> Option<Name> {
        self.index.get(text).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_survive_a_snapshot() {
        let mut names = Names::default();
        let a = names.intern("a", 4);
        assert_eq!(names.intern("a", 4), a);
        let b = names.intern("b", 4);
        assert_eq!(names.intern("c", 4), Name::OVERFLOW);
        assert_eq!(names.intern("", 4), Name::NONE);
        let copy: Names = postcard::from_bytes(&postcard::to_stdvec(&names).expect("encodes")).expect("decodes");
        assert_eq!((copy.find("a"), copy.find("b"), copy.text(a)), (Some(a), Some(b), "a"));
    }
}
