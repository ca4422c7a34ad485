//! Checks what is read, and which key of a record means what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use super::check::unique_name;
use super::raw::Section;
use super::table::{UNITS, unit_of_name};
use super::{CostTrust, Mapping, Source};
use crate::model::label::{LABEL_LIMIT, LABELS};
use crate::model::time::unit_millis;
use crate::model::{Dimension, Label};
use crate::wire::fields::scalar;
use crate::wire::yaml::Value;

/// The sources; the faults among them are said, and what is right of those is kept: rules may name its labels.
pub(super) fn check(sections: Vec<Section<'_>>) -> Vec<Source> {
    let mut names = BTreeMap::new();
    let mut labels = BTreeSet::new();
    let mut sources = Vec::new();
    for section in sections {
        let (reader, place) = (section.reader, section.fields.place("labels"));
        let before = labels.len();
        let found = source(section, &mut names);
        labels.extend(found.mapping.labels.iter().map(|(label, _)| *label));
        if before <= LABELS && labels.len() > LABELS {
            let message = format!("the sources have {} labels, the limit is {LABELS}", labels.len());
            reader.error(place, message, "keep those that rules name");
        }
        sources.push(found);
    }
    sources
}

/// The labels of all sources, each with its slot.
pub(super) fn labels_of(sources: &[Source]) -> Vec<Label> {
    let labels: BTreeSet<Label> = sources.iter().flat_map(|s| &s.mapping.labels).map(|(label, _)| *label).collect();
    labels.iter().enumerate().filter_map(|(slot, label)| Label::new(label.as_str(), slot)).collect()
}

/// Names that an alert has already, or that stand for something else in rules.
const TAKEN: [&str; 3] = ["alertname", "severity", "fleet"];

/// Labels of a source and the keys they are read from.
fn labels(section: &Section<'_>) -> Vec<(Label, String)> {
    let mut labels = Vec::new();
    for (key, node) in section.table("labels") {
        let name = key.text.as_str();
        if TAKEN.contains(&name) || Dimension::from_word(name).is_some() {
            let message = format!("`{name}` is a label already");
            section.reader.error(
                key.bytes.clone(),
                message,
                "choose another name; `fields` says where built-in labels are read",
            );
            continue;
        }
        let Some(label) = Label::new(name, 0) else {
            let message = format!("`{name}` cannot be the name of a label");
            let help = format!("use letters, digits and _, a letter first, at most {LABEL_LIMIT}");
            section.reader.error(key.bytes.clone(), message, help);
            continue;
        };
        match scalar(node, name, &section.reader.faults) {
            Some(key) if key.value.is_empty() => {
                section.reader.error(
                    key.bytes,
                    format!("`{name}` is empty"),
                    "write the name of the key in the records",
                );
            }
            Some(key) => labels.push((label, key.value)),
            None => {}
        }
    }
    labels.sort();
    labels
}

fn source(section: Section<'_>, names: &mut BTreeMap<String, std::ops::Range<usize>>) -> Source {
    let name = unique_name(&section, names);
    let path = section.require("path", section.path_at("path"));
    if let Some(path) = path.as_ref().filter(|path| glob_in_folder(&path.value)) {
        let message = "`path` has a `*` before its last part";
        section.reader.error(path.bytes.clone(), message, "write one source per folder");
    }
    let mut mapping = section.section("fields").map(mapping).unwrap_or_default();
    if let Some(zone) = section.zone() {
        mapping.zone = zone.iana_name().unwrap_or("UTC").to_owned();
    }
    mapping.labels = labels(&section);
    mapping.trust_cost = match section.word("trust_cost").map(|word| word.value) {
        Some("always") => CostTrust::Always,
        Some("never") => CostTrust::Never,
        _ => CostTrust::Auto,
    };
    section.finish();
    Source { name: name.unwrap_or_default(), path: path.map(|path| path.value).unwrap_or_default(), mapping }
}

