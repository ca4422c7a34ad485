//! Model names: one model is written in many ways, `claude-sonnet-4.5`, `claude-sonnet-4-5-20250929`,
//! `us.anthropic.claude-sonnet-4-5-20250929-v1:0`.
//!
//! Nothing here knows a model; aliases and globs come from the files that are loaded. The most
//! specific pattern wins, not the first: a catch-all in a user's file must not swallow names that
//! another file knows by heart. Among equals the later one wins, so that users override.

use std::collections::BTreeMap;

/// One spelling for names that differ in nothing but spelling: lower case, without a provider's
/// prefix before `/`, a suffix in brackets, Bedrock's `-v1:0`, `-latest` or a date at the end;
/// everything but letters, digits and `*` is a dash.
pub fn normal(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    let mut rest = lower.rsplit_once('/').map_or(lower.as_str(), |(_, model)| model);
    if let Some((model, _)) = rest.split_once('[').filter(|(model, tail)| !model.is_empty() && tail.ends_with(']')) {
        rest = model;
    }
    if let Some((model, version)) = rest.rsplit_once("-v")
        && version.contains(':')
        && version.bytes().all(|b| b.is_ascii_digit() || b == b':')
    {
        rest = model;
    }
    let dashed: String =
        rest.chars().map(|c| if c.is_ascii_alphanumeric() || c == '*' || !c.is_ascii() { c } else { '-' }).collect();
    let model = dashed.strip_suffix("-latest").unwrap_or(&dashed);
    without_date(model).unwrap_or(model).to_owned()
}

/// What stands before a date `-20250929` or `-2025-09-29` at the end.
fn without_date(name: &str) -> Option<&str> {
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|b| b.is_ascii_digit());
    let (head, tail) = name.rsplit_once('-')?;
    if digits(tail, 8) && tail.starts_with("20") {
        return Some(head).filter(|head| !head.is_empty());
    }
    let (middle, month) = head.rsplit_once('-')?;
    let (head, year) = middle.rsplit_once('-')?;
    (digits(tail, 2) && digits(month, 2) && digits(year, 4) && !head.is_empty()).then_some(head)
}

/// Whether `pattern`, whose `*` stand for any run of characters, matches the whole of `text`.
///
/// Takes time proportional to the product of the lengths at worst: the last star alone is tried again.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(c) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, taken)) => {
                    retry = Some((star, taken + 1));
                    p = star + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Names and globs, each leading to an entry of some list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Index {
    exact: BTreeMap<String, Entry>,
    globs: Vec<(String, Entry)>,
}

/// Where a name or glob leads, and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The place in the list.
    pub target: usize,
    /// The name or glob as it was written.
    pub written: String,
}

impl Index {
    /// Adds a name or glob; it takes over what was there under the same normal form.
    pub fn add(&mut self, written: &str, target: usize) {
        let form = normal(written);
        let entry = Entry { target, written: written.to_owned() };
        if form.contains('*') {
            self.globs.retain(|(glob, _)| *glob != form);
            self.globs.push((form, entry));
        } else {
            self.exact.insert(form, entry);
        }
    }

    /// The entry for a model's name: the same normal form, else the matching glob with the most
    /// letters, among equals the one added last.
    pub fn find(&self, model: &str) -> Option<&Entry> {
        let form = normal(model);
        let letters = |glob: &str| glob.bytes().filter(|b| *b != b'*').count();
        self.exact.get(&form).or_else(|| {
            let fitting = self.globs.iter().filter(|(glob, _)| matches(glob, &form));
            fitting.max_by_key(|(glob, _)| letters(glob)).map(|(_, entry)| entry)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_model_are_one() {
        for (name, expected) in [
            ("claude-sonnet-4.5", "claude-sonnet-4-5"),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
            ("Claude-Sonnet-4.5[1m]", "claude-sonnet-4-5"),
            ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us-anthropic-claude-sonnet-4-5"),
            ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
            ("gpt-4o-2024-08-06", "gpt-4o"),
            ("gpt-4-0613", "gpt-4-0613"),
            ("deepseek-v3", "deepseek-v3"),
            ("glm_4.6", "glm-4-6"),
            ("20250929", "20250929"),
            ("", ""),
        ] {
            assert_eq!(normal(name), expected, "{name}");
        }
    }

    #[test]
    fn globs_match_whole_names() {
        for (pattern, text, expected) in [
            ("*sonnet*", "claude-sonnet-4", true),
            ("*sonnet", "claude-sonnet-4", false),
            ("claude-*-4", "claude-sonnet-4", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_most_specific_pattern_wins_then_the_later_one() {
        let mut index = Index::default();
        for (i, name) in ["*claude*", "*claude*sonnet*", "claude-sonnet-4.5", "*", "*CLAUDE*"].into_iter().enumerate() {
            index.add(name, i);
        }
        let found = |name: &str| index.find(name).map(|entry| entry.target);
        assert_eq!(found("claude-sonnet-4-5-20250929"), Some(2));
        assert_eq!(found("claude-sonnet-4"), Some(1));
        assert_eq!(found("claude-opus-4"), Some(4));
        assert_eq!(found("gpt-5"), Some(3));
        assert_eq!(Index::default().find("gpt-5"), None);
    }
}
