//! Tests of the condition language: what conditions mean, and what is said about wrong ones.

use super::*;

fn check(text: &str) -> (Option<Program>, Vec<Fault>) {
    let mut inputs = Vec::new();
    let (root, faults) = super::check(text, &mut inputs, Span::seconds(15));
    (root.map(|root| Program { inputs, root }), faults)
}
use crate::diagnostic::Level;
use crate::rule::{Aggregate, Verdict};
use proptest::prelude::*;

fn program(text: &str) -> Program {
    let (program, faults) = check(text);
    program.unwrap_or_else(|| panic!("{text}: {faults:?}"))
}

/// Evaluates with values given per input, in the order of first mention.
fn eval(text: &str, values: &[f64]) -> Option<Verdict> {
    let program = program(text);
    assert_eq!(program.inputs.len(), values.len(), "{text}: {:?}", program.inputs);
    program.eval(&values.iter().copied().map(Some).collect::<Vec<_>>())
}

#[test]
fn conditions_mean_what_they_say() {
    for (text, values, holds, value, threshold, unit) in [
        ("error_rate > 10%", &[0.2][..], true, 0.2, 0.1, Unit::Ratio),
        ("error_rate > 0.1", &[0.05], false, 0.05, 0.1, Unit::Ratio),
        ("p95_latency > 15s", &[16_000.0], true, 16_000.0, 15_000.0, Unit::Duration),
        ("15s < p95_latency", &[16_000.0], true, 16_000.0, 15_000.0, Unit::Duration),
        ("hourly_cost > baseline * 2", &[5.0, 2.0], true, 5.0, 4.0, Unit::Money),
        ("baseline * 2 < hourly_cost", &[2.0, 5.0], true, 5.0, 4.0, Unit::Money),
        ("hourly_cost > 2 * baseline.hourly_cost + $1", &[5.0, 2.0], false, 5.0, 5.0, Unit::Money),
        ("p95_latency > baseline * 150%", &[200.0, 100.0], true, 200.0, 150.0, Unit::Duration),
        ("success_rate < 95%", &[0.9], true, 0.9, 0.95, Unit::Ratio),
        ("cost / executions > $0.50", &[3.0, 5.0], true, 0.6, 0.5, Unit::Money),
        ("cost / baseline > 2", &[3.0, 1.0], true, 3.0, 2.0, Unit::Any),
        ("hourly_cost - baseline > $5", &[9.0, 2.0], true, 7.0, 5.0, Unit::Money),
        ("error_rate > 10% and executions >= 20", &[0.2, 25.0], true, 25.0, 20.0, Unit::Count),
        ("error_rate > 10% && executions >= 20", &[0.0, 25.0], false, 0.0, 0.1, Unit::Ratio),
        ("error_rate > 10% or p95_latency > 1m", &[0.0, 90_000.0], true, 90_000.0, 60_000.0, Unit::Duration),
        ("not error_rate > 10% and cost > $1", &[0.2, 5.0], false, 0.2, 0.1, Unit::Ratio),
        ("!(error_rate > 10% or cost > $1)", &[0.0, 0.5], true, 0.0, 0.1, Unit::Ratio),
        ("semantic_selection_time > 3s", &[3_500.0], true, 3_500.0, 3_000.0, Unit::Duration),
        ("field.build_s > 3s", &[3.5], true, 3_500.0, 3_000.0, Unit::Duration),
        ("cache_miss_rate > 80%", &[0.9], true, 0.9, 0.8, Unit::Ratio),
        ("total_tokens > 1_000 tokens", &[1_001.0], true, 1_001.0, 1_000.0, Unit::Tokens),
        ("error_rate - -0.1 > 0.15", &[0.1], true, 0.2, 0.15, Unit::Ratio),
        ("silence > 15m", &[1e6], true, 1e6, 900_000.0, Unit::Duration),
        ("executions / 5 * 2 == 3", &[7.5], true, 3.0, 3.0, Unit::Count),
        ("p95_latency > 0", &[1.0], true, 1.0, 0.0, Unit::Duration),
        ("p99_latency / p50_latency > 5", &[60.0, 10.0], true, 6.0, 5.0, Unit::Any),
    ] {
        let verdict = eval(text, values).expect(text);
        assert_eq!(verdict, Verdict { holds, value, threshold, unit }, "{text}");
    }
}

