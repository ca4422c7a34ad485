//! What a file is, as its keys tell.

use std::path::Path;

use crate::diagnostic::SourceFile;
use crate::settings::table;
use crate::wire::yaml::{self, Node, Value};

/// Keys at the top of a profile that no other program's file has.
const PROFILE: [&str; 4] = ["base_performance", "scaling_factors", "optimization_strategies", "timeout_buffer"];

/// What a file of a policy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `evenkeel.yaml`.
    Config,
    /// Alert rules.
    Rules,
    /// A model document, or a table of scaling.
    Profile,
    /// A price table.
    Prices,
    /// Tests of rules.
    Tests,
}

impl Kind {
    /// The kind whose keys stand at the top of the text; `None` when there are none of any kind.
    ///
    /// A configuration too has `rules` and `prices`: there they list paths, elsewhere mappings.
    pub fn of(file: &SourceFile) -> Option<Kind> {
        let root = match yaml::parse(file) {
            Ok(root) => root,
            Err(_) => return Kind::of_broken(&file.text),
        };
        let Value::Mapping(entries) = &root.value else { return None };
        let mappings = |value: &Value| matches!(value, Value::Sequence(items) if items.iter().any(|item| matches!(item.value, Value::Mapping(_))));
        // Only a test file has tests; its rules and settings are about them.
        if entries.iter().any(|(key, _)| key.text == "tests") {
            return Some(Kind::Tests);
        }
        let kinds = entries.iter().filter_map(|(key, node)| match (key.text.as_str(), mappings(&node.value)) {
            ("rules", false) | ("prices", false) => Some(Kind::Config),
            (word, _) => Kind::of_key(word),
        });
        Kind::most(kinds)
    }

    /// The kind of a text that is no YAML, by the words that begin its lines.
    fn of_broken(text: &str) -> Option<Kind> {
        Kind::most(text.lines().filter_map(|line| Kind::of_key(line.split_once(':')?.0)))
    }

    /// The kind of a file that nobody named, found in a folder: `None` unless it is recognisably evenkeel's.
    /// Other programs too have `limits:`, `rules:`, `model:` or `tests:` at the top of their files.
    ///
    /// It is when its name begins with `evenkeel`; else when at least half of the keys at its top are of its
    /// kind and one of the keys is hardly found elsewhere.
    pub fn among(file: &SourceFile) -> Option<Kind> {
        let kind = Kind::of(file)?;
        let name = Path::new(&file.path).file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let (top, below) = keys(file);
        let own = top.iter().filter(|key| kind.has(key)).count();
        let rare =
            || top.iter().any(|key| kind.tells(key)) || below.iter().any(|(key, word)| kind.tells_below(key, word));
        (name.starts_with("evenkeel") || own * 2 >= top.len() && rare()).then_some(kind)
    }

    /// Whether files of this kind have the key at their top.
    fn has(self, key: &str) -> bool {
        match self {
            Kind::Config => table::section("config").has(key),
            Kind::Rules => matches!(key, "alerts" | "rules" | "slos"),
            Kind::Tests => matches!(key, "tests" | "rules" | "settings"),
            Kind::Prices => key == "prices",
            Kind::Profile => PROFILE.contains(&key) || matches!(key, "model" | "scaling"),
        }
    }

    /// Whether the key at the top is hardly found in files of other programs.
    pub(super) fn tells(self, key: &str) -> bool {
        match self {
            Kind::Config => key.contains('_') && self.has(key),
            Kind::Profile => PROFILE.contains(&key),
            Kind::Rules | Kind::Tests | Kind::Prices => false,
        }
    }

    /// Whether the word below a key at the top is hardly found there in files of other programs.
    pub(super) fn tells_below(self, key: &str, word: &str) -> bool {
        match self {
            Kind::Config => {
                let field = table::section("config").fields.iter().find(|field| field.name == key);
                let section = field.and_then(|field| match field.kind {
                    table::Kind::Section(name) | table::Kind::Sections(name) => Some(table::section(name)),
                    _ => None,
                });
                word != "name" && section.is_some_and(|section| section.has(word))
            }
            Kind::Rules => matches!(word, "condition" | "levels" | "objective" | "min_samples" | "keep_firing_for"),
            Kind::Tests => matches!(word, "series" | "expect" | "messages"),
            Kind::Prices => matches!(word, "models" | "periods"),
            Kind::Profile => matches!(word, "row" | "time_multiplier" | "complexity_factor"),
        }
    }

    pub(super) fn of_key(key: &str) -> Option<Kind> {
        match key {
            "alerts" | "rules" | "slos" => Some(Kind::Rules),
            "prices" => Some(Kind::Prices),
            "tests" => Some(Kind::Tests),
            "model" | "scaling" | "scaling_factors" | "base_performance" => Some(Kind::Profile),
            key => table::section("config").has(key).then_some(Kind::Config),
        }
    }

    /// The kind that most of the keys speak for.
    pub(super) fn most(kinds: impl Iterator<Item = Kind>) -> Option<Kind> {
        let mut votes = std::collections::BTreeMap::new();
        kinds.for_each(|kind| *votes.entry(kind).or_insert(0) += 1);
        votes.into_iter().max_by_key(|(_, n)| *n).map(|(kind, _)| kind)
    }
}

