//! A file that nobody named, which is not recognisably evenkeel's, and what kept it from being so.
//!
//! Looks for keys that are near to evenkeel's, rules without `alerts:` above them, and rules of Prometheus; what
//! another program's file has is nobody's slip.

use std::ops::Range;

use super::kind::Kind;
use crate::diagnostic::{Diagnostic, Level, SourceFile, did_you_mean, edit_distance};
use crate::rule::foreign;
use crate::rule::reference::FIELDS;
use crate::settings::table;
use crate::wire::yaml::{self, Key, Node, Value};

/// Keys at the top of other files than configurations.
const TOP: [&str; 6] = ["alerts", "rules", "slos", "tests", "prices", "scaling"];
/// What is in a rule, and hardly elsewhere, not even misspelt.
const RARE: [&str; 4] = ["condition", "objective", "min_samples", "keep_firing_for"];

/// What is probably wrong with a file of which [`Kind::among`] knows nothing; `None` for one of another program.
pub fn slip(level: Level, file: &SourceFile) -> Option<Diagnostic> {
    let root = yaml::parse(file).ok()?;
    let (bytes, message, help) = prometheus(&root).or_else(|| loose(&root)).or_else(|| near(&root))?;
    Some(Diagnostic::at(level, file, bytes, message, help))
}

/// Place, message and remedy.
type Slip = (Range<usize>, String, String);

fn prometheus(root: &Node) -> Option<Slip> {
    foreign::first(root).map(|bytes| (bytes, foreign::MESSAGE.to_owned(), foreign::HELP.to_owned()))
}

/// Rules at the top: one alone, or a list of them.
fn loose(root: &Node) -> Option<Slip> {
    let rule = |node: &Node| {
        let Value::Mapping(entries) = &node.value else { return None };
        let own = entries.iter().filter(|(key, _)| key.text == "alert" || FIELDS.iter().any(|row| row.0 == key.text));
        let word = |name: &str| {
            let single = |node: &Node| matches!(node.value, Value::Scalar { .. }) && !node.is_null();
            entries.iter().find(|(key, node)| key.text == name && single(node)).map(|(key, _)| key.bytes.clone())
        };
        let named = word("name").or_else(|| word("alert"));
        named.filter(|_| word("condition").is_some() && own.count() * 2 >= entries.len())
    };
    let (bytes, what) = match &root.value {
        Value::Sequence(items) => (items.iter().find_map(rule)?, "rules stand"),
        _ => (rule(root)?, "a rule stands"),
    };
    let help = "write them as a list below `alerts:`, each with `name` and `condition`";
    Some((bytes, format!("{what} here without `alerts:` above"), help.to_owned()))
}

/// Keys that are near to evenkeel's, in a file that would be evenkeel's with these.
fn near(root: &Node) -> Option<Slip> {
    let Value::Mapping(entries) = &root.value else { return None };
    let known = || TOP.into_iter().chain(table::section("config").fields.iter().map(|field| field.name));
    // One slip of the finger: `agents` is a word of its own, not `alerts`.
    let meant = |key: &Key| {
        known().find(|name| *name == key.text).or_else(|| known().find(|name| edit_distance(&key.text, name) == 1))
    };
    let read: Vec<(&Key, &Node, &str)> =
        entries.iter().filter_map(|(key, node)| Some((key, node, meant(key)?))).collect();
    if read.len() * 2 < entries.len() {
        return None;
    }
    let kind = Kind::most(read.iter().filter_map(|(_, _, name)| Kind::of_key(name)))?;
    let words = || read.iter().flat_map(|(_, node, name)| below(node).into_iter().map(move |word| (*name, word)));
    let told = |(name, word): (&str, &Key)| kind.tells_below(name, &word.text);
    // Other programs too have `rules`, with `conditions`.
    let misspelt = || {
        let rare = |(_, word): (&str, &Key)| {
            did_you_mean(&word.text, RARE).map(|rare| (word.bytes.clone(), word.text.clone(), rare))
        };
        words().filter(|(name, _)| matches!(*name, "alerts" | "slos")).find_map(rare)
    };
    let top = read.iter().find(|(key, _, name)| key.text != *name);
    let empty = |node: &Node| node.is_null() || matches!(&node.value, Value::Sequence(_));
    let alone = matches!(read[..], [(_, node, "alerts")] if entries.len() == 1 && empty(node));
    let tells = read.iter().any(|(_, _, name)| kind.tells(name)) || words().any(told);
    let (bytes, word, meant) = match top {
        Some((key, _, name)) if alone || tells || misspelt().is_some() => (key.bytes.clone(), key.text.clone(), *name),
        Some(_) => return None,
        None => misspelt()?,
    };
    Some((bytes, format!("`{word}` is none of evenkeel's keys"), format!("did you mean `{meant}`?")))
}

