//! Paths into a configuration file, and templates of them in which `{agent}` stands for an agent's name.
//!
//! ```text
//! agents.{agent}.timeout                             keys, split at dots
//! agents."gpt-4.1".timeout                           a key in double quotes keeps its dots
//! env.{agent}_TIMEOUT_MS                             the name as part of a key
//! model_list[0].litellm_params.timeout               an item of a list, counted from 0
//! model_list[model_name={agent}].litellm_params.rpm  the item whose member has that value
//! ```

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use super::tree::{Content, Node};

/// What stands for the agent's name.
const AGENT: &str = "{agent}";

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member of a map.
    Key(String),
    /// The item of a list, counted from 0.
    Index(usize),
}

/// Where one value stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path as a JSON pointer (RFC 6901).
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.0 {
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => pointer.push_str(&index.to_string()),
            }
        }
        pointer
    }

    /// The node at this path.
    pub fn follow<'a>(&self, root: &'a Node) -> Option<&'a Node> {
        self.0.iter().try_fold(root, |node, step| match (step, &node.content) {
            (Step::Key(key), Content::Map(members)) => members.iter().find(|(k, _)| k == key).map(|(_, n)| n),
            (Step::Index(index), Content::List(items)) => items.get(*index),
            _ => None,
        })
    }
}

impl fmt::Display for Path {
    /// As a template without `{agent}` would be written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) => write!(f, "{}{}", if i == 0 { "" } else { "." }, Quoted(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A key, in double quotes where it could not stand bare.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = !self.0.is_empty() && !self.0.contains(['.', '[', ']', '"', '\\', '=', '{']);
        if bare {
            return f.write_str(self.0);
        }
        write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

/// A name of which the agent's name may be a part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Agent { prefix: String, suffix: String },
}

impl Part {
    /// The agent that `text` would name.
    fn agent<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Part::Literal(_) => None,
            Part::Agent { prefix, suffix } => {
                text.strip_prefix(prefix.as_str())?.strip_suffix(suffix.as_str()).filter(|agent| !agent.is_empty())
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Key(Part),
    Index(usize),
    Select { member: String, value: Part },
}

/// A path with `{agent}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Pattern>);

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the path `{path}` {fault} ({remedy})")]
pub struct TemplateError {
    /// The template.
    pub path: String,
    /// Its bytes that are meant.
    pub bytes: Range<usize>,
    /// The fault, as a clause that the path is the subject of.
    pub fault: &'static str,
    /// What to write instead.
    pub remedy: &'static str,
}

/// A place where a template leads in one file.
pub(super) struct Place<'a> {
    /// The agent it belongs to.
    pub agent: String,
    /// The way there.
    pub path: Path,
    /// What stands there, or why it cannot be reached.
    pub end: Result<&'a Node, String>,
}

impl Template {
    /// Reads a template; it names `{agent}` exactly once.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let patterns = Parser { text, at: 0 }.template()?;
        let agents = patterns
            .iter()
            .filter(|p| {
                matches!(p, Pattern::Key(Part::Agent { .. }) | Pattern::Select { value: Part::Agent { .. }, .. })
            })
            .count();
        let (fault, remedy) = match agents {
            1 => return Ok(Template(patterns)),
            0 => (
                "has no `{agent}`, so every agent would write the same value",
                "write `{agent}` where the agent's name stands",
            ),
            _ => ("has `{agent}` more than once", "write it where the agent's name stands first"),
        };
        Err(TemplateError { path: text.to_owned(), bytes: 0..text.len(), fault, remedy })
    }

    /// Every place in the tree that this template leads to, in the order of the file.
    ///
    /// An agent without the value is left out; one whose value cannot be told apart from another's
    /// (aliases, merge keys, anchors that are referred to) is there with the reason.
    pub(super) fn places<'a>(&self, root: &'a Node) -> Vec<Place<'a>> {
        let mut found = Vec::new();
        walk(&self.0, root, Path::default(), None, &mut found);
        found
    }
}

