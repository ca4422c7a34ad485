//! What a rule knows beside the windows.

use serde::{Deserialize, Serialize};

use crate::engine::adopt;
use crate::engine::baseline::History;
use crate::engine::covers::Covered;
use crate::engine::evaluate;
use crate::engine::gaps::Gaps;
use crate::engine::names::Names;
use crate::engine::peers::Peers;
use crate::engine::plan::RulePlan;
use crate::engine::raised::Raised;
use crate::engine::split::{Split, SplitSpec};
use crate::model::Timestamp;
use crate::rule::{Input, Rule};

/// What a rule knows beside the windows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RuleState {
    /// The name of the rule that the state belongs to.
    pub name: String,
    /// All that the rule's verdict hangs on, in one text.
    pub identity: String,
    /// Pending and firing alerts by series.
    pub alerts: Raised,
    /// When it was last evaluated, or known to say nothing, on whatever series.
    pub evaluated: Option<Timestamp>,
    /// By series, as many as the rule has baseline inputs: the values of past windows.
    pub(super) histories: Vec<History>,
    /// Their centres, apart because every evaluation reads them.
    pub(super) centres: Vec<Option<f32>>,
    /// How long every series is usually silent, when the rule reads it.
    pub gaps: Gaps,
    /// Of a rule that covers others: the agents that it counts.
    pub covered: Covered,
    /// What the peers of each series do, when the rule reads it.
    pub peers: Peers,
    /// By series, when the rule has overrides: which case of its [`crate::rule::Terms`] it is, plus
    /// one; 0 is not known yet.
    #[serde(skip)]
    cases: Vec<u8>,
}

impl RuleState {
    /// Which case of the rule's terms a series is.
    pub fn case(&mut self, rule: &Rule, split: &Split, series: usize, names: &Names) -> usize {
        if rule.terms.overrides.is_empty() {
            return 0;
        }
        if self.cases.len() <= series {
            self.cases.resize(series + 1, 0);
        }
        if self.cases[series] == 0 {
            self.cases[series] = evaluate::case(rule, split, series, names) as u8 + 1;
        }
        usize::from(self.cases[series]) - 1
    }

    /// A rule's state before anything happened.
    pub fn new(rule: &Rule) -> RuleState {
        RuleState { name: rule.name.clone(), identity: adopt::identity(rule), ..RuleState::default() }
    }

    /// Goes on under the rule as it reads now. What was learned of something that it reads no more is forgotten; whether
    /// it has to learn it anew.
    pub fn change(&mut self, before: &Rule, rule: &Rule) -> bool {
        self.identity = adopt::identity(rule);
        self.cases.clear();
        let others = SplitSpec::of(before) != SplitSpec::of(rule);
        let moved = others || before.window != rule.window;
        let reads = |rule: &Rule, of: fn(&Input) -> bool| -> Vec<Input> {
            rule.program.inputs.iter().filter(|input| of(input)).cloned().collect()
        };
        let changed = |of| moved || reads(before, of) != reads(rule, of);
        let (past, others_do) = (changed(|i| i.baseline().is_some()), changed(|i| i.peers().is_some()));
        if past {
            (self.histories, self.centres) = Default::default();
        }
        if others_do {
            self.peers = Peers::default();
        }
        // By series, which are others now.
        if others {
            (self.gaps, self.covered) = Default::default();
        }
        let learns = |i: &Input| match i {
            _ if i.usual().is_some() => others,
            _ => past && i.baseline().is_some() || others_do && i.peers().is_some(),
        };
        rule.program.inputs.iter().any(learns)
    }

    /// The centres of the values of past windows of a series, for each baseline input of the rule.
    pub(super) fn centres(&self, series: usize, plan: &RulePlan) -> &[Option<f32>] {
        self.centres.get(series * plan.baselines..).unwrap_or_default()
    }
}
