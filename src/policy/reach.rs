//! Alerts that reach nobody, routes to which no alert comes, incidents that are too mild for a receiver, labels that no
//! alert has: what rules and routing say only together.
//!
//! Of the labels of a subject only the names are known beforehand, so a matcher on one of them may match or
//! not; only what is certain is said.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::labels;
use crate::diagnostic::{Diagnostic, Level, SourceFile};
use crate::model::hours::{next_change, within};
use crate::model::{Severity, Timestamp};
use crate::rule::Rule;
use crate::rule::left_out::LeftOut;
use crate::rule::places::{Places, get};
use crate::settings::routing::Maintenance;
use crate::settings::{Receiver, Settings};
use crate::wire::matcher::{LabelMatcher, alert_label};
use crate::wire::yaml::{self, Node, Value};

/// What one rule raises at one severity.
struct Raised<'a> {
    rule: &'a Rule,
    severity: Severity,
    labels: BTreeMap<String, String>,
}

impl<'a> Raised<'a> {
    /// Every severity that a rule may raise an alert at, and tell of it.
    fn of(rule: &'a Rule) -> impl Iterator<Item = Raised<'a>> {
        let levels = rule.terms.levels.iter().chain(rule.terms.overrides.iter().flat_map(|o| &o.levels));
        let own = rule.terms.levels.is_empty().then_some(rule.severity);
        let severities: BTreeSet<Severity> = own.into_iter().chain(levels.map(|level| level.severity)).collect();
        severities.into_iter().filter(|_| !rule.terms.shadow).map(|severity| {
            let mut labels = rule.labels.clone();
            labels.insert("severity".to_owned(), severity.as_str().to_owned());
            labels.insert("alertname".to_owned(), rule.name.clone());
            Raised { rule, severity, labels }
        })
    }

    /// Whether all of several matchers match; `None` when it hangs on the subject.
    fn matches(&self, matchers: &[LabelMatcher]) -> Option<bool> {
        let open = |matcher: &&LabelMatcher| self.rule.by.iter().any(|d| d.as_str() == matcher.label());
        if matchers.iter().filter(|m| !open(m)).any(|matcher| !matcher.matches(&self.labels)) {
            return Some(false);
        }
        let sure = |matcher: &LabelMatcher| !open(&matcher) || matcher.matches_all();
        matchers.iter().all(sure).then_some(true)
    }
}

/// Everything that is certain about rules and routing together. `config` is the text of the settings; of the rules, those
/// that hold and those that are left out.
pub fn faults(
    config: &SourceFile,
    rules: &[SourceFile],
    settings: &Settings,
    (loaded, left_out): (&[Rule], &[LeftOut]),
) -> Vec<Diagnostic> {
    let raised: Vec<Raised<'_>> = loaded.iter().flat_map(Raised::of).collect();
    let root = yaml::parse(config).ok();
    let mut faults = root.iter().flat_map(|root| unknown_labels(config, root, loaded, left_out)).collect::<Vec<_>>();
    let told: Vec<Range<usize>> = faults.iter().map(|fault| fault.bytes.clone()).collect();
    if settings.receivers.is_empty() || raised.is_empty() {
        return faults;
    }
    let mut visited = vec![false; settings.routing.routes.len()];
    for raised in &raised {
        if reaches_nobody(raised, settings, &mut visited) {
            faults.extend(nobody(raised, rules, settings));
        }
    }
    faults.extend(loaded.iter().filter_map(|rule| too_mild(rule, &raised, rules, settings)));
    let Some(root) = root else { return faults };
    let mut say = |section: &str, index: usize, key: &str, message: String, help: &str| {
        let entry = entries(&root, section).into_iter().filter(|node| section != "routes" || is_kept(node, settings));
        let place = entry.skip(index).map(|node| get(node, key).unwrap_or(node).bytes.clone()).next().unwrap_or(0..0);
        // A label that no alert has says why.
        if !told.iter().any(|told| place.start <= told.start && told.end <= place.end) {
            faults.push(Diagnostic::warning(config, place, message, help));
        }
    };
    for (index, route) in settings.routing.routes.iter().enumerate().filter(|(index, _)| !visited[*index]) {
        // A route behind one that takes everything has been told of.
        if !route.matchers.is_empty() {
            let message = "no rule raises an alert that comes to this route".to_owned();
            say(
                "routes",
                index,
                "matchers",
                message,
                "compare its matchers with the rules and the routes before it, or delete it",
            );
        }
    }
    let never = |matchers: &[LabelMatcher]| raised.iter().all(|raised| raised.matches(matchers) == Some(false));
    for (index, inhibition) in settings.routing.inhibitions.iter().enumerate() {
        for (key, matchers) in [("source", &inhibition.source), ("target", &inhibition.target)] {
            if never(matchers) {
                let message = format!("no rule raises an alert that matches `{key}`");
                say("inhibit", index, key, message, "compare its matchers with the rules, or delete it");
            }
        }
    }
    for (index, maintenance) in settings.routing.maintenance.iter().enumerate() {
        if never(&maintenance.matchers) {
            let message = format!("no rule raises an alert that the maintenance `{}` covers", maintenance.name);
            say("maintenance", index, "matchers", message, "compare its matchers with the rules, or delete it");
        }
    }
    faults
}

/// Maintenance that is over and does not come again: what `config`, the text of the settings, says that holds no more.
pub fn over(config: &SourceFile, settings: &Settings, now: Timestamp) -> Vec<Diagnostic> {
    let Ok(root) = yaml::parse(config) else { return Vec::new() };
    let windows = entries(&root, "maintenance").into_iter().zip(&settings.routing.maintenance);
    let over = windows.filter(|(_, window)| !within(&window.hours, now) && next_change(&window.hours, now).is_none());
    let fault = |(node, window): (&Node, &Maintenance)| {
        let place = get(node, "hours").unwrap_or(node).bytes.clone();
        let message = format!("the maintenance `{}` is over and does not come again", window.name);
        Diagnostic::warning(config, place, message, "write hours to come, or delete it")
    };
    over.map(fault).collect()
}

/// Whether nobody can be told, whatever the subject; marks the routes that it may come to.
fn reaches_nobody(raised: &Raised<'_>, settings: &Settings, visited: &mut [bool]) -> bool {
    let takes = |receiver: &&Receiver| raised.severity >= receiver.min_severity;
    // Alertmanagers are told of everything.
    let mut told = settings.receivers.iter().filter(takes).any(|receiver| receiver.resend().is_some());
    let mut matched = false;
    for (route, visited) in settings.routing.routes.iter().zip(visited) {
        let matches = raised.matches(&route.matchers);
        if matches == Some(false) {
            continue;
        }
        *visited = true;
        told |= settings.receivers.iter().filter(takes).any(|receiver| route.receivers.contains(&receiver.name));
        matched |= matches == Some(true);
        if matches == Some(true) && !route.proceed {
            break;
        }
    }
    !told && (matched || !settings.receivers.iter().any(|receiver| takes(&receiver)))
}

/// An incident that some receiver of the alerts it covers is never told of, because it is too mild for it.
fn too_mild(rule: &Rule, raised: &[Raised<'_>], files: &[SourceFile], settings: &Settings) -> Option<Diagnostic> {
    let gravest =
        |name: &str| raised.iter().filter(|raised| raised.rule.name == name).map(|raised| raised.severity).max();
    let own = gravest(&rule.name)?;
    let covered = rule.terms.covers.iter().filter_map(|name| Some((gravest(name)?, name)));
    let (worst, covered) = covered.max_by_key(|(severity, _)| *severity)?;
    let deaf = |receiver: &&Receiver| receiver.resend().is_none() && own < receiver.min_severity;
    let deaf = settings.receivers.iter().find(|receiver| deaf(receiver) && receiver.min_severity <= worst)?;
    let file = file(rule, files)?;
    let bytes = Places::find(file, rule)?.severity(own);
    let message = format!(
        "`{}` is never told of the rule `{}`, at most `{}`, and is told of the alerts of `{covered}` one by one",
        deaf.name,
        rule.name,
        own.as_str(),
    );
    let help = format!("make it `{}`, so that one message there stands for all", worst.as_str());
    Some(Diagnostic::at(Level::Warning, file, bytes, message, help))
}

/// The file that a rule was read from.
fn file<'a>(rule: &Rule, files: &'a [SourceFile]) -> Option<&'a SourceFile> {
    let path = rule.place.rsplit_once(':').map_or(rule.place.as_str(), |(path, _)| path);
    files.iter().find(|file| file.path == path)
}

