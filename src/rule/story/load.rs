//! Reads test files: every fault in one run, with its place.

use std::collections::BTreeMap;
use std::path::Path;

use super::step::{self, RATE, RUNS_LIMIT};
use super::{Expected, MessageCheck, Mishap, Outage, Series, StateCheck, Story, StoryFile, Wanted, Whom};
use super::{mishap, run};
use crate::diagnostic::{Diagnostic, SourceFile, has_errors};
use crate::engine::event::AlertState;
use crate::model::{Dimension, Part, Severity, Span, Timestamp, Unit};
use crate::rule::Rule;
use crate::rule::left_out::LeftOut;
use crate::rule::lex::{self, Kind};
use crate::settings::Settings;
pub(super) use crate::wire::fields::Faults;
use crate::wire::fields::{Fields, Spanned, one_of};
use crate::wire::yaml::{self, Node};

/// When a story begins that does not say: a Monday at midnight, UTC.
pub const START: Timestamp = Timestamp(1_736_121_600_000);
/// The longest story.
pub const LENGTH_LIMIT: Span = Span::days(60);
/// How long after the last run of a story an expectation may be.
pub const QUIET_LIMIT: Span = Span::hours(24);
/// The receiver of a file that names none.
pub const RECEIVER: &str = "test";

pub(super) const QUANTITY: &str = "write a number, with a unit if it has one: `12%`, `15s`, `$2`, `80`";

/// A number with its unit, in the unit's base.
pub fn quantity(text: &str) -> Option<(f64, Option<Unit>)> {
    match lex::lex(text).ok()?.as_slice() {
        [token] => match token.kind {
            Kind::Number(value, unit) => Some((value, unit)),
            _ => None,
        },
        _ => None,
    }
}

/// The rule files that a test file is about, as written: its `rules`, else its own name without
/// `.test`.
pub fn rules_of(file: &SourceFile) -> Vec<String> {
    let Ok(root) = yaml::parse(file) else { return Vec::new() };
    let faults = Faults::new(file);
    let fields = Fields::open(&root, "a test file", &faults);
    let named: Vec<String> = fields.texts("rules").unwrap_or_default().into_iter().map(|text| text.value).collect();
    if !named.is_empty() {
        return named;
    }
    let name = Path::new(&file.path).file_name().unwrap_or_default().to_string_lossy().into_owned();
    vec![name.replacen(".test.", ".", 1)]
}

/// The settings under which a test file plays its stories: they say which labels and budgets its rules may name.
pub fn settings_of(file: &SourceFile) -> Settings {
    let Ok(root) = yaml::parse(file) else { return Settings::default() };
    let faults = Faults::new(file);
    let node = Fields::open(&root, "a test file", &faults).node("settings").cloned();
    node.map_or_else(Settings::default, |node| Settings::within(file, &node).0)
}

/// Reads a test file about `rules`. `None` when anything is wrong.
pub fn load(file: &SourceFile, rules: &[Rule]) -> (Option<StoryFile>, Vec<Diagnostic>) {
    load_beside(file, rules, &[], true)
}

/// [`load`], where the files of the rules hold more than `rules`: one that reads what the settings do not have is
/// `left_out`; unless they are `whole`, others have faults, and may be named.
pub fn load_beside(
    file: &SourceFile,
    rules: &[Rule],
    left_out: &[LeftOut],
    whole: bool,
) -> (Option<StoryFile>, Vec<Diagnostic>) {
    let (root, faults) = match Faults::read(file) {
        Ok(read) => read,
        Err(fault) => return (None, vec![*fault]),
    };
    let top = Fields::open(&root, "a test file", &faults);
    top.texts("rules");
    let (mut settings, mut diagnostics) = match top.node("settings") {
        Some(node) => Settings::within(file, node),
        None => (Settings::default(), Vec::new()),
    };
    if settings.receivers.is_empty() {
        settings.receivers = Settings::example_receiver(RECEIVER);
    }
    let reader = Reader { faults: &faults, rules, left_out, whole, settings: &settings };
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let nodes = top.list("tests");
    let stories: Vec<Story> = nodes.iter().map(|node| reader.story(node, &mut names)).collect();
    if nodes.is_empty() && faults.errors() == 0 {
        faults.error(top.place("tests"), "the file has no tests", "list them below `tests:`");
    }
    top.finish();
    let wrong = faults.errors() > 0 || has_errors(&diagnostics);
    diagnostics.extend(faults.into_diagnostics());
    let file = StoryFile { path: file.path.clone(), settings, stories };
    ((!wrong).then_some(file), diagnostics)
}

