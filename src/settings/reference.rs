//! The reference of evenkeel.yaml for people (`docs/config.md`) and editors
//! (`docs/evenkeel.schema.json`), both written from the table that the reader obeys.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::table::{Field, Kind, SECTIONS, Section, section};

const INTRODUCTION: &str = "\
# evenkeel.yaml

<!-- Written from src/settings/table.rs; `UPDATE_GENERATED=1 cargo test --test generated_config` rewrites it. -->

`evenkeel init` writes a file to start from, `evenkeel check evenkeel.yaml` says everything that is
wrong in it and in the files it names. Editors complete and check it with the JSON schema beside this page:
begin the file with `# yaml-language-server: $schema=evenkeel.schema.json` and the path to it.

- Unknown fields are refused. A field with nothing behind it is as good as absent.
- Lengths of time are numbers with a unit: `30s`, `5 minutes`, `1h30m`, `90d`.
- Shares are `10%` or `0.1`. Digits may be grouped: `65_536`.
- Secrets never stand in the file, it [names where they are](#secret).
- A reload (SIGHUP) takes the new files whole or, when anything in them is wrong, not at all.
";

const EXAMPLE: &str = "\
## Examples

Executions in seconds, without times, in one JSON array per agent; rows that a rate limit turned away carry zeros that mean nothing:

```yaml
sources:
  - name: bench
    path: raw_data/individual/*.json
    fields:
      timestamp: off
      agent: {key: off, default: \"{file_stem}\"}
      success: off
      error: {key: error_code, limit: [429], void: [429, -1]}
      duration: end_to_end_latency_s
      input_tokens: number_input_tokens
      output_tokens: number_output_tokens
```

Timeouts of a CrewAI crew, in seconds, proposed as patches:

```yaml
tune:
  targets:
    - name: crew
      file: config/agents.yaml
      parameters:
        - {parameter: timeout, path: \"{agent}.max_execution_time\", unit: s, floor: 10s, ceiling: 30m}
```
";

/// `docs/config.md`.
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS {
        let heading = if section.name == "config" { "the file" } else { section.name };
        let _ = write!(page, "\n## {heading}\n\n{}\n\n", section.about);
        page.push_str("| field | what stands there | default | meaning |\n|---|---|---|---|\n");
        for field in section.fields {
            let (name, shape, about) = (field.name, shape(field.kind), field.about);
            let _ = writeln!(page, "| `{name}` | {shape} | {} | {about} |", default(field));
        }
    }
    page.push('\n');
    page.push_str(EXAMPLE);
    page
}

fn default(field: &Field) -> String {
    match (field.default, field.example) {
        ("", _) if field.required => format!("**required**{}", for_example(field.example)),
        ("", example) => format!("none{}", for_example(example)),
        (remark, _) if remark.starts_with('(') => remark.trim_matches(['(', ')']).to_owned(),
        (default, _) => format!("`{default}`"),
    }
}

fn for_example(example: &str) -> String {
    if example.is_empty() { String::new() } else { format!(", e.g. `{example}`") }
}

/// What a kind is called on the page.
fn shape(kind: Kind) -> String {
    let link = |name: &str| format!("[{name}](#{name})");
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Texts => "text or list of texts".to_owned(),
        Kind::Hours => format!("text, {}, or a list of them", link("hours")),
        Kind::Path => "path".to_owned(),
        Kind::Paths => "path or list of paths".to_owned(),
        Kind::Span(low, high) => format!("length of time, {low} to {high}"),
        Kind::Number(low, high) => format!("number, {low} to {high}"),
        Kind::Integer(low, high) => format!("whole number, {low} to {high}"),
        Kind::Share(low, high) => {
            format!("share, {} to {}", crate::model::shown::share(low), crate::model::shown::share(high))
        }
        Kind::Range => "two numbers, the lower first".to_owned(),
        Kind::Limit => "length of time, points or count".to_owned(),
        Kind::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Flag => "`true`, `false`".to_owned(),
        Kind::Secret => link("secret"),
        Kind::Key => "name of a key, or `off`".to_owned(),
        Kind::Patterns => "mapping of labels to patterns".to_owned(),
        Kind::Keys => "mapping of names to keys".to_owned(),
        Kind::KeyOr(name) => format!("name of a key, `off`, or {}", link(name)),
        Kind::Section(name) => link(name),
        Kind::Sections(name) => format!("list of {}", link(name)),
    }
}

