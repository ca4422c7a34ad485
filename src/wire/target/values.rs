//! The tunable values in a text: which agents have one, and what it is in the parameter's inner unit.

use thiserror::Error;

use super::path::{Path, Template, TemplateError};
use super::tree::{Content, Node, Scalar};
use super::{ParseError, parse};
use crate::settings::{Parameter, ParameterKind, Target};

/// A value that can be tuned.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Index of the parameter in its target.
    pub parameter: u32,
    /// The agent.
    pub agent: String,
    /// Where it stands.
    pub path: Path,
    /// What stands there.
    pub scalar: Scalar,
    /// The same in the parameter's inner unit: milliseconds, points or a count.
    pub inner: f64,
}

/// A value that is there and is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untunable {
    /// Index of the parameter in its target.
    pub parameter: u32,
    /// The agent.
    pub agent: String,
    /// Where it stands.
    pub path: String,
    /// Why it is left alone.
    pub reason: String,
}

/// What a target's text holds, by parameter and then in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// The values that can be tuned; at most one for a parameter and an agent.
    pub values: Vec<Value>,
    /// The values that are left alone.
    pub untunable: Vec<Untunable>,
}

/// Why a target's text could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The text cannot be read.
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// The path of a parameter is no template.
    #[error("{0}")]
    Template(#[from] TemplateError),
}

impl Parameter {
    /// Inner units in one unit of the file.
    pub fn unit(&self) -> f64 {
        match self.kind {
            ParameterKind::Timeout => self.unit_ms,
            ParameterKind::QualityTarget | ParameterKind::Concurrency => 1.0,
        }
    }
}

/// Every value of a target's parameters.
///
/// 0, negative numbers, `false` and `null` switch a limit off in the programs that read these files; such a
/// value is not tuned, for there is no limit to move.
pub fn read(text: &str, target: &Target) -> Result<Reading, ReadError> {
    let root = parse(text, target.format)?;
    let mut reading = Reading::default();
    for (index, parameter) in target.parameters.iter().enumerate() {
        let places = Template::parse(&parameter.path)?.places(&root);
        let mut agents = std::collections::BTreeMap::<String, u32>::new();
        for place in &places {
            *agents.entry(place.agent.clone()).or_default() += 1;
        }
        for place in places {
            let found = match agents[&place.agent] {
                1 => place.end.and_then(|node| tunable(node, parameter)),
                n => Err(format!("{n} places are this agent's, and which one counts is unknown")),
            };
            let parameter = index as u32;
            match found {
                Ok((scalar, inner)) => {
                    reading.values.push(Value { parameter, agent: place.agent, path: place.path, scalar, inner });
                }
                Err(reason) => {
                    let path = place.path.to_string();
                    reading.untunable.push(Untunable { parameter, agent: place.agent, path, reason });
                }
            }
        }
    }
    Ok(reading)
}

impl Reading {
    /// One agent's value of one parameter, or why there is none to tune.
    pub fn find(&self, parameter: u32, agent: &str) -> Result<&Value, String> {
        if let Some(value) = self.values.iter().find(|v| v.parameter == parameter && v.agent == agent) {
            return Ok(value);
        }
        match self.untunable.iter().find(|u| u.parameter == parameter && u.agent == agent) {
            Some(left) => Err(format!("`{}` is left alone: {}", left.path, left.reason)),
            None => Err(format!("the agent `{agent}` has no such value in the file")),
        }
    }
}

/// The value of a node and its inner number, or why it is left alone.
fn tunable(node: &Node, parameter: &Parameter) -> Result<(Scalar, f64), String> {
    let Content::Scalar(scalar) = &node.content else {
        return Err(format!("it is {}, not a number", node.kind()));
    };
    let number = match (scalar, scalar.number()) {
        (Scalar::Null | Scalar::Bool(false), _) => return Err(format!("`{scalar}` switches the limit off")),
        (_, None) => return Err(format!("it is {}, not a number", node.kind())),
        (Scalar::Text(_), Some(_)) if !parameter.as_string => {
            return Err("it is a number in quotes; say `type: string` if its reader wants text".into());
        }
        (Scalar::Integer(_) | Scalar::Float(_), _) if parameter.as_string => {
            return Err("it is a number without quotes, but `type: string` says text".into());
        }
        (_, Some(number)) => number,
    };
    if number <= 0.0 {
        return Err(format!("`{scalar}` switches the limit off"));
    }
    Ok((scalar.clone(), number * parameter.unit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;
    use crate::settings::{Guard, Mode, TargetFormat};

    fn target(path: &str, unit_ms: f64, as_string: bool) -> Target {
        let guard = Guard {
            floor: 0.0,
            ceiling: 1e9,
            dead_band: 0.1,
            step_up: 2.0,
            step_down: 0.5,
            cooldown: Span::hours(1),
            min_samples: 20,
        };
        let kind = ParameterKind::Timeout;
        Target {
            name: "t".into(),
            file: "agents.yaml".into(),
            format: TargetFormat::Yaml,
            mode: Mode::Suggest,
            parameters: vec![Parameter {
                kind,
                path: path.into(),
                unit_ms,
                as_string,
                guard,
                task_type: "complex".into(),
            }],
        }
    }

    fn check(text: &str, target: &Target, values: &[(&str, f64)], untunable: &[(&str, &str)]) {
        let reading = read(text, target).expect("the document parses");
        let found: Vec<_> = reading.values.iter().map(|v| (v.agent.as_str(), v.inner)).collect();
        assert_eq!(found, values, "{text}");
        assert_eq!(reading.untunable.len(), untunable.len(), "{text}: {:?}", reading.untunable);
        for (left, (agent, part)) in reading.untunable.iter().zip(untunable) {
            assert_eq!(left.agent, *agent, "{text}");
            assert!(left.reason.contains(part), "{text}: {}", left.reason);
        }
    }

    #[test]
    fn values_come_in_the_inner_unit() {
        check(
            "a: {t: 60}\nb: {t: 1.5}\nc: {x: 1}\n",
            &target("{agent}.t", 1_000.0, false),
            &[("a", 60_000.0), ("b", 1_500.0)],
            &[],
        );
        check("a: {t: '600000'}", &target("{agent}.t", 1.0, true), &[("a", 600_000.0)], &[]);
    }

    #[test]
    fn what_is_no_limit_is_reported_and_left_alone() {
        check(
            "a: {t: 0}\nb: {t: -1}\nc: {t: false}\nd: {t: }\ne: {t: off}\nf: {t: 10m}\ng: {t: '5'}\nh: {t: [1]}\n\
             i: {t: 010}\n",
            &target("{agent}.t", 1_000.0, false),
            &[],
            &[
                ("a", "switches the limit off"),
                ("b", "switches the limit off"),
                ("c", "switches the limit off"),
                ("d", "switches the limit off"),
                ("e", "switches the limit off"),
                ("f", "text, not a number"),
                ("g", "type: string"),
                ("h", "a list"),
                ("i", "readers take differently"),
            ],
        );
        check("a: {t: 5}", &target("{agent}.t", 1.0, true), &[], &[("a", "without quotes")]);
    }

    #[test]
    fn an_agent_with_two_places_is_left_alone() {
        check(
            "l: [{n: a, t: 1}, {n: a, t: 2}, {n: b, t: 3}]",
            &target("l[n={agent}].t", 1.0, false),
            &[("b", 3.0)],
            &[("a", "2 places"), ("a", "2 places")],
        );
    }
}
