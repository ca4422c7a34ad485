//! What the policy needs the engine to keep: splits, their windows, and where each rule looks.
//!
//! The plan is derived from the policy alone, so two engines under one policy have the same one.

use super::alike;
use super::pane::Features;
use super::peers::{PeerPlan, Peers, Standings};
use super::split::{NEVER, Split, SplitSpec, WindowSpec};
use super::window::{Shape, WindowSet};
use crate::model::{Dimension, Label, Metric, Span, Timestamp};
use crate::policy::Policy;
use crate::rule::{INPUT_LIMIT, Input, Node, Program, Rule, Takes, annotation};
use crate::settings::CELL;

/// How far back "now" looks in scores and tuning, against the baseline.
pub const RECENT: Span = Span::days(1);

/// A split and the windows it needs.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitPlan {
    /// What it takes.
    pub spec: SplitSpec,
    /// Windows kept per subject.
    pub windows: Vec<WindowSpec>,
    /// How far apart its rules learn the values of windows that end, or read anew what others do.
    pub turns: Vec<Span>,
    /// What its rules read, each once.
    pub asked: Vec<Asked>,
    /// Its rules, see [`alike`].
    pub groups: Vec<Vec<usize>>,
}

/// What rules read of a window of every series.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Index of the window in the split.
    pub window: usize,
    /// A metric or a field.
    pub input: Input,
    /// With fewer samples there is no data.
    pub least: u32,
}

/// The place of an input that is no value of a window.
pub const APART: u32 = u32::MAX;

impl SplitPlan {
    fn new(spec: SplitSpec, windows: Vec<WindowSpec>) -> SplitPlan {
        SplitPlan { spec, windows, turns: Vec::new(), asked: Vec::new(), groups: Vec::new() }
    }

    /// When its rules learn or read anew first after `last`, an evaluation; [`NEVER`] while there is nothing to learn.
    pub fn turn(&self, split: &Split, last: Timestamp) -> Timestamp {
        let next = |turn: &Span| Timestamp((last.0.div_euclid(turn.0) + 1).saturating_mul(turn.0));
        if split.wake == NEVER { NEVER } else { self.turns.iter().map(next).min().unwrap_or(NEVER) }
    }
}

/// Where a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RulePlan {
    /// Index of its split.
    pub split: usize,
    /// Index of its window in the split.
    pub window: usize,
    /// By slot of its program: index of the window that the slot reads.
    pub windows: [u16; INPUT_LIMIT],
    /// All windows that it looks at.
    pub looks: WindowSet,
    /// How time alone can change its verdict.
    pub time: Time,
    /// How many of its inputs are baselines.
    pub baselines: usize,
    /// Where it finds the peers that it reads.
    pub peers: Option<PeerPlan>,
    /// Whether it reads how long its subjects are usually silent.
    pub usual: bool,
    /// Whether it reads percentiles.
    pub percentiles: bool,
    /// Whether its annotations name what is in [`super::finding::Context`].
    pub recites: bool,
    /// A metric without whose least number of samples the condition has no data, and its slot.
    pub counted: Option<(usize, Metric)>,
    /// By slot: its place among what is asked of the split, or [`APART`].
    pub places: [u32; INPUT_LIMIT],
}

/// A rule that covers others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverPlan {
    /// Its index.
    pub rule: usize,
    /// Indices of those that it covers.
    pub covered: Vec<usize>,
}

impl RulePlan {
    /// The window and the metric whose samples say whether there is data.
    pub fn counted_in(&self) -> (usize, Metric) {
        let (slot, metric) = self.counted.unwrap_or((0, Metric::Executions));
        (usize::from(self.windows[slot]), metric)
    }
}

/// How time alone, without records, can change a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Not at all, windows apart.
    Still,
    /// Whenever a time that runs by itself comes to what it is held against, which only an event changes.
    Crossings,
    /// At any step.
    Runs,
    /// Whenever peers are looked at anew, while the window holds something.
    Peers,
    /// When scores are made anew.
    Scores,
}

