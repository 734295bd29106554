//! Where strings are in an event: the schema, read once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Class;
use super::classes::class_of;
use crate::event::schema::schema;

/// Types do not hold themselves; if one ever does, what is deeper counts as unknown.
const DEEPEST: usize = 32;

/// What is known about a place.
#[derive(Debug)]
pub(super) struct Node {
    /// What a string here is.
    pub(super) class: Class,
    /// The fields of an object.
    pub(super) properties: BTreeMap<String, Self>,
    /// Its fields that have no name of their own.
    pub(super) others: Option<Box<Self>>,
    /// Those that a reader relies on.
    pub(super) required: BTreeSet<String>,
    /// What an array holds.
    pub(super) items: Option<Box<Self>>,
}

impl Node {
    /// A place that the schema does not have: no string of it goes out.
    pub(super) const UNKNOWN: &'static Self = &Self::of(Class::Foreign);

    const fn of(class: Class) -> Self {
        Self { class, properties: BTreeMap::new(), others: None, required: BTreeSet::new(), items: None }
    }

    /// All events.
    pub(super) fn of_events() -> Self {
        read().0
    }

    /// What is known about a field.
    pub(super) fn field(&self, name: &str) -> &Self {
        self.properties.get(name).or(self.others.as_deref()).unwrap_or(Self::UNKNOWN)
    }

    /// What is known about the items.
    pub(super) fn item(&self) -> &Self {
        self.items.as_deref().unwrap_or(Self::UNKNOWN)
    }

    /// Takes what another one says of the same place; the stricter wins.
    fn join(&mut self, other: Self) {
        self.class = self.class.max(other.class);
        self.required.extend(other.required);
        for (name, node) in other.properties {
            self.join_field(name, node);
        }
        join_box(&mut self.others, other.others);
        join_box(&mut self.items, other.items);
    }

    fn join_field(&mut self, name: String, node: Self) {
        match self.properties.get_mut(&name) {
            Some(mine) => mine.join(node),
            None => {
                self.properties.insert(name, node);
            }
        }
    }
}

fn join_box(mine: &mut Option<Box<Node>>, other: Option<Box<Node>>) {
    match (mine.as_mut(), other) {
        (Some(mine), Some(other)) => mine.join(*other),
        (None, other) => *mine = other,
        (Some(_), None) => {}
    }
}

/// The type that holds a string, and the field.
pub(super) type Place = (String, String);

/// The plan, and every string of the schema that its type does not explain.
pub(super) fn read() -> (Node, BTreeSet<Place>) {
    let schema = schema().to_value();
    let mut reader = Reader { definitions: &schema["$defs"], strings: BTreeSet::new() };
    let node = reader.node(&schema, "Event", "", 0);
    (node, reader.strings)
}

struct Reader<'schema> {
    definitions: &'schema Value,
    strings: BTreeSet<Place>,
}

impl<'schema> Reader<'schema> {
    fn node(&mut self, schema: &'schema Value, holder: &str, field: &str, depth: usize) -> Node {
        let mut node = Node::of(Class::Neutral);
        if depth > DEEPEST {
            node.class = Class::Foreign;
            return node;
        }
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            let definitions = self.definitions;
            node.join(self.node(&definitions[name], name, "", depth + 1));
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            for one in schema[key].as_array().into_iter().flatten() {
                node.join(self.node(one, holder, field, depth + 1));
            }
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let inner = self.node(schema, holder, name, depth + 1);
            node.join_field(name.clone(), inner);
        }
        let required = schema["required"].as_array().into_iter().flatten();
        node.required.extend(required.filter_map(Value::as_str).map(str::to_owned));
        for (key, place) in [("additionalProperties", &mut node.others), ("items", &mut node.items)] {
            if schema[key].is_object() {
                join_box(place, Some(Box::new(self.node(&schema[key], holder, field, depth + 1))));
            }
        }
        if is_string(schema) {
            node.class = node.class.max(self.string(schema, holder, field));
        }
        node
    }

    fn string(&mut self, schema: &Value, holder: &str, field: &str) -> Class {
        if schema.get("enum").is_some() || schema.get("const").is_some() {
            return Class::Neutral;
        }
        match schema["format"].as_str() {
            Some("ipv4" | "ipv6") => return Class::Address,
            Some("uuid") => return Class::Id,
            Some("date-time") => return Class::Neutral,
            _ => {}
        }
        // The numbers of codes that have no name.
        let pattern = schema["pattern"].as_str().unwrap_or_default();
        if pattern.starts_with("^unknown_") || pattern.starts_with("^bit_") {
            return Class::Neutral;
        }
        self.strings.insert((holder.to_owned(), field.to_owned()));
        class_of(holder, field).unwrap_or(Class::Foreign)
    }
}

fn is_string(schema: &Value) -> bool {
    match &schema["type"] {
        Value::String(kind) => kind == "string",
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "string"),
        _ => false,
    }
}