#[test]
fn functions_read_record_fields() {
    let of = |name: &str, aggregate| Input::Field { name: name.to_owned(), aggregate, window: None };
    for (text, input) in [
        ("last(value) > 10", of("value", Aggregate::Last)),
        ("increase( field.cost ) > 10", of("cost", Aggregate::Increase)),
        ("avg (value) > 10", of("value", Aggregate::Mean)),
        ("value > 10", of("value", Aggregate::Mean)),
        ("max > 10", of("max", Aggregate::Mean)),
    ] {
        assert_eq!(program(text).inputs, [input], "{text}");
    }
    assert_eq!(check("last(build_s) > 3s").1, [], "a function says that a field is meant");
    assert_eq!(program("last(value) > min(value)").inputs.len(), 2);
    for (text, place, message, help) in [
        ("max(cost) > 1", 0..9, "one value per window", "`field.cost`"),
        ("1 < max(a + b)", 7..14, "the name of one record field", "max(queue_depth)"),
        ("last() > 1", 4..6, "the name of one record field", "last(queue_depth)"),
        ("last((a)) > 1", 4..9, "the name of one record field", "last(queue_depth)"),
        ("last(a > 1", 4..10, "the name of one record field", "last(queue_depth)"),
        ("lats(a) > 1", 0..5, "no function `lats`", "did you mean `last`?"),
    ] {
        let (program, faults) = check(text);
        assert_eq!((program, faults.len(), &faults[0].bytes), (None, 1, &place), "{text}: {faults:?}");
        assert!(faults[0].message.contains(message) && faults[0].help.contains(help), "{text}: {faults:?}");
    }
}

#[test]
fn a_value_may_have_a_window_of_its_own() {
    let (five, hour) = (Some(Span::minutes(5)), Some(Span::hours(1)));
    let text =
        "error_rate[5m] > 14.4% and error_rate [ 60 minutes ] > 14.4% and sum(errors[5m]) > queue[1h] and cost > $1";
    let field = |name: &str, aggregate, window| Input::Field { name: name.to_owned(), aggregate, window };
    let inputs = program(text).inputs;
    let shown: Vec<String> = inputs.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["error_rate[5m]", "error_rate[1h]", "sum(errors[5m])", "mean(queue[1h])", "cost"]);
    let fields = [field("errors", Aggregate::Sum, five), field("queue", Aggregate::Mean, hour)];
    assert_eq!(inputs[..2], [Input::Metric(Metric::ErrorRate, five), Input::Metric(Metric::ErrorRate, hour)]);
    assert_eq!(inputs[2..4], fields);
    assert_eq!(program("error_rate[5m] > 1% or error_rate[300s] > 2% or error_rate > 3%").inputs.len(), 2);
    let verdict = eval("hourly_cost[5m] > hourly_cost[1h] * 2", &[5.0, 2.0]);
    assert_eq!(verdict, Some(Verdict { holds: true, value: 5.0, threshold: 4.0, unit: Unit::Money }));
}

#[test]
fn a_baseline_is_that_of_the_metric_it_is_compared_with() {
    let text = "p95_latency > baseline * 2 or hourly_cost > baseline * 3";
    let p95 = [Input::Metric(Metric::P95Latency, None), Input::Baseline { metric: Metric::P95Latency, percent: 50 }];
    let cost = [Input::Metric(Metric::HourlyCost, None), Input::Baseline { metric: Metric::HourlyCost, percent: 50 }];
    assert_eq!(program(text).inputs, [p95, cost].concat());
    assert_eq!(program("error_rate > 1% and error_rate < 2%").inputs.len(), 1);
}

/// What is said about a condition: level, the bytes as text, a part of message and help.
fn said(text: &str) -> Vec<(Level, String, String)> {
    let (program, faults) = check(text);
    assert_eq!(
        program.is_none() || faults.iter().any(|f| f.level == Level::Error),
        faults.iter().any(|f| f.level == Level::Error)
    );
    faults.into_iter().map(|f| (f.level, text[f.bytes].to_owned(), format!("{} ({})", f.message, f.help))).collect()
}