fn nobody(raised: &Raised<'_>, files: &[SourceFile], settings: &Settings) -> Option<Diagnostic> {
    let Raised { rule, severity, .. } = raised;
    let file = file(rule, files)?;
    let bytes = Places::find(file, rule)?.severity(*severity);
    let message = format!("alerts of the rule `{}` at severity `{}` reach nobody", rule.name, severity.as_str());
    let takers = settings.receivers.iter().map(|r| format!("`{}` takes {} and above", r.name, r.min_severity.as_str()));
    let takers: Vec<String> = takers.take(5).collect();
    let help = format!(
        "{}: lower a `min_severity`, or name another receiver in the route that they come to",
        takers.join(", ")
    );
    Some(Diagnostic::at(Level::Warning, file, bytes, message, help))
}

/// Labels that routing names and no alert has: an absent label is empty, so that these tell alerts apart, or keep them
/// out, without a word.
fn unknown_labels(config: &SourceFile, root: &Node, rules: &[Rule], left_out: &[LeftOut]) -> Vec<Diagnostic> {
    let mut faults = Vec::new();
    if rules.is_empty() {
        return faults;
    }
    let is_left_out = |matcher: &LabelMatcher| {
        matcher.label() == "alertname" && left_out.iter().any(|left| matcher.wanted().contains(&left.rule))
    };
    for (section, matchers, names) in [
        ("routes", ["matchers"].as_slice(), Some("group_by")),
        ("inhibit", &["source", "target"], Some("equal")),
        ("maintenance", &["matchers"], None),
    ] {
        for entry in entries(root, section) {
            let texts = |key: &str| get(entry, key).map(texts).unwrap_or_default();
            let of_matchers = matchers.iter().flat_map(|key| texts(key)).filter_map(|(text, bytes)| {
                let matcher = LabelMatcher::parse(text).ok().filter(|matcher| !is_left_out(matcher))?;
                labels::in_vain(rules, &matcher).map(|said| (bytes, said))
            });
            // `...` are all labels, as in Alertmanager.
            let of_names = names.into_iter().flat_map(texts).filter(|(text, _)| *text != "...");
            let of_names = of_names.filter_map(|(text, bytes)| {
                let (message, help) = labels::unknown(rules, alert_label(text))?;
                Some((bytes, (format!("{message}, so `{text}` is the same of all"), help)))
            });
            faults.extend(
                of_matchers
                    .chain(of_names)
                    .map(|(bytes, (message, help))| Diagnostic::warning(config, bytes, message, help)),
            );
        }
    }
    faults
}

