//! Rules as Prometheus reads them: one alerting rule for each, over what the daemon shows at `/metrics`.
//!
//! The daemon decides (windows, baselines, `for`, levels, recovery) and shows the value of every active
//! alert; Prometheus repeats the decision. So the whole language maps but for what a message says of
//! one moment, and nothing is computed a second time from sampled numbers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::slo::Slo;
use super::threshold::{constant, thresholds};
use super::{Node, Rule, annotation};
use crate::model::{Severity, Unit};

/// The series of active alerts.
pub const ALERT_VALUE: &str = "evenkeel_alert_value";

/// Rules for Prometheus, and what they do not say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// The rule file.
    pub text: String,
    /// What does not map, rule by rule.
    pub unmapped: Vec<Unmapped>,
}

/// Something of a rule that has no place in Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unmapped {
    /// The rule's name.
    pub rule: String,
    /// What it is, and what stands there instead.
    pub what: String,
}

/// Writes alerting rules for Prometheus.
pub fn prometheus(rules: &[Rule]) -> Exported {
    let mut unmapped = Vec::new();
    let mut body = String::new();
    for rule in rules {
        let mut own: Vec<String> = match &rule.terms.slo {
            _ if rule.terms.shadow => vec!["a shadow rule tells nobody; it is left out".to_owned()],
            // What burns how fast hangs on the severity: each has a rule.
            Some(slo) => {
                slo.severities().flat_map(|severity| write_rule(&mut body, rule, Some((slo, severity)))).collect()
            }
            None => write_rule(&mut body, rule, None),
        };
        own.dedup();
        unmapped.extend(own.into_iter().map(|what| Unmapped { rule: rule.name.clone(), what }));
    }
    let mut text = "# Written by `evenkeel rules export`: Prometheus repeats what evenkeel decided.\n".to_owned();
    text += "# Scrape evenkeel's /metrics; windows, baselines, `for` and levels are evenkeel's. Routes, silences and\n";
    text += "# repeats of evenkeel are not here: that is what Alertmanager has of its own.\n";
    for Unmapped { rule, what } in &unmapped {
        let _ = writeln!(text, "# {}: {what}", rule.escape_debug());
    }
    text += "groups:\n  - name: evenkeel\n    rules:\n";
    text += &body;
    for (name, expr, summary) in [
        ("evenkeel_unwell", "evenkeel_healthy == 0 or absent(evenkeel_healthy)", "evenkeel is down or not well"),
        ("evenkeel_alerts_omitted", "evenkeel_alerts_omitted > 0", "more alerts are active than /metrics shows"),
    ] {
        let _ = writeln!(text, "      - alert: {name}\n        expr: {expr}\n        for: 5m");
        let _ = writeln!(text, "        labels: {{severity: critical}}\n        annotations: {{summary: {summary}}}");
    }
    Exported { text, unmapped }
}

/// An objective, and one of the severities at which its alerts are told.
type Tier<'a> = (&'a Slo, Severity);

/// Writes one rule; what of it does not map.
fn write_rule(text: &mut String, rule: &Rule, tier: Option<Tier<'_>>) -> Vec<String> {
    let mut unmapped = Vec::new();
    let name = quoted(&rule.name);
    let _ = writeln!(text, "      - alert: {name}");
    // The rule's name in PromQL is a string within a string of YAML.
    let of_tier = tier.map_or_else(String::new, |(_, severity)| format!(", severity=\"{}\"", severity.as_str()));
    let expr = format!("max without (rule, state) ({ALERT_VALUE}{{rule={name}, state=\"firing\"{of_tier}}})");
    let _ = writeln!(text, "        expr: {}", quoted(&expr));
    let mut labels: BTreeMap<&str, String> =
        tier.iter().map(|(_, severity)| ("severity", quoted(severity.as_str()))).collect();
    for (label, value) in &rule.labels {
        let plain = label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match plain && label != "severity" {
            true => drop(labels.insert(label, quoted(&value.replace("{{", "{ {")))),
            false => unmapped.push(format!("Prometheus has no label `{label}`; it is left out")),
        }
    }
    if !labels.is_empty() {
        text.push_str("        labels:\n");
        labels.iter().for_each(|(label, value)| *text += &format!("          {label}: {value}\n"));
    }
    let annotations = &rule.annotations;
    let mut own = BTreeMap::new();
    if let Some((slo, severity)) = tier {
        own.insert("description", slo.description(severity));
        own.retain(|name, _| !annotations.contains_key(*name));
    }
    if !annotations.is_empty() || !own.is_empty() {
        text.push_str("        annotations:\n");
    }
    for (annotation, filled) in own {
        let _ = writeln!(text, "          {annotation}: {}", quoted(&filled));
    }
    for (annotation, template) in annotations {
        let lost = RefCell::new(Vec::new());
        let filled = annotation::fill(template, |field| {
            let found = template_field(rule, tier, field);
            if found.is_none() {
                lost.borrow_mut().push(format!("`{{{{ {field} }}}}`"));
            }
            Some(found.unwrap_or_else(|| "(see evenkeel)".to_owned()))
        });
        let _ = writeln!(text, "          {}: {}", quoted(annotation), quoted(&filled));
        let lost = lost.into_inner();
        if !lost.is_empty() {
            let fields = lost.join(", ");
            unmapped.push(format!("annotation `{annotation}` names {fields}, which Prometheus does not know: it says `(see evenkeel)` there"));
        }
    }
    unmapped
}