#[test]
fn faults_name_the_bytes_and_the_remedy() {
    let (error, warning) = (Level::Error, Level::Warning);
    for (text, expected) in [
        (
            "p95_latency > 10%",
            vec![(
                error,
                "10%",
                "`p95_latency` is a duration, `10%` is a ratio (compare it with a duration, such as `15s`)",
            )],
        ),
        ("p95_latency > 15", vec![(error, "15", "has no unit (write `15ms`, `15s`")]),
        ("p95_latency > cost", vec![(error, "p95_latency > cost", "an amount of money")]),
        ("quality > 90%", vec![(error, "90%", "a number of points")]),
        (
            "erorr_rate > 10% and sucess_rate < 90%",
            vec![(error, "erorr_rate", "did you mean `error_rate`?"), (error, "sucess_rate", "`success_rate`")],
        ),
        ("error_rate > 150%", vec![(error, "error_rate > 150%", "can never hold (`error_rate` is 0% to 100%")]),
        ("error_rate > 10", vec![(error, "error_rate > 10", "did you mean `10%`?")]),
        ("error_rate > 100%", vec![(error, "error_rate > 100%", "never")]),
        ("cost < $0", vec![(error, "cost < $0", "`cost` is $0.00 or more")]),
        ("success_rate >= 0%", vec![(warning, "success_rate >= 0%", "always holds")]),
        ("executions < 1", vec![(error, "executions < 1", "`silence > 15m` says")]),
        ("cost > $-1", vec![(error, "$", "not a number")]),
        ("cost > -$1", vec![(warning, "cost > -$1", "always holds")]),
        ("error_rate", vec![(error, "error_rate", "is a number, not a condition (compare it: `error_rate > 10%`)")]),
        ("error_rate and cost > $1", vec![(error, "error_rate", "not a condition")]),
        ("not error_rate", vec![(error, "error_rate", "not a condition")]),
        ("1 > 0", vec![(error, "1 > 0", "reads no metric")]),
        ("5% < error_rate < 10%", vec![(error, "5% < error_rate < 10%", "cannot be chained")]),
        ("(error_rate > 1%) + 1 > 1", vec![(error, "error_rate > 1%", "true or false, not a number")]),
        ("cost * cost > 1", vec![(error, "cost * cost", "cannot be multiplied")]),
        ("baseline > 1", vec![(error, "baseline", "beside no built-in metric")]),
        ("baseline > cost + hourly_cost", vec![(error, "baseline", "several metrics")]),
        ("p95_latency > baseline.p94", vec![(error, "baseline.p94", "p50, p75, p90, p95 and p99")]),
        ("baseline.p95 > 5", vec![(error, "baseline.p95", "beside no built-in metric")]),
        ("p95_latency > baseline.p95.lateny", vec![(error, "baseline.p95.lateny", "no metric `lateny`")]),
        ("silence > peers", vec![(error, "peers", "`silence` has no peers")]),
        ("silence > baseline.p95", vec![]),
        ("queue > 1 and peers > 5", vec![(warning, "queue", "record field"), (error, "peers", "beside no")]),
        ("score < baseline", vec![(error, "baseline", "`score` has no baseline")]),
        ("mean(score) < 5", vec![]),
        ("score < 101", vec![(warning, "score < 101", "always holds")]),
        ("score < 50%", vec![(error, "50%", "a number of points")]),
        ("anomaly > 3", vec![(error, "anomaly", "has no source yet")]),
        ("stale > baseline * 2", vec![(error, "baseline", "has no baseline")]),
        (
            "semantic_selection_time > 3s",
            vec![(warning, "semantic_selection_time", "read as the numeric record field")],
        ),
        ("p95 > 15s", vec![(warning, "p95", "did you mean `p95_latency`?")]),
        ("field.p95 > 15s", vec![]),
        (
            "semantic_selection_time > baseline",
            vec![(warning, "semantic_selection_time", "record field"), (error, "baseline", "no built-in metric")],
        ),
    ] {
        let found = said(text);
        assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
        for ((level, bytes, message), (want_level, want_bytes, part)) in found.iter().zip(expected) {
            assert_eq!((*level, bytes.as_str()), (want_level, want_bytes), "{text}: {message}");
            assert!(message.contains(part), "{text}: {message}");
        }
    }
    let many: Vec<String> = (0..=INPUT_LIMIT).map(|i| format!("field.f{i} > 1")).collect();
    assert_eq!(said(&many.join(" or "))[0].1, format!("field.f{INPUT_LIMIT}"));
    let long = format!("cost > $1 {}", " ".repeat(5_000));
    assert!(said(&long)[0].2.contains("the limit is 4096"));
}

/// Conditions that can be typed, each with the value it must have by plain recursion on `u`.
fn expressions() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        Just("error_rate".to_owned()),
        Just("success_rate".to_owned()),
        Just("field.x".to_owned()),
        (1u32..99).prop_map(|n| format!("{n}%")),
        (1u32..99).prop_map(|n| format!("0.{n}")),
    ];
    let number = number.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), "[-+*/]", inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (inner.clone(), "[-+]", inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            inner.prop_map(|a| format!("-{a}")),
        ]
    });
    let compare = (number.clone(), "<|<=|>|>=|==|!=", number).prop_map(|(a, op, b)| format!("{a} {op} {b}"));
    compare.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), "and|or|&&|\\|\\|", inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            inner.clone().prop_map(|a| format!("not {a}")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

/// A third evaluator, over the tokens alone, by precedence climbing: `or`, `and`, `not`,
/// comparison, sum, product, sign. Truth is 1 and 0.
struct Climber<'t> {
    tokens: &'t [Token],
    at: usize,
    value: &'t dyn Fn(&str) -> f64,
}

