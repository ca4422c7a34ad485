//! A digest in the forms of its receivers.
//!
//! All say the same: the headline, then a line per fact under its title. Where a receiver bounds the size
//! of a message, whole lines are left out from the end, and how many is said.

use serde_json::{Value, json};

use super::mail::{Letter, one_line};
use super::slack::escape;
use crate::engine::event::Digest;
use crate::model::Severity;

/// Characters of a title.
const TITLE: usize = 200;
/// Characters of a line: enough for what decided, why an alert goes on, and who works on it.
const LINE: usize = 600;
/// Characters of the text in Slack's section, and bytes of ntfy's message, below their limits of
/// 3,000 and 4,096.
const SLACK: usize = 2_800;
const NTFY: usize = 3_800;

/// `[DIGEST] morning: 2 alerts fire, 9 began`.
pub fn title(digest: &Digest) -> String {
    one_line(&format!("[DIGEST] {}: {}", digest.name, digest.headline), TITLE)
}

/// All lines of a digest: its period, then every section.
pub fn lines(digest: &Digest) -> Vec<String> {
    let mut lines = vec![digest.period.clone()];
    for section in &digest.sections {
        lines.push(format!("{}:", section.title));
        lines.extend(section.lines.iter().map(|line| format!("• {}", one_line(line, LINE))));
        lines.extend(more(section.more));
    }
    lines
}

fn more(more: u64) -> Option<String> {
    (more > 0).then(|| format!("and {more} more"))
}

/// The lines that fit into `limit` as `size` measures them.
fn fitting(lines: Vec<String>, limit: usize, size: impl Fn(&str) -> usize) -> String {
    let mut taken = 0;
    let fits = |line: &&String| {
        taken += size(line) + 1;
        taken <= limit
    };
    let mut kept: Vec<String> = lines.iter().take_while(fits).cloned().collect();
    if kept.len() < lines.len() {
        kept.push(format!("and {} lines more", lines.len() - kept.len()));
    }
    kept.join("\n")
}

/// Green when nothing happened, else the colour of what fires, else blue.
pub fn colour(digest: &Digest) -> &'static str {
    match digest.worst {
        Some(severity) => super::notice::shade(severity),
        None if digest.sections.is_empty() => "#2e7d32",
        None => super::notice::shade(Severity::Info),
    }
}

/// The letter.
pub fn letter(digest: &Digest, external_url: &str) -> Letter {
    let mut rows = vec![("period".to_owned(), digest.period.clone())];
    for section in &digest.sections {
        let lines: Vec<String> = section.lines.iter().cloned().chain(more(section.more)).collect();
        rows.push((section.title.clone(), lines.join("\n")));
    }
    Letter {
        subject: title(digest),
        headline: digest.headline.clone(),
        colour: colour(digest),
        rows,
        pictures: Vec::new(),
        footer: super::notice::footer(external_url),
    }
}

/// The body of a Slack incoming webhook.
pub fn slack(digest: &Digest, external_url: &str) -> Value {
    let title = escape(&title(digest));
    let lines = lines(digest).iter().map(|line| escape(line)).collect();
    let text = format!("*{title}*\n{}", fitting(lines, SLACK - title.chars().count(), |line| line.chars().count()));
    super::slack::message(&title, &text, colour(digest), external_url)
}

/// The body of ntfy's publishing as JSON.
pub fn ntfy(digest: &Digest, topic: &str, tags: &[String], external_url: &str) -> Value {
    let tags: Vec<&str> = ["newspaper"].into_iter().chain(tags.iter().map(String::as_str)).collect();
    let mut message = json!({
        "topic": topic,
        "title": title(digest),
        "message": fitting(lines(digest), NTFY, str::len),
        "priority": if digest.sections.is_empty() { 2 } else { 3 },
        "tags": tags,
    });
    if !external_url.is_empty() {
        message["click"] = json!(format!("{external_url}/api/v1/alerts"));
    }
    message
}

