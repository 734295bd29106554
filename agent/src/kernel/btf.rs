//! The kernel's own type information (BTF): as much of it as it takes to find a field.
//!
//! Format: Documentation/bpf/btf.rst of the kernel. That of a module is split: its type numbers and
//! string offsets go on where those of vmlinux end.
//!
//! A reader of our own: btf-rs, the library for it, is under the LGPL, and aya's keeps members
//! private.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fs, io};

/// Where the kernel shows it.
const FOLDER: &str = "/sys/kernel/btf";
/// The kernel itself, among the modules.
pub(super) const VMLINUX: &str = "vmlinux";

const MAGIC: u16 = 0xeb9f;
/// Members of members that are looked into; the kernel nests less deep, and damage has no end.
const DEPTH: u32 = 16;

/// Kinds of types (include/uapi/linux/btf.h).
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// Why type information cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It cannot be read; the kernel was built without it, or the module is not loaded.
    #[error("cannot read {path}: {source}")]
    Read {
        /// File.
        path: PathBuf,
        /// Reason.
        #[source]
        source: io::Error,
    },
    /// It is not BTF, or damaged.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Why a field cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FieldError {
    /// This kernel has no such structure, or none that is known by this name.
    #[error("no struct {0}")]
    NoStructure(String),
    /// The structure has no such member.
    #[error("no {0}.{1}")]
    NoMember(String, String),
    /// The member is a bit field, or larger or smaller than it should be.
    #[error("{structure}.{member} has {found} bits and not {expected}")]
    Size {
        /// The structure.
        structure: String,
        /// The member.
        member: String,
        /// Bits that it has.
        found: u32,
        /// Bits that the programs read.
        expected: u32,
    },
}

/// Type information of the kernel, or of one module with that of the kernel under it.
pub(super) struct Btf<'base> {
    base: Option<&'base Btf<'base>>,
    bytes: Vec<u8>,
    /// Where each type begins in `bytes`.
    types: Vec<u32>,
    /// Where the strings are in `bytes`.
    strings: std::ops::Range<usize>,
    /// Structures that were asked for, by name: looking one up reads all types.
    structures: RefCell<BTreeMap<String, Vec<u32>>>,
}

/// A type as it lies in the file.
#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    info: u32,
    size_or_type: u32,
    /// What follows the three words, to the end of the section.
    rest: &'a [u8],
}

