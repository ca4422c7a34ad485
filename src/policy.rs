//! The checked bundle that the engine obeys: settings, rules, profiles, prices.
//!
//! [`PolicySource`] is the text of every file behind it. The journal keeps that text, so that a
//! restart folds old events under the policy that was in force when they happened.

mod kind;
pub mod labels;
mod reach;
mod slip;

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::diagnostic::{Diagnostic, SourceFile, has_errors};
use crate::profile::Profiles;
use crate::profile::price::PriceTable;
use crate::rule::left_out::LeftOut;
use crate::rule::load::Read;
use crate::rule::{self, Rule};
use crate::settings::Settings;
pub use kind::Kind;
pub use reach::over;
pub use slip::slip;

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
    /// Rules that read what the settings do not have, and that hold under others.
    pub left_out: Vec<LeftOut>,
    /// What is assumed of models before their own data speak.
    pub profiles: Profiles,
    /// What tokens cost.
    pub prices: PriceTable,
    /// The same for the same texts, else different.
    pub fingerprint: u64,
}

impl PolicySource {
    /// The folder that relative paths of the configuration are relative to.
    pub fn base_dir(&self) -> &Path {
        self.config.as_ref().and_then(|(path, _)| Path::new(path).parent()).unwrap_or(Path::new(""))
    }

    /// The first eight bytes of SHA-256 over every path and text, each with its length before it.
    fn fingerprint(&self) -> u64 {
        let mut hash = Sha256::new();
        for files in [self.config.as_slice(), &self.rules, &self.profiles, &self.prices] {
            hash.update((files.len() as u64).to_le_bytes());
            for text in files.iter().flat_map(|(path, text)| [path, text]) {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text);
            }
        }
        let bytes = hash.finalize();
        u64::from_be_bytes(std::array::from_fn(|i| bytes[i]))
    }
}

impl Policy {
    /// Checks every text. `None` when anything is wrong, so that a reload takes all or nothing; the
    /// diagnostics are all there are, file by file. `base_dir` is what paths of the configuration
    /// are relative to, see [`PolicySource::base_dir`].
    pub fn load(source: &PolicySource, base_dir: &Path) -> (Option<Policy>, Vec<Diagnostic>) {
        let (policy, diagnostics) = Policy::read(source, base_dir, rule::load::load_with);
        ((!has_errors(&diagnostics)).then_some(policy), diagnostics)
    }

    /// A policy that was obeyed before, by an evenkeel that may have had other checks: as much of it as can be read, for
    /// what it left behind to go on from. The diagnostics are those of [`load`](Policy::load).
    pub fn recall(source: &PolicySource, base_dir: &Path) -> (Policy, Vec<Diagnostic>) {
        Policy::read(source, base_dir, rule::load::recall)
    }

    fn read(
        source: &PolicySource,
        base_dir: &Path,
        rules: fn(&[SourceFile], &Settings, Option<&str>) -> Read,
    ) -> (Policy, Vec<Diagnostic>) {
        let file = |(path, text): &(String, String)| SourceFile::new(path, text.as_str());
        let files = |files: &[(String, String)]| files.iter().map(file).collect::<Vec<_>>();
        let (settings, mut diagnostics) = match &source.config {
            Some(config) => Settings::salvage(&file(config), base_dir),
            None => (Settings::default(), Vec::new()),
        };
        let rule_files = files(&source.rules);
        let path = source.config.as_ref().map(|(path, _)| path.as_str());
        let Read { rules, left_out, diagnostics: of_rules } = rules(&rule_files, &settings, path);
        let (profiles, of_profiles) = Profiles::load(&files(&source.profiles));
        let (prices, of_prices) = PriceTable::load(&files(&source.prices));
        diagnostics.extend(of_rules.into_iter().chain(of_profiles).chain(of_prices));
        if let Some(config) = source.config.as_ref().filter(|_| !has_errors(&diagnostics)) {
            diagnostics.extend(reach::faults(&file(config), &rule_files, &settings, (&rules, &left_out)));
        }
        let policy = Policy { settings, rules, left_out, profiles, prices, fingerprint: source.fingerprint() };
        (policy, diagnostics)
    }
}

impl Default for Policy {
    /// Default settings, the shipped profiles and prices, and no rules.
    fn default() -> Self {
        Policy {
            settings: Settings::default(),
            rules: Vec::new(),
            left_out: Vec::new(),
            profiles: Profiles::shipped(),
            prices: PriceTable::shipped(),
            fingerprint: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(config: &str, rules: &str, profile: &str, prices: &str) -> PolicySource {
        let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        PolicySource {
            config: Some(file("etc/evenkeel.yaml", config)),
            rules: vec![file("etc/rules.yaml", rules)],
            profiles: vec![file("etc/mine.json", profile)],
            prices: vec![file("etc/prices.yaml", prices)],
        }
    }

    const RULES: &str = "alerts:\n- name: a\n  condition: error_rate > 10%\n";
    const PROFILE: &str = r#"{"model": "mine", "quality": {"simple": 1, "complex": 2, "critical": 3}}"#;
    const PRICES: &str = "prices:\n- models: [mine]\n  periods: [{input: 1, output: 2}]\n";

    #[test]
    fn every_part_is_loaded() {
        let source = source("state_dir: s", RULES, PROFILE, PRICES);
        let (policy, diagnostics) = Policy::load(&source, source.base_dir());
        assert!(!has_errors(&diagnostics), "{diagnostics:?}");
        let policy = policy.expect("no errors");
        assert_eq!(policy.settings.state_dir, Path::new("etc/s"));
        assert_eq!(policy.rules.len(), 1);
        assert_eq!(policy.profiles.resolve("mine").0.quality.critical, 3.0);
        assert!(policy.prices.resolve("mine").is_some());
    }

    #[test]
    fn every_part_says_its_faults_and_nothing_is_taken() {
        let source = source("state_dirr: s", "alerts:\n- nam: a\n", r#"{"modell": "mine"}"#, "prices:\n- x: 1\n");
        let (policy, diagnostics) = Policy::load(&source, source.base_dir());
        assert_eq!(policy, None);
        for path in ["etc/evenkeel.yaml", "etc/rules.yaml", "etc/mine.json", "etc/prices.yaml"] {
            assert!(diagnostics.iter().any(|d| d.file == path && d.line > 0), "{path}: {diagnostics:?}");
        }
    }

    #[test]
    fn the_fingerprint_is_of_the_texts() {
        let print = |source: &PolicySource| Policy::load(source, Path::new("")).0.expect("no errors").fingerprint;
        let one = source("state_dir: s", RULES, PROFILE, PRICES);
        assert_eq!(print(&one), print(&one.clone()));
        assert_ne!(print(&one), print(&source("state_dir: t", RULES, PROFILE, PRICES)));
        let mut moved = one.clone();
        moved.prices.append(&mut moved.rules.clone());
        assert_ne!(one.fingerprint(), moved.fingerprint());
    }
}
