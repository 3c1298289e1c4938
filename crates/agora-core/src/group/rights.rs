//! The rights to settle one record, by the places where it stands.

use tokio::time::Instant;

use crate::transport::{Position, Token};

/// A lane, and a place on it.
pub(super) type Place = (u32, Position);

/// The right to settle one place at which a frame stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) token: Token,
    /// When to say next that it is still worked on; or, once it is done, to say that anew.
    pub(super) due: Instant,
    /// The backend was told that it is done, and has not answered.
    pub(super) acking: bool,
}

/// The rights of one frame, in the order of their places. Nearly always one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Rights(Vec<(Place, Held)>);

impl Rights {
    fn find(&self, place: Place) -> Result<usize, usize> {
        self.0.binary_search_by_key(&place, |(place, _)| *place)
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Held> {
        let ix = self.find(place).ok()?;
        self.0.get_mut(ix).map(|(_, held)| held)
    }

    /// Answers the right that this one replaces.
    pub(super) fn insert(&mut self, place: Place, held: Held) -> Option<Held> {
        match self.find(place) {
            Ok(_) => self.get_mut(place).map(|old| std::mem::replace(old, held)),
            Err(ix) => {
                self.0.reserve_exact(1);
                self.0.insert(ix, (place, held));
                None
            }
        }
    }

    pub(super) fn remove(&mut self, place: Place) -> Option<Held> {
        let ix = self.find(place).ok()?;
        Some(self.0.remove(ix).1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.0.iter().map(|(place, _)| *place)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Held> {
        self.0.iter_mut().map(|(_, held)| held)
    }
}
