//! Where the parts of a rule stand in its file, for what is found out about it after it was loaded.

use std::ops::Range;

use super::Rule;
use crate::diagnostic::SourceFile;
use crate::model::Severity;
use crate::wire::yaml::{self, Node, Value};

/// The text of one rule in its file.
#[derive(Debug)]
pub struct Places {
    node: Node,
}

impl Places {
    /// Finds a rule in the file that it was read from; `None` when the file is another.
    pub fn find(file: &SourceFile, rule: &Rule) -> Option<Places> {
        let root = yaml::parse(file).ok()?;
        let lists = ["alerts", "rules", "slos"].into_iter().filter_map(|key| get(&root, key));
        let mut rules =
            lists.flat_map(|list| if let Value::Sequence(rules) = &list.value { rules.as_slice() } else { &[] });
        let node = rules.find(|node| get(node, "name").is_some_and(|name| text(name) == rule.name))?;
        Some(Places { node: node.clone() })
    }

    /// Its name.
    pub fn name(&self) -> Range<usize> {
        get(&self.node, "name").map_or(self.node.bytes.clone(), |node| node.bytes.clone())
    }

    /// The labels that it is split by.
    pub fn by(&self) -> Range<usize> {
        get(&self.node, "by").map_or_else(|| self.name(), |node| node.bytes.clone())
    }

    /// The condition of its level of a severity, or the one condition.
    pub fn condition(&self, severity: Severity) -> Range<usize> {
        let level = self.level(severity).map(|(_, node)| get(node, "condition").unwrap_or(node));
        level.or_else(|| get(&self.node, "condition")).map_or_else(|| self.name(), |node| node.bytes.clone())
    }

    /// Where it says how bad it is: the key of a level, or the `severity`; else its name.
    pub fn severity(&self, severity: Severity) -> Range<usize> {
        match (self.level(severity), get(&self.node, "severity")) {
            (Some((bytes, _)), _) => bytes,
            (None, Some(node)) => node.bytes.clone(),
            (None, None) => self.name(),
        }
    }

    /// A label of its `where`, or of the `where` of one of its overrides.
    pub fn selection(&self, label: Option<&str>, of_override: Option<usize>) -> Range<usize> {
        let overrides = get(&self.node, "overrides").map(|node| &node.value);
        let part = match (of_override, overrides) {
            (None, _) => Some(&self.node),
            (Some(at), Some(Value::Sequence(overrides))) => overrides.get(at),
            _ => None,
        };
        let selection = part.and_then(|node| get(node, "where"));
        let label = label.and_then(|label| selection.and_then(|node| get(node, label)));
        label.or(selection).map_or_else(|| self.name(), |node| node.bytes.clone())
    }

    /// The key and the value of a level.
    fn level(&self, severity: Severity) -> Option<(Range<usize>, &Node)> {
        let Value::Mapping(entries) = &get(&self.node, "levels")?.value else { return None };
        let (key, node) = entries.iter().find(|(key, _)| Severity::from_word(&key.text) == Some(severity))?;
        Some((key.bytes.clone(), node))
    }
}

/// What stands under a key of a mapping.
pub fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Value::Mapping(entries) = &node.value else { return None };
    entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
}

fn text(node: &Node) -> &str {
    if let Value::Scalar { text, .. } = &node.value { text } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    #[test]
    fn the_parts_of_a_rule_are_found_again() {
        let file = SourceFile::new(
            "r.yaml",
            "rules:\n- {name: a, condition: cost > $1, severity: high, where: {model: x}}\n- name: b\n  levels:\n    medium: cost > $2\n    critical: {condition: cost > $3}\n  overrides: [{where: {agent: y}, condition: cost > $4}]\n",
        );
        let (rules, faults) = super::super::load::load(std::slice::from_ref(&file), Span::seconds(15));
        assert_eq!(faults, []);
        let places: Vec<Places> = rules.iter().filter_map(|rule| Places::find(&file, rule)).collect();
        let [a, b] = &places[..] else { panic!("{places:?}") };
        for (bytes, expected) in [
            (a.name(), "a"),
            (a.by(), "a"),
            (a.condition(Severity::High), "cost > $1"),
            (a.severity(Severity::High), "high"),
            (a.selection(Some("model"), None), "x"),
            (b.condition(Severity::Warning), "cost > $2"),
            (b.condition(Severity::Critical), "cost > $3"),
            (b.severity(Severity::Warning), "medium"),
            (b.severity(Severity::Info), "b"),
            (b.selection(Some("agent"), Some(0)), "y"),
            (b.selection(Some("agent"), Some(1)), "b"),
        ] {
            assert_eq!(&file.text[bytes], expected);
        }
    }
}