/// Whether a part of the path but the last holds a `*`.
fn glob_in_folder(path: &Path) -> bool {
    let starred = |component: Component<'_>| component.as_os_str().to_string_lossy().contains('*');
    path.parent().is_some_and(|folder| folder.components().any(starred))
}

/// Reads the names of the keys; those that are not said keep their default.
fn mapping(fields: Section<'_>) -> Mapping {
    let mut mapping = Mapping::default();
    let plain: [(&'static str, &mut Option<String>); 17] = [
        ("timestamp", &mut mapping.timestamp),
        ("start", &mut mapping.start),
        ("id", &mut mapping.id),
        ("model", &mut mapping.model),
        ("task_type", &mut mapping.task_type),
        ("workflow", &mut mapping.workflow),
        ("provider", &mut mapping.provider),
        ("tenant", &mut mapping.tenant),
        ("tool", &mut mapping.tool),
        ("arguments", &mut mapping.arguments),
        ("success", &mut mapping.success),
        ("timed_out", &mut mapping.timed_out),
        ("timeout", &mut mapping.timeout),
        ("output_tokens", &mut mapping.output_tokens),
        ("cache_read_tokens", &mut mapping.cache_read_tokens),
        ("cache_write_tokens", &mut mapping.cache_write_tokens),
        ("cost", &mut mapping.cost),
    ];
    for (name, place) in plain {
        set(place, fields.key(name));
    }
    key_or(&fields, "agent", &mut mapping.agent, |more| {
        mapping.agent_default = more.text("default").map(|text| text.value);
    });
    key_or(&fields, "error", &mut mapping.error, |more| {
        let words = |name, words: &mut Vec<String>| {
            if let Some(texts) = more.texts(name) {
                *words = texts.into_iter().map(|text| text.value).collect();
            }
        };
        words("limit", &mut mapping.limit_errors);
        words("timeout", &mut mapping.timeout_errors);
        words("void", &mut mapping.void_errors);
    });
    let mut unit = None;
    key_or(&fields, "duration", &mut mapping.duration, |more| unit = more.word("unit"));
    mapping.duration_unit_ms = duration_unit(&fields, mapping.duration.as_deref(), unit.map(|word| word.value));
    key_or(&fields, "input_tokens", &mut mapping.input_tokens, |more| {
        mapping.input_includes_cached = more.flag("include_cached").unwrap_or(mapping.input_includes_cached);
    });
    key_or(&fields, "quality", &mut mapping.quality, |more| {
        mapping.quality_scale = more.range("scale").unwrap_or(mapping.quality_scale);
    });
    if mapping.agent.is_none() && mapping.agent_default.is_none() {
        let help = "write `agent: {key: off, default: NAME}`; `{file_stem}` stands for the file's name";
        fields.reader.error(fields.fields.place("agent"), "nothing says who did the work", help);
    }
    fields.finish();
    mapping
}

/// A key that was said replaces the default; `off` clears it.
fn set(place: &mut Option<String>, said: Option<Option<String>>) {
    if let Some(key) = said {
        *place = key;
    }
}

/// Reads `name: key` or `name: {key: ..., more}`.
fn key_or(fields: &Section<'_>, name: &'static str, place: &mut Option<String>, more: impl FnOnce(&Section<'_>)) {
    match fields.node(name).map(|node| &node.value) {
        Some(Value::Mapping(_)) => {
            let Some(section) = fields.section(name) else { return };
            set(place, section.key("key"));
            more(&section);
            section.finish();
        }
        _ => set(place, fields.key(name)),
    }
}

/// Milliseconds in one unit of the duration: as said, else as the key's name says.
fn duration_unit(fields: &Section<'_>, key: Option<&str>, said: Option<&'static str>) -> f64 {
    let Some(key) = key else { return 1.0 };
    said.and_then(unit_millis).or_else(|| unit_of_name(key)).unwrap_or_else(|| {
        let message = format!("the unit of the duration `{key}` is not known");
        let help = format!("write `duration: {{key: {key}, unit: s}}`; units are {}", UNITS.join(", "));
        fields.reader.error(fields.fields.place("duration"), message, help);
        1.0
    })
}
