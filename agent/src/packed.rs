//! Numbers that are read and changed seldom, most of them zero or small, in as few bytes as they need. Of ten
//! thousand calls at once each byte counts that all of them carry.

/// Seven bits of a number in each byte, the lowest first; the highest bit says that more follow (LEB128). A
/// run of zeros is one zero and how many more come after it. Zeros at the end are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed(Box<[u8]>);

impl Packed {
    pub(crate) fn of(words: &[u64]) -> Self {
        let used = words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        let mut bytes = Vec::with_capacity(2 * used);
        let mut words = words.iter().take(used).copied().peekable();
        while let Some(word) = words.next() {
            put(&mut bytes, word);
            if word == 0 {
                let mut more = 0;
                while words.next_if_eq(&0).is_some() {
                    more += 1;
                }
                put(&mut bytes, more);
            }
        }
        // A copy of the right size, in place of one that is cut: what is cut off is hard to use again.
        Self(bytes.as_slice().into())
    }

    /// The numbers in their order.
    pub(crate) fn words(&self) -> Words<'_> {
        Words { bytes: self.0.iter(), zeros: 0 }
    }
}

fn put(bytes: &mut Vec<u8>, mut word: u64) {
    while word >= 0x80 {
        bytes.push(word as u8 | 0x80);
        word >>= 7;
    }
    bytes.push(word as u8);
}

/// Reads what was packed.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    bytes: std::slice::Iter<'a, u8>,
    zeros: u64,
}

impl Words<'_> {
    /// The next number; behind the last one come zeros.
    pub(crate) fn take(&mut self) -> u64 {
        if self.zeros > 0 {
            self.zeros -= 1;
            return 0;
        }
        let word = self.number();
        if word == 0 {
            self.zeros = self.number();
        }
        word
    }

    /// The next numbers.
    pub(crate) fn take_all<const N: usize>(&mut self) -> [u64; N] {
        std::array::from_fn(|_| self.take())
    }

    fn number(&mut self) -> u64 {
        let mut word = 0;
        let mut shift = 0;
        for &byte in self.bytes.by_ref() {
            word |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 || shift > 63 {
                break;
            }
        }
        word
    }
}

/// A number that may be absent, as one that is packed.
pub(crate) fn present(number: Option<u32>) -> u64 {
    number.map_or(0, |number| u64::from(number) + 1)
}

/// What was made by [`present`].
pub(crate) const fn absent(word: u64) -> Option<u32> {
    match word {
        0 => None,
        word => Some((word - 1) as u32),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn gives_back_what_was_put_in(
            words in prop::collection::vec(prop_oneof![Just(0), 0..300u64, any::<u64>()], 0..100),
        ) {
            let packed = Packed::of(&words);
            let mut read = packed.words();
            for word in &words {
                prop_assert_eq!(read.take(), *word);
            }
            prop_assert_eq!(read.take_all(), [0; 3]);
        }

        #[test]
        fn what_may_be_absent(number: Option<u32>) {
            prop_assert_eq!(absent(present(number)), number);
        }
    }

    #[test]
    fn zeros_take_next_to_nothing() {
        let mut words = [0; 60];
        assert!(Packed::of(&words).0.is_empty());
        words[40] = 127;
        assert_eq!(*Packed::of(&words).0, [0, 39, 127]);
    }
}