/// The keys one step below, of a mapping or of those in a list.
fn below(node: &Node) -> Vec<&Key> {
    let items = if let Value::Sequence(items) = &node.value { items.as_slice() } else { std::slice::from_ref(node) };
    let entries =
        items.iter().filter_map(|item| if let Value::Mapping(entries) = &item.value { Some(entries) } else { None });
    entries.flatten().map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_with_their_place_and_other_programs_files_are_not() {
        let near =
            |word: &str, meant: &str| Some(format!("`{word}` is none of evenkeel's keys (did you mean `{meant}`?)"));
        let prometheus = || Some(format!("{} ({})", foreign::MESSAGE, foreign::HELP));
        let loose = |what: &str| {
            let help = "write them as a list below `alerts:`, each with `name` and `condition`";
            Some(format!("{what} here without `alerts:` above ({help})"))
        };
        for (text, place, expected) in [
            ("alert: []\n", "1:1", near("alert", "alerts")),
            ("alert:\n- {name: a, condition: error_rate > 1%}\n", "1:1", near("alert", "alerts")),
            ("alrets:\n- {name: a, condtion: error_rate > 1%}\n", "1:1", near("alrets", "alerts")),
            ("alerts:\n- {name: a, condtion: error_rate > 1%}\n", "2:13", near("condtion", "condition")),
            ("rule:\n- {name: a, condition: error_rate > 1%}\n", "1:1", near("rule", "rules")),
            ("slo: [{name: a, objective: 99%}]\n", "1:1", near("slo", "slos")),
            ("test: [{name: a, series: []}]\n", "1:1", near("test", "tests")),
            ("state_dri: s\n", "1:1", near("state_dri", "state_dir")),
            ("receiver: [{name: a, webhook: {url: b}}]\n", "1:1", near("receiver", "receivers")),
            ("groups:\n- name: g\n  rules:\n  - {alert: a, expr: up == 0}\n", "4:16", prometheus()),
            ("alert: a\nexpr: up == 0\nfor: 5m\n", "2:1", prometheus()),
            ("- {alert: a, expr: up == 0}\n", "1:14", prometheus()),
            ("name: a\ncondition: error_rate > 1%\nfor: 5m\n", "1:1", loose("a rule stands")),
            ("alert: a\ncondition: error_rate > 1%\n", "1:1", loose("a rule stands")),
            ("- name: a\n  condition: error_rate > 1%\n", "1:3", loose("rules stand")),
            // What others write.
            ("alert: true\n", "", None),
            ("agents: [{name: a, condition: b}]\n", "", None),
            ("agents: []\n", "", None),
            ("rules: [{conditions: [], level: 3}]\n", "", None),
            ("alerts: [{to: ops, on: failure}]\n", "", None),
            ("groups:\n- name: g\n  rules: [{record: a, expr: b}]\n", "", None),
            ("groups: [{name: admins, members: [a]}]\n", "", None),
            ("name: x\ntype: frequency\nindex: a\nfilter: []\nalert: [email]\n", "", None),
            ("- rule: shell\n  desc: d\n  condition: spawned\n  output: o\n  priority: p\n", "", None),
            ("- alias: a\n  trigger: []\n  condition: []\n  action: []\n", "", None),
            ("test: {script: make}\n", "", None),
            ("source: {path: a}\nname: b\nversion: 1\n", "", None),
            ("resources: {limits: {cpu: 1}}\n", "", None),
            ("receivers: {otlp: {}}\nexporters: {}\n", "", None),
            ("rule: {url: a}\n", "", None),
            ("jobs:\n- {job: a, condition: succeeded()}\n", "", None),
            ("{\"name\": \"package\", \"version\": \"1\"}", "", None),
            ("- 1\n", "", None),
            ("alerts: [\n", "", None),
            ("", "", None),
        ] {
            let found = slip(Level::Warning, &SourceFile::new("f.yaml", text));
            let shown = found.as_ref().map(|d| format!("{} ({})", d.message, d.help));
            assert_eq!(shown, expected, "{text}");
            assert_eq!(found.map_or(String::new(), |d| format!("{}:{}", d.line, d.column)), place, "{text}");
        }
    }
}
