//! The manual of the configuration, made from its types: docs/configuration.md, and a file with every option.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::file::schema;

/// One option, as its type tells it.
struct Key<'schema> {
    /// Its name in the file.
    name: String,
    /// What values it takes, in words.
    values: String,
    /// What it does.
    text: String,
    /// What holds without it.
    default: String,
    /// The options below it, where it is a table.
    inner: Option<&'schema Map<String, Value>>,
    /// Whether the tables have names of the user's choice.
    named: bool,
}

/// A schema and all that may stand in its place.
fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    let mut all = vec![schema];
    let mut next = 0;
    while let Some(one) = all.get(next).copied() {
        all.extend(["anyOf", "oneOf"].into_iter().filter_map(|key| one.get(key)?.as_array()).flatten());
        next += 1;
    }
    all.into_iter()
}

fn key<'schema>(name: &str, schema: &'schema Value) -> Key<'schema> {
    let text = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
    let (text, default) = match text.rsplit_once("[default: ") {
        Some((text, default)) => (text.trim().to_owned(), default.trim_end_matches(']').to_owned()),
        None => (text, String::new()),
    };
    let inner = alternatives(schema).find_map(|one| one["properties"].as_object());
    let named = alternatives(schema).find_map(|one| one["additionalProperties"]["properties"].as_object());
    Key {
        name: name.to_owned(),
        values: values(schema),
        text,
        default,
        inner: inner.or(named),
        named: named.is_some(),
    }
}

/// The values that a schema allows, in words.
fn values(schema: &Value) -> String {
    let words: Vec<String> = alternatives(schema)
        .flat_map(|one| {
            let listed = one["enum"].as_array().into_iter().flatten();
            listed.chain(one.get("const"))
        })
        .filter_map(Value::as_str)
        .map(|word| format!("`{word}`"))
        .collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    if let Some(items) = alternatives(schema).find_map(|one| one.get("items")) {
        return format!("list: {}", values(items));
    }
    let is = |wanted: &str| {
        alternatives(schema).any(|one| match &one["type"] {
            Value::String(kind) => kind == wanted,
            Value::Array(kinds) => kinds.iter().any(|kind| kind == wanted),
            _ => false,
        })
    };
    let bound = |name: &str| alternatives(schema).find_map(|one| one[name].as_u64());
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ if is("integer") && is("string") => "size: bytes, or `64K`, `100M`, `2G`".into(),
        _ if is("integer") => "number".into(),
        _ if is("boolean") => "`true`, `false`".into(),
        _ => "text".into(),
    }
}

/// docs/configuration.md.
pub fn manual() -> String {
    let mut page = String::from(HEAD);
    let schema = schema();
    let mut tables = Vec::new();
    page.push_str("\n## At the top of the file\n\n");
    section(&mut page, schema["properties"].as_object(), &mut tables);
    while let Some((title, text, inner)) = tables.pop() {
        let _ = write!(page, "\n## `{title}`\n\n{text}\n\n");
        section(&mut page, Some(inner), &mut tables);
    }
    page.push_str(TAIL);
    page
}

type Table<'schema> = (String, String, &'schema Map<String, Value>);

fn section<'schema>(
    page: &mut String,
    properties: Option<&'schema Map<String, Value>>,
    tables: &mut Vec<Table<'schema>>,
) {
    page.push_str("| key | values | without it | meaning |\n|---|---|---|---|\n");
    let mut found = Vec::new();
    for (name, schema) in properties.into_iter().flatten() {
        let Key { name, values, text, default, inner, named } = key(name, schema);
        if let Some(inner) = inner {
            let title = if named { format!("[{name}.NAME]") } else { format!("[{name}]") };
            let default =
                if default.is_empty() { String::new() } else { format!(" Without any: {default}.") };
            found.push((title, text + &default, inner));
        } else {
            let _ = writeln!(page, "| `{name}` | {values} | {default} | {text} |");
        }
    }
    // They are taken from the end.
    tables.extend(found.into_iter().rev());
}

/// A file with every option, each commented out.
pub fn default_file() -> String {
    let mut file = String::from(
        "# Configuration of pptpscope. Every option is here with what holds without it; remove the # to change it.\n\
         # Check: pptpscope run --check-config    Show what holds: pptpscope config dump\n",
    );
    let schema = schema();
    let mut tables = Vec::new();
    options(&mut file, schema["properties"].as_object(), &mut tables);
    for (title, text, inner) in tables {
        file.push('\n');
        comment(&mut file, &text);
        let _ = writeln!(file, "#{title}");
        options(&mut file, Some(inner), &mut Vec::new());
    }
    file
}

