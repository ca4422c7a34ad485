//! The text of evenkeel.yaml becomes [`Settings`], or every fault of it is said.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use super::raw::{Reader, Section};
use super::{Clock, Limits, ScoreSettings, Settings, budget, digest, receiver, routing, source, target};
use crate::diagnostic::{Diagnostic, SourceFile, has_errors};
use crate::model::agent::is_name;
use crate::wire::fields::{Faults, Spanned};
use crate::wire::yaml;

impl Settings {
    /// Reads a configuration whose relative paths are relative to `base`. `None` when anything in
    /// it is wrong; the diagnostics are all there are.
    pub fn load(file: &SourceFile, base: &Path) -> (Option<Settings>, Vec<Diagnostic>) {
        let (settings, diagnostics) = Settings::salvage(file, base);
        ((!has_errors(&diagnostics)).then_some(settings), diagnostics)
    }

    /// What can be read of a configuration, defaults standing in for what is wrong: enough to find
    /// the files it names, so that their faults are said in the same run.
    pub fn salvage(file: &SourceFile, base: &Path) -> (Settings, Vec<Diagnostic>) {
        let (root, faults) = match Faults::read(file) {
            Ok(read) => read,
            Err(fault) => return (Settings::default(), vec![*fault]),
        };
        let reader = Reader::new(faults, base);
        let settings = check(reader.section("config", &root));
        (settings, reader.into_diagnostics())
    }

    /// Where the API of a daemon is and which token it wants, for those who ask it: a fault elsewhere in the file
    /// keeps nobody from asking. The faults are all there are; `None` when `listen` or `api_token` is among them.
    pub fn access(file: &SourceFile, base: &Path) -> (Option<Settings>, Vec<Diagnostic>) {
        let (settings, diagnostics) = Settings::salvage(file, base);
        let readable = Faults::read(file).is_ok_and(|(root, faults)| {
            let reader = Reader::new(faults, base);
            let config = reader.section("config", &root);
            config.secret("api_token");
            listen(&config, config.node("api_token").is_some(), None);
            !has_errors(&reader.into_diagnostics())
        });
        (readable.then_some(settings), diagnostics)
    }
}

impl Settings {
    /// The settings that stand at `node` of a file of another kind, such as a test of rules; paths
    /// are relative to nothing.
    pub fn within(file: &SourceFile, node: &yaml::Node) -> (Settings, Vec<Diagnostic>) {
        let reader = Reader::new(Faults::new(file), Path::new(""));
        let settings = check(reader.section("config", node));
        (settings, reader.into_diagnostics())
    }

    /// One receiver of every severity, where somebody must be told and nobody is named.
    pub fn example_receiver(name: &str) -> Vec<super::Receiver> {
        let text = format!("receivers: [{{name: {name}, webhook: {{url: http://localhost}}}}]");
        Settings::salvage(&SourceFile::new("receiver", text), Path::new("")).0.receivers
    }
}

/// What an empty list at the top means, and what to write instead.
const EMPTY: [(&str, &str, &str); 3] = [
    ("rules", "the shipped rules hold", "leave it out, or name a file; one with `alerts: []` has none"),
    ("sources", "no executions are read", "add one such as `{name: fleet, path: executions.jsonl}`, or leave it out"),
    (
        "receivers",
        "nobody is told of alerts",
        "add one such as `{name: ops, webhook: {url: \"http://localhost:8080/\"}}`, or leave it out",
    ),
];