impl Climber<'_> {
    fn next_is(&mut self, kind: &TokenKind) -> bool {
        let hit = self.tokens.get(self.at).is_some_and(|t| t.kind == *kind);
        self.at += usize::from(hit);
        hit
    }

    fn or(&mut self) -> f64 {
        let mut left = self.and();
        while self.next_is(&TokenKind::Or) {
            left = left.max(self.and());
        }
        left
    }

    fn and(&mut self) -> f64 {
        let mut left = self.not();
        while self.next_is(&TokenKind::And) {
            left = left.min(self.not());
        }
        left
    }

    fn not(&mut self) -> f64 {
        if self.next_is(&TokenKind::Not) { 1.0 - self.not() } else { self.comparison() }
    }

    fn comparison(&mut self) -> f64 {
        let left = self.sum();
        if let Some(Token { kind: TokenKind::Comparison(op), .. }) = self.tokens.get(self.at) {
            self.at += 1;
            return f64::from(u8::from(op.holds(left, self.sum())));
        }
        left
    }

    fn sum(&mut self) -> f64 {
        let mut left = self.product();
        loop {
            if self.next_is(&TokenKind::Arithmetic(Arithmetic::Add)) {
                left += self.product();
            } else if self.next_is(&TokenKind::Arithmetic(Arithmetic::Subtract)) {
                left -= self.product();
            } else {
                return left;
            }
        }
    }

    fn product(&mut self) -> f64 {
        let mut left = self.sign();
        loop {
            if self.next_is(&TokenKind::Arithmetic(Arithmetic::Multiply)) {
                left *= self.sign();
            } else if self.next_is(&TokenKind::Arithmetic(Arithmetic::Divide)) {
                left /= self.sign();
            } else {
                return left;
            }
        }
    }

    fn sign(&mut self) -> f64 {
        if self.next_is(&TokenKind::Arithmetic(Arithmetic::Subtract)) {
            return -self.sign();
        }
        if self.next_is(&TokenKind::Open) {
            let inner = self.or();
            assert!(self.next_is(&TokenKind::Close));
            return inner;
        }
        self.at += 1;
        match &self.tokens[self.at - 1].kind {
            TokenKind::Number(value, _) => *value,
            TokenKind::Name(name, _) => (self.value)(name),
            other => panic!("an operand, not {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,60}") {
        check(&text);
    }

    #[test]
    fn near_conditions_never_panic(words in prop::collection::vec(prop::sample::select(vec![
        "error_rate", "cost", "baseline", "last(x)", "sum", "max(", "field.x", "x_s", "10%", "15s", "$2", "3", "1h30m", "5 tokens", "(", ")", "not",
        "and", "or", "-", "+", "*", "/", ">", "<=", "==", "!", "&&", "baseline.cost", "=", "%", "$", "1_", ".", "\u{e9}",
    ]), 0..14), gap in "| ") {
        let text = words.join(&gap);
        let (program, faults) = check(&text);
        prop_assert!(program.is_some() || !faults.is_empty());
        for fault in faults {
            prop_assert!(text.get(fault.bytes.clone()).is_some(), "{:?}", fault);
        }
    }

    #[test]
    fn programs_compute_what_the_text_says(text in expressions(), u in 0.0f64..1.0, v in 0.0f64..1.0, w in 0.0f64..3.0) {
        let (Some(program), _) = check(&text) else { return Ok(()) };
        let value = |name: &str| match name { "error_rate" => u, "success_rate" => v, _ => w };
        let inputs: Vec<Option<f64>> = program.inputs.iter().map(|input| Some(match input {
            Input::Metric(metric, _) => value(metric.name()),
            Input::Field { name, .. } => value(name),
            _ => unreachable!("not generated"),
        })).collect();
        if let Some(verdict) = program.eval(&inputs) {
            let tokens = lex(&text).expect("it was checked");
            let holds = Climber { tokens: &tokens, at: 0, value: &value }.or();
            prop_assert_eq!(f64::from(u8::from(verdict.holds)), holds, "{}", text);
        }
    }
}