fn options<'schema>(
    file: &mut String,
    properties: Option<&'schema Map<String, Value>>,
    tables: &mut Vec<Table<'schema>>,
) {
    for (name, schema) in properties.into_iter().flatten() {
        let Key { name, values, text, default, inner, named } = key(name, schema);
        if let Some(inner) = inner {
            tables.push((if named { format!("[{name}.NAME]") } else { format!("[{name}]") }, text, inner));
            continue;
        }
        file.push('\n');
        let default = if default.is_empty() { String::new() } else { format!(" Without it: {default}.") };
        comment(file, &format!("{text} {}.{default}", values.replace('`', "")));
        let _ = writeln!(file, "#{name} =");
    }
}

/// Comment lines of 100 characters at most.
fn comment(file: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + word.len() > 100 {
            let _ = writeln!(file, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(file, "{line}");
}

const HEAD: &str = "# Configuration

<!-- Made from the types: pptpscope config manual > docs/configuration.md -->

`pptpscope run` reads `/etc/pptpscope/pptpscope.toml`, then the drop-ins `/etc/pptpscope/pptpscope.d/*.toml` in the order
of their names. `--config FILE` names another file; its drop-ins are in the folder with the same name and `.d` for
`.toml`. Without a file the defaults hold. What is said later wins: defaults, file, drop-ins, command line. A list
is taken as a whole, not added to; a sink of a drop-in goes beside those of other names.

```
pptpscope run --check-config      what is wrong, with file and line; ends with 0 or 2
pptpscope config dump             what holds, with files and defaults, as a file
pptpscope config default          a file with every option and its default, commented out
pptpscope schema config           the JSON Schema of the file, for editors
```

An unknown key, a value of the wrong kind or out of its range is an error, with the line and the name that was
probably meant; the agent does not start with it. It refuses a file, or a folder of drop-ins, that everybody may write to or that
belongs to somebody else than root or its own user.

Sizes are numbers of bytes or have a unit (`64K`, `100M`, `2G`, powers of 1024); paths of sinks are absolute, others begin where the agent
starts: `/` for the service.
";

const TAIL: &str = "
## Example

```toml
interfaces = [\"eth0\"]
max-sessions = 8192

[radius]
secret-file = \"/etc/pptpscope/radius.secret\"

[sinks.events]
type = \"file\"
to = \"/var/log/pptpscope/events.jsonl\"
rotate-size = \"100M\"
keep = 14
compress = true

[sinks.findings]
type = \"journal\"
events = [\"finding\", \"agent.loss\"]
```
";

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    /// Every leaf of what is dumped, by its path.
    fn leaves(value: &Value, path: &str, out: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| leaves(value, &format!("{path}/{key}"), out));
            }
            other => out.push((path.to_owned(), other.clone())),
        }
    }

    #[test]
    fn the_manual_tells_the_defaults_that_hold() {
        let defaults = Settings { sinks: None, ..Settings::defaults() };
        let mut found = Vec::new();
        leaves(&serde_json::to_value(defaults).unwrap(), "", &mut found);
        assert!(found.len() > 8);
        let schema = schema();
        for (path, value) in found {
            let place = path.split('/').skip(1).fold(&schema, |schema, name| &schema["properties"][name]);
            let told = key("", place).default;
            let holds = match &value {
                Value::Array(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(told, holds, "{path}");
        }
    }

    #[test]
    fn every_option_says_what_it_does_and_what_holds_without_it() {
        fn check(properties: &Map<String, Value>) {
            for (name, schema) in properties {
                let key = key(name, schema);
                assert!(key.text.len() > 8, "{name} has no text");
                match key.inner {
                    Some(inner) => check(inner),
                    None => {
                        assert!(!key.default.is_empty() || ["type", "to"].contains(&name.as_str()), "{name}");
                    }
                }
            }
        }
        check(schema()["properties"].as_object().unwrap());
    }

    #[test]
    fn the_committed_manual_is_that_of_the_types() {
        let committed = include_str!("../../../docs/configuration.md");
        assert!(
            manual() == committed,
            "run: cargo run -q -p pptpscope -- config manual > docs/configuration.md"
        );
    }

    #[test]
    fn the_example_and_the_default_file_can_be_read() {
        let example = TAIL.split("```toml").nth(1).unwrap().split("```").next().unwrap();
        super::super::file::parse("example".as_ref(), example).unwrap();
        let all = default_file();
        assert_eq!(super::super::file::parse("all".as_ref(), &all).unwrap(), Settings::default());
    }
}
