//! What a new configuration changes, and what of it needs a restart.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Settings;

/// What is taken while the agent runs; of a table everything in it.
const LIVE: [&str; 4] = ["privacy", "radius.secret-file", "status-interval", "verbosity"];

/// The settings in which the two differ and which are read at the start only, by name.
///
/// # Errors
/// When settings cannot be written, which no value of theirs does.
pub fn needs_restart(old: &Settings, new: &Settings) -> Result<Vec<String>, serde_json::Error> {
    let flat = |settings: &Settings| -> Result<BTreeMap<String, Value>, serde_json::Error> {
        let mut flat = BTreeMap::new();
        flatten("", serde_json::to_value(settings)?, &mut flat);
        Ok(flat)
    };
    let (old, new) = (flat(old)?, flat(new)?);
    let names = old.keys().chain(new.keys()).filter(|name| old.get(*name) != new.get(*name));
    let mut names: Vec<String> = names.filter(|name| !is_live(name)).cloned().collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn is_live(name: &str) -> bool {
    LIVE.iter()
        .any(|live| name.strip_prefix(live).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

fn flatten(name: &str, value: Value, flat: &mut BTreeMap<String, Value>) {
    match value {
        // A sink is one thing.
        Value::Object(table) if !name.starts_with("sinks.") => {
            for (key, value) in table {
                let name = if name.is_empty() { key } else { format!("{name}.{key}") };
                flatten(&name, value, flat);
            }
        }
        Value::Null => {}
        value => {
            flat.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str::<Settings>(text).unwrap().over(Settings::defaults())
    }

    #[test]
    fn tells_what_needs_a_restart_and_nothing_else() {
        let old = settings("status-interval = 60");
        let changes = |text: &str| needs_restart(&old, &settings(text)).unwrap();
        assert_eq!(changes("status-interval = 10\nverbosity = 1\n[privacy]\nuser = \"omit\""), [""; 0]);
        assert_eq!(
            changes("deep = true\n[radius]\nports = [1812]\nsecret-file = \"/x\""),
            ["deep", "radius.ports"]
        );
        assert_eq!(changes("[sinks.log]\ntype = \"file\"\nto = \"/x\""), ["sinks.log", "sinks.stdout"]);
        assert_eq!(changes("status-interval = 60"), [""; 0]);
    }
}
