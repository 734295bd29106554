//! The JSON Schema of the output, generated from the types.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::{Event, SCHEMA_VERSION};

/// JSON Schema (2020-12) of one line.
pub fn schema() -> Schema {
    let mut schema =
        SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Event>();
    schema.insert("title".into(), format!("pptpscope event, version {SCHEMA_VERSION}").into());
    sorted(schema)
}

/// Every event's name.
pub fn names() -> &'static [String] {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let schema = schema().to_value();
        let events = schema["oneOf"].as_array().into_iter().flatten();
        events.filter_map(|event| event["properties"]["event"]["const"].as_str().map(str::to_owned)).collect()
    });
    &NAMES
}

/// In the order of the alphabet, whichever order serde_json was built to keep (evtx turns another on).
fn sorted(schema: Schema) -> Schema {
    let mut value = schema.to_value();
    value.sort_all_objects();
    Schema::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::schema;

    #[test]
    fn every_event_has_its_object() {
        let schema = schema();
        let variants = schema.get("oneOf").and_then(|v| v.as_array()).expect("one schema per event");
        assert!(variants.len() >= 13);
        for variant in variants {
            let event = variant["properties"]["event"]["const"].as_str().expect("a constant name");
            let object = event.replace('.', "_");
            assert!(variant["properties"].get(&object).is_some(), "{event} without {object}");
            assert!(variant["required"].as_array().unwrap().contains(&object.into()));
        }
    }
}
