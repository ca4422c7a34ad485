//! How much a window must hold before a rule says anything: a share of a handful of runs is a burst by chance.

use super::levels::Placed;
use super::load::{RATIO_MIN_SAMPLES, RuleReader};
use super::{Arithmetic, Comparison, Input, Node};
use crate::model::{Metric, Unit};
use crate::wire::fields::Fields;

/// A share of fewer runs than this jumps by half or more with one failure.
const FEW: u32 = 3;

impl RuleReader<'_> {
    /// The least number of samples: as written, else what the values need.
    pub(super) fn min_samples(&self, fields: &Fields<'_>, inputs: &[Input], levels: &Placed) -> u32 {
        let least = default_min_samples(inputs);
        let Some(written) = fields.integer("min_samples", 1, 1_000_000) else {
            if fields.node("min_samples").is_none() {
                self.shares_of_sums(inputs, levels);
            }
            return least;
        };
        let counts = |input: &Input| {
            matches!(input, Input::Metric(Metric::Executions | Metric::FailedExecutions | Metric::AlertingAgents, _))
        };
        let n = written.value as u32;
        if n < FEW.min(least) && !inputs.iter().any(counts) {
            let share = Unit::Ratio.show(1.0 / f64::from(n));
            let agents = inputs.iter().any(Input::is_of_alerts);
            let (of, one) = if agents { ("agents", "one with an alert") } else { ("runs", "one failure") };
            let count = if agents { "alerting_agents" } else { "executions" };
            let message = format!("a share of as few as {n} {of} is a burst by chance: {one} is {share}");
            let help = format!("write at least {least}, or `{count} >= {least} and ...`");
            self.faults.warning(written.bytes, message, help);
        }
        n
    }

    /// Says of shares that are written out as a sum by another that the first record may decide them.
    fn shares_of_sums(&self, inputs: &[Input], levels: &Placed) {
        for (level, bytes) in levels {
            let mut found = Found::default();
            found.look(&level.root, inputs);
            if found.share && !found.volume {
                let message = "a share of sums without a least volume: the first record of a window may decide it";
                let help = format!(
                    "add `min_samples: {RATIO_MIN_SAMPLES}`, or compare the divisor too: `sum(requests) > 100 and ...`"
                );
                self.faults.warning(bytes.clone(), message, help);
            }
        }
    }
}

/// Shares need a handful of samples, everything else one.
fn default_min_samples(inputs: &[Input]) -> u32 {
    let share = |input: &Input| matches!(input, Input::Metric(metric, _) if metric.unit() == Unit::Ratio);
    if inputs.iter().any(share) { RATIO_MIN_SAMPLES } else { 1 }
}

/// What a condition compares.
#[derive(Debug, Default)]
struct Found {
    /// A sum of a record field divided by another, as a share.
    share: bool,
    /// Something that grows with what the window holds, from a number up.
    volume: bool,
}

impl Found {
    fn look(&mut self, node: &Node, inputs: &[Input]) {
        match node {
            Node::And(left, right) | Node::Or(left, right) => {
                self.look(left, inputs);
                self.look(right, inputs);
            }
            Node::Not(inner) => self.look(inner, inputs),
            Node::Compare { op, left, right, unit } => {
                let sum = |node: &Node| matches!(node, Node::Slot(slot) if inputs[*slot].adds_up());
                let field =
                    |node: &Node| matches!(node, Node::Slot(slot) if matches!(inputs[*slot], Input::Field { .. }));
                if let Node::Arithmetic(Arithmetic::Divide, over, under) = left.as_ref() {
                    self.share |= *unit == Unit::Ratio && sum(over) && sum(under) && field(under);
                }
                // Whichever way it is compared, its author has thought of how much there is.
                let bound = matches!(right.as_ref(), Node::Const(_));
                self.volume |= bound && sum(left) && !matches!(op, Comparison::NotEqual);
            }
            _ => {}
        }
    }
}
