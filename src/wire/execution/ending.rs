//! How an execution ended, from the words that the mapping knows.

use std::borrow::Cow;

use super::Reader;
use crate::model::Outcome;
use crate::model::agent::{NAME_LIMIT, is_name};
use crate::wire::row::{Failure, Row, head};

/// How an execution ended.
pub(super) struct Ending<'a> {
    pub outcome: Outcome,
    /// Whether it was stopped at its limit.
    pub stopped: bool,
    pub class: Option<Cow<'a, str>>,
}

impl Ending<'_> {
    pub fn ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }
}

impl Reader {
    /// How it ended, from the words that the mapping knows.
    #[inline]
    pub(super) fn ending<'a>(&self, row: &Row<'_, 'a>) -> Result<Ending<'a>, String> {
        let success = row.boolean(self.uses.success)?;
        let error = row.error(self.uses.error);
        let failed = match (success, &error) {
            (Some(success), _) => Some(!success),
            // Many writers leave the key out when all is well, but not those who also state success.
            (None, Failure::Unsaid) if self.uses.error.is_none() || self.uses.success.is_some() => None,
            (None, Failure::Unsaid | Failure::None | Failure::Word(Outcome::Ok)) => Some(false),
            (None, Failure::Word(Outcome::Unknown)) => None,
            (None, _) => Some(true),
        };
        let word = if let Failure::Word(word) = error { Some(word) } else { None };
        let class = if let Failure::Class(class) = error { Some(class) } else { None };
        let among = |words: &[String]| class.as_deref().is_some_and(|class| words.iter().any(|word| word == class));
        // A source that says whether it stopped the run knows better than the name of an exception.
        let stopped = row
            .boolean(self.uses.timed_out)?
            .unwrap_or_else(|| word == Some(Outcome::Timeout) || among(&self.mapping.timeout_errors));
        let outcome = match failed {
            Some(false) => Outcome::Ok,
            None if stopped => Outcome::Timeout,
            None => Outcome::Unknown,
            Some(true) if word == Some(Outcome::Limit) || among(&self.mapping.limit_errors) => Outcome::Limit,
            Some(true) if stopped => Outcome::Timeout,
            Some(true) if word == Some(Outcome::Refused) => Outcome::Refused,
            Some(true) => Outcome::Error,
        };
        Ok(Ending { outcome, stopped, class: class.filter(|_| outcome != Outcome::Ok) })
    }
}

/// The first line of an error, as much of it as a name may have.
pub(super) fn class_name(class: Cow<'_, str>) -> Cow<'_, str> {
    if is_name(&class) {
        return class;
    }
    let line: String = class.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    head(line.trim(), NAME_LIMIT).to_owned().into()
}