impl Type<'_> {
    const fn kind(&self) -> u32 {
        (self.info >> 24) & 0x1f
    }

    const fn entries(&self) -> usize {
        (self.info & 0xffff) as usize
    }

    const fn is_composite(&self) -> bool {
        matches!(self.kind(), kind::STRUCT | kind::UNION)
    }

    /// Bytes that follow the three words.
    const fn rest_bytes(&self) -> Option<usize> {
        Some(match self.kind() {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::ENUM | kind::FUNC_PROTO => self.entries() * 8,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => self.entries() * 12,
            // Pointer, forward declaration, typedef, qualifiers, function, float.
            2 | 7..=12 | 16 | 18 => 0,
            _ => return None,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

impl<'base> Btf<'base> {
    /// That of `module`, or of the kernel.
    pub(super) fn read(module: &str, base: Option<&'base Self>) -> Result<Self, Error> {
        let path = PathBuf::from(FOLDER).join(module);
        let bytes = fs::read(&path).map_err(|source| Error::Read { path, source })?;
        Self::parse(bytes, base)
    }

    fn parse(bytes: Vec<u8>, base: Option<&'base Self>) -> Result<Self, Error> {
        const CUT: Error = Error::Malformed("the type information is cut");
        let magic = bytes.get(..2).and_then(|two| two.try_into().ok()).map(u16::from_ne_bytes);
        if magic != Some(MAGIC) {
            return Err(Error::Malformed("the type information does not begin with BTF's magic number"));
        }
        let header = |at| word(&bytes, at).map(|value| value as usize).ok_or(CUT);
        let start = header(4)?;
        let section = |at, length| {
            let from = start.checked_add(header(at)?).ok_or(CUT)?;
            let to = from.checked_add(header(length)?).ok_or(CUT)?;
            if to > bytes.len() { Err(CUT) } else { Ok(from..to) }
        };
        let (types_at, strings) = (section(8, 12)?, section(16, 20)?);
        let mut types = Vec::new();
        let mut at = types_at.start;
        while at < types_at.end {
            let rest = bytes.get(at + 12..types_at.end).ok_or(CUT)?;
            let info = word(&bytes, at + 4).ok_or(CUT)?;
            let entry = Type { name: 0, info, size_or_type: 0, rest };
            let length = entry.rest_bytes().ok_or(Error::Malformed("a type of unknown kind"))?;
            types.push(u32::try_from(at).map_err(|_| CUT)?);
            at += 12 + length;
        }
        Ok(Self { base, bytes, types, strings, structures: RefCell::default() })
    }

    /// The number of the first type here: zero is `void`, and those of the base come first.
    fn first(&self) -> u32 {
        self.base.map_or(1, |base| base.first() + base.types.len() as u32)
    }

    fn get(&self, id: u32) -> Option<Type<'_>> {
        let Some(index) = id.checked_sub(self.first()) else {
            return self.base.and_then(|base| base.get(id));
        };
        let at = *self.types.get(index as usize)? as usize;
        Some(Type {
            name: word(&self.bytes, at)?,
            info: word(&self.bytes, at + 4)?,
            size_or_type: word(&self.bytes, at + 8)?,
            rest: self.bytes.get(at + 12..)?,
        })
    }

    /// Bytes of strings before those here.
    fn strings_before(&self) -> usize {
        self.base.map_or(0, |base| base.strings_before() + base.strings.len())
    }

    fn string(&self, offset: u32) -> &[u8] {
        let before = self.strings_before();
        let Some(own) = (offset as usize).checked_sub(before) else {
            return self.base.map_or(&[], |base| base.string(offset));
        };
        let from = self.bytes.get(self.strings.clone()).and_then(|strings| strings.get(own..));
        from.and_then(|rest| rest.split(|byte| *byte == 0).next()).unwrap_or_default()
    }

    /// Types by name, of one kind, here and not in the base.
    fn named(&self, name: &str, kind: u32) -> impl Iterator<Item = (u32, Type<'_>)> {
        (self.first()..)
            .zip(&self.types)
            .filter_map(|(id, _)| Some((id, self.get(id)?)))
            .filter(move |(_, entry)| entry.kind() == kind && self.string(entry.name) == name.as_bytes())
    }

    /// Structures by name, here and not in the base.
    fn structures(&self, name: &str) -> Vec<u32> {
        let mut known = self.structures.borrow_mut();
        let found = || self.named(name, kind::STRUCT).map(|(id, _)| id).collect();
        known.entry(name.to_owned()).or_insert_with(found).clone()
    }

    /// The type behind typedefs and qualifiers.
    fn bare(&self, mut id: u32) -> Option<Type<'_>> {
        for _ in 0..DEPTH {
            let entry = self.get(id)?;
            match entry.kind() {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = entry.size_or_type;
                }
                _ => return Some(entry),
            }
        }
        None
    }

    /// Bits of a type; zero when it has no size of its own.
    fn bits(&self, id: u32) -> u32 {
        match self.bare(id) {
            Some(entry) if entry.kind() == kind::PTR => usize::BITS,
            Some(entry)
                if entry.is_composite() || matches!(entry.kind(), kind::INT | kind::ENUM | kind::ENUM64) =>
            {
                entry.size_or_type.saturating_mul(8)
            }
            _ => 0,
        }
    }

    /// Offset of a member and its size, both in bits. Members of unnamed members count as the
    /// structure's own, as in C.
    fn member(&self, entry: Type<'_>, name: &[u8], depth: u32) -> Option<(u32, u32, u32)> {
        if depth == 0 || !entry.is_composite() {
            return None;
        }
        let has_bit_fields = entry.info >> 31 == 1;
        for index in 0..entry.entries() {
            let at = index * 12;
            let (label, id) = (word(entry.rest, at)?, word(entry.rest, at + 4)?);
            let position = word(entry.rest, at + 8)?;
            let (offset, width) =
                if has_bit_fields { (position & 0x00ff_ffff, position >> 24) } else { (position, 0) };
            if self.string(label) == name && label != 0 {
                let bits = if width == 0 { self.bits(id) } else { width };
                return Some((offset, bits, id));
            }
            if label == 0
                && let Some(inner) = self.bare(id)
                && let Some((more, bits, id)) = self.member(inner, name, depth - 1)
            {
                return Some((offset.checked_add(more)?, bits, id));
            }
        }
        None
    }

    /// Offset in bytes of `member`, a path of names joined by dots, in `structure`; without a member
    /// the size of the structure. `bytes` is the size that it must have, zero: any.
    pub(super) fn offset(&self, structure: &str, member: &str, bytes: u32) -> Result<u32, FieldError> {
        let mut error = FieldError::NoStructure(structure.to_owned());
        // More than one structure may have the name; the one that has the member is meant.
        for entry in self.structures(structure).into_iter().filter_map(|id| self.get(id)) {
            if member.is_empty() {
                return Ok(entry.size_or_type);
            }
            match self.offset_in(entry, structure, member, bytes) {
                Ok(offset) => return Ok(offset),
                Err(why) => error = why,
            }
        }
        // Types that modules share with the kernel are described there.
        self.base.ok_or(error)?.offset(structure, member, bytes)
    }

    fn offset_in(
        &self,
        structure_type: Type<'_>,
        structure: &str,
        member: &str,
        bytes: u32,
    ) -> Result<u32, FieldError> {
        let missing = || FieldError::NoMember(structure.to_owned(), member.to_owned());
        let (mut entry, mut offset, mut bits) = (Some(structure_type), 0_u32, 0);
        for name in member.split('.') {
            let (more, width, id) =
                self.member(entry.ok_or_else(missing)?, name.as_bytes(), DEPTH).ok_or_else(missing)?;
            offset = offset.checked_add(more).ok_or_else(missing)?;
            (entry, bits) = (self.bare(id), width);
        }
        if offset % 8 != 0 || (bytes > 0 && bits != bytes * 8) {
            let (structure, member) = (structure.to_owned(), member.to_owned());
            return Err(FieldError::Size { structure, member, found: bits, expected: bytes * 8 });
        }
        Ok(offset / 8)
    }

    /// Numbers and names of an enum's values; empty when there is no such enum.
    pub(super) fn values(&self, name: &str) -> BTreeMap<u32, String> {
        let Some((_, entry)) = self.named(name, kind::ENUM).next() else { return BTreeMap::new() };
        let value = |index: usize| {
            let label = self.string(word(entry.rest, index * 8)?);
            Some((word(entry.rest, index * 8 + 4)?, String::from_utf8_lossy(label).into_owned()))
        };
        (0..entry.entries()).map_while(value).collect()
    }

    /// Arguments of a tracepoint, as its programs see them.
    pub(super) fn tracepoint_arguments(&self, name: &str) -> Option<u32> {
        // typedef void (*btf_trace_NAME)(void *data, ...)
        let (_, entry) = self.named(&format!("btf_trace_{name}"), kind::TYPEDEF).next()?;
        let pointer = self.bare(entry.size_or_type)?;
        let prototype = self.bare(pointer.size_or_type)?;
        if pointer.kind() != kind::PTR || prototype.kind() != kind::FUNC_PROTO {
            return None;
        }
        u32::try_from(prototype.entries().checked_sub(1)?).ok()
    }
}

#[cfg(test)]
#[path = "btf_tests.rs"]
mod tests;
