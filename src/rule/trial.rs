//! Holds a lowered program against the expression parser's own evaluation, once, when it is loaded.
//!
//! Two evaluators of one tree can drift apart; a rule on which they do is refused instead of
//! firing wrongly.

use evalexpr::{ContextWithMutableVariables, HashMapContext, Node, Value};

use super::{Input, Program};

/// How many sets of values are tried per condition.
const ROUNDS: u64 = 8;

/// Whether the program says what the tree says on a few sets of values.
///
/// `leaves` gives, for each name of the tree in order, its slot and the factor on it.
///
/// # Errors
/// What differed.
pub(super) fn agrees(program: &Program, tree: &Node, leaves: &[(usize, f64)]) -> Result<(), String> {
    let mut tree = tree.clone();
    // One name may mean two things (a bare `baseline`), so each mention gets a name of its own.
    for (i, name) in tree.iter_variable_identifiers_mut().enumerate() {
        *name = format!("leaf{i}");
    }
    for round in 0..ROUNDS {
        let inputs: Vec<f64> =
            program.inputs.iter().enumerate().map(|(i, input)| sample(input, round * 64 + i as u64)).collect();
        compare(program, &tree, leaves, &inputs)?;
    }
    Ok(())
}

fn compare(program: &Program, tree: &Node, leaves: &[(usize, f64)], inputs: &[f64]) -> Result<(), String> {
    let given: Vec<Option<f64>> = inputs.iter().copied().map(Some).collect();
    let Some(verdict) = program.eval(&given) else { return Ok(()) };
    let mut context = HashMapContext::new();
    for (i, (slot, factor)) in leaves.iter().enumerate() {
        let value = Value::Float(inputs[*slot] * factor);
        context.set_value(format!("leaf{i}"), value).expect("a fresh name takes any value");
    }
    match tree.eval_boolean_with_context(&context) {
        Ok(holds) if holds == verdict.holds => Ok(()),
        other => Err(format!("the condition is ambiguous: on {inputs:?} it is {} and {other:?}", verdict.holds)),
    }
}

/// A value that the input could have, the same for the same seed.
fn sample(input: &Input, seed: u64) -> f64 {
    let (low, high) = match input {
        Input::Metric(metric, _) | Input::Baseline { metric, .. } | Input::Peers(metric) => metric.about().range,
        Input::Budget => (0.0, 3.0),
        Input::Score | Input::PeersScore => (0.0, 100.0),
        Input::Field { .. } => (0.0, f64::INFINITY),
    };
    // Finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    let mut z = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let share = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
    match high.is_finite() {
        true => low + share * (high - low),
        // Magnitudes from cents to days in milliseconds.
        false => low + 10f64.powf(share * 10.0 - 2.0),
    }
}