struct Reader<'a> {
    faults: &'a Faults<'a>,
    rules: &'a [Rule],
    left_out: &'a [LeftOut],
    /// Whether these are all rules that their files name.
    whole: bool,
    settings: &'a Settings,
}

impl Reader<'_> {
    fn place(&self, node: &Node) -> String {
        format!("{}:{}", self.faults.file.path, self.faults.file.line_column(node.bytes.start).0)
    }

    fn story(&self, node: &Node, names: &mut BTreeMap<String, usize>) -> Story {
        let fields = Fields::open(node, "a test", self.faults);
        let name = fields.require("name", "a burst of errors fires", fields.text("name"));
        if let Some(name) = &name {
            let line = self.faults.file.line_column(name.bytes.start).0;
            if let Some(first) = names.insert(name.value.clone(), line) {
                let message = format!("there is already a test `{}`, in line {first}", name.value);
                self.faults.error(name.bytes.clone(), message, "give each test a name of its own");
            }
        }
        let start = self.start(&fields);
        let rule = fields.text("rule").map(|rule| self.rule(rule));
        let mut length = Span::ZERO;
        let series: Vec<Series> = fields
            .list("series")
            .iter()
            .map(|node| {
                let (series, long) = self.series(node);
                length = length.max(long);
                series
            })
            .collect();
        let mut mishaps: Vec<Mishap> =
            fields.list("parts").iter().flat_map(|node| mishap::read(node, self.faults)).collect();
        mishaps.sort_by_key(|mishap| mishap.at);
        length = length.max(mishaps.last().map_or(Span::ZERO, |last| last.at));
        if fields.node("series").is_none() && fields.node("parts").is_none() {
            let help = "add `series: [{agent: a1, steps: [{for: 10m, error_rate: 12%}]}]`";
            self.faults.error(fields.place("series"), "a test has no `series`", help);
        }
        if length > LENGTH_LIMIT {
            let message = format!("the story lasts {length}, the limit is {LENGTH_LIMIT}");
            self.faults.error(fields.place("series"), message, "make its steps shorter");
        }
        let runs: u64 = series.iter().map(|s| s.runs.len() as u64).sum();
        if runs > RUNS_LIMIT {
            let message = format!("the story has {runs} runs, the limit is {RUNS_LIMIT}");
            self.faults.error(fields.place("series"), message, "write fewer `runs`");
        }
        let outages = fields.list("outages").iter().filter_map(|node| self.outage(node)).collect();
        let reader = CheckReader { reader: self, rule, series: &series, mishaps: &mishaps, length };
        let states: Vec<StateCheck> = fields.list("expect").iter().filter_map(|node| reader.state(node)).collect();
        let messages: Vec<MessageCheck> =
            fields.list("messages").iter().filter_map(|node| reader.message(node)).collect();
        if fields.node("expect").is_none() && fields.node("messages").is_none() {
            let help = "add `expect: [{at: 10m, rule: NAME, state: firing}]`";
            self.faults.error(fields.place("name"), "the test expects nothing", help);
        }
        fields.finish();
        let (name, place) = (name.map(|name| name.value).unwrap_or_default(), self.place(node));
        Story { name, start, length, series, outages, mishaps, states, messages, place }
    }

    fn start(&self, fields: &Fields<'_>) -> Timestamp {
        let Some(text) = fields.text("start") else { return START };
        let parsed = Timestamp::parse(&text.value, &jiff::tz::TimeZone::UTC);
        parsed.unwrap_or_else(|| {
            let message = format!("`start` is `{}`, not a time", text.value);
            self.faults.error(text.bytes, message, "write it like `2025-01-06T08:00:00Z`");
            START
        })
    }

    /// The name, told of when no rule has it.
    fn rule(&self, name: Spanned<String>) -> String {
        if let Some(left) = self.left_out.iter().find(|left| left.rule == name.value) {
            let message = format!("the rule `{}` is left out: {}", left.rule, left.why);
            self.faults.error(name.bytes, message, "give the test what the rule reads below `settings:`");
            return name.value;
        }
        if !self.whole || self.rules.iter().any(|rule| rule.name == name.value) {
            return name.value;
        }
        let help = match self.rules.is_empty() {
            true => "name the rule files with `rules: [FILE]`".to_owned(),
            false => one_of(&name.value, self.rules.iter().map(|rule| rule.name.as_str())),
        };
        self.faults.error(
            name.bytes,
            format!("there is no rule `{}` in the rule files of this test", name.value),
            help,
        );
        name.value
    }

    fn labels(&self, fields: &Fields<'_>) -> BTreeMap<Dimension, String> {
        let own = self.settings.labels().into_iter().map(Dimension::Custom);
        let text = |d: Dimension| Some((d, fields.text(d.as_str())?.value));
        Dimension::ALL.into_iter().chain(own).filter_map(text).collect()
    }

    fn series(&self, node: &Node) -> (Series, Span) {
        let fields = Fields::open(node, "a series", self.faults);
        let labels = self.labels(&fields);
        if labels.contains_key(&Dimension::Part) {
            let help = "write `parts: [{part: policy, from: 5m, to: 20m}]`";
            self.faults.error(fields.place("part"), "parts of evenkeel have no runs", help);
        }
        if labels.contains_key(&Dimension::Receiver) {
            let help = "write `outages: [{receiver: ops, from: 5m, to: 20m}]` to let deliveries fail";
            self.faults.error(fields.place("receiver"), "deliveries happen by themselves", help);
        }
        let rate = step::rate(&fields, self.faults).unwrap_or(RATE);
        let mut runs = Vec::new();
        let mut at = Span::ZERO;
        let steps = fields.list("steps");
        for step in steps {
            let (more, length) = step::read(step, at, rate, self.faults);
            runs.extend(more);
            at = Span(at.0 + length.0);
        }
        let written = fields.list("records");
        runs.extend(written.iter().filter_map(|node| run::read(node, self.faults)));
        if !written.is_empty() {
            runs.sort_by_key(|(at, _)| *at);
            at = runs.iter().map(|(at, _)| *at).max().unwrap_or(at).max(at);
        }
        if fields.node("steps").is_none() && fields.node("records").is_none() {
            let help = "add `steps: [{for: 10m, error_rate: 12%}]`; a step of `{for: 10m}` alone is silence";
            self.faults.error(fields.place("steps"), "a series has neither `steps` nor `records`", help);
        }
        fields.finish();
        (Series { labels, runs }, at)
    }

    fn receiver(&self, fields: &Fields<'_>) -> Option<String> {
        let text = fields.text("receiver")?;
        let names = self.settings.receivers.iter().map(|r| r.name.as_str());
        if names.clone().any(|name| name == text.value) {
            return Some(text.value);
        }
        self.faults.error(text.bytes, format!("there is no receiver `{}`", text.value), one_of(&text.value, names));
        None
    }

    fn outage(&self, node: &Node) -> Option<Outage> {
        let fields = Fields::open(node, "an outage", self.faults);
        let receiver = fields.require("receiver", RECEIVER, self.receiver(&fields));
        let from = fields.require("from", "5m", fields.span("from"));
        let to = fields.require("to", "20m", fields.span("to"));
        fields.finish();
        Some(Outage { receiver: receiver?, during: from?.value..to?.value })
    }
}

