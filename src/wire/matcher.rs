//! Label matchers as routes, inhibitions, silences and the API write them: `agent=prod-*`,
//! `severity>=high`, `alertname!=slow|cost_shift`.
//!
//! Owns the text form and its meaning. `*` stands for any run of characters, `|` parts alternatives;
//! there are no regular expressions, so a matcher costs time linear in the value.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::Severity;
use crate::rule::matcher::glob;
use crate::wire::fields::one_of;

/// A condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LabelMatcher {
    label: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Test {
    Is(Vec<String>),
    IsNot(Vec<String>),
    AtLeast(Severity),
}

impl LabelMatcher {
    /// Reads the text form; why it means nothing otherwise.
    pub fn parse(text: &str) -> Result<LabelMatcher, String> {
        let place = text.find(['=', '!', '>', '<']).ok_or(format!("`{text}` compares nothing: write `label=value`"))?;
        let (label, rest) = (alert_label(text[..place].trim()), &text[place..]);
        if label.is_empty() || !label.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ':')) {
            return Err(format!("`{label}` is not a label: write `label=value`"));
        }
        let globs = |value: &str| unquoted(value).split('|').map(word).collect::<Result<Vec<_>, _>>();
        let test = if rest.starts_with("=~") || rest.starts_with("!~") {
            return Err(format!(
                "`{text}` is a regular expression: write `*` for any characters and `|` between alternatives"
            ));
        } else if let Some(value) = rest.strip_prefix("!=") {
            Test::IsNot(globs(value)?)
        } else if let Some(value) = rest.strip_prefix(">=") {
            if label != "severity" {
                return Err(format!("`{text}`: only a severity has an order: write `severity>=high`"));
            }
            let value = unquoted(value);
            Test::AtLeast(Severity::from_word(value).ok_or_else(|| no_severity(value))?)
        } else if let Some(value) = rest.strip_prefix('=') {
            Test::Is(globs(value)?)
        } else {
            return Err(format!("`{text}` has none of `=`, `!=`, `>=` after the label"));
        };
        if let (Test::Is(words) | Test::IsNot(words), "severity") = (&test, label)
            && let Some(word) = words.iter().find(|word| !word.contains('*') && Severity::from_word(word).is_none())
        {
            return Err(no_severity(word));
        }
        Ok(LabelMatcher { label: label.to_owned(), test })
    }

    /// The label that is looked at.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Whether any value passes.
    pub fn matches_all(&self) -> bool {
        matches!(&self.test, Test::Is(words) if words.iter().any(|word| word == "*"))
    }

    /// The globs of a matcher that wants one of them.
    pub fn wanted(&self) -> &[String] {
        if let Test::Is(words) = &self.test { words } else { &[] }
    }

    /// Whether no value that passes `other`, on the same label, is one of those that this wants.
    pub fn excludes(&self, other: &LabelMatcher) -> bool {
        let same = |word: &String| match self.label.as_str() {
            "severity" => Severity::from_word(word).map_or_else(String::new, |severity| severity.as_str().to_owned()),
            _ => word.clone(),
        };
        let passes =
            |word: &String| word.contains('*') || other.matches(&BTreeMap::from([(self.label.clone(), same(word))]));
        self.label == other.label && matches!(&self.test, Test::Is(words) if !words.iter().any(passes))
    }

    /// Whether a set of labels passes; a label that is absent is empty.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.label).map(String::as_str).unwrap_or_default();
        let any = |words: &[String]| {
            words.iter().any(|word| {
                let same = self.label == "severity" && Severity::from_word(word).map(Severity::as_str) == Some(value);
                same || glob(word, value)
            })
        };
        match &self.test {
            Test::Is(words) => any(words),
            Test::IsNot(words) => !any(words),
            Test::AtLeast(least) => Severity::from_word(value).is_some_and(|severity| severity >= *least),
        }
    }
}

/// The label of alerts that a word means: `rule` is the field's other word for `alertname`.
pub fn alert_label(word: &str) -> &str {
    if word == "rule" { "alertname" } else { word }
}

fn no_severity(word: &str) -> String {
    format!("`{word}` is no severity: {}", one_of(word, Severity::ALL.iter().map(|severity| severity.as_str())))
}

/// Without the quotes around the whole, when it has such.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    inner.filter(|v| !v.contains('"')).unwrap_or(value)
}

/// One of the alternatives. What is kept must mean the same when it is read again: silences are kept as text.
fn word(text: &str) -> Result<String, String> {
    let word = unquoted(text).trim();
    if word.contains('"') || word.starts_with('~') {
        return Err(format!(
            "`{word}`: a value has no `\"` within and does not begin with `~`; write `*` in their place"
        ));
    }
    Ok(word.to_owned())
}

/// Whether all of several pass.
pub fn all_match(matchers: &[LabelMatcher], labels: &BTreeMap<String, String>) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

impl fmt::Display for LabelMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.test {
            Test::Is(words) => write!(f, "{}={}", self.label, words.join("|")),
            Test::IsNot(words) => write!(f, "{}!={}", self.label, words.join("|")),
            Test::AtLeast(severity) => write!(f, "{}>={}", self.label, severity.as_str()),
        }
    }
}

impl Serialize for LabelMatcher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_string().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LabelMatcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        LabelMatcher::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_look_at_one_label() {
        let labels = [("alertname", "slow"), ("severity", "high"), ("agent", "prod-1")];
        let labels = labels.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        for (text, expected) in [
            ("agent=prod-*", true),
            ("agent = \"prod-1\"", true),
            ("agent!=prod-*", false),
            ("agent=dev|prod-1", true),
            ("agent=\"dev\"|\"prod-1\"", true),
            ("agent=\"dev|prod-1\"", true),
            ("rule=slow", true),
            ("severity>=warning", true),
            ("severity>=critical", false),
            ("severity=high|critical", true),
            ("severity=medium", false),
            ("team=", true),
            ("team=*", true),
            ("team!=", false),
        ] {
            let matcher = LabelMatcher::parse(text).expect(text);
            assert_eq!(matcher.matches(&labels), expected, "{text}");
            assert_eq!(LabelMatcher::parse(&matcher.to_string()), Ok(matcher), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_kept_as_text_reads_the_same(text in r#"(agent|severity)[=!<>~ ]{1,3}[ab"|~* =>]{0,8}"#) {
            if let Ok(matcher) = LabelMatcher::parse(&text) {
                proptest::prop_assert_eq!(LabelMatcher::parse(&matcher.to_string()), Ok(matcher));
            }
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in [
            "",
            "agent",
            "=x",
            "agent=~a.*",
            "agent>3",
            "agent>=high",
            "severity=loud",
            "a b=c",
            "agent=\"\"q\"\"",
            "agent= ~a",
        ] {
            assert!(LabelMatcher::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_remedy_is_about_what_is_wrong() {
        for (text, remedy) in [
            ("severity>=hihg", "`hihg` is no severity: did you mean `high`?"),
            ("severity=critcal", "`critcal` is no severity: did you mean `critical`?"),
            ("severity>=loud", "`loud` is no severity: write one of: info, warning, high, critical"),
            ("agent>=high", "`agent>=high`: only a severity has an order: write `severity>=high`"),
        ] {
            assert_eq!(LabelMatcher::parse(text), Err(remedy.to_owned()));
        }
    }
}
