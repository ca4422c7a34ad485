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
#[error("{message}")]
pub struct TemplateError {
    /// The bytes of the template that are meant.
    pub bytes: Range<usize>,
    /// The fault and its remedy.
    pub message: String,
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
        let whole = |message: String| Err(TemplateError { bytes: 0..text.len(), message });
        match agents {
            1 => Ok(Template(patterns)),
            0 => whole(format!("the path `{text}` does not name {AGENT}, such as in `agents.{AGENT}.timeout`")),
            _ => whole(format!("the path `{text}` names {AGENT} {agents} times; once is enough")),
        }
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
                return self.fault(self.at..self.text.len(), "expected `.` or `[` here");
            }
        }
    }

    /// The inside of `[0]` or `[key=value]`, its closing bracket included.
    fn selection(&mut self) -> Result<Pattern, TemplateError> {
        let start = self.at;
        let first = self.name(&['=', ']'])?;
        let Part::Literal(first) = first else {
            return self.fault(start..self.at, "`{agent}` stands on the right of `=`, as in `[name={agent}]`");
        };
        let pattern = if self.take('=') {
            Pattern::Select { member: first, value: self.name(&[']'])? }
        } else {
            match first.parse() {
                Ok(index) => Pattern::Index(index),
                Err(_) => return self.fault(start..self.at, "expected a number or `key=value` in brackets"),
            }
        };
        if !self.take(']') {
            return self.fault(self.at..self.text.len(), "the bracket is not closed with `]`");
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
                    None => return self.fault(start..self.at, "the quote is not closed"),
                    Some('"') => break,
                    Some('\\') => {
                        self.at += 1;
                        let Some(c @ ('"' | '\\')) = self.text[self.at..].chars().next() else {
                            return self.fault(self.at - 1..self.at, "only `\\\"` and `\\\\` are escapes here");
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
            return self.fault(start..self.at, "a name is missing here");
        }
        Ok(match name.split_once(AGENT) {
            None => Part::Literal(name),
            Some((_, suffix)) if suffix.contains(AGENT) => {
                return self.fault(start..self.at, "`{agent}` stands twice in one name");
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

    fn fault<T>(&self, bytes: Range<usize>, message: &str) -> Result<T, TemplateError> {
        Err(TemplateError { bytes, message: format!("in the path `{}`: {message}", self.text) })
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
            ("", 0..0, "a name is missing"),
            ("a..{agent}", 2..2, "a name is missing"),
            ("agents.timeout", 0..14, "does not name {agent}"),
            ("{agent}.{agent}", 0..15, "2 times"),
            ("{agent}x{agent}", 0..15, "twice"),
            ("a[x].{agent}", 2..3, "a number or `key=value`"),
            ("a[{agent}]", 2..9, "on the right of `=`"),
            ("a[k={agent}", 11..11, "not closed with `]`"),
            ("\"a.{agent}", 0..10, "quote is not closed"),
            ("\"a\\n{agent}\"", 2..3, "escapes"),
            ("\"a\"b.{agent}", 3..12, "expected `.` or `[`"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert_eq!(error.bytes, bytes, "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn pointers_escape_as_rfc_6901_says() {
        let path = Path(vec![Step::Key("a/b".into()), Step::Index(3), Step::Key("~c".into())]);
        assert_eq!(path.pointer(), "/a~1b/3/~0c");
    }
}