/// A field of an annotation in Prometheus' templates.
fn template_field(rule: &Rule, tier: Option<Tier<'_>>, field: &str) -> Option<String> {
    let of_subject =
        |label: &str| rule.by.iter().any(|d| d.as_str() == label).then(|| format!("{{{{ $labels.{label} }}}}"));
    let plain = rule.terms.levels.is_empty() && rule.terms.overrides.is_empty();
    let mut units = rule.roots().map(deciding_unit);
    let unit = units.next().filter(|first| units.all(|unit| unit == *first)).unwrap_or(Unit::Any);
    // Of several burn rates of one severity nobody knows which it is.
    let burn = tier.map(|(slo, severity)| {
        let mut burns = slo.told_at(severity);
        (slo, burns.next().filter(|_| burns.next().is_none()))
    });
    match field {
        "value" => Some(match unit {
            Unit::Ratio => "{{ $value | humanizePercentage }}".to_owned(),
            Unit::Duration => "{{ printf \"%.0f\" $value }}ms".to_owned(),
            Unit::Money => "${{ printf \"%.2f\" $value }}".to_owned(),
            _ => "{{ printf \"%.4g\" $value }}".to_owned(),
        }),
        "burn" => tier.map(|(slo, severity)| slo.burns(rule, severity)),
        "objective" => tier.map(|(slo, _)| Unit::Ratio.show(slo.objective)),
        "threshold" if burn.is_some() => burn.and_then(|(slo, burn)| Some(Unit::Ratio.show(slo.threshold(burn?.rate)))),
        "window" if burn.is_some() => burn.and_then(|(_, burn)| Some(burn?.long.to_string())),
        "threshold" => constant(rule, 0).filter(|_| plain && thresholds(rule) == 1).map(|value| unit.show(value)),
        "severity" | "level" => Some("{{ $labels.severity }}".to_owned()),
        "window" => Some(rule.window.to_string()),
        "rule" => Some(rule.name.clone()),
        "condition" => plain.then(|| rule.condition.clone()),
        "state" => Some("firing".to_owned()),
        "subject" => {
            let labels = rule.by.iter().map(|d| format!("{0}={{{{ $labels.{0} }}}}", d.as_str()));
            let labels: Vec<String> = labels.collect();
            Some(if labels.is_empty() { "fleet".to_owned() } else { labels.join(" ") })
        }
        _ => {
            let label = field.strip_prefix(annotation::LABEL_PREFIX).unwrap_or(field);
            rule.labels.get(label).cloned().or_else(|| of_subject(label))
        }
    }
}

/// The unit of the comparison that decides when a condition holds; of `or` it may be either side.
fn deciding_unit(root: &Node) -> Unit {
    match root {
        Node::And(_, right) => deciding_unit(right),
        Node::Or(left, right) => {
            let unit = deciding_unit(left);
            if unit == deciding_unit(right) { unit } else { Unit::Any }
        }
        other => other.unit(),
    }
}

/// A text as YAML and PromQL read it back.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::model::Span;

    #[test]
    fn what_does_not_map_is_said_rule_by_rule() {
        let text = "alerts:\n\
            - {name: errors, condition: error_rate > 10%, window: 5m, labels: {team: core},\n   \
            annotations: {summary: \"{{ agent }} fails {{ value }} of {{ n }} against {{ threshold }}\"}}\n\
            - {name: both, condition: executions > 5 and error_rate > 10%, annotations: {summary: \"{{ value }}\"}}\n\
            - {name: trial, condition: error_rate > 20%, window: 5m, shadow: true}\n";
        let (rules, faults) = crate::rule::load::load(&[SourceFile::new("r.yaml", text)], Span::seconds(15));
        assert_eq!(rules.len(), 3, "{faults:?}");
        let exported = prometheus(&rules);
        let said: Vec<(&str, &str)> = exported.unmapped.iter().map(|u| (u.rule.as_str(), u.what.as_str())).collect();
        let lost =
            "annotation `summary` names `{{ n }}`, which Prometheus does not know: it says `(see evenkeel)` there";
        assert_eq!(said, [("errors", lost), ("trial", "a shadow rule tells nobody; it is left out")]);
        let expected = "      - alert: \"errors\"\n        expr: \"max without (rule, state) (evenkeel_alert_value{rule=\\\"errors\\\", state=\\\"firing\\\"})\"\n        labels:\n          team: \"core\"\n        annotations:\n          \"summary\": \"{{ $labels.agent }} fails {{ $value | humanizePercentage }} of (see evenkeel) against 10%\"\n";
        assert!(exported.text.contains(expected), "{}", exported.text);
        let of_last = "\"summary\": \"{{ $value | humanizePercentage }}\"";
        assert!(exported.text.contains(of_last), "the last of `and` decides: {}", exported.text);
        assert!(!exported.text.contains("alert: \"trial\"") && exported.text.contains("# trial: a shadow rule"));
    }
}
