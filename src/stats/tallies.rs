//! Counters side by side, all of the least width that holds the largest of them.
//!
//! A fleet keeps digests by the thousand and most of their bins count a handful of samples: bytes do
//! for them. Counts only grow, so the width follows from the counts alone, whatever their order.

use serde::{Deserialize, Serialize};

/// A row of counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Tallies {
    /// None above 255.
    Narrow(Vec<u8>),
    /// None above 65,535.
    Middle(Vec<u16>),
    /// Those that reach the end of the range stay there.
    Wide(Vec<u32>),
}

impl Default for Tallies {
    fn default() -> Tallies {
        Tallies::Narrow(Vec::new())
    }
}

macro_rules! each_width {
    ($tallies:expr, $counts:ident => $body:expr) => {
        match $tallies {
            Tallies::Narrow($counts) => $body,
            Tallies::Middle($counts) => $body,
            Tallies::Wide($counts) => $body,
        }
    };
}

impl Tallies {
    /// How many counters there are.
    pub fn len(&self) -> usize {
        each_width!(self, counts => counts.len())
    }

    /// Adds to the counter at `place`, which must be there.
    #[inline]
    pub fn add(&mut self, place: usize, more: u32) {
        loop {
            match self {
                Tallies::Narrow(counts) => {
                    if let Ok(sum) = u8::try_from(u32::from(counts[place]).saturating_add(more)) {
                        counts[place] = sum;
                        return;
                    }
                }
                Tallies::Middle(counts) => {
                    if let Ok(sum) = u16::try_from(u32::from(counts[place]).saturating_add(more)) {
                        counts[place] = sum;
                        return;
                    }
                }
                Tallies::Wide(counts) => {
                    counts[place] = counts[place].saturating_add(more);
                    return;
                }
            }
            self.widen();
        }
    }

    #[cold]
    fn widen(&mut self) {
        *self = match self {
            Tallies::Narrow(counts) => Tallies::Middle(counts.iter().map(|c| u16::from(*c)).collect()),
            Tallies::Middle(counts) => Tallies::Wide(counts.iter().map(|c| u32::from(*c)).collect()),
            Tallies::Wide(_) => return,
        };
    }

    /// Puts counters of zero before and after the others, without room for more.
    pub fn extend(&mut self, before: usize, after: usize) {
        each_width!(self, counts => {
            counts.reserve_exact(before + after);
            counts.resize(counts.len() + after, 0);
            counts.splice(0..0, std::iter::repeat_n(0, before));
        });
    }

    /// The counts in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.len()).map(|place| match self {
            Tallies::Narrow(counts) => u32::from(counts[place]),
            Tallies::Middle(counts) => u32::from(counts[place]),
            Tallies::Wide(counts) => counts[place],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_follows_from_the_largest_count() {
        let mut tallies = Tallies::default();
        tallies.extend(0, 3);
        for (more, counts) in [
            (255, [0, 255, 0]),
            (1, [0, 256, 0]),
            (65_279, [0, 65_535, 0]),
            (1, [0, 65_536, 0]),
            (u32::MAX, [0, u32::MAX, 0]),
        ] {
            tallies.add(1, more);
            assert_eq!(tallies.iter().collect::<Vec<_>>(), counts);
            let width = match tallies {
                Tallies::Narrow(_) => 255,
                Tallies::Middle(_) => 65_535,
                Tallies::Wide(_) => u32::MAX,
            };
            assert!(counts[1] <= width && (width == 255 || counts[1] > width >> if width == 65_535 { 8 } else { 16 }));
        }
        tallies.extend(1, 2);
        assert_eq!(tallies.iter().collect::<Vec<_>>(), [0, 0, u32::MAX, 0, 0, 0]);
    }
}