impl Time {
    fn of(program: &Program) -> Time {
        let silent = |slot: usize| program.inputs[slot].runs();
        let peers = program.inputs.iter().any(|input| input.peers().is_some());
        let scores = program.inputs.iter().any(|input| input.is_of_agents() && input.peers().is_none());
        match ((0..program.inputs.len()).any(silent), peers, scores) {
            (false, false, false) => return Time::Still,
            (false, true, false) => return Time::Peers,
            (false, false, true) => return Time::Scores,
            (true, false, false) => {}
            _ => return Time::Runs,
        }
        if Time::crosses(&program.root, program) { Time::Crossings } else { Time::Runs }
    }

    /// Whether the times that run stand alone on the left of comparisons, and nothing that time changes elsewhere.
    fn crosses(node: &Node, program: &Program) -> bool {
        let runs = |node: &Node| node.slots().iter().any(|slot| program.inputs[*slot].runs());
        let steady =
            |input: &Input| input.usual().is_some() || matches!(input, Input::Metric(..) | Input::Field { .. });
        match node {
            Node::And(left, right) | Node::Or(left, right) => {
                Time::crosses(left, program) && Time::crosses(right, program)
            }
            Node::Not(inner) => Time::crosses(inner, program),
            Node::Compare { left, right, .. } => {
                let own = matches!(left.as_ref(), Node::Slot(_)) || !runs(left);
                own && !runs(right) && right.slots().iter().all(|slot| steady(&program.inputs[*slot]))
            }
            _ => false,
        }
    }
}

/// Everything the policy needs kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The splits; the first two are [`Plan::CELLS`] and [`Plan::AGENTS`].
    pub splits: Vec<SplitPlan>,
    /// One entry per rule of the policy.
    pub rules: Vec<RulePlan>,
    /// Which dimensions any split reads; others are not even interned.
    pub dimensions: [bool; Dimension::PLACES],
    /// Labels of the settings that any split reads.
    pub labels: Vec<Label>,
    /// Per budget: the split that it counts in.
    pub budgets: Vec<usize>,
    /// Record fields that any rule names.
    pub fields: Vec<String>,
    /// Whether any rule looks for repeats.
    pub works: bool,
    /// The rules that read peers.
    pub comparing: Vec<usize>,
    /// The rules that cover others.
    pub covering: Vec<CoverPlan>,
    /// What is kept of where every agent is.
    pub homes: Vec<Dimension>,
    /// Whether any rule reads scores.
    pub scores: bool,
}

impl Plan {
    /// The split by agent, task type and model over the score window.
    pub const CELLS: usize = 0;
    /// The split by agent over the last day.
    pub const AGENTS: usize = 1;

