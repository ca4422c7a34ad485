//! Reads rule files: every rule that is right, and everything that is wrong with the others.
//!
//! A faulty rule is left out and the rest load; whether that is good enough is the caller's choice
//! (a reload takes all or nothing, see [`crate::diagnostic::has_errors`]).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::cover::{self, Covering};
use super::left_out::{LeftOut, Missing};
use super::lex::Fault;
use super::takes::Takes;
use super::terms::Level;
use super::{BY_LIMIT, Input, Matcher, Program, Rule, annotation, condition, foreign};
use crate::diagnostic::{Diagnostic, SourceFile, did_you_mean};
use crate::model::agent::{NAME_LIMIT, is_name};
use crate::model::{Dimension, Label, Span};
use crate::settings::Settings;
use crate::settings::budget::Budget;
use crate::wire::fields::{Faults, Fields, Spanned, one_of, patterns, scalar};
use crate::wire::yaml::Node;

/// The window of a rule that names none.
pub const WINDOW: Span = Span::minutes(5);
/// The longest window.
pub const WINDOW_LIMIT: Span = Span::days(30);
/// The longest `for` and `keep_firing_for`.
pub const HOLD_LIMIT: Span = Span::days(7);
/// `min_samples` of a rule that reads a share: below it, one run in a handful is a burst.
pub const RATIO_MIN_SAMPLES: u32 = 5;
/// The longest label value or annotation, in bytes.
pub const TEXT_LIMIT: usize = 4_096;

/// What rule files hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Read {
    /// The rules that hold, in the order of their files.
    pub rules: Vec<Rule>,
    /// Rules that are right and read what this configuration does not have.
    pub left_out: Vec<LeftOut>,
    /// What is wrong, and a warning for each rule that is left out.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads rule files in their order, without a configuration. `evaluation_interval` is how often rules are
/// evaluated: a window must not be shorter.
pub fn load(files: &[SourceFile], evaluation_interval: Span) -> (Vec<Rule>, Vec<Diagnostic>) {
    let read = load_with(files, &Settings { evaluation_interval, ..Settings::default() }, None);
    (read.rules, read.diagnostics)
}

/// [`load`], under settings: rules may name their budgets and labels. `config` is the file they come from; without
/// one nobody said which budgets and labels there are.
pub fn load_with(files: &[SourceFile], settings: &Settings, config: Option<&str>) -> Read {
    read(files, settings, config, false)
}

/// The same of files that were obeyed before: rules with faults of today's checks are among them, as far as they say whom
/// they look at and what for.
pub fn recall(files: &[SourceFile], settings: &Settings, config: Option<&str>) -> Read {
    read(files, settings, config, true)
}

fn read(files: &[SourceFile], settings: &Settings, config: Option<&str>, lenient: bool) -> Read {
    let own = settings.labels();
    let left_out = RefCell::default();
    let mut rules: Vec<Rule> = Vec::new();
    let mut diagnostics = Vec::new();
    // Every name that was given, by faulty rules too, with its place.
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut covering: Vec<Covering<'_>> = Vec::new();
    for file in files {
        let (root, faults) = match Faults::read(file) {
            Ok(read) => read,
            Err(fault) => {
                diagnostics.push(*fault);
                continue;
            }
        };
        let reader = RuleReader {
            faults: &faults,
            evaluation_interval: settings.evaluation_interval,
            own: &own,
            budgets: &settings.budgets,
            config,
            missing: RefCell::default(),
            left_out: &left_out,
            lenient,
        };
        let top = Fields::open(&root, "a rule file", &faults);
        let (alerts, also) = (top.list("alerts"), top.list("rules"));
        for node in alerts.iter().chain(also) {
            let mut covers = Vec::new();
            rules.extend(reader.read(node, &mut names, &mut covers));
            covering.extend((!covers.is_empty()).then_some((file, covers)));
        }
        for node in top.list("slos") {
            rules.extend(reader.slo(node, &mut names));
        }
        let empty = ["alerts", "rules", "slos"].into_iter().all(|key| top.node(key).is_none());
        match foreign::first(&root).filter(|_| empty) {
            Some(bytes) => faults.error(bytes, foreign::MESSAGE, foreign::HELP),
            None => top.finish(),
        }
        if empty && !root.is_null() && faults.errors() == 0 {
            faults.warning(root.bytes.clone(), "the file has no rules", "list them below `alerts:`");
        }
        diagnostics.extend(faults.into_diagnostics());
    }
    let mut held = rules.clone();
    diagnostics.extend(cover::check(covering, &names, &mut held));
    let rules = if lenient { rules } else { held };
    Read { rules, left_out: left_out.into_inner(), diagnostics }
}

