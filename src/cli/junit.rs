//! Test results as JUnit XML, the form that build servers read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::test::Verdict;

/// The report: a suite per file, a case per test, one failure text per case.
pub fn report(tests: &[Verdict]) -> String {
    let mut suites: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
    for test in tests {
        suites.entry(&test.file).or_default().push(test);
    }
    let failed = |tests: &mut dyn Iterator<Item = &Verdict>| tests.filter(|t| !t.failures.is_empty()).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites tests=\"{}\" failures=\"{}\">", tests.len(), failed(&mut tests.iter()));
    for (file, tests) in suites {
        let (n, bad) = (tests.len(), failed(&mut tests.iter().copied()));
        let _ = writeln!(xml, "  <testsuite name=\"{}\" tests=\"{n}\" failures=\"{bad}\">", escape(file));
        for test in tests {
            let _ = write!(xml, "    <testcase classname=\"{}\" name=\"{}\"", escape(file), escape(&test.name));
            if test.failures.is_empty() {
                xml += "/>\n";
                continue;
            }
            let mut text = String::new();
            for failure in &test.failures {
                let _ = writeln!(text, "{} {}", failure.place, failure.about);
                let _ = writeln!(text, "  expected {}\n  found {}", failure.expected, failure.found);
                failure.timeline.iter().for_each(|line| text += &format!("  {line}\n"));
            }
            let message = format!("{} not as expected", test.failures.len());
            let _ =
                writeln!(xml, ">\n      <failure message=\"{message}\">{}</failure>\n    </testcase>", escape(&text));
        }
        xml += "  </testsuite>\n";
    }
    xml + "</testsuites>\n"
}

/// Characters that XML 1.0 knows, those with a meaning written out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::Failure;

    #[test]
    fn every_test_is_a_case_and_texts_are_escaped() {
        let failure = Failure {
            place: "a.test.yaml:7".into(),
            about: "r agent=<a>".into(),
            expected: "firing at 5m".into(),
            found: "inactive & quiet\u{1b}".into(),
            timeline: vec!["..F".into()],
        };
        let test = |name: &str, failures| Verdict {
            file: "a.test.yaml".into(),
            name: name.into(),
            place: "a.test.yaml:3".into(),
            failures,
        };
        let xml = report(&[test("one \"two\"", vec![failure]), test("three", vec![])]);
        assert!(xml.contains("<testsuites tests=\"2\" failures=\"1\">"), "{xml}");
        assert!(xml.contains("name=\"one &quot;two&quot;\""), "{xml}");
        assert!(xml.contains("found inactive &amp; quiet\u{fffd}"), "{xml}");
        assert!(xml.contains("name=\"three\"/>"), "{xml}");
    }
}
