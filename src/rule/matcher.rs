//! Matches label values against globs in time linear in the value.

use std::fmt;

use super::Matcher;

impl fmt::Display for Matcher {
    /// `agent=batch-*|nightly`, `model!=gpt-*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negated { "!=" } else { "=" };
        write!(f, "{}{sign}{}", self.dimension.as_str(), self.patterns.join("|"))
    }
}

impl Matcher {
    /// Whether an execution whose label has `value` counts. A label that is absent has the empty
    /// value, which `*` matches.
    pub fn matches(&self, value: &str) -> bool {
        self.patterns.iter().any(|pattern| glob(pattern, value)) != self.negated
    }

    /// Whether every value that this matches is surely matched by the other too.
    fn within(&self, other: &Matcher) -> bool {
        // A star in the inner pattern can only be taken by a star of the outer one, and so can whatever it stands for.
        let inside = |inner: &[String], outer: &[String]| inner.iter().all(|i| outer.iter().any(|o| glob(o, i)));
        match (self.negated, other.negated) {
            (false, false) => inside(&self.patterns, &other.patterns),
            (true, true) => inside(&other.patterns, &self.patterns),
            (false, true) => self.patterns.iter().all(|pattern| !pattern.contains('*') && other.matches(pattern)),
            (true, false) => false,
        }
    }
}

/// Whether every subject that passes all of `own` surely passes all of `earlier` too.
pub fn shadows(earlier: &[Matcher], own: &[Matcher]) -> bool {
    let passes = |matcher: &Matcher| {
        let any = !matcher.negated && matcher.patterns.iter().any(|pattern| pattern == "*");
        any || own.iter().any(|own| own.dimension == matcher.dimension && own.within(matcher))
    };
    earlier.iter().all(passes)
}

/// Whether `value` as a whole matches `pattern`, where `*` stands for any run of characters.
///
/// The pieces between stars are searched from left to right, each once: taking the first place
/// of a piece never hurts the pieces behind it, so there is no backtracking.
pub fn glob(pattern: &str, value: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == value };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(value) = value.strip_prefix(head) else { return false };
    let Some(mut value) = value.strip_suffix(tail) else { return false };
    for piece in middle.split('*') {
        match value.find(piece) {
            Some(at) => value = &value[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Dimension;
    use proptest::prelude::*;

    #[test]
    fn globs_match_whole_values() {
        for (pattern, value, expected) in [
            ("reviewer", "reviewer", true),
            ("reviewer", "reviewer2", false),
            ("claude-*", "claude-sonnet-4.5", true),
            ("claude-*", "gpt-claude-1", false),
            ("*-4.5", "claude-sonnet-4.5", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*a", "aba", true),
            ("a*b*a", "ab", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("**b**", "abc", true),
        ] {
            assert_eq!(glob(pattern, value), expected, "{pattern} {value}");
        }
    }

    #[test]
    fn negation_excludes_what_matches() {
        let patterns = vec!["test-*".to_owned(), "tmp".to_owned()];
        let matcher = Matcher { dimension: Dimension::Agent, patterns, negated: true };
        assert!(matcher.matches("reviewer"));
        assert!(!matcher.matches("test-1"));
        assert!(!matcher.matches("tmp"));
    }

    #[test]
    fn what_an_earlier_selection_leaves_is_known() {
        let matcher = |(word, pattern): &(&str, &str)| {
            let negated = pattern.starts_with('!');
            let patterns = pattern.trim_start_matches('!').split('|').map(str::to_owned).collect();
            Matcher { dimension: Dimension::from_word(word).expect("a label"), patterns, negated }
        };
        for (earlier, own, expected) in [
            (vec![("agent", "a*")], vec![("agent", "a1")], true),
            (vec![("agent", "a*")], vec![("agent", "a1*")], true),
            (vec![("agent", "a*")], vec![("agent", "a1|b1")], false),
            (vec![("agent", "a*|b*")], vec![("agent", "a1|b1")], true),
            (vec![("agent", "a1")], vec![("agent", "a*")], false),
            (vec![("agent", "a*")], vec![("agent", "a1"), ("model", "x")], true),
            (vec![("agent", "a*"), ("model", "x")], vec![("agent", "a1")], false),
            (vec![("agent", "a*"), ("model", "*")], vec![("agent", "a1")], true),
            (vec![("agent", "!b*")], vec![("agent", "a1")], true),
            (vec![("agent", "!b*")], vec![("agent", "b1")], false),
            (vec![("agent", "!b*")], vec![("agent", "a*")], false),
            (vec![("agent", "!b1")], vec![("agent", "!b*")], true),
            (vec![("agent", "!b*")], vec![("agent", "!b1")], false),
            (vec![("agent", "a*")], vec![("agent", "!b*")], false),
            (vec![("agent", "*")], vec![("model", "x")], true),
        ] {
            let all = |of: &[(&str, &str)]| of.iter().map(matcher).collect::<Vec<_>>();
            assert_eq!(shadows(&all(&earlier), &all(&own)), expected, "{earlier:?} {own:?}");
        }
    }

    /// The definition, by trying every split.
    fn slow(pattern: &[char], value: &[char]) -> bool {
        match pattern.split_first() {
            None => value.is_empty(),
            Some(('*', rest)) => (0..=value.len()).any(|i| slow(rest, &value[i..])),
            Some((c, rest)) => value.first() == Some(c) && slow(rest, &value[1..]),
        }
    }

    proptest! {
        #[test]
        fn globs_agree_with_their_definition(pattern in "[ab*]{0,7}", value in "[ab]{0,8}") {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            prop_assert_eq!(glob(&pattern, &value), slow(&chars(&pattern), &chars(&value)));
        }

        #[test]
        fn what_is_within_is_matched(
            inner in "!?[ab*]{0,4}", outer in "!?[ab*]{0,4}", value in "[ab]{0,5}",
        ) {
            let matcher = |text: &str| Matcher {
                dimension: Dimension::Agent,
                patterns: vec![text.trim_start_matches('!').to_owned()],
                negated: text.starts_with('!'),
            };
            let (inner, outer) = (matcher(&inner), matcher(&outer));
            prop_assert!(!inner.within(&outer) || !inner.matches(&value) || outer.matches(&value));
        }
    }
}