/// Reads the checks of one story.
struct CheckReader<'a> {
    reader: &'a Reader<'a>,
    /// The rule of the story, where a check names none.
    rule: Option<String>,
    series: &'a [Series],
    mishaps: &'a [Mishap],
    length: Span,
}

impl CheckReader<'_> {
    fn whom(&self, fields: &Fields<'_>) -> Option<Whom> {
        let faults = self.reader.faults;
        let named = fields.text("rule");
        let rule = match (named, &self.rule) {
            (Some(named), _) => Some(self.reader.rule(named)),
            (None, Some(rule)) => Some(rule.clone()),
            (None, None) => fields.require("rule", "NAME", None),
        };
        let labels = self.reader.labels(fields);
        for (dimension, value) in labels.iter().filter(|(d, _)| **d != Dimension::Receiver) {
            let known = self.series.iter().filter_map(|series| series.labels.get(dimension).map(String::as_str));
            let known = known.chain(self.mishaps.iter().filter_map(|mishap| mishap.label(*dimension)));
            let known = known.chain(Part::ALL.map(Part::as_str).into_iter().filter(|_| *dimension == Dimension::Part));
            if !known.clone().any(|known| known == value) {
                let message = format!("no series of this test has {} `{value}`", dimension.as_str());
                faults.error(fields.place(dimension.as_str()), message, one_of(value, known));
            }
        }
        Some(Whom { rule: rule?, labels })
    }

    fn number(&self, fields: &Fields<'_>, name: &'static str) -> Option<(f64, String)> {
        let text = fields.text(name)?;
        let found = quantity(&text.value);
        if found.is_none() {
            self.reader.faults.error(text.bytes, format!("`{name}` cannot be `{}`", text.value), QUANTITY);
        }
        found.map(|(value, _)| (value, text.value))
    }

    fn wanted(&self, fields: &Fields<'_>) -> Wanted {
        let words = Severity::ALL.map(Severity::as_str);
        Wanted {
            value: self.number(fields, "value"),
            threshold: self.number(fields, "threshold"),
            n: fields.integer("n", 0, u64::from(u32::MAX)).map(|n| n.value),
            severity: fields.word("severity", &words, Severity::from_word).map(|word| word.value),
        }
    }

    fn at(&self, fields: &Fields<'_>) -> Option<Span> {
        let Spanned { value, bytes } = fields.span("at")?;
        if value.0 > self.length.0 + QUIET_LIMIT.0 {
            let message = format!("{value} is more than a day after the end of the story, which lasts {}", self.length);
            self.reader.faults.error(bytes, message, "add a step `{for: ...}` of silence at the end");
        }
        Some(value)
    }

    fn state(&self, node: &Node) -> Option<StateCheck> {
        let fields = Fields::open(node, "an expectation", self.reader.faults);
        let at = fields.require("at", "10m", self.at(&fields));
        let whom = self.whom(&fields);
        let words = Expected::ALL.map(Expected::as_str);
        let read = |word: &str| Expected::ALL.into_iter().find(|state| state.as_str() == word);
        let state = fields.require("state", "firing", fields.word("state", &words, read)).map(|state| state.value);
        let wanted = self.wanted(&fields);
        fields.finish();
        if state == Some(Expected::NoData) && (&wanted.value, &wanted.threshold) != (&None, &None) {
            let help = "delete it; `n` says how many samples there are";
            self.reader.faults.error(node.bytes.clone(), "without data there is no value", help);
        }
        let alert = !matches!(state, Some(Expected::NoData | Expected::Alert(AlertState::Inactive)));
        if wanted.severity.is_some() && !alert {
            let help = "delete `severity`, or want `pending` or `firing`";
            self.reader.faults.error(node.bytes.clone(), "without an alert there is no severity", help);
        }
        Some(StateCheck { at: at?, whom: whom?, state: state?, wanted, place: self.reader.place(node) })
    }

    fn word(&self, fields: &Fields<'_>, states: &[AlertState]) -> Option<AlertState> {
        let words: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
        let read = |word: &str| states.iter().copied().find(|state| state.as_str() == word);
        fields.require("state", "firing", fields.word("state", &words, read)).map(|state| state.value)
    }

    fn message(&self, node: &Node) -> Option<MessageCheck> {
        let fields = Fields::open(node, "an expected message", self.reader.faults);
        let about = Fields::open(node, "an expected message", self.reader.faults);
        let whom = self.whom_of_message(&about);
        let receiver = self.reader.receiver(&fields);
        let state = self.word(&fields, &[AlertState::Firing, AlertState::Resolved]);
        let count = fields.integer("count", 0, 1_000_000).map_or(1, |n| n.value);
        let at = self.at(&fields);
        let wanted = self.wanted(&fields);
        // What the subject asks for is known too.
        fields.text("rule");
        self.reader.labels(&fields);
        fields.finish();
        Some(MessageCheck { receiver, whom: whom?, state: state?, count, at, wanted, place: self.reader.place(node) })
    }

    /// `receiver` says who is told, not whom the alert is about.
    fn whom_of_message(&self, fields: &Fields<'_>) -> Option<Whom> {
        let mut whom = self.whom(fields)?;
        whom.labels.remove(&Dimension::Receiver);
        Some(whom)
    }
}
