//! The words that rules are written with.
//!
//! A [`Fact`] is a statement about a call (or about the host) that one source can confirm. Reading it
//! gives one of three answers, and the third is what keeps conclusions honest: a source that could
//! not have spoken is not silent.

use crate::event::finding::{Evidence, Missing, Source};
use crate::time::Timestamp;

/// What a source says to a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It is the case.
    Seen {
        /// Since when.
        at: Option<Timestamp>,
        /// What exactly was seen.
        detail: String,
    },
    /// The source would have said so by now, and did not.
    Silent,
    /// The source cannot say: it is not there, or the time for it has not come.
    Blind(&'static str),
}

impl Reading {
    /// Seen, when there is something to tell; else silent.
    pub(super) fn of(seen: Option<(Timestamp, String)>) -> Self {
        seen.map_or(Self::Silent, |(at, detail)| Self::Seen { at: Some(at), detail })
    }

    /// Seen, without more to tell, when `is_so`; else silent.
    pub(super) fn flag(is_so: bool, at: Option<Timestamp>) -> Self {
        if is_so { Self::Seen { at, detail: String::new() } } else { Self::Silent }
    }

    /// What it is when the source could not have spoken: `why` replaces silence.
    pub(super) fn unless_blind(self, why: Option<&'static str>) -> Self {
        match (self, why) {
            (Self::Silent, Some(why)) => Self::Blind(why),
            (reading, _) => reading,
        }
    }

    pub(super) const fn is_seen(&self) -> bool {
        matches!(self, Self::Seen { .. })
    }
}

/// What rules look at.
pub(super) trait View {
    /// Why a source cannot tell anything about this one; None when it can.
    fn blind(&self, source: Source) -> Option<&'static str>;
}

/// A statement about a `V` that can be seen to be the case.
#[derive(Debug)]
pub(super) struct Fact<V: 'static> {
    /// The statement.
    pub(super) text: &'static str,
    /// Who can confirm it.
    pub(super) source: Source,
    /// Asks the source.
    pub(super) read: fn(&V) -> Reading,
}

// Derived ones would demand the same of V.
impl<V> Clone for Fact<V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for Fact<V> {}

impl<V: View> Fact<V> {
    /// What its source says. One that could not have spoken is blind, not silent.
    pub(super) fn read(&self, view: &V) -> Reading {
        (self.read)(view).unless_blind(view.blind(self.source))
    }

    /// The evidence that a reading is; None unless it was seen.
    pub(super) fn evidence(&self, view: &V) -> Option<Evidence> {
        match self.read(view) {
            Reading::Seen { at, detail } => {
                Some(Evidence { source: self.source, fact: self.text.to_owned(), detail, at })
            }
            Reading::Silent | Reading::Blind(_) => None,
        }
    }

    /// What is missing when the source is blind.
    pub(super) fn missing(&self, view: &V) -> Option<Missing> {
        match self.read(view) {
            Reading::Blind(why) => {
                Some(Missing { source: self.source, fact: self.text.to_owned(), why: why.to_owned() })
            }
            Reading::Seen { .. } | Reading::Silent => None,
        }
    }
}

/// Declares facts: `NAME: Source, "statement" => |view| reading;`
macro_rules! facts {
    ($view:ty; $($(#[$meta:meta])* $name:ident: $source:ident, $text:literal => $read:expr;)+) => {
        $(
            $(#[$meta])*
            pub(in crate::finding) const $name: $crate::finding::fact::Fact<$view> =
                $crate::finding::fact::Fact {
                    text: $text,
                    source: $crate::event::finding::Source::$source,
                    read: $read,
                };
        )+
    };
}
