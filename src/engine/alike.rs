//! Rules that differ in their limit alone: while a lenient one of them does not hold, no stricter one does.

use super::plan::RulePlan;
use crate::rule::{Arithmetic, Comparison, Input, Node, Rule};

/// Puts rules of one split together that read the same and compare it with a limit of their own, the most lenient
/// first and the strictest last; all others stay alone. Groups come in the order of their first rules.
pub fn groups(here: impl Iterator<Item = usize>, rules: &[Rule], plans: &[RulePlan]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for rule in here {
        let same = |group: &&mut Vec<usize>| alike(&rules[group[0]], &plans[group[0]], &rules[rule], &plans[rule]);
        match groups.iter_mut().find(same) {
            Some(group) => {
                let place = group.partition_point(|other| !is_more_lenient(&rules[rule], &rules[*other]));
                group.insert(place, rule);
            }
            None => groups.push(vec![rule]),
        }
    }
    groups
}

/// What is compared how, what the limit is a multiple of, and the limit.
fn parts(rule: &Rule) -> Option<(&Node, Comparison, Option<&Node>, f64)> {
    let Node::Compare { op, left, right, .. } = &rule.program.root else { return None };
    let positive = |node: &Node| {
        let Node::Slot(slot) = node else { return false };
        matches!(rule.program.inputs[*slot], Input::Metric(metric, _) if metric.about().range.0 >= 0.0)
    };
    let (of, limit) = match right.as_ref() {
        Node::Const(limit) => (None, *limit),
        Node::Arithmetic(Arithmetic::Multiply, a, b) => match (a.as_ref(), b.as_ref()) {
            (of, Node::Const(limit)) | (Node::Const(limit), of) if positive(of) => (Some(of), *limit),
            _ => return None,
        },
        _ => return None,
    };
    // What is usual every rule learned by itself.
    let learned = rule.program.inputs.iter().any(Input::is_of_past);
    let ordered = !learned && !matches!(op, Comparison::Equal | Comparison::NotEqual) && rule.terms.plain();
    ordered.then_some((left, *op, of, limit))
}

fn alike(a: &Rule, of_a: &RulePlan, b: &Rule, of_b: &RulePlan) -> bool {
    let of = |rule: &Rule| (rule.min_samples, rule.budget.clone(), rule.terms.covers.clone());
    let same = a.program.inputs == b.program.inputs && of(a) == of(b) && of_a.windows == of_b.windows;
    let parts = |rule| parts(rule).map(|(left, op, of, _)| (left, op, of));
    same && parts(a).is_some() && parts(a) == parts(b)
}

fn is_more_lenient(a: &Rule, b: &Rule) -> bool {
    match (parts(a), parts(b)) {
        (Some((_, Comparison::Greater | Comparison::GreaterEqual, _, a)), Some((.., b))) => a < b,
        (Some((.., a)), Some((.., b))) => a > b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::engine::plan::Plan;
    use crate::policy::{Policy, PolicySource};

    #[test]
    fn rules_that_read_the_same_come_from_lenient_to_strict() {
        let rules = "alerts:\n\
             - {name: a, condition: error_rate > 30%, window: 10m}\n\
             - {name: b, condition: error_rate > 10%, window: 10m}\n\
             - {name: other window, condition: error_rate > 10%, window: 20m}\n\
             - {name: other way, condition: error_rate < 10%, window: 10m}\n\
             - {name: c, condition: error_rate > 20%, window: 10m}\n\
             - {name: keeps, condition: error_rate > 15%, window: 10m, no_data: keep}\n\
             - {name: more samples, condition: error_rate > 5%, window: 10m, min_samples: 9}\n\
             - {name: x, condition: \"cost[5m] * 12 > cost * 3\", window: 1h}\n\
             - {name: y, condition: \"cost[5m] * 12 > cost * 2\", window: 1h}\n\
             - {name: strict, condition: success_rate < 50%, window: 10m}\n\
             - {name: lenient, condition: success_rate < 90%, window: 10m}\n";
        let source = PolicySource { rules: vec![("rules.yaml".into(), rules.into())], ..PolicySource::default() };
        let policy = Policy::load(&source, Path::new("")).0.expect("valid rules");
        let groups = super::groups(0..policy.rules.len(), &policy.rules, &Plan::new(&policy).rules);
        let names = |group: &Vec<usize>| group.iter().map(|rule| policy.rules[*rule].name.as_str()).collect::<Vec<_>>();
        let apart = |name| vec![name];
        assert_eq!(
            groups.iter().map(names).collect::<Vec<_>>(),
            [
                vec!["b", "c", "a"],
                apart("other window"),
                apart("other way"),
                apart("keeps"),
                apart("more samples"),
                vec!["y", "x"],
                vec!["lenient", "strict"],
            ]
        );
    }
}