    /// The plan of a policy.
    pub fn new(policy: &Policy) -> Plan {
        let step = policy.settings.evaluation_interval;
        let durations = Features { durations: true, ..Features::default() };
        let score_window = policy.settings.scores.window;
        // Ten slices are enough for scores and keep the memory per cell small.
        let cell = Shape { span: score_window, pane: Span((score_window.0 / 10).max(step.0)) };
        let day = Shape { span: RECENT, pane: Span::hours(1) };
        let of = |by| SplitSpec { by, filter: Vec::new(), takes: Takes::Executions };
        let mut plan = Plan {
            splits: vec![
                SplitPlan::new(of(CELL.to_vec()), vec![WindowSpec { shape: cell, features: durations.clone() }]),
                SplitPlan::new(of(vec![Dimension::Agent]), vec![WindowSpec { shape: day, features: durations }]),
            ],
            rules: Vec::new(),
            dimensions: [false; Dimension::PLACES],
            labels: Vec::new(),
            budgets: Vec::new(),
            fields: Vec::new(),
            works: false,
            comparing: Vec::new(),
            covering: Vec::new(),
            homes: Vec::new(),
            scores: false,
        };
        for budget in &policy.settings.budgets {
            let spec = SplitSpec { by: budget.by.clone(), filter: budget.filter.clone(), takes: Takes::Executions };
            let known = plan.splits.iter().position(|split| split.spec == spec);
            plan.budgets.push(known.unwrap_or(plan.splits.len()));
            if known.is_none() {
                plan.splits.push(SplitPlan::new(spec, Vec::new()));
            }
        }
        for rule in &policy.rules {
            let entry = plan.place(rule, step, Standings::every(&policy.settings));
            if entry.peers.is_some() {
                plan.comparing.push(plan.rules.len());
            }
            plan.scores |= rule.program.inputs.iter().any(|i| matches!(i, Input::Score | Input::PeersScore));
            plan.rules.push(entry);
        }
        for (at, split) in plan.splits.iter_mut().enumerate() {
            let here = (0..plan.rules.len()).filter(|rule| plan.rules[*rule].split == at);
            split.groups = alike::groups(here, &policy.rules, &plan.rules);
        }
        plan.works = policy.rules.iter().any(|rule| rule.takes() == Takes::Works);
        plan.cover(policy);
        // A rule that a reload brings is to find the fleet where it is.
        for dimension in [Dimension::Provider, Dimension::Source] {
            plan.dimensions[dimension.place()] = true;
        }
        for split in &plan.splits {
            for dimension in split.spec.by.iter().copied().chain(split.spec.filter.iter().map(|m| m.dimension)) {
                plan.dimensions[dimension.place()] = true;
                if let Dimension::Custom(label) = dimension {
                    plan.labels.push(label);
                }
            }
            plan.fields.extend(split.windows.iter().flat_map(|w| w.features.fields.iter().cloned()));
        }
        plan.fields.sort();
        plan.fields.dedup();
        plan.labels.sort();
        plan.labels.dedup();
        let read = Dimension::ALL.into_iter().chain(plan.labels.iter().copied().map(Dimension::Custom));
        plan.homes = read.filter(|label| plan.dimensions[label.place()] && Takes::Alerts.has(*label)).collect();
        plan
    }

    fn place(&mut self, rule: &Rule, step: Span, scores: Span) -> RulePlan {
        let split = self.split(SplitSpec::of(rule));
        let shape = Shape::new(rule.window, step);
        // A rule that reads nothing in its window needs none of its own.
        let idle = !rule.program.inputs.iter().any(Input::reads_rule_window) && !self.splits[split].windows.is_empty();
        let window = if idle { 0 } else { self.window(split, shape, Features::default()) };
        let (mut windows, mut looks, mut percentiles) = ([window as u16; INPUT_LIMIT], WindowSet::default(), false);
        if !idle {
            looks.add(window);
        }
        let apart = |input: &&Input| input.reads_rule_window() || input.window().is_some();
        for (place, input) in windows.iter_mut().zip(&rule.program.inputs).filter(|(_, input)| apart(input)) {
            let wanted = Plan::wanted(input);
            percentiles |= wanted.percentiles;
            let shape = input.window().map_or(shape, |window| Shape::new(window, step));
            let window = self.window(split, shape, wanted);
            *place = window as u16;
            looks.add(window);
        }
        let baselines = rule.program.inputs.iter().filter_map(Input::baseline).count();
        let learns = (baselines > 0).then_some(rule.window);
        let others = rule.program.inputs.iter().filter_map(|input| match input {
            Input::Peers(_) => Some(Peers::every(rule.window, step)),
            Input::Score | Input::PeersScore => Some(scores),
            _ => None,
        });
        for turn in learns.into_iter().chain(others) {
            if !self.splits[split].turns.contains(&turn) {
                self.splits[split].turns.push(turn);
            }
        }
        let mut places = [APART; INPUT_LIMIT];
        for ((place, input), window) in places.iter_mut().zip(&rule.program.inputs).zip(windows) {
            if matches!(input, Input::Metric(..) | Input::Field { .. }) && !input.is_of_alerts() {
                let asked = Asked { window: usize::from(window), input: input.clone(), least: rule.min_samples };
                *place = self.ask(split, asked);
            }
        }
        RulePlan {
            split,
            window,
            windows,
            looks,
            places,
            time: match Time::of(&rule.program) {
                // Several conditions have several limits.
                Time::Crossings if !rule.terms.plain() => Time::Runs,
                time => time,
            },
            baselines,
            peers: self.peers(rule, shape),
            usual: rule.program.inputs.iter().any(|input| input.usual().is_some()),
            percentiles,
            recites: rule.annotations.values().any(|text| annotation::recites(text)),
            counted: Plan::counted(rule),
        }
    }

