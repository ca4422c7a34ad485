//! A label that the settings define beside the built-in dimensions.
//!
//! Its name lies inside it, so that it is a plain value and so that whatever hangs on a label, a
//! split or a snapshot, hangs on its name. The slot says where the engine finds the label of a
//! record; it follows from the settings in force, makes no difference to what a label is, and is not
//! kept: a reload that adds a label moves the others.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// The longest name of a label, in bytes.
pub const LABEL_LIMIT: usize = 30;
/// Labels that the settings may define, at most.
pub const LABELS: usize = 8;

/// A label by its name.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label {
    slot: u8,
    length: u8,
    bytes: [u8; LABEL_LIMIT],
}

impl Label {
    /// The label of a name as Prometheus allows it, in a slot below [`LABELS`].
    pub fn new(name: &str, slot: usize) -> Option<Label> {
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !plain || name.len() > LABEL_LIMIT || slot >= LABELS {
            return None;
        }
        let mut bytes = [0; LABEL_LIMIT];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Some(Label { slot: slot as u8, length: name.len() as u8, bytes })
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("made of ASCII")
    }

    /// Its place among the labels of the settings.
    pub fn slot(self) -> usize {
        usize::from(self.slot)
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Label) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Label {}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Label) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Label) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(name: String) -> Result<Label, String> {
        Label::new(&name, 0).ok_or_else(|| format!("`{name}` is no label"))
    }
}

impl From<Label> for String {
    fn from(label: Label) -> String {
        label.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_its_name() {
        let (here, there) = (Label::new("team", 0), Label::new("team", 3));
        assert_eq!(here, there);
        assert_eq!(format!("{here:?}"), format!("{there:?}"), "what a rule is called by must not name the slot");
        assert_eq!(there.map(Label::slot), Some(3));
        let bytes = postcard::to_stdvec(&there).expect("encodes");
        assert_eq!(postcard::from_bytes::<Option<Label>>(&bytes).expect("decodes"), here);
    }

    #[test]
    fn names_are_those_of_prometheus() {
        for (name, fits) in
            [("team", true), ("_a9", true), ("9a", false), ("a-b", false), ("", false), ("\u{e9}", false)]
        {
            assert_eq!(Label::new(name, 0).is_some(), fits, "{name}");
        }
        assert!(Label::new(&"a".repeat(LABEL_LIMIT), 7).is_some());
        assert!(Label::new(&"a".repeat(LABEL_LIMIT + 1), 7).is_none());
        assert!(Label::new("a", LABELS).is_none());
    }
}
