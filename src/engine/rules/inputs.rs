//! What a rule reads of a series: values of windows, and those that come from elsewhere.

use super::{Evaluation, RuleState};
use crate::engine::reading::Reading;
use crate::engine::split::Split;
use crate::rule::Input;
use crate::rule::program::Slots;

/// Inputs of a rule, at most; the rule loader refuses more.
pub const INPUTS: usize = crate::rule::INPUT_LIMIT;

/// The values of a rule's inputs, and how many samples are behind each that has any.
pub type Inputs = ([Option<f64>; INPUTS], [Option<u64>; INPUTS]);

/// A rule's inputs on one series, each read when asked for.
pub struct Glimpse<'a> {
    pub evaluation: &'a Evaluation<'a>,
    pub rule: usize,
    pub split: &'a Split,
    pub index: usize,
    pub state: &'a RuleState,
}

impl Slots for Glimpse<'_> {
    fn value(&self, slot: usize) -> Option<f64> {
        let Glimpse { evaluation, rule, split, index, state } = self;
        let place = evaluation.plans[*rule].places[slot] as usize;
        match evaluation.asked.get(place) {
            Some(asked) => evaluation.sheet.borrow_mut().value(place, asked, (split, *index), evaluation.now),
            None => evaluation.aside(*rule, slot, (split, *index), *index, state).0,
        }
    }
}

impl Evaluation<'_> {
    /// The inputs of a rule on one series in slot order, and the samples behind each; those with fewer
    /// than `least` are no data. `reading` is of one of the windows; slots that read another one look there.
    pub fn read(
        &self,
        rule_index: usize,
        reading: &Reading<'_>,
        least: u32,
        index: usize,
        state: &RuleState,
    ) -> Inputs {
        let (mut values, mut counts) = ([None; INPUTS], [None; INPUTS]);
        let plan = &self.plans[rule_index];
        let inputs = self.rules[rule_index].program.inputs.iter().enumerate();
        for ((value, n), (slot, input)) in values.iter_mut().zip(&mut counts).zip(inputs) {
            let window = usize::from(plan.windows[slot]);
            let apart;
            let reading = if window == reading.window {
                reading
            } else {
                apart = reading.over(window);
                &apart
            };
            (*value, *n) = match input {
                Input::Metric(metric, _) if !metric.is_of_alerts() => {
                    let (value, n) = reading.metric(*metric, least);
                    (value, Some(n))
                }
                Input::Field { name, aggregate, .. } => reading.field(name, *aggregate, least),
                _ => self.aside(rule_index, slot, reading.of, index, state),
            };
        }
        (values, counts)
    }

    /// An input that is no value of a window, and the samples behind it if there are any; `index` is that of
    /// the series in the rule's state.
    fn aside(
        &self,
        rule_index: usize,
        slot: usize,
        of: (&Split, usize),
        index: usize,
        state: &RuleState,
    ) -> (Option<f64>, Option<u64>) {
        let (rule, plan) = (&self.rules[rule_index], &self.plans[rule_index]);
        let inputs = &rule.program.inputs;
        let before = |of_kind: fn(&Input) -> bool| inputs[..slot].iter().filter(|input| of_kind(input)).count();
        let standing = || self.standings.0.of(of.0, of.1);
        match &inputs[slot] {
            Input::Baseline { percent, .. } if inputs[slot].usual().is_some() => {
                (state.gaps.usual(index, *percent), None)
            }
            Input::Baseline { .. } => {
                let centre = state.centres(index, plan).get(before(|input| input.baseline().is_some()));
                (centre.copied().flatten().map(f64::from), None)
            }
            Input::Peers(_) => {
                let peers = state.peers.of(index, rule).get(before(|input| input.peers().is_some()));
                (peers.copied().flatten(), None)
            }
            Input::Budget => match self.budgets.get(rule_index).copied().flatten() {
                Some((budget, used)) => {
                    let (share, n) = used.share(budget, index);
                    (Some(share), Some(n))
                }
                None => (None, None),
            },
            Input::Score => match standing() {
                Some(own) => ((own.n >= u64::from(rule.min_samples)).then_some(own.score), Some(own.n)),
                None => (None, None),
            },
            Input::PeersScore => (standing().and_then(|standing| standing.peers), None),
            Input::Metric(metric, _) => {
                let (value, n) = state.covered.metric(index, *metric, rule.min_samples);
                (value, Some(n))
            }
            Input::Field { .. } => (None, None),
        }
    }
}