    /// What the window of an input must keep.
    fn wanted(input: &Input) -> Features {
        let fields = if let Input::Field { name, .. } = input { vec![name.clone()] } else { Vec::new() };
        let durations =
            matches!(input, Input::Metric(metric, _) | Input::Baseline { metric, .. } if metric.quantile().is_some());
        Features { durations, percentiles: durations, fields }
    }

    /// The place of what is read of a split; rules that read the same share it.
    fn ask(&mut self, split: usize, wanted: Asked) -> u32 {
        let asked = &mut self.splits[split].asked;
        let known = asked.iter().position(|own| *own == wanted);
        let place = known.unwrap_or(asked.len());
        if known.is_none() {
            asked.push(wanted);
        }
        place as u32
    }

    /// Finds the rules that others cover.
    fn cover(&mut self, policy: &Policy) {
        let named = |names: &[String]| {
            let all = policy.rules.iter().enumerate();
            all.filter(|(_, rule)| names.contains(&rule.name)).map(|(index, _)| index).collect::<Vec<usize>>()
        };
        for (index, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| rule.takes() == Takes::Alerts) {
            self.covering.push(CoverPlan { rule: index, covered: named(&rule.terms.covers) });
        }
    }

    /// A window of a split. Rules on the same window share it; it keeps what any of them needs.
    fn window(&mut self, split: usize, shape: Shape, wanted: Features) -> usize {
        let windows = &mut self.splits[split].windows;
        let Some(at) = windows.iter().position(|w| w.shape == shape) else {
            windows.push(WindowSpec { shape, features: wanted });
            return windows.len() - 1;
        };
        let features = &mut windows[at].features;
        features.durations |= wanted.durations;
        features.percentiles |= wanted.percentiles;
        features.fields.extend(wanted.fields);
        features.fields.sort();
        features.fields.dedup();
        at
    }

    /// Where the rule finds the peers that it reads: in a split that tells task types apart, too.
    fn peers(&mut self, rule: &Rule, shape: Shape) -> Option<PeerPlan> {
        let mut asked = rule.program.inputs.iter().filter_map(Input::peers).peekable();
        asked.peek()?;
        let durations = asked.any(|metric| metric.quantile().is_some());
        let mut by = rule.by.clone();
        if !by.contains(&Dimension::TaskType) {
            by.push(Dimension::TaskType);
        }
        let split = self.split(SplitSpec { by, filter: rule.filter.clone(), takes: Takes::Executions });
        Some(PeerPlan { split, window: self.window(split, shape, Features { durations, ..Features::default() }) })
    }

    fn split(&mut self, spec: SplitSpec) -> usize {
        self.splits.iter().position(|s| s.spec == spec).unwrap_or_else(|| {
            self.splits.push(SplitPlan::new(spec, Vec::new()));
            self.splits.len() - 1
        })
    }

    /// The window of a split that scores look at, whatever its rules do. All others wait for who reads them.
    pub fn scored(split: usize) -> WindowSet {
        let mut scored = WindowSet::default();
        if [Plan::CELLS, Plan::AGENTS].contains(&split) {
            scored.add(0);
        }
        scored
    }