pub(super) struct RuleReader<'a> {
    pub(super) faults: &'a Faults<'a>,
    pub(super) evaluation_interval: Span,
    /// Labels of the settings.
    own: &'a [Label],
    /// Budgets of the settings.
    pub(super) budgets: &'a [Budget],
    /// The file of the settings; `None` when there is none, so that there may be budgets and labels beside these.
    pub(super) config: Option<&'a str>,
    /// What the rule that is being read names and the settings do not have.
    pub(super) missing: RefCell<Option<Missing>>,
    pub(super) left_out: &'a RefCell<Vec<LeftOut>>,
    /// Rules with faults are wanted, too.
    lenient: bool,
}

impl RuleReader<'_> {
    fn read(
        &self,
        node: &Node,
        names: &mut BTreeMap<String, String>,
        covers: &mut Vec<Spanned<String>>,
    ) -> Option<Rule> {
        if let Some(bytes) = foreign::rule(node) {
            self.faults.error(bytes, foreign::MESSAGE, foreign::HELP);
            return None;
        }
        let before = self.faults.errors();
        let fields = Fields::open(node, "a rule", self.faults);
        let name = self.name(&fields, names);
        let mut inputs = Vec::new();
        let mut levels = self.levels(&fields, &mut inputs, None);
        // A level that cannot be read would have the others take its place.
        let whole = !self.lenient || levels.len() == fields.table("levels").len().max(1);
        let window = self.window(&fields, &inputs);
        let window = if self.lenient { window.max(self.evaluation_interval) } else { window };
        let budget = self.budget(&fields);
        covers.extend(self.covers(&fields));
        let (by, filter) = match budget {
            Some(budget) => (budget.by.clone(), budget.filter.clone()),
            // Who is looked at is not known either: any label may be.
            None if fields.node("budget").is_some() => {
                (Dimension::ALL.into_iter().filter(|label| Takes::Executions.has(*label)).collect(), Vec::new())
            }
            None => {
                let by = self.by(&fields);
                let takes = if covers.is_empty() { Takes::of(&by, &[]) } else { Takes::Alerts };
                let filter = self.filter(&fields, takes);
                (by, filter)
            }
        };
        let keep_firing_for = self.hold(&fields, "keep_firing_for");
        let mut terms = self.terms(&fields, &mut inputs, &by, &filter, &levels);
        self.budget_is_read(&fields, &inputs);
        self.agents_are_told_apart(&fields, &inputs, &by);
        terms.covers = covers.iter().map(|name| name.value.clone()).collect();
        let takes = if covers.is_empty() { Takes::of(&by, &filter).reading(&inputs) } else { Takes::Alerts };
        self.commonly(&fields, &by, takes);
        self.inputs_are_there(&fields, &inputs, takes);
        let min_samples = self.min_samples(&fields, &inputs, &levels);
        let labels = self.labels(&fields, &by);
        let annotations = self.annotations(&fields, (&inputs, false), &by, &labels);
        let place = self.place(node);
        fields.finish();
        let missing = self.leave_out(name.as_deref(), &place);
        if !self.holds(before) || !whole || levels.is_empty() || missing {
            return None;
        }
        let (Level { severity, condition, root, hold }, _) = levels.swap_remove(0);
        Some(Rule {
            name: name?,
            condition,
            program: Program { inputs, root },
            window,
            budget: budget.map(|b| b.name.clone()),
            by,
            filter,
            hold,
            keep_firing_for,
            min_samples,
            severity,
            labels,
            annotations,
            terms,
            place,
        })
    }

    /// Whether what was read since there were so many faults is wanted.
    pub(super) fn holds(&self, before: usize) -> bool {
        self.lenient || self.faults.errors() == before
    }

    /// File and line of a rule.
    pub(super) fn place(&self, node: &Node) -> String {
        format!("{}:{}", self.faults.file.path, self.faults.file.line_column(node.bytes.start).0)
    }

    pub(super) fn name(&self, fields: &Fields<'_>, names: &mut BTreeMap<String, String>) -> Option<String> {
        let name = fields.require("name", "high_error_rate", fields.text("name"))?;
        if !is_name(&name.value) {
            let message = match name.value.is_empty() {
                true => "the name is empty".to_owned(),
                false => format!("the name has control characters or more than {NAME_LIMIT} bytes"),
            };
            self.faults.error(name.bytes, message, "choose a short plain name");
            return None;
        }
        let (line, _) = self.faults.file.line_column(name.bytes.start);
        let place = format!("{}:{line}", self.faults.file.path);
        if let Some(first) = names.insert(name.value.clone(), place) {
            let message = format!("there is already a rule `{}`, in {first}", name.value);
            self.faults.error(name.bytes, message, "give each rule a name of its own");
            names.insert(name.value, first);
            return None;
        }
        Some(name.value)
    }

    pub(super) fn report(&self, node: &Node, fault: Fault) {
        let bytes = node.bytes_of(self.faults.file, fault.bytes);
        self.faults.add(fault.level, bytes, fault.message, fault.help);
    }

    /// The rule's window; of a rule that names none and reads nothing in it, its longest.
    fn window(&self, fields: &Fields<'_>, inputs: &[Input]) -> Span {
        let longest = inputs.iter().filter_map(Input::window).max();
        let reads = inputs.is_empty() || inputs.iter().any(Input::reads_rule_window);
        let Some(Spanned { value: window, bytes }) = fields.span("window") else {
            return longest.filter(|_| !reads).unwrap_or(WINDOW);
        };
        if !reads && longest.is_some() {
            let message = "every value of the condition has a time range of its own, so `window` is read by nothing";
            self.faults.warning(bytes, message, "delete it");
            return longest.unwrap_or(WINDOW);
        }
        // A rule that reads nothing in its window may have any that is one.
        let step = if reads || window <= Span::ZERO { self.evaluation_interval } else { Span(1) };
        condition::window_faults(window, step, &mut |error, message, help| match error {
            true => self.faults.error(bytes.clone(), message, help),
            false => self.faults.warning(bytes.clone(), message, help),
        });
        window
    }

    /// Peers and scores are those of agents.
    fn agents_are_told_apart(&self, fields: &Fields<'_>, inputs: &[Input], by: &[Dimension]) {
        let Some(input) = inputs.iter().find(|input| input.is_of_agents()) else { return };
        let word = if *input == Input::Score { "score" } else { "peers" };
        let place = fields.node("by").map_or_else(
            || fields.place(if fields.node("levels").is_some() { "levels" } else { "condition" }),
            |node| node.bytes.clone(),
        );
        if !by.contains(&Dimension::Agent) {
            let message =
                format!("the condition reads `{word}`, which agents have, and the rule is not split by `agent`");
            self.faults.error(place, message, "add `agent` to `by`, or compare with `baseline`");
        } else if by.len() == BY_LIMIT
            && !by.contains(&Dimension::TaskType)
            && inputs.iter().any(|i| i.peers().is_some())
        {
            let message = format!("`by` has {BY_LIMIT} labels and leaves no room for the task types of the peers");
            self.faults.error(place, message, "leave a label out, or add `task_type` in its place");
        }
    }

    /// Parts of evenkeel have metrics of their own, and no others.
    pub(super) fn inputs_are_there(&self, fields: &Fields<'_>, inputs: &[Input], takes: Takes) {
        if let Some((message, help)) = inputs.iter().find_map(|input| takes.refuses(input)) {
            let place = if fields.node("levels").is_some() { "levels" } else { "condition" };
            self.faults.error(fields.place(place), message, help);
        }
    }

    pub(super) fn hold(&self, fields: &Fields<'_>, name: &'static str) -> Span {
        let Some(Spanned { value, bytes }) = fields.span(name) else { return Span::ZERO };
        if value > HOLD_LIMIT {
            let message = format!("`{name}` of {value} is longer than the limit of {HOLD_LIMIT}");
            self.faults.error(bytes, message, "use a longer window instead");
        }
        value
    }

    pub(super) fn by(&self, fields: &Fields<'_>) -> Vec<Dimension> {
        let Some(words) = fields.texts("by") else { return vec![Dimension::Agent] };
        fields.is_empty("by", "the rule looks at the whole fleet", "write `by: fleet`, or leave it out for each agent");
        let mut by = Vec::new();
        let fleet = |word: &Spanned<String>| word.value == "fleet";
        if words.iter().any(fleet) {
            for word in words.iter().filter(|word| !fleet(word)) {
                let message = format!("`fleet` is everything at once and cannot be split by `{}`", word.value);
                self.faults.error(word.bytes.clone(), message, "write `by: fleet` alone, or leave `fleet` out");
            }
            return by;
        }
        for word in words {
            let Some(dimension) = self.dimension(&word.value, &word.bytes, &["fleet"]) else { continue };
            if by.contains(&dimension) {
                self.faults.error(word.bytes, format!("`{}` stands twice in `by`", word.value), "delete one");
            } else {
                by.push(dimension);
            }
        }
        if by.len() > BY_LIMIT {
            let message = format!("`by` has {} labels, the limit is {BY_LIMIT}", by.len());
            self.faults.error(fields.place("by"), message, "name only labels that tell subjects apart");
        }
        if by.len() > 1 && by.contains(&Dimension::Receiver) {
            let message = "`receiver` splits deliveries, the other labels split executions";
            self.faults.error(fields.place("by"), message, "write `by: receiver` alone");
        } else if by.contains(&Dimension::Part) && !by.iter().all(|dimension| Takes::Parts.has(*dimension)) {
            let message = "`part` splits what befalls evenkeel itself, the other labels split executions";
            self.faults.error(fields.place("by"), message, "write `by: part`, or `by: [part, source]`");
        }
        by
    }

    fn dimension(&self, word: &str, bytes: &Range<usize>, also: &[&str]) -> Option<Dimension> {
        let own = || self.own.iter().find(|label| label.as_str() == word).map(|label| Dimension::Custom(*label));
        let dimension = Dimension::from_word(word).or_else(own);
        if dimension.is_none() {
            let words = Dimension::ALL.iter().map(Dimension::as_str).chain(self.own.iter().map(Label::as_str));
            let words = words.chain(also.iter().copied());
            let unknown = self.config.is_none() && did_you_mean(word, words.clone()).is_none();
            if let Some(label) = Label::new(word, 0).filter(|_| unknown) {
                let known: Vec<&str> = words.collect();
                self.lacks(bytes, format!("label `{word}`"), format!("; there are {} without one", known.join(", ")));
                return Some(Dimension::Custom(label));
            }
            let help = one_of(word, words);
            self.faults.error(bytes.clone(), format!("`{word}` is not a label of executions"), help);
        }
        dimension
    }

    /// Patterns of one label that are wanted make one matcher, the `!` ones another.
    pub(super) fn filter(&self, fields: &Fields<'_>, takes: Takes) -> Vec<Matcher> {
        let mut filter = Vec::new();
        for (key, node) in fields.table("where") {
            let Some(dimension) = self.dimension(&key.text, &key.bytes, &[]) else { continue };
            if !takes.has(dimension) {
                let message = format!("`{}` cannot select what this rule reads", key.text);
                let help = match dimension {
                    // Parts that share a series would share the time since when one is stale.
                    Dimension::Part if takes == Takes::Executions => {
                        "add `by: part`, or `by: [part, source]`: a rule looks at each part by itself"
                    }
                    _ => takes.labels(),
                };
                self.faults.error(key.bytes.clone(), message, help);
            }
            // The empty text selects executions without the label.
            let (with, without) = match node.is_null() {
                true => (vec![String::new()], Vec::new()),
                false => patterns(node, &key.text, self.faults),
            };
            for (patterns, negated) in [(with, false), (without, true)] {
                if !patterns.is_empty() {
                    filter.push(Matcher { dimension, patterns, negated });
                }
            }
        }
        filter
    }

    pub(super) fn labels(&self, fields: &Fields<'_>, by: &[Dimension]) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        for (key, node) in fields.table("labels") {
            let name = key.text.as_str();
            let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !plain {
                let message = format!("`{name}` cannot be the name of a label");
                self.faults.error(key.bytes.clone(), message, "use letters, digits and _, a letter first");
            } else if matches!(name, "alertname" | "severity") || by.iter().any(|d| d.as_str() == name) {
                let message = format!("every alert of this rule has a label `{name}` already");
                self.faults.error(key.bytes.clone(), message, "choose another name");
            }
            if let Some(text) = self.bounded(node, name) {
                labels.insert(name.to_owned(), text);
            }
        }
        labels
    }

    pub(super) fn annotations(
        &self,
        fields: &Fields<'_>,
        (inputs, slo): (&[Input], bool),
        by: &[Dimension],
        labels: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let labels: Vec<&str> = labels.keys().map(String::as_str).collect();
        let mut annotations = BTreeMap::new();
        for (key, node) in fields.table("annotations") {
            let Some(text) = self.bounded(node, &key.text) else { continue };
            for fault in annotation::check(&text, inputs, slo, by, &labels) {
                self.report(node, fault);
            }
            annotations.insert(key.text.clone(), text);
        }
        annotations
    }

    fn bounded(&self, node: &Node, what: &str) -> Option<String> {
        let text = scalar(node, what, self.faults)?;
        if text.value.len() > TEXT_LIMIT {
            let message = format!("`{what}` has {} bytes, the limit is {TEXT_LIMIT}", text.value.len());
            self.faults.error(text.bytes, message, "link to a longer text instead");
            return None;
        }
        Some(text.value)
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
