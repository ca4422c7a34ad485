//! Replacing one value in a text, byte for byte, and proving that nothing else changed.
//!
//! Printing a parsed document again would be simpler to trust and worse to live with: printers move
//! comments and quotes. Splicing is exact by construction; that it hit the right bytes is proved by
//! reading the result twice, once with the tree of this module and once through serde.

use std::ops::Range;

use serde_json::Value;
use thiserror::Error;

use super::path::Path;
use super::tree::{Content, Node, Scalar};
use super::{ParseError, Step, parse, without_mark};
use crate::settings::TargetFormat;

/// A text in which one value was replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The new text.
    pub text: String,
    /// The bytes of the old text that were replaced.
    pub span: Range<usize>,
    /// The old document as JSON; TOML dates are text there.
    pub before: Value,
    /// The new document as JSON.
    pub after: Value,
}

/// Why a text was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EditError {
    /// The text cannot be read.
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// Nothing stands at the path.
    #[error("nothing stands at `{path}`")]
    Absent {
        /// The path.
        path: String,
    },
    /// Another value stands there than was expected.
    #[error("`{path}` holds {found}, not {expected}: someone changed it")]
    Changed {
        /// The path.
        path: String,
        /// What was expected.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// What stands there cannot be replaced by its own bytes alone.
    #[error("`{path}` is {what}, which cannot be edited in place")]
    Unsupported {
        /// The path.
        path: String,
        /// What it is.
        what: String,
    },
    /// The result did not read as intended; the text is left alone.
    #[error("the edited text does not read back as intended ({what}); edit `{path}` by hand")]
    Unproven {
        /// The path.
        path: String,
        /// What differed.
        what: String,
    },
}

/// Replaces the value at `path`, which must be `old`, by `new` of the same kind.
///
/// Only the bytes of that one value change, and its quotes stay.
pub fn set(text: &str, format: TargetFormat, path: &Path, old: &Scalar, new: &Scalar) -> Result<Edit, EditError> {
    let mut root = parse(text, format)?;
    let node = reach(&root, path)?;
    let span = node.span.clone();
    match &node.content {
        Content::Scalar(found) if found == old => {}
        Content::Scalar(found) => {
            return Err(EditError::Changed {
                path: path.to_string(),
                expected: old.to_json().to_string(),
                found: found.to_json().to_string(),
            });
        }
        _ => return Err(EditError::Unsupported { path: path.to_string(), what: node.kind().to_owned() }),
    }
    let token = token(&text[span.clone()], old, new)
        .ok_or_else(|| EditError::Unsupported { path: path.to_string(), what: format!("`{}`", &text[span.clone()]) })?;
    let edited = [&text[..span.start], token.as_str(), &text[span.end..]].concat();

    let unproven = |what: &str| EditError::Unproven { path: path.to_string(), what: what.to_owned() };
    replace(&mut root, path, new.clone());
    let again = parse(&edited, format).map_err(|e| unproven(&e.to_string()))?;
    if !again.same(&root) {
        return Err(unproven("another value moved"));
    }
    let before = view(text, format)?;
    let after = view(&edited, format).map_err(|e| unproven(&e.to_string()))?;
    let mut expected = before.clone();
    *expected.pointer_mut(&path.pointer()).ok_or_else(|| unproven("the path reads differently"))? = new.to_json();
    if after != expected {
        return Err(unproven("another value changed"));
    }
    Ok(Edit { text: edited, span, before, after })
}

/// The bytes that write `new` in the manner of `old`; `None` when the kinds differ or the old bytes
/// hold more than the value (escapes, folded lines).
fn token(bytes: &str, old: &Scalar, new: &Scalar) -> Option<String> {
    match (old, new) {
        (Scalar::Integer(_) | Scalar::Float(_), Scalar::Integer(_) | Scalar::Float(_)) => Some(new.to_string()),
        (Scalar::Bool(_), Scalar::Bool(_)) => Some(new.to_string()),
        (Scalar::Text(old), Scalar::Text(new)) => {
            let quote = bytes.chars().next().filter(|q| matches!(q, '"' | '\''))?;
            let inside = bytes.strip_prefix(quote)?.strip_suffix(quote)?;
            let plain = !new.contains(['"', '\'', '\\']) && !new.contains(char::is_control);
            (inside == old && plain).then(|| format!("{quote}{new}{quote}"))
        }
        _ => None,
    }
}

/// The node at a path that no anchor shares.
fn reach<'a>(root: &'a Node, path: &Path) -> Result<&'a Node, EditError> {
    for length in 0..=path.0.len() {
        let node = Path(path.0[..length].to_vec());
        let Some(node) = node.follow(root) else {
            return Err(EditError::Absent { path: path.to_string() });
        };
        if let Some(anchor) = &node.shared {
            let what = format!("shared through the anchor `&{anchor}`");
            return Err(EditError::Unsupported { path: path.to_string(), what });
        }
    }
    path.follow(root).ok_or_else(|| EditError::Absent { path: path.to_string() })
}