fn walk<'a>(rest: &[Pattern], node: &'a Node, path: Path, agent: Option<&str>, found: &mut Vec<Place<'a>>) {
    let mut blocked = |agent: Option<&str>, path: &Path, why: String| {
        if let Some(agent) = agent {
            found.push(Place { agent: agent.to_owned(), path: path.clone(), end: Err(why) });
        }
    };
    if let Some(anchor) = &node.shared {
        return blocked(agent, &path, format!("the anchor `&{anchor}` shares it with every `*{anchor}`"));
    }
    if let Content::Alias(anchor) = &node.content {
        return blocked(agent, &path, format!("it is the alias `*{anchor}`, shared with others"));
    }
    let Some((pattern, rest)) = rest.split_first() else {
        if let Some(agent) = agent {
            found.push(Place { agent: agent.to_owned(), path, end: Ok(node) });
        }
        return;
    };
    let step = |step: Step| Path(path.0.iter().cloned().chain([step]).collect());
    match (pattern, &node.content) {
        (Pattern::Key(Part::Literal(key)), Content::Map(members)) => {
            if let Some((_, child)) = members.iter().find(|(k, _)| k == key) {
                walk(rest, child, step(Step::Key(key.clone())), agent, found);
            } else if node.merges() {
                blocked(agent, &path, format!("`{key}` may come from the merge key `<<`, shared with others"));
            }
        }
        (Pattern::Key(part), Content::Map(members)) => {
            for (key, child) in members {
                if let Some(agent) = part.agent(key) {
                    walk(rest, child, step(Step::Key(key.clone())), Some(agent), found);
                }
            }
        }
        (Pattern::Index(index), Content::List(items)) => {
            if let Some(child) = items.get(*index) {
                walk(rest, child, step(Step::Index(*index)), agent, found);
            }
        }
        (Pattern::Select { member, value }, Content::List(items)) => {
            for (index, child) in items.iter().enumerate() {
                let Content::Map(members) = &child.content else { continue };
                let Some((_, name)) = members.iter().find(|(k, _)| k == member) else { continue };
                let Content::Scalar(name) = &name.content else { continue };
                let name = name.to_string();
                match value {
                    Part::Literal(wanted) if *wanted == name => {
                        walk(rest, child, step(Step::Index(index)), agent, found);
                    }
                    Part::Literal(_) => {}
                    part => {
                        if let Some(agent) = part.agent(&name) {
                            walk(rest, child, step(Step::Index(index)), Some(agent), found);
                        }
                    }
                }
            }
        }
        _ => {}
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn template(mut self) -> Result<Vec<Pattern>, TemplateError> {
        let mut patterns = Vec::new();
        loop {
            if !(patterns.is_empty() && self.text.starts_with('[')) {
                let key = self.name(&['.', '['])?;
                patterns.push(Pattern::Key(key));
            }
            while self.take('[') {
                patterns.push(self.selection()?);
            }
            if self.at == self.text.len() {
                return Ok(patterns);
            }
            if !self.take('.') {
                return self.fault(self.at..self.text.len(), "goes on after a name ended", "put a `.` or a `[` there");
            }
        }
    }

    /// The inside of `[0]` or `[key=value]`, its closing bracket included.
    fn selection(&mut self) -> Result<Pattern, TemplateError> {
        let start = self.at;
        let first = self.name(&['=', ']'])?;
        let Part::Literal(first) = first else {
            let fault = "has `{agent}` in brackets, but not behind `=`";
            return self.fault(start..self.at, fault, "write `[name={agent}]`");
        };
        let pattern = if self.take('=') {
            Pattern::Select { member: first, value: self.name(&[']'])? }
        } else {
            match first.parse() {
                Ok(index) => Pattern::Index(index),
                Err(_) => {
                    let fault = "has neither a number nor `key=value` in brackets";
                    return self.fault(start..self.at, fault, "write `[0]` or `[name={agent}]`");
                }
            }
        };
        if !self.take(']') {
            return self.fault(self.at..self.text.len(), "has a bracket that is not closed", "write `[name={agent}]`");
        }
        Ok(pattern)
    }

    /// A name up to one of `ends`, or in double quotes.
    fn name(&mut self, ends: &[char]) -> Result<Part, TemplateError> {
        let start = self.at;
        let mut name = String::new();
        if self.take('"') {
            loop {
                match self.text[self.at..].chars().next() {
                    None => {
                        let fault = "has a quote that is not closed";
                        return self.fault(start..self.at, fault, "write `agents.\"{agent}\".timeout`");
                    }
                    Some('"') => break,
                    Some('\\') => {
                        self.at += 1;
                        let Some(c @ ('"' | '\\')) = self.text[self.at..].chars().next() else {
                            let fault = "has a backslash that escapes nothing";
                            return self.fault(self.at - 1..self.at, fault, "write `\\\\` for a backslash");
                        };
                        name.push(c);
                        self.at += 1;
                    }
                    Some(c) => {
                        name.push(c);
                        self.at += c.len_utf8();
                    }
                }
            }
            self.at += 1;
        } else {
            let rest = &self.text[self.at..];
            let length = rest.find(ends).unwrap_or(rest.len());
            name.push_str(&rest[..length]);
            self.at += length;
        }
        if name.is_empty() {
            let fault = "has an empty segment";
            let remedy = "write names with single dots between them, such as `agents.{agent}.timeout`";
            return self.fault(start..self.at, fault, remedy);
        }
        Ok(match name.split_once(AGENT) {
            None => Part::Literal(name),
            Some((_, suffix)) if suffix.contains(AGENT) => {
                let fault = "has `{agent}` more than once";
                return self.fault(start..self.at, fault, "write it where the agent's name stands first");
            }
            Some((prefix, suffix)) => Part::Agent { prefix: prefix.to_owned(), suffix: suffix.to_owned() },
        })
    }

    fn take(&mut self, c: char) -> bool {
        let there = self.text[self.at..].starts_with(c);
        if there {
            self.at += c.len_utf8();
        }
        there
    }

    fn fault<T>(&self, bytes: Range<usize>, fault: &'static str, remedy: &'static str) -> Result<T, TemplateError> {
        Err(TemplateError { path: self.text.to_owned(), bytes, fault, remedy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::TargetFormat;
    use crate::wire::target::parse;

    fn check_places(template: &str, yaml: &str, expected: &[(&str, &str, &str)]) {
        let root = parse(yaml, TargetFormat::Yaml).expect("the document parses");
        let template = Template::parse(template).expect("the template parses");
        let places: Vec<_> = template
            .places(&root)
            .into_iter()
            .map(|p| {
                let end = p.end.map_or_else(|why| why, |node| yaml[node.span.clone()].to_owned());
                (p.agent, p.path.to_string(), end)
            })
            .collect();
        let places: Vec<_> = places.iter().map(|(a, p, e)| (a.as_str(), p.as_str(), e.as_str())).collect();
        assert_eq!(places, expected, "{yaml}");
    }

    #[test]
    fn templates_lead_to_places() {
        let agents = "agents:\n  a: {timeout: 1}\n  b.c: {timeout: 2}\n  d: {other: 3}\n  e: off\n";
        check_places(
            "agents.{agent}.timeout",
            agents,
            &[("a", "agents.a.timeout", "1"), ("b.c", "agents.\"b.c\".timeout", "2")],
        );
        check_places("agents.\"{agent}.c\".timeout", agents, &[("b", "agents.\"b.c\".timeout", "2")]);
        check_places("env.{agent}_MS", "env: {x_MS: '5', _MS: '6', x_S: '7'}", &[("x", "env.x_MS", "'5'")]);
        let list = "- {name: x, p: {t: 1}}\n- {name: y}\n- 7\n- {name: 12, p: {t: 2}}\n";
        check_places("[name={agent}].p.t", list, &[("x", "[0].p.t", "1"), ("12", "[3].p.t", "2")]);
        check_places("l[1].{agent}", "l: [{a: 1}, {b: 2}]", &[("b", "l[1].b", "2")]);
        check_places(
            "l[k=v].{agent}",
            "l: [{a: 1, k: w}, {b: 2, k: v}]",
            &[("b", "l[1].b", "2"), ("k", "l[1].k", "v")],
        );
    }

    #[test]
    fn what_is_shared_is_reported_and_not_reached() {
        check_places(
            "{agent}.t",
            "a: &x {t: 1}\nb: *x\nc: {<<: *x}\nd: {<<: *x, t: 4}\ne: &unused {t: 5}\n",
            &[
                ("a", "a", "the anchor `&x` shares it with every `*x`"),
                ("b", "b", "it is the alias `*x`, shared with others"),
                ("c", "c", "`t` may come from the merge key `<<`, shared with others"),
                ("d", "d.t", "4"),
                ("e", "e.t", "5"),
            ],
        );
    }

    #[test]
    fn faults_of_templates_name_their_place() {
        for (text, bytes, part) in [
            ("", 0..0, "an empty segment"),
            ("a..{agent}", 2..2, "an empty segment"),
            ("agents.timeout", 0..14, "has no `{agent}`"),
            ("{agent}.{agent}", 0..15, "more than once"),
            ("{agent}x{agent}", 0..15, "more than once"),
            ("a[x].{agent}", 2..3, "neither a number nor `key=value`"),
            ("a[{agent}]", 2..9, "not behind `=`"),
            ("a[k={agent}", 11..11, "bracket that is not closed"),
            ("\"a.{agent}", 0..10, "quote that is not closed"),
            ("\"a\\n{agent}\"", 2..3, "escapes nothing"),
            ("\"a\"b.{agent}", 3..12, "goes on after a name ended"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert_eq!(error.bytes, bytes, "{text}: {error}");
            assert!(error.fault.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn pointers_escape_as_rfc_6901_says() {
        let path = Path(vec![Step::Key("a/b".into()), Step::Index(3), Step::Key("~c".into())]);
        assert_eq!(path.pointer(), "/a~1b/3/~0c");
    }
}
