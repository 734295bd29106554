//! Room for what few calls have. Of ten thousand calls at once each byte counts that all of them carry.

use std::ops::{Deref, DerefMut};

/// What a [`Seldom`] can hold: reads as `empty` until something is put in.
pub trait Emptiness: Default + 'static {
    /// The same as its default.
    fn empty() -> &'static Self;
}

/// One pointer, until it is written to.
#[derive(Clone, Debug)]
pub struct Seldom<T>(Option<Box<T>>);

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Emptiness> Deref for Seldom<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or_else(|| T::empty())
    }
}

impl<T> Seldom<T> {
    /// What was put in.
    pub fn filled(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T: Emptiness> DerefMut for Seldom<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(Box::default)
    }
}

/// Gives a type the one value that its [`Seldom`]s share while they are empty.
macro_rules! seldom {
    ($type:ty) => {
        impl $crate::seldom::Emptiness for $type {
            fn empty() -> &'static Self {
                static EMPTY: std::sync::LazyLock<$type> = std::sync::LazyLock::new(Default::default);
                &EMPTY
            }
        }
    };
}
pub(crate) use seldom;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counts {
        lost: u64,
    }
    seldom!(Counts);

    #[test]
    fn takes_no_room_until_it_is_written_to() {
        let mut counts: Seldom<Counts> = Seldom::default();
        assert_eq!(counts.lost, 0);
        assert!(counts.0.is_none());
        counts.lost += 2;
        assert_eq!((counts.lost, Counts::empty().lost), (2, 0));
        assert_eq!(size_of::<Seldom<Counts>>(), size_of::<usize>());
    }
}