/// The body of a webhook: unlike that of alerts it has a `type`, and no `alerts`.
pub fn webhook(digest: &Digest, receiver: &str, external_url: &str) -> Value {
    json!({
        "type": "digest",
        "receiver": receiver,
        "digest": digest.name,
        "from": digest.from.to_rfc3339(),
        "to": digest.to.to_rfc3339(),
        "headline": digest.headline,
        "sections": digest.sections,
        "text": format!("{}\n{}", digest.headline, lines(digest).join("\n")),
        "externalURL": external_url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::DigestSection;
    use crate::model::Timestamp;

    fn digest(lines: usize) -> Digest {
        let line = |number| format!("agent=<{number}> & co: error_rate 23% > 10%");
        let section = DigestSection { title: "Firing".into(), lines: (0..lines).map(line).collect(), more: 3 };
        Digest {
            name: "morning".into(),
            group: "digest-morning".into(),
            from: Timestamp(1_763_100_000_000),
            to: Timestamp(1_763_186_400_000),
            period: "2025-11-14 07:00 to 2025-11-15 07:00 Europe/Berlin".into(),
            headline: "2 alerts fire".into(),
            worst: Some(Severity::High),
            sections: if lines == 0 { Vec::new() } else { vec![section] },
        }
    }

    #[test]
    fn every_form_says_the_same() {
        let two = digest(2);
        let mail = letter(&two, "http://keel").text();
        assert!(
            mail.contains("2 alerts fire") && mail.contains("agent=<1> & co") && mail.contains("and 3 more"),
            "{mail}"
        );
        let chat = slack(&two, "");
        let text = chat["attachments"][0]["blocks"][0]["text"]["text"].as_str().expect("text");
        assert!(text.starts_with("*[DIGEST] morning: 2 alerts fire*\n2025-11-14 07:00"), "{text}");
        assert!(text.contains("• agent=&lt;1&gt; &amp; co") && text.ends_with("and 3 more"), "{text}");
        let phone = ntfy(&two, "ops", &["fleet".to_owned()], "http://keel");
        assert_eq!(
            (&phone["topic"], &phone["priority"], &phone["tags"][1]),
            (&json!("ops"), &json!(3), &json!("fleet"))
        );
        let hook = webhook(&two, "chat", "http://keel");
        assert_eq!((&hook["type"], &hook["digest"]), (&json!("digest"), &json!("morning")));
        assert_eq!(hook["sections"][0]["lines"][0], "agent=<0> & co: error_rate 23% > 10%");
        assert!(hook.get("alerts").is_none());
    }

    #[test]
    fn a_line_is_whole_when_it_says_until_when_an_alert_goes_on() {
        let mut one = digest(1);
        let until = "kept firing until 2026-11-26T08:15:00.000Z";
        one.sections[0].lines[0] = format!("critical {} on agent={}: {until}", "r".repeat(80), "a".repeat(120));
        assert!(lines(&one)[2].ends_with(until), "{}", lines(&one)[2]);
        let chat = slack(&one, "").to_string();
        assert!(chat.contains(until), "{chat}");
    }

    #[test]
    fn nothing_is_one_line_and_much_stays_within_limits() {
        let none = digest(0);
        assert_eq!(lines(&none), std::slice::from_ref(&none.period));
        assert_eq!(colour(&Digest { worst: None, ..digest(0) }), "#2e7d32");
        assert_eq!(ntfy(&none, "ops", &[], "")["priority"], 2);
        let much = digest(500);
        let chat = slack(&much, "");
        let text = chat["attachments"][0]["blocks"][0]["text"]["text"].as_str().expect("text").to_owned();
        assert!(text.chars().count() <= 3_000 && text.contains(" lines more"), "{}", text.chars().count());
        let phone = ntfy(&much, "ops", &[], "");
        assert!(phone["message"].as_str().is_some_and(|text| text.len() < 4_096), "{phone}");
    }
}