/// `docs/evenkeel.schema.json`, JSON Schema 2020-12.
pub fn schema() -> String {
    let mut root = object(section("config"));
    let definitions: Map<String, Value> =
        SECTIONS[1..].iter().map(|section| (section.name.to_owned(), object(section))).collect();
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("evenkeel.yaml");
    root["$defs"] = Value::Object(definitions);
    let mut text = serde_json::to_string_pretty(&root).expect("a tree of JSON values can be written");
    text.push('\n');
    text
}

fn object(section: &Section) -> Value {
    let properties: Map<String, Value> = section.fields.iter().map(property).collect();
    let mut object = json!({
        "description": section.about,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    let required: Vec<&str> = section.fields.iter().filter(|f| f.required).map(|f| f.name).collect();
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    // Exclusive choices, which the table does not express.
    match section.name {
        "receiver" => object["oneOf"] = json!([{"required": ["webhook"]}, {"required": ["email"]}]),
        "secret" => (object["minProperties"], object["maxProperties"]) = (json!(1), json!(1)),
        _ => {}
    }
    object
}

fn property(field: &Field) -> (String, Value) {
    let mut value = shape_of(field.kind);
    if !field.required {
        value = json!({"anyOf": [value, {"type": "null"}]});
    }
    value["description"] = json!(field.about);
    if !field.default.is_empty() && !field.default.starts_with('(') {
        value["default"] = match field.kind {
            Kind::Integer(..) | Kind::Number(..) => {
                field.default.replace('_', "").parse::<f64>().map_or(Value::Null, |n| match n.fract() {
                    0.0 => json!(n as i64),
                    _ => json!(n),
                })
            }
            Kind::Flag => json!(field.default == "true"),
            _ => json!(field.default),
        };
    }
    (field.name.to_owned(), value)
}

/// What a kind is in JSON Schema. YAML reads `429` as a number, so texts may be numbers.
fn shape_of(kind: Kind) -> Value {
    let text = json!({"type": ["string", "number"]});
    let span = json!({
        "type": "string",
        "pattern": r"^(\s*[0-9][0-9_.]*\s*(ms|msec|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)\s*,?)+$",
    });
    let reference = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    match kind {
        Kind::Text | Kind::Key => text,
        Kind::Path => json!({"type": "string", "minLength": 1}),
        Kind::Texts | Kind::Paths => json!({"anyOf": [text, {"type": "array", "items": text}]}),
        Kind::Hours => {
            let one = json!({"anyOf": [{"type": "string"}, reference("hours")]});
            json!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
        }
        Kind::Span(..) => span,
        Kind::Number(low, high) => json!({"type": "number", "minimum": low, "maximum": high}),
        Kind::Integer(low, high) => json!({"anyOf": [
            {"type": "integer", "minimum": low, "maximum": high},
            {"type": "string", "pattern": "^[0-9][0-9_]*$"},
        ]}),
        Kind::Share(low, high) => json!({"anyOf": [
            {"type": "number", "minimum": low, "maximum": high},
            {"type": "string", "pattern": r"^[0-9.]+\s*%$"},
        ]}),
        Kind::Range => json!({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
        Kind::Limit => json!({"anyOf": [span, {"type": "number"}]}),
        Kind::Word(words) => json!({"enum": words}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Secret => reference("secret"),
        Kind::Patterns => {
            json!({"type": "object", "additionalProperties": {"anyOf": [text, {"type": "array", "items": text}]}})
        }
        Kind::Keys => json!({"type": "object", "additionalProperties": text}),
        Kind::KeyOr(name) => json!({"anyOf": [text, reference(name)]}),
        Kind::Section(name) => reference(name),
        Kind::Sections(name) => json!({"type": "array", "items": reference(name)}),
    }
}
