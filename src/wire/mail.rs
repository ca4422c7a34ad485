//! The text of a mail: one letter, printed as plain text and as HTML.
//!
//! Owns layout and escaping; knows nothing of SMTP, headers or encodings. Both parts say the same
//! from the same rows, so that no client shows less than another. No remote content, and nothing that
//! is only in a picture: many clients do not show them.

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The subject line, one line.
    pub subject: String,
    /// One sentence that says it all; stands at the top.
    pub headline: String,
    /// Colour of the headline as `#rrggbb`.
    pub colour: &'static str,
    /// Name and value, in the order of reading.
    pub rows: Vec<(String, String)>,
    /// Pictures below the headline, which come with the letter.
    pub pictures: Vec<Picture>,
    /// Where it comes from; the last line.
    pub footer: String,
}

/// A picture that is part of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its Content-ID without the angle brackets, unlike that of any other picture.
    pub id: String,
    /// The PNG.
    pub png: Vec<u8>,
    /// Width and height as it is shown.
    pub size: (u32, u32),
    /// What stands below it.
    pub caption: String,
}

impl Letter {
    /// The plain text part: the headline, the rows with their values in one column, the footer.
    pub fn text(&self) -> String {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(24);
        let mut out = format!("{}\n\n", self.headline);
        for (name, value) in &self.rows {
            let gap = " ".repeat(width.saturating_sub(name.chars().count()) + 2);
            let indent = format!("\n{}", " ".repeat(width + 2));
            out.push_str(&format!("{name}{gap}{}\n", value.replace('\n', &indent)));
        }
        // "-- " on a line of its own marks the rest as a signature (RFC 3676, section 4.3).
        out.push_str(&format!("\n-- \n{}\n", self.footer));
        out
    }

    /// The HTML part: a table, styles inline because clients drop style sheets.
    pub fn html(&self) -> String {
        let mut rows = String::new();
        for (name, value) in &self.rows {
            rows.push_str(&format!(
                "<tr><th style=\"text-align:left;vertical-align:top;padding:2px 16px 2px 0;font-weight:normal;color:#666\">{}</th>\
                 <td style=\"padding:2px 0\">{}</td></tr>\n",
                escape(name),
                escape(value).replace('\n', "<br>")
            ));
        }
        let pictures: String = self.pictures.iter().map(figure).collect();
        format!(
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{}</title></head>\n\
             <body style=\"font-family:sans-serif;font-size:14px;line-height:1.4\">\n\
             <p style=\"font-size:16px;border-left:4px solid {};padding-left:10px\">{}</p>\n{pictures}\
             <table style=\"border-collapse:collapse\">\n{rows}</table>\n\
             <p style=\"color:#666;font-size:12px\">{}</p>\n</body></html>\n",
            escape(&self.subject),
            self.colour,
            escape(&self.headline).replace('\n', "<br>"),
            escape(&self.footer)
        )
    }
}

fn figure(picture: &Picture) -> String {
    let Picture { id, size: (width, height), caption, .. } = picture;
    let (id, caption) = (escape(id), escape(caption));
    format!(
        "<p style=\"margin:12px 0\"><img src=\"cid:{id}\" width=\"{width}\" height=\"{height}\" alt=\"{caption}\" \
         style=\"max-width:100%;height:auto\"><br><span style=\"color:#666;font-size:12px\">{caption}</span></p>\n"
    )
}

/// Text as it may stand in HTML, inside an element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

/// Text as one line of at most `limit` characters: line breaks and other control characters become
/// spaces, runs of white space one space, a cut is marked by an ellipsis.
pub fn one_line(text: &str, limit: usize) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() || is_separator(c) { ' ' } else { c }).collect();
    let joined = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().count() <= limit {
        return joined;
    }
    let mut cut: String = joined.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Characters that break or reverse a line although they are no control characters in Unicode's
/// category: line and paragraph separators, and the overrides that make text read backwards.
fn is_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        Letter {
            subject: "[FIRING] errors".to_owned(),
            headline: "agent=<b>x</b> & co".to_owned(),
            colour: "#c62828",
            rows: vec![
                ("value".to_owned(), "23%".to_owned()),
                ("threshold".to_owned(), "10%".to_owned()),
                ("note".to_owned(), "first\nsecond <script>".to_owned()),
            ],
            pictures: vec![Picture {
                id: "trend\"1".to_owned(),
                png: Vec::new(),
                size: (560, 200),
                caption: "2% to 23% <".to_owned(),
            }],
            footer: "evenkeel".to_owned(),
        }
    }

    #[test]
    fn text_is_in_columns() {
        assert_eq!(
            letter().text(),
            "agent=<b>x</b> & co\n\nvalue      23%\nthreshold  10%\nnote       first\n           second <script>\n\n-- \nevenkeel\n"
        );
    }

    #[test]
    fn html_is_escaped() {
        let html = letter().html();
        assert!(html.contains("agent=&lt;b&gt;x&lt;/b&gt; &amp; co"), "{html}");
        assert!(html.contains("first<br>second &lt;script&gt;"), "{html}");
        let picture = "src=\"cid:trend&quot;1\" width=\"560\" height=\"200\" alt=\"2% to 23% &lt;\"";
        assert!(html.contains(picture), "{html}");
        assert!(!html.contains("<b>") && !html.contains("<script"), "{html}");
    }

    #[test]
    fn lines_stay_lines() {
        for (text, limit, expected) in [
            ("a\r\nBcc: x@y", 80, "a Bcc: x@y"),
            ("  a\u{2028}b\0c ", 80, "a b c"),
            ("prüfer läuft", 7, "prüfer…"),
            ("safe\u{202e}exe", 80, "safe exe"),
        ] {
            assert_eq!(one_line(text, limit), expected);
        }
    }
}
