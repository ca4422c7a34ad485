//! Which of several things is meant by the beginning of its id.

use super::Failure;

/// Things that a message names.
const NAMED: usize = 10;

/// What is looked for, in words.
pub struct Kind {
    /// One of them.
    pub one: &'static str,
    /// One of those that may be meant.
    pub candidate: &'static str,
    /// That there is none.
    pub none: &'static str,
    /// What the others are, before their list.
    pub these: &'static str,
}

/// The one id of these, each with what it is of, that begins with `start`.
pub fn meant<'a>(kind: &Kind, known: &'a [(String, String)], start: &str) -> Result<&'a str, Failure> {
    let (meant, others): (Vec<_>, Vec<_>) = known.iter().partition(|(id, _)| id.starts_with(start));
    if let [(id, _)] = meant[..] {
        return Ok(id);
    }
    let listed = |known: &[&(String, String)]| {
        let one = |(id, what): &&(String, String)| format!("\n  {}  {what}", id.get(..12).unwrap_or(id));
        let mut list: Vec<String> = known.iter().take(NAMED).map(one).collect();
        list.extend((known.len() > NAMED).then(|| format!("\n  and {} more", known.len() - NAMED)));
        list.concat()
    };
    let Kind { one, candidate, none, these } = kind;
    Err(Failure::Usage(match (meant.is_empty(), others.is_empty()) {
        (true, true) => format!("no {one} has an id that begins with `{start}`: {none}"),
        (true, false) => {
            format!("no {candidate} has an id that begins with `{start}`; {these}:{}", listed(&others))
        }
        _ => format!("several {one}s have an id that begins with `{start}`, write more of it:{}", listed(&meant)),
    }))
}
