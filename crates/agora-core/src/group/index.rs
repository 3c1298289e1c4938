//! Where to find what is kept elsewhere.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

/// Leads from a name to the place of what is called so. It follows from what stands there, so `Hash` leaves it out.
#[derive(Clone, Debug)]
pub(super) struct Index<K, V>(HashMap<K, V>);

impl<K: Eq + Hash, V> Index<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key)
    }

    /// Answers what stood there before.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.0.remove(key);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V: PartialEq> PartialEq for Index<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K: Eq + Hash, V: Eq> Eq for Index<K, V> {}

impl<K, V> Hash for Index<K, V> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
