//! Whether an execution repeats one of its agent's last: for rules that look for loops.
//!
//! Records may say what was done, as a hash of tool and arguments. An agent that goes round in a circle does the same
//! again and again, or the same few things in turn, so an execution counts as a repeat when it is like any of the
//! [`LAST`] before it. Nothing is kept unless a rule asks for it and records say what they do.

use serde::{Deserialize, Serialize};

/// Executions of an agent that the next one is compared with.
pub const LAST: usize = 8;

/// What agents did last, by series of the agents' split.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Works(Vec<Last>);

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Last {
    /// Oldest first from `next` on; 0 is none.
    works: [u64; LAST],
    next: u8,
}

impl Works {
    /// Takes in what an agent does; whether it is a repeat.
    pub fn see(&mut self, agent: usize, work: u64) -> bool {
        if self.0.len() <= agent {
            self.0.resize(agent + 1, Last::default());
        }
        let Last { works, next } = &mut self.0[agent];
        // 0 is the empty place.
        let work = if work == 0 { u64::MAX } else { work };
        let repeats = works.contains(&work);
        works[usize::from(*next)] = work;
        *next = (*next + 1) % LAST as u8;
        repeats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_up_to_eight_is_found() {
        for (length, repeats) in [(1, 29), (2, 28), (8, 22), (9, 0)] {
            let mut works = Works::default();
            let found = (0..30).filter(|i| works.see(3, i % length)).count();
            assert_eq!(found, repeats, "{length}");
        }
        let mut works = Works::default();
        assert!(!works.see(0, 7) && !works.see(1, 7) && works.see(0, 7), "agents do not repeat each other");
    }
}
