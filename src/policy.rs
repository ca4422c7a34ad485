//! The checked bundle that the engine obeys: settings, rules, profiles, prices.
//!
//! [`PolicySource`] is the text of every file behind it. The journal keeps that text, so that a
//! restart folds old events under the policy that was in force when they happened.

use serde::{Deserialize, Serialize};

use crate::profile::Profiles;
use crate::profile::price::PriceTable;
use crate::rule::Rule;
use crate::settings::Settings;

/// Every text that makes a policy, read at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PolicySource {
    /// The configuration file: path and text; `None` runs on defaults.
    pub config: Option<(String, String)>,
    /// Rule files: path and text.
    pub rules: Vec<(String, String)>,
    /// Model profiles: path and text.
    pub profiles: Vec<(String, String)>,
    /// Price tables: path and text, later ones win.
    pub prices: Vec<(String, String)>,
}

/// What the engine obeys; correct by construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The daemon's settings.
    pub settings: Settings,
    /// The rules, in the order of their files.
    pub rules: Vec<Rule>,
    /// What is assumed of models before their own data speak.
    pub profiles: Profiles,
    /// What tokens cost.
    pub prices: PriceTable,
    /// The same for the same texts, else different.
    pub fingerprint: u64,
}

impl Default for Policy {
    /// Default settings, the shipped profiles and prices, and no rules.
    fn default() -> Self {
        Policy {
            settings: Settings::default(),
            rules: Vec::new(),
            profiles: Profiles::shipped(),
            prices: PriceTable::shipped(),
            fingerprint: 0,
        }
    }
}
