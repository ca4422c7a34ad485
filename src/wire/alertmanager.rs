//! The body of Alertmanager's webhook, version 4, which dozens of receivers already read.
//!
//! Owns the shape, the group key and the fingerprint; decides nothing about when or to whom.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::Timestamp;

/// Names to values, ordered by name.
pub type Labels = BTreeMap<String, String>;

/// The whole body.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Always `4`.
    pub version: &'static str,
    /// Identity of the group: the same for every message about the same labels.
    pub group_key: String,
    /// Alerts of the group left out of `alerts`.
    pub truncated_alerts: u64,
    /// `firing` while any alert fires.
    pub status: Status,
    /// The receiver's name.
    pub receiver: String,
    /// Those of the labels that identify the group that all alerts share.
    pub group_labels: Labels,
    /// The labels that all alerts share.
    pub common_labels: Labels,
    /// The annotations that all alerts share.
    pub common_annotations: Labels,
    /// Where the sender is found; empty when it serves no API.
    #[serde(rename = "externalURL")]
    pub external_url: String,
    /// The alerts.
    pub alerts: Vec<Alert>,
}

/// One alert of a body.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    /// Whether it still fires.
    pub status: Status,
    /// What identifies it.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Labels,
    /// RFC 3339: since when it fires.
    pub starts_at: String,
    /// RFC 3339: when it was resolved; year 1 while it fires, as Alertmanager writes it.
    pub ends_at: String,
    /// Where the alert can be looked at; empty when the sender serves no API.
    #[serde(rename = "generatorURL")]
    pub generator_url: String,
    /// Sixteen hexadecimal digits, see [`fingerprint`].
    pub fingerprint: String,
}

/// One alert of the body of `POST /api/v2/alerts`, an array of them (`postableAlert` of its OpenAPI document).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Postable {
    /// What identifies it: names that Prometheus allows, no empty values.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Labels,
    /// RFC 3339: since when it fires.
    pub starts_at: String,
    /// RFC 3339: when it was resolved, or until when it is to be believed.
    pub ends_at: String,
    /// Where the alert can be looked at; absent when the sender serves no API.
    #[serde(rename = "generatorURL", skip_serializing_if = "String::is_empty")]
    pub generator_url: String,
}

impl Postable {
    /// An alert that fires from `starts_at` to `ends_at`.
    pub fn new(
        labels: Labels,
        annotations: Labels,
        starts_at: Timestamp,
        ends_at: Timestamp,
        generator_url: String,
    ) -> Postable {
        Postable {
            labels: named(labels),
            annotations: named(annotations),
            starts_at: starts_at.to_rfc3339(),
            ends_at: ends_at.to_rfc3339(),
            generator_url,
        }
    }
}

/// Names as Prometheus allows them (letters, digits, `_`, no digit first), without empty values: one bad
/// name and Alertmanager takes none of the alert.
fn named(labels: Labels) -> Labels {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name = |name: String| {
        let name: String = name.chars().map(word).collect();
        if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
    };
    let named = labels.into_iter().filter(|(n, v)| !n.is_empty() && !v.is_empty());
    named.map(|(n, v)| (name(n), v)).collect()
}

/// The two states that receivers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Status {
    Firing,
    Resolved,
}

/// How Go prints the time that was never set.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Alert {
    /// An alert that fires since `starts_at` and was resolved at `ends_at`, if it was.
    pub fn new(
        labels: Labels,
        annotations: Labels,
        starts_at: Timestamp,
        ends_at: Option<Timestamp>,
        generator_url: String,
    ) -> Alert {
        Alert {
            status: if ends_at.is_some() { Status::Resolved } else { Status::Firing },
            fingerprint: format!("{:016x}", fingerprint(&labels)),
            labels,
            annotations,
            starts_at: starts_at.to_rfc3339(),
            ends_at: ends_at.map_or_else(|| NEVER.to_owned(), Timestamp::to_rfc3339),
            generator_url,
        }
    }
}