/// Whether a route is one of the settings': one to Alertmanagers alone is none.
fn is_kept(route: &Node, settings: &Settings) -> bool {
    let named = get(route, "receivers").map(texts).unwrap_or_default();
    let means = |receiver: &Receiver, name: &str| {
        receiver.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    named.iter().any(|(name, _)| settings.receivers.iter().any(|r| r.resend().is_none() && means(r, name)))
}

/// The entries of a list of the settings.
fn entries<'a>(root: &'a Node, section: &str) -> Vec<&'a Node> {
    match get(root, section).map(|node| &node.value) {
        Some(Value::Sequence(entries)) => entries.iter().collect(),
        _ => Vec::new(),
    }
}

/// The texts of a list, or the one text, each with its place.
fn texts(node: &Node) -> Vec<(&str, Range<usize>)> {
    let items = if let Value::Sequence(items) = &node.value { items.as_slice() } else { std::slice::from_ref(node) };
    let texts = items.iter().filter(|item| !item.is_null()).filter_map(|item| match &item.value {
        Value::Scalar { text, .. } => Some((text.as_str(), item.bytes.clone())),
        _ => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::policy::{Policy, PolicySource};

    fn said(routing: &str, rules: &str) -> Vec<String> {
        let file = |name: &str, text: String| (name.to_owned(), text);
        let receivers = "receivers:\n- {name: ops, min_severity: warning, webhook: {url: http://a}}\n- {name: pager, min_severity: critical, webhook: {url: http://b}}\n";
        let config = Some(file("evenkeel.yaml", format!("{receivers}{routing}")));
        let source = PolicySource { config, rules: vec![file("r.yaml", rules.to_owned())], ..PolicySource::default() };
        let (_, found) = Policy::load(&source, Path::new(""));
        found.iter().map(|d| format!("{}:{}:{} {}", d.file, d.line, d.column, d.message)).collect()
    }

    #[test]
    fn a_severity_that_leads_nowhere_is_told() {
        let rules = "alerts:\n- {name: a, condition: cost > $1, severity: info, labels: {team: core}}\n- name: b\n  levels: {low: cost > $1, high: cost > $2}\n- {name: c, condition: cost > $1, severity: info, shadow: true}\n";
        let nowhere = [
            "r.yaml:2:45 alerts of the rule `a` at severity `info` reach nobody",
            "r.yaml:4:12 alerts of the rule `b` at severity `info` reach nobody",
        ];
        assert_eq!(said("", rules), nowhere);
        let alertmanager = "- {name: am, alertmanager: {urls: [\"http://am:9093\"]}}\n";
        assert_eq!(said(alertmanager, rules), [""; 0]);
        // Warnings of team core go to the pager alone, which takes none.
        let routes = "routes:\n- {matchers: [team=core], receivers: [pager]}\n- {receivers: [ops, pager]}\n";
        let warning = rules.replace("severity: info, labels", "labels").replace("low", "warning");
        assert_eq!(said(routes, &warning), ["r.yaml:2:10 alerts of the rule `a` at severity `warning` reach nobody"]);
        let agent = routes.replace("team=core", "agent=core");
        assert_eq!(said(&agent, &warning), [""; 0], "it hangs on the agent");
    }

    #[test]
    fn an_incident_that_is_too_mild_for_a_receiver_of_what_it_covers_is_told() {
        let rules = "alerts:\n- {name: failing, condition: error_rate > 50%, min_samples: 10, severity: critical}\n- {name: down, condition: alerting_share > 40%, covers: [failing], by: provider, min_samples: 5}\n";
        let told = "r.yaml:3:10 `pager` is never told of the rule `down`, at most `warning`, and is told of the alerts of \
                    `failing` one by one";
        assert_eq!(said("", rules), [told]);
        for unlike in
            [("min_samples: 5}", "min_samples: 5, severity: critical}"), ("severity: critical", "severity: high")]
        {
            assert_eq!(said("", &rules.replace(unlike.0, unlike.1)), [""; 0], "{unlike:?}");
        }
    }

    #[test]
    fn a_route_that_no_alert_comes_to_is_told() {
        let rules = "alerts:\n- {name: a, condition: cost > $1}\n";
        let routing = "routes:\n- {matchers: [alertname=b], receivers: [ops]}\n- {matchers: [severity>=warning], receivers: [ops]}\n- {matchers: [agent=x], receivers: [ops]}\n- {receivers: [ops, pager]}\ninhibit:\n- {source: tenant=x, target: agent=a}\nmaintenance:\n- {name: night, matchers: [severity=critical], hours: [\"mon 09:00-10:00\"]}\n";
        assert_eq!(
            said(routing, rules),
            [
                "evenkeel.yaml:5:15 there is no rule `b`",
                "evenkeel.yaml:10:12 no rule's alert has the label `tenant`",
                "evenkeel.yaml:7:14 no rule raises an alert that comes to this route",
                "evenkeel.yaml:12:27 no rule raises an alert that the maintenance `night` covers",
            ]
        );
    }
    #[test]
    fn a_label_that_no_alert_has_is_told_wherever_it_stands() {
        let rules = "alerts:\n- {name: a, condition: cost > $1, labels: {team: core}}\nslos:\n- {name: b, objective: 99%, good: success_rate}\n";
        let of = |routing: &str| {
            said(&format!("- {{name: am, alertmanager: {{urls: [\"http://am:9093\"]}}}}\n{routing}"), rules)
        };
        let fine = "routes:\n- {matchers: [rule=a, severity>=info, \"agent=x*\", team=core], group_by: [rule, alertname, severity, agent, team, slo], receivers: [ops, pager]}\n- {group_by: [...], matchers: agent=y, receivers: [ops, pager]}\n- {group_by: [], receivers: [ops]}\ninhibit:\n- {source: severity=high, target: severity=warning, equal: [agent, rule]}\nmaintenance:\n- {name: m, matchers: [tenant!=x], hours: \"mon 09:00-10:00\"}\n";
        assert_eq!(of(fine), [""; 0]);
        let same = "no rule's alert has the label `agnt`, so `agnt` is the same of all";
        for (routing, expected) in [
            ("inhibit:\n- {source: severity=high, target: severity=warning, equal: [agent, agnt]}\n", format!("6:68 {same}")),
            ("routes:\n- {group_by: agnt, receivers: [ops, pager]}\n", format!("6:14 {same}")),
            ("routes:\n- {matchers: [severity=info, agnt=x], receivers: [ops]}\n- {receivers: [ops, pager]}\n", "6:30 no rule's alert has the label `agnt`".into()),
            ("routes:\n- {matchers: \"agnt!=x\", receivers: [ops, pager]}\n", "6:14 no rule's alert has the label `agnt`, so `agnt!=x` lets every alert pass".into()),
            ("maintenance:\n- {name: m, matchers: [agnt=x], hours: \"mon 09:00-10:00\"}\n", "6:24 no rule's alert has the label `agnt`".into()),
            // What stands before it is no route: an Alertmanager is told of everything.
            ("routes:\n- {matchers: [agent=x], receivers: [am]}\n- {matchers: [severity=info], receivers: [ops, pager]}\n", "6:37 `am` is an Alertmanager, which gets every alert whatever the routes say|7:14 no rule raises an alert that comes to this route".into()),
        ] {
            let expected: Vec<String> = expected.split('|').map(|text| format!("evenkeel.yaml:{text}")).collect();
            let mut found = of(routing);
            found.retain(|text| !text.contains("takes "));
            assert_eq!(found, expected, "{routing}");
        }
    }
}