    /// The metric of a condition that reads one only: then the whole is no data without it.
    fn counted(rule: &Rule) -> Option<(usize, Metric)> {
        let mut metrics = rule.program.inputs.iter().enumerate().filter(|(_, input)| !input.is_of_past());
        match (metrics.next(), metrics.next()) {
            (Some((slot, Input::Metric(metric, _))), None) if !metric.runs() => Some((slot, *metric)),
            _ => None,
        }
    }

    /// The splits of the plan, going on with the series of `old` where the spec is the same.
    pub fn splits_from(&self, old: Vec<Split>) -> Vec<Split> {
        let mut old: Vec<Option<Split>> = old.into_iter().map(Some).collect();
        let mut take = |plan: &SplitPlan| {
            let found = old.iter_mut().find(|s| s.as_ref().is_some_and(|s| s.spec == plan.spec));
            match found.and_then(Option::take) {
                Some(mut split) => {
                    // Equal by names; where a label is found depends on the settings.
                    split.spec = plan.spec.clone();
                    split.restore(plan.windows.clone());
                    split
                }
                None => Split::new(plan.spec.clone(), plan.windows.clone()),
            }
        };
        self.splits.iter().map(&mut take).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::PolicySource;

    #[test]
    fn a_shared_window_keeps_what_any_of_its_rules_reads() {
        let (mean, p95, field) = ("mean_latency > 9s", "p95_latency > 9s", "max(tokens_left) > 9");
        for conditions in [[mean, p95, field], [field, mean, p95], [p95, field, mean]] {
            let mut text = "alerts:\n".to_owned();
            for (number, condition) in conditions.iter().enumerate() {
                text += &format!("  - {{name: r{number}, condition: {condition}, window: 10m}}\n");
            }
            let source = PolicySource { rules: vec![("r.yaml".into(), text)], ..PolicySource::default() };
            let plan = Plan::new(&Policy::load(&source, Path::new("")).0.expect("valid rules"));
            let windows: Vec<usize> = plan.rules.iter().map(|rule| rule.window).collect();
            assert!(windows.iter().all(|window| *window == windows[0]), "{windows:?}");
            let features = &plan.splits[plan.rules[0].split].windows[windows[0]].features;
            let kept = (features.durations, features.percentiles, features.fields.as_slice());
            assert_eq!(kept, (true, true, &["tokens_left".to_owned()][..]), "{conditions:?}");
        }
    }

    #[test]
    fn every_value_has_its_window_and_the_window_keeps_what_is_read_in_it() {
        let text = "alerts:\n- {name: a, condition: \"p95_latency[5m] > 9s and max(tokens_left[1h]) > 9 and cost > $1\", \
                    window: 10m}\n- {name: b, condition: cost > $2, window: 1h}\n";
        let source = PolicySource { rules: vec![("r.yaml".into(), text.into())], ..PolicySource::default() };
        let plan = Plan::new(&Policy::load(&source, Path::new("")).0.expect("valid rules"));
        let (a, b) = (&plan.rules[0], &plan.rules[1]);
        let kept = |window: u16| {
            let WindowSpec { shape, features } = &plan.splits[a.split].windows[usize::from(window)];
            (shape.span, features.percentiles, features.fields.len())
        };
        let spans = [(Span::minutes(5), true, 0), (Span::hours(1), false, 1), (Span::minutes(10), false, 0)];
        assert_eq!(a.windows[..3].iter().map(|window| kept(*window)).collect::<Vec<_>>(), spans);
        assert_eq!((a.window as u16, b.window as u16, a.split), (a.windows[2], a.windows[1], b.split));
        assert!(a.windows[..3].iter().all(|window| a.looks.has(usize::from(*window))) && !b.looks.has(a.window));
    }
}
