//! Which labels the alerts of rules have, and what is said of those that none of them has: the same of routing and of
//! silences.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnostic::did_you_mean;
use crate::rule::Rule;
use crate::wire::fields::one_of;
use crate::wire::matcher::LabelMatcher;

/// The labels of an alert by which people choose alerts: of its rule, of its subject, and those that the rule adds.
fn labels(rules: &[Rule]) -> BTreeSet<&str> {
    let mut known = BTreeSet::from(["alertname", "severity"]);
    for rule in rules {
        known.extend(rule.by.iter().map(|dimension| dimension.as_str()));
        known.extend(rule.labels.keys().map(String::as_str));
    }
    known
}

/// That no alert of the rules has a label, with what was probably meant.
pub fn unknown(rules: &[Rule], label: &str) -> Option<(String, String)> {
    let known = labels(rules);
    let help = || one_of(label, known.iter().copied());
    (!known.contains(label)).then(|| (format!("no rule's alert has the label `{label}`"), help()))
}

/// Why no alert of the rules can pass a matcher, or every one does because of a slip, with what was probably meant.
pub fn in_vain(rules: &[Rule], matcher: &LabelMatcher) -> Option<(String, String)> {
    let label = matcher.label();
    if label == "alertname" {
        let alert = |rule: &Rule| BTreeMap::from([(label.to_owned(), rule.name.clone())]);
        if rules.iter().any(|rule| matcher.matches(&alert(rule))) {
            return None;
        }
        let names = || rules.iter().map(|rule| rule.name.as_str());
        return Some(match matcher.wanted() {
            [word] => (format!("there is no rule `{word}`"), one_of(word, names())),
            _ => (format!("no rule passes `{matcher}`"), "`evenkeel rules` lists them".to_owned()),
        });
    }
    let (message, help) = unknown(rules, label)?;
    // A label that is absent is empty, which `label!=value` lets pass: meant so, unless another label is near.
    if !matcher.matches(&BTreeMap::new()) {
        return Some((message, help));
    }
    let slip = did_you_mean(label, labels(rules)).is_some();
    slip.then(|| (format!("{message}, so `{matcher}` lets every alert pass"), help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::model::Span;

    #[test]
    fn a_matcher_that_no_alert_can_pass_is_told_with_what_was_meant() {
        let rules = "alerts:\n- {name: errors, condition: error_rate > 10%, by: agent, labels: {team: core}}\n";
        let (rules, faults) = crate::rule::load::load(&[SourceFile::new("r.yaml", rules)], Span::seconds(15));
        assert_eq!(rules.len(), 1, "{faults:?}");
        let told = |text: &str| {
            let told = in_vain(&rules, &LabelMatcher::parse(text).expect("a matcher"));
            told.map_or_else(String::new, |(message, help)| format!("{message}: {help}"))
        };
        for fine in ["agent=a", "severity>=high", "team=x", "rule=err*", "tenant!=x", "tenant=*", "alertname!=x"] {
            assert_eq!(told(fine), "");
        }
        assert_eq!(told("agnet=a"), "no rule's alert has the label `agnet`: did you mean `agent`?");
        let every = "no rule's alert has the label `agnet`, so `agnet!=a` lets every alert pass: did you mean `agent`?";
        assert_eq!(told("agnet!=a"), every);
        assert_eq!(told("rule=erors"), "there is no rule `erors`: did you mean `errors`?");
        assert_eq!(told("rule=a|b"), "no rule passes `alertname=a|b`: `evenkeel rules` lists them");
        let listed = "write one of: agent, alertname, severity, team";
        assert_eq!(told("model=x"), format!("no rule's alert has the label `model`: {listed}"));
        assert_eq!(unknown(&rules, "alertname"), None);
    }
}