/// The keys at the top of a text, and those one step below, each with that above it; of a text that is no YAML, by
/// its lines.
fn keys(file: &SourceFile) -> (Vec<String>, Vec<(String, String)>) {
    let (mut top, mut below): (Vec<String>, Vec<(String, String)>) = Default::default();
    if let Ok(Node { value: Value::Mapping(entries), .. }) = yaml::parse(file) {
        for (key, node) in &entries {
            let items =
                if let Value::Sequence(items) = &node.value { items.as_slice() } else { std::slice::from_ref(node) };
            for item in items {
                if let Value::Mapping(entries) = &item.value {
                    below.extend(entries.iter().map(|(word, _)| (key.text.clone(), word.text.clone())));
                }
            }
            top.push(key.text.clone());
        }
        return (top, below);
    }
    for line in file.text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let mut words =
            line.split(':').map(|part| part.rsplit([' ', '\t', '-', '{', ',', '"']).next().unwrap_or_default());
        // What stands behind the last colon is no key.
        words.next_back();
        if !line.starts_with([' ', '\t', '-']) {
            top.extend(words.next().map(str::to_owned));
        }
        let above = top.last().cloned().unwrap_or_default();
        below.extend(words.map(|word| (above.clone(), word.to_owned())));
    }
    (top, below)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "alerts:\n- name: a\n  condition: error_rate > 10%\n";
    const PROFILE: &str = r#"{"model": "mine", "quality": {"simple": 1, "complex": 2, "critical": 3}}"#;
    const PRICES: &str = "prices:\n- models: [mine]\n  periods: [{input: 1, output: 2}]\n";

    #[test]
    fn kinds_are_told_by_their_keys() {
        for (text, kind) in [
            ("sources: []\nrules: [rules]\nprices: [p.yaml]\n", Some(Kind::Config)),
            ("rules: [rules]\n", Some(Kind::Config)),
            (RULES, Some(Kind::Rules)),
            ("rules:\n- {alert: a, expr: b}\n", Some(Kind::Rules)),
            (PROFILE, Some(Kind::Profile)),
            ("scaling: []\n", Some(Kind::Profile)),
            (PRICES, Some(Kind::Prices)),
            ("rules: [r.yaml]\ntests: []\n", Some(Kind::Tests)),
            ("alerts: [\n", Some(Kind::Rules)),
            ("{\"name\": \"package\"}", None),
            ("", None),
            ("- 1\n", None),
        ] {
            assert_eq!(Kind::of(&SourceFile::new("f", text)), kind, "{text}");
        }
    }

    #[test]
    fn files_of_other_programs_are_not_taken_for_ones_own() {
        for (name, text, kind) in [
            // What others write.
            ("limits.yaml", "limits: {cpu: 500m, memory: 1Gi}\n", None),
            ("litellm.yaml", "model_list: []\nlimits: {rpm: 60}\n", None),
            ("role.yaml", "apiVersion: v1\nkind: Role\nmetadata: {}\nrules: [{apiGroups: [a], verbs: [get]}]\n", None),
            ("prometheus.yaml", "rules:\n- {alert: a, expr: b, for: 5m, labels: {}}\n", None),
            ("alertmanager.yml", "global: {}\nroute: {}\nreceivers: [{name: ops, webhook_configs: []}]\n", None),
            ("collector.yaml", "receivers: {otlp: {}}\nexporters: {}\n", None),
            ("agent.json", "{\"model\": \"gpt-4o\", \"temperature\": 0.2}", None),
            ("unit.test.yaml", "rule_files: [a]\ntests: [{input_series: []}]\n", None),
            ("chart.yaml", "sources: [{name: a, url: b}]\n", None),
            ("broken.yaml", "limits: {cpu: [\n", None),
            ("template.yaml", "kind: a\nlimits:\n  {{ if .a }}\n  cpu: 1\n", None),
            // Evenkeel's own, with faults too.
            ("fleet.yaml", "sources: [{name: a, path: b.jsonl}]\n", Some(Kind::Config)),
            ("fleet.yaml", "state_dir: s\n", Some(Kind::Config)),
            ("fleet.yaml", "receivers:\n- name: ops\n  webhook: {url: x}\nroute: []\n", Some(Kind::Config)),
            ("evenkeel.prod.yaml", "limits: {cpu: 1}\n", Some(Kind::Config)),
            ("r.yaml", RULES, Some(Kind::Rules)),
            ("r.yaml", "slos:\n- {name: a, objective: 99%}\n", Some(Kind::Rules)),
            ("r.yaml", "alerts:\n- name: a\n  condition: [\n", Some(Kind::Rules)),
            ("r.yaml", "alerts:\n\t- name: a\n\t  condition: error_rate > 1%\n", Some(Kind::Rules)),
            ("r.yaml", "alerts: [{name: a, condition: error_rate > 1%\n", Some(Kind::Rules)),
            ("r.test.yaml", "rules: r.yaml\ntests: [{name: a, series: []}]\n", Some(Kind::Tests)),
            ("p.yaml", PRICES, Some(Kind::Prices)),
            ("m.json", "{\"model\": \"a\", \"scaling_factors\": {}}", Some(Kind::Profile)),
            ("s.yaml", "scaling: [{row: a, models: [b]}]\n", Some(Kind::Profile)),
        ] {
            assert_eq!(Kind::among(&SourceFile::new(name, text)), kind, "{name}: {text}");
        }
    }
}
