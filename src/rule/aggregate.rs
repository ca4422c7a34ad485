//! What a condition takes of the values that a record field had in the window.

use crate::diagnostic::did_you_mean;

/// An aggregate over the values of a record field in the window: `max(queue_depth)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// Their mean; what the bare name of a field stands for.
    Mean,
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The newest.
    Last,
    /// How much a counter that only grows has grown; where it fell it began again at zero.
    Increase,
}

impl Aggregate {
    /// Every function, with what it gives.
    pub const WORDS: [(&str, Aggregate, &str); 7] = [
        ("last", Aggregate::Last, "the newest value"),
        ("mean", Aggregate::Mean, "the mean; the bare name of a field is the same"),
        ("avg", Aggregate::Mean, "another word for `mean`"),
        ("sum", Aggregate::Sum, "the sum"),
        ("min", Aggregate::Min, "the smallest value"),
        ("max", Aggregate::Max, "the largest value"),
        (
            "increase",
            Aggregate::Increase,
            "how much a counter that only grows has grown since the first value; where it fell it began again at zero",
        ),
    ];

    /// Reads the name of a function.
    pub fn from_word(word: &str) -> Option<Aggregate> {
        Aggregate::WORDS.iter().find(|(name, ..)| *name == word).map(|(_, aggregate, _)| *aggregate)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Aggregate::WORDS.iter().find(|(_, aggregate, _)| *aggregate == self).map_or("mean", |(name, ..)| name)
    }

    /// What to write instead of a function that there is not.
    pub(super) fn remedy(word: &str) -> String {
        let words = || Aggregate::WORDS.iter().map(|(name, ..)| *name);
        match did_you_mean(word, words()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the functions over record fields are {}", words().collect::<Vec<_>>().join(", ")),
        }
    }
}