fn replace(root: &mut Node, path: &Path, new: Scalar) {
    let node = path.0.iter().fold(root, |node, step| match (step, &mut node.content) {
        (Step::Key(key), Content::Map(members)) => {
            &mut members.iter_mut().find(|(k, _)| k == key).expect("the path was followed before").1
        }
        (Step::Index(index), Content::List(items)) => &mut items[*index],
        _ => unreachable!("the path was followed before"),
    });
    node.content = Content::Scalar(new);
}

/// The document as JSON: through serde where it knows the format, from the tree otherwise.
pub fn view(text: &str, format: TargetFormat) -> Result<Value, ParseError> {
    let body = without_mark(text);
    match format {
        // What serde_json refuses can only be JSONC, and a fault is the tree's to name.
        TargetFormat::Json => serde_json::from_str(body).or_else(|_| parse(body, format).map(|root| to_json(&root))),
        TargetFormat::Yaml => serde_yaml::from_str(body).map_err(|e| {
            let line = e.location().map_or(1, |l| l.line() as usize);
            let message = e.to_string().lines().next().unwrap_or_default().to_owned();
            ParseError::Syntax { line, message }
        }),
        TargetFormat::Toml => parse(body, format).map(|root| to_json(&root)),
    }
}

/// A tree as JSON; what JSON lacks becomes text.
fn to_json(node: &Node) -> Value {
    match &node.content {
        Content::Scalar(scalar) => scalar.to_json(),
        Content::Opaque { text, .. } | Content::Alias(text) => Value::String(text.clone()),
        Content::List(items) => items.iter().map(to_json).collect(),
        Content::Map(members) => members.iter().map(|(key, node)| (key.clone(), to_json(node))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::target::Template;

    const JSON: TargetFormat = TargetFormat::Json;
    const YAML: TargetFormat = TargetFormat::Yaml;
    const TOML: TargetFormat = TargetFormat::Toml;

    /// Sets the first place of `template` to `new`; `«»` in `marked` encloses the bytes that may change.
    fn check(format: TargetFormat, template: &str, marked: &str, new: f64, token: &str) {
        let (before, rest) = marked.split_once('«').expect("an opening mark");
        let (old, after) = rest.split_once('»').expect("a closing mark");
        let text = [before, old, after].concat();
        let edit = edit_first(format, template, &text, new).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!(edit.text, [before, token, after].concat());
        assert_eq!(edit.span, before.len()..before.len() + old.len());
    }

    fn edit_first(format: TargetFormat, template: &str, text: &str, new: f64) -> Result<Edit, EditError> {
        let root = parse(text, format)?;
        let places = Template::parse(template).expect("a template").places(&root);
        let path = places.first().expect("a place").path.clone();
        let Some(Node { content: Content::Scalar(old), .. }) = path.follow(&root) else {
            return set(text, format, &path, &Scalar::Null, &Scalar::Null);
        };
        set(text, format, &path, old, &old.with_number(new).expect("a number"))
    }

    #[test]
    fn yaml_keeps_every_other_byte() {
        let p = "agents.{agent}.timeout";
        check(YAML, p, "agents:\n  a:\n    timeout: «600»   # s, do not touch\n    x: 1\n", 95.7, "96");
        check(YAML, p, "agents:\r\n  a:\r\n    timeout: «600»\r\n    x: 1\r\n", 96.0, "96");
        check(YAML, p, "\u{feff}agents: {a: {timeout: «600»}}", 96.0, "96");
        check(YAML, p, "---\nagents:\n  a: {max_tokens: 4096, timeout: «2»}\n...\n", 3.0, "3");
        check(YAML, p, "agents:\n  a:\n    timeout: «'600'» # q", 96.0, "'96'");
        check(YAML, p, "agents:\n  a: {\"timeout\":«\"600\"»}", 96.0, "\"96\"");
        check(YAML, p, "agents:\n  日本 語:\n    note: \"héé\"\n    timeout: «30.5»", 96.25, "96.25");
        check(
            YAML,
            p,
            "agents:\n  a:\n    doc: |\n      timeout: 5\n    timeout: «600»\n    z: >\n      x\n",
            1.0,
            "1",
        );
        check(YAML, p, "agents:\n  a:\n    ? timeout\n    : «600»\n", 96.0, "96");
        check(YAML, p, "agents:\n  a: !role\n    timeout: &unused «600»\n", 96.0, "96");
        check(YAML, "l[n={agent}].t", "l:\n- n: a\n  t:    «600»    # c\n- n: b\n  t: 600\n", 96.0, "96");
        check(YAML, "{agent}.t", "d: &d {t: «1»}\n", 2.0, "2");
        check(YAML, p, "x: &x {y: 1}\nz: *x\nagents: {a: {<<: *x, timeout: «600»}}", 96.0, "96");
    }

    #[test]
    fn json_keeps_every_other_byte() {
        let p = "agents.{agent}.timeout";
        check(JSON, p, "{\"agents\": {\"a\": {\"timeout\": «600», \"x\": [1,2]}}}", 96.0, "96");
        check(JSON, p, "{\n\t// secs\n\t\"agents\": {\"a\": {\"timeout\":«600»/*s*/,},},\n}", 96.0, "96");
        check(JSON, p, "\u{feff}{\"agents\":{\"a\":{\"timeout\":«\"600000\"»}}}\r\n", 95_700.0, "\"95700\"");
        check(JSON, p, "{\"agents\":{\"a\\u0062\":{\"timeout\":«1.5»}}}", 96.0, "96.0");
        check(JSON, "env.{agent}_MS", "{\"é\":1,\"env\":{\"A_MS\":«\"1\"»}}", 7.0, "\"7\"");
        check(JSON, p, "{\"agents\":{\"a\":{\"timeout\":«6e2»}}}", 96.0, "96.0");
    }

    #[test]
    fn toml_keeps_every_other_byte() {
        let p = "agents.{agent}.timeout";
        check(TOML, p, "[agents.a]\ntimeout   = «600»   # s\nx = 1\n", 96.0, "96");
        check(TOML, p, "[agents]\na = { x = 1, timeout = «600» } # s\n", 96.0, "96");
        check(TOML, p, "agents.a.timeout = «1_000»\r\nagents.a.b = 2\r\n", 1_500.0, "1500");
        check(TOML, p, "[agents.\"a.b\"]\ntimeout = «30.0»", 96.0, "96.0");
        check(TOML, p, "\u{feff}[agents.a]\ntimeout = «'600'»\nd = 2026-11-20\n", 96.0, "'96'");
        check(TOML, "a[n={agent}].t", "[[a]]\nn = \"x\"\nt = «1»\n[[a]]\nn = \"y\"\nt = 1\n", 2.0, "2");
        check(TOML, "a[1].{agent}", "a = [ {x=1}, {x=«1»} ]\n", 2.0, "2");
    }

    fn check_refused(format: TargetFormat, text: &str, part: &str) {
        let path = Path(vec![Step::Key("a".into()), Step::Key("t".into())]);
        let error = set(text, format, &path, &Scalar::Integer(1), &Scalar::Integer(2)).expect_err(text);
        assert!(error.to_string().contains(part), "{text:?}: {error}");
    }

    #[test]
    fn what_could_change_something_else_is_refused() {
        check_refused(YAML, "a: {t: 3}", "`a.t` holds 3, not 1: someone changed it");
        check_refused(YAML, "a: {t: '1'}", "`a.t` holds \"1\", not 1");
        check_refused(YAML, "a: {u: 1}", "nothing stands at `a.t`");
        check_refused(YAML, "a: &x {t: 1}\nb: *x\n", "shared through the anchor `&x`");
        check_refused(YAML, "a: {t: &x 1}\nb: *x\n", "shared through the anchor `&x`");
        check_refused(YAML, "b: &x 1\na: {t: *x}\n", "an alias");
        check_refused(YAML, "a: {t: !!int 1}", "a tagged value");
        check_refused(YAML, "a: {t: 1, t: 1}", "the key `t` stands twice");
        check_refused(YAML, "a: {t: 1}\n---\na: {t: 1}\n", "second YAML document");
        check_refused(YAML, "a: {t: [1]}", "a list");
        check_refused(JSON, "{\"a\":{\"t\":1},\"a\":{\"t\":1}}", "the key `a` stands twice");
        check_refused(JSON, "{\"a\":{\"t\":1}", "line 1");
        check_refused(JSON, "{a:{t:1}}", "line 1");
        check_refused(JSON, "", "holds no value");
        check_refused(TOML, "[a]\nt = 1\nt = 1\n", "line 3");
        check_refused(TOML, "[a]\nt = 2026-11-20\n", "a date");
        check_refused(JSON, &"[".repeat(100_000), "line 1");
        check_refused(TOML, &"a=[".repeat(100_000), "line 1");
        check_refused(YAML, &" ".repeat(super::super::MAX_TARGET_BYTES + 1), "more than the limit");
    }

    #[test]
    fn kinds_never_change() {
        let path = Path(vec![Step::Key("a".into())]);
        let text = |t: &str| Scalar::Text(t.into());
        for (doc, old, new) in [
            ("a: 1", Scalar::Integer(1), text("2")),
            ("a: x", text("x"), text("2")),
            ("a: \"\\x31\"", text("1"), text("2")),
            ("a: 'x'", text("x"), text("it's")),
            ("a: true", Scalar::Bool(true), Scalar::Integer(1)),
            ("a: ", Scalar::Null, Scalar::Integer(1)),
        ] {
            let error = set(doc, YAML, &path, &old, &new).expect_err(doc);
            assert!(matches!(error, EditError::Unsupported { .. }), "{doc}: {error}");
        }
    }
}
