//! Names of users and addresses, before any sink sees them: plain, as a keyed hash, or not at all.
//!
//! The schema of the events says where strings are, and [`classes`] what each of them is. A string that nobody
//! has classified is treated as if it were somebody else's words: it goes. So a new field cannot leak by
//! being forgotten, and a test names it.

mod classes;
mod plan;
mod words;

use std::sync::{Mutex, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::event::Event;
use plan::Node;
use words::{Names, scrub};

/// Bytes of a key at least.
const KEY_BYTES: usize = 16;

/// What becomes of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It stays as it is.
    #[default]
    Plain,
    /// Its HMAC-SHA-256, cut to 64 bits: the same value has the same hash wherever the key is the same.
    Hash,
    /// It goes.
    Omit,
}

/// What a string is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Nobody: a word of the program, the host, a file.
    Neutral,
    /// An id that is made from addresses.
    Id,
    /// An address, with or without a port.
    Address,
    /// The name of a user or of their computer.
    User,
    /// A value out of a log: an address, or whatever it is.
    Value,
    /// Our own words, which may name either.
    Text,
    /// Words of somebody else, which may name anything.
    Foreign,
}

/// The key of the hashes. It has no serialised form, and `Debug` does not show it.
#[derive(Clone)]
pub struct Key(Box<[u8]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Why a key is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is shorter than {KEY_BYTES} characters: make one with `head -c 32 /dev/urandom | base64`")]
pub struct ShortKey;

impl Key {
    /// The key is `text` without white space around it.
    ///
    /// # Errors
    /// When it is too short to be one.
    pub fn new(text: &str) -> Result<Self, ShortKey> {
        let text = text.trim();
        if text.len() < KEY_BYTES { Err(ShortKey) } else { Ok(Self(text.as_bytes().into())) }
    }

    /// A key that nobody will ever know, for ids where nothing else is hashed.
    fn unknown() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let numbers: Vec<u8> =
            (0..4_u8).flat_map(|number| RandomState::new().hash_one(number).to_ne_bytes()).collect();
        Self(numbers.into())
    }

    fn hash(&self, kind: &str, value: &str) -> [u8; 32] {
        // A key of any length is one (RFC 2104).
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(value.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// 64 bits of the hash, with a letter that tells what was hashed.
    fn pseudonym(&self, kind: &str, value: &str) -> String {
        let hash: String = self.hash(kind, value).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{hash}", kind.get(..1).unwrap_or_default())
    }
}

/// What is done to every event.
#[derive(Debug)]
pub struct Privacy {
    user: Mode,
    address: Mode,
    key: Key,
    /// The key is that of the site, not of this run.
    is_of_site: bool,
    plan: Node,
    /// Names that were seen lately: they may be in words that come later.
    names: Mutex<Names>,
}

impl Privacy {
    /// Nothing to do when both are plain. Without a key the hashes are of no use beyond this run.
    pub fn new(user: Mode, address: Mode, key: Option<Key>) -> Option<Self> {
        let is_of_site = key.is_some();
        let key = key.unwrap_or_else(Key::unknown);
        (user != Mode::Plain || address != Mode::Plain).then(|| Self {
            user,
            address,
            key,
            is_of_site,
            plan: Node::of_events(),
            names: Mutex::default(),
        })
    }

    /// What takes the place of `before` while calls are open: they keep their ids where nobody has given another
    /// key, and names stay known.
    #[must_use]
    pub fn after(mut self, before: Self) -> Self {
        if !self.is_of_site && !before.is_of_site {
            self.key = before.key;
        }
        self.names = before.names;
        self
    }

    /// The event as it may go out.
    ///
    /// # Errors
    /// When it cannot be written as JSON: a fault of this program.
    pub fn apply(&self, event: &Event) -> serde_json::Result<Value> {
        let mut value = serde_json::to_value(event)?;
        self.change(&mut value);
        Ok(value)
    }

    fn change(&self, event: &mut Value) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if self.user != Mode::Plain {
            collect(event, &self.plan, &mut names);
        }
        self.walk(event, &self.plan, &names);
    }

    /// Changes a value. False when it has to go.
    fn walk(&self, value: &mut Value, node: &Node, names: &Names) -> bool {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
            Value::String(text) => match self.word(text, node.class, names) {
                Some(word) => {
                    *text = word;
                    true
                }
                None => false,
            },
            Value::Array(items) => {
                let item = node.item();
                items.retain_mut(|value| self.walk(value, item, names));
                true
            }
            Value::Object(object) => {
                self.object(object, node, names);
                true
            }
        }
    }

    fn object(&self, object: &mut Map<String, Value>, node: &Node, names: &Names) {
        object.retain(|key, value| {
            let inner = node.field(key);
            let stays = self.walk(value, inner, names);
            if !stays && node.required.contains(key) {
                // A reader relies on it.
                *value = Value::from("-");
                return true;
            }
            stays
        });
    }

    /// What stands for a string; None when it goes.
    fn word(&self, text: &str, class: Class, names: &Names) -> Option<String> {
        match class {
            Class::Neutral => Some(text.to_owned()),
            Class::Id => Some(self.id(text)),
            Class::Address => self.address(text),
            Class::User => self.user(text),
            Class::Value if words::is_address(text) => self.address(text),
            Class::Value => self.user(text),
            Class::Text => {
                Some(scrub(text, names, &|name| self.user(name), &|address| self.address(address)))
            }
            Class::Foreign => None,
        }
    }

    fn user(&self, name: &str) -> Option<String> {
        match self.user {
            Mode::Plain => Some(name.to_owned()),
            Mode::Hash => Some(self.key.pseudonym("user", name)),
            Mode::Omit => None,
        }
    }

    fn address(&self, text: &str) -> Option<String> {
        let (address, port) = words::split_port(text);
        match self.address {
            Mode::Plain => Some(text.to_owned()),
            Mode::Hash => Some(self.key.pseudonym("address", address) + port),
            Mode::Omit => None,
        }
    }

    /// An id made from an address could be made again from every address there is.
    fn id(&self, text: &str) -> String {
        let hash = self.key.hash("id", text);
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash).for_each(|(byte, hash)| *byte = hash);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }
}

/// Notes the names in an event.
fn collect(value: &Value, node: &Node, names: &mut Names) {
    match value {
        Value::String(name) if node.class == Class::User => names.note(name),
        Value::Array(items) => {
            items.iter().for_each(|value| collect(value, node.item(), names));
        }
        Value::Object(object) => {
            for (key, value) in object {
                collect(value, node.field(key), names);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
