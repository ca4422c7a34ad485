//! US dollars as an integer of nano-dollars: sums are exact and do not depend on their order.

use serde::{Deserialize, Serialize};

/// An amount in 1e-9 USD. The largest amount is above 9 billion dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanodollars(pub i64);

impl Nanodollars {
    /// The amount nearest to `dollars`; saturates, and a value that is not finite is `None`.
    pub fn from_dollars(dollars: f64) -> Option<Nanodollars> {
        dollars.is_finite().then(|| Nanodollars((dollars * 1e9).round() as i64))
    }

    /// The amount in dollars.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }
}