/// Reads the whole file; where something is at fault, the default stands in.
fn check(config: Section<'_>) -> Settings {
    let default = Settings::default();
    let api_token = config.secret("api_token");
    let state_dir = config.path("state_dir").unwrap_or_else(|| config.reader.base.join(default.state_dir));
    let evaluation_interval = config.span("evaluation_interval").unwrap_or(default.evaluation_interval);
    let receivers = receiver::check(config.sections("receivers"), evaluation_interval);
    let digests = digest::check(config.sections("digests"), &receivers);
    let routing = routing::check(&config, &receivers, &digests);
    let sources = source::check(config.sections("sources"));
    let budgets = budget::check(config.sections("budgets"), &source::labels_of(&sources));
    let settings = Settings {
        rules: config.paths("rules"),
        profiles: config.paths("profiles"),
        prices: config.paths("prices"),
        clock: match config.word("clock").map(|word| word.value) {
            Some("records") => Clock::Records,
            _ => Clock::Wall,
        },
        evaluation_interval,
        sources,
        budgets,
        receivers,
        digests,
        heartbeat: config.section("heartbeat").and_then(receiver::heartbeat),
        routing,
        listen: listen(&config, config.node("api_token").is_some(), default.listen),
        api_token,
        external_url: config.text("external_url").and_then(|url| receiver::address(&config, "external_url", url)),
        scores: config.section("scores").map(scores).unwrap_or_default(),
        tune: target::check(config.section("tune"), &state_dir),
        limits: config.section("limits").map(limits).unwrap_or_default(),
        state_dir,
    };
    for (name, message, help) in EMPTY {
        config.fields.is_empty(name, message, help);
    }
    config.finish();
    settings
}

/// Where the API listens. Beyond loopback anybody who reaches the port would read everything, so
/// a token must be there.
fn listen(config: &Section<'_>, has_token: bool, default: Option<SocketAddr>) -> Option<SocketAddr> {
    let Some(Spanned { value, bytes }) = config.text("listen") else { return default };
    if value == "off" {
        return None;
    }
    let Ok(address) = value.parse::<SocketAddr>() else {
        let message = format!("`listen` is `{value}`, not an address and port");
        config.reader.error(bytes, message, "write `127.0.0.1:9533`, `[::1]:9533` or `off`");
        return None;
    };
    if !address.ip().is_loopback() && !has_token {
        let message = format!("`listen` is {address}, which others can reach, and there is no `api_token`");
        let help = "add `api_token: {file: /etc/evenkeel/token}`, or listen on 127.0.0.1";
        config.reader.error(bytes, message, help);
    }
    Some(address)
}

fn scores(section: Section<'_>) -> ScoreSettings {
    let default = ScoreSettings::default();
    let scores = ScoreSettings {
        window: section.span("window").unwrap_or(default.window),
        min_samples: section.count("min_samples").unwrap_or(default.min_samples),
        degraded_below: section.share("degraded_below").unwrap_or(default.degraded_below),
    };
    section.finish();
    scores
}

fn limits(section: Section<'_>) -> Limits {
    let default = Limits::default();
    let limits = Limits {
        series: section.count("series").unwrap_or(default.series),
        names: section.count("names").unwrap_or(default.names),
        line_bytes: section.count("line_bytes").unwrap_or(default.line_bytes),
        outbox: section.count("outbox").unwrap_or(default.outbox),
        seen_ids: section.count("seen_ids").unwrap_or(default.seen_ids),
        quarantine_bytes: section.integer("quarantine_bytes").unwrap_or(default.quarantine_bytes),
    };
    section.finish();
    limits
}

/// The `name` of a section, which no other one of its kind may have.
pub(super) fn unique_name(section: &Section<'_>, taken: &mut BTreeMap<String, Range<usize>>) -> Option<String> {
    let Spanned { value, bytes } = section.require("name", section.text("name"))?;
    if !is_name(&value) {
        let message = if value.is_empty() { "`name` is empty".to_owned() } else { format!("`name` is {value:?}") };
        section.reader.error(bytes, message, "write 1 to 200 bytes without control characters");
        return None;
    }
    if let Some(first) = taken.get(&value) {
        let (line, _) = section.reader.faults.file.line_column(first.start);
        let message = format!("the name `{value}` is taken");
        section.reader.error(bytes, message, format!("the first one stands in line {line}; rename one of them"));
        return None;
    }
    taken.insert(value.clone(), bytes);
    Some(value)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "fault_tests.rs"]
mod fault_tests;