impl Webhook {
    /// The message to `receiver` about the alerts of a group: the matchers of its route, its labels, and how many of
    /// its alerts are not among these.
    pub fn new(receiver: &str, external_url: &str, group: (&str, &Labels, u64), alerts: Vec<Alert>) -> Webhook {
        let (matched, labels, truncated) = group;
        let firing = alerts.iter().any(|a| a.status == Status::Firing);
        Webhook {
            version: "4",
            group_key: group_key(matched, labels),
            truncated_alerts: truncated,
            status: if firing { Status::Firing } else { Status::Resolved },
            receiver: receiver.to_owned(),
            group_labels: common(std::iter::once(labels).chain(alerts.iter().map(|a| &a.labels))),
            common_labels: common(alerts.iter().map(|a| &a.labels)),
            common_annotations: common(alerts.iter().map(|a| &a.annotations)),
            external_url: external_url.to_owned(),
            alerts,
        }
    }
}

/// What all of the label sets say alike.
fn common<'a>(mut sets: impl Iterator<Item = &'a Labels>) -> Labels {
    let mut common = sets.next().cloned().unwrap_or_default();
    sets.for_each(|set| common.retain(|name, value| set.get(name) == Some(value)));
    common
}

/// The key of the root route's group of these labels, `{}:{alertname="x", severity="high"}`, or of that of a route below
/// it, `{}/{agent=batch*}:{alertname="x"}`.
fn group_key(matched: &str, labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let route = if matched.is_empty() { String::new() } else { format!("/{{{matched}}}") };
    format!("{{}}{route}:{{{}}}", pairs.join(", "))
}

/// Prometheus' fingerprint of a label set, so that an alert has the same one here and in
/// Alertmanager: FNV-1a of 64 bits over name, byte 255, value, byte 255, in the order of names.
/// Source: `LabelsToSignature` of prometheus/common, `model/signature.go`.
pub fn fingerprint(labels: &Labels) -> u64 {
    let bytes = labels.iter().flat_map(|(name, value)| name.bytes().chain([255]).chain(value.bytes()).chain([255]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn fingerprints_are_those_of_prometheus() {
        for (pairs, expected) in [
            (&[][..], 14_695_981_039_346_656_037),
            (&[("name", "garland, briggs"), ("fear", "love is not enough")][..], 5_799_056_148_416_392_346),
        ] {
            assert_eq!(fingerprint(&labels(pairs)), expected);
        }
    }

    #[test]
    fn what_is_posted_is_what_the_api_takes() {
        let set = labels(&[("alertname", "errors"), ("team-x", "a"), ("1st", "b"), ("empty", "")]);
        let (since, until) = (Timestamp(1_763_116_245_123), Timestamp(1_763_116_485_123));
        let alert = Postable::new(set, labels(&[("summary", "value 15")]), since, until, String::new());
        assert_eq!(
            serde_json::to_value(&alert).expect("serialises"),
            serde_json::json!({
                "labels": {"alertname": "errors", "team_x": "a", "_1st": "b"},
                "annotations": {"summary": "value 15"},
                "startsAt": "2025-11-14T10:30:45.123Z",
                "endsAt": "2025-11-14T10:34:45.123Z",
            })
        );
    }

    #[test]
    fn the_body_is_version_4() {
        let since = Timestamp(1_763_116_245_123);
        let labels = labels(&[("alertname", "errors"), ("agent", "a\"1")]);
        let firing = Alert::new(labels.clone(), Labels::new(), since, None, "http://x/y".to_owned());
        let body = Webhook::new("ops", "http://x", ("", &labels, 0), vec![firing]);
        assert_eq!(
            serde_json::to_value(&body).expect("serialises"),
            serde_json::json!({
                "version": "4",
                "groupKey": "{}:{agent=\"a\\\"1\", alertname=\"errors\"}",
                "truncatedAlerts": 0,
                "status": "firing",
                "receiver": "ops",
                "groupLabels": {"agent": "a\"1", "alertname": "errors"},
                "commonLabels": {"agent": "a\"1", "alertname": "errors"},
                "commonAnnotations": {},
                "externalURL": "http://x",
                "alerts": [{
                    "status": "firing",
                    "labels": {"agent": "a\"1", "alertname": "errors"},
                    "annotations": {},
                    "startsAt": "2025-11-14T10:30:45.123Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "http://x/y",
                    "fingerprint": format!("{:016x}", fingerprint(&labels)),
                }],
            })
        );
        let resolved = Alert::new(labels, Labels::new(), since, Some(Timestamp(since.0 + 60_000)), String::new());
        assert_eq!((resolved.status, resolved.ends_at.as_str()), (Status::Resolved, "2025-11-14T10:31:45.123Z"));
        assert_eq!(resolved.fingerprint, body.alerts[0].fingerprint);
    }
}
