//! A map as a list in the order of its keys.
//!
//! For maps that stay small or grow at their end. The standard library's tree would do as well, but a page loads its
//! code once for every pair of types, about a kilobyte (gzipped) each time. Not for keys that others choose in masses:
//! a new one in the middle moves all behind it.

/// A map. See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sorted<K, V>(Vec<(K, V)>);

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Sorted(Vec::new())
    }
}

impl<K: Ord + Copy, V> Sorted<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: K) -> Option<&V> {
        let at = self.find(key).ok()?;
        Some(&self.0[at].1)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        Some(&mut self.0[at].1)
    }

    /// Sets the value of a key, whether it had one or not.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let at = self.find(key).ok()?;
        Some(self.0.remove(at).1)
    }

    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&V) -> bool) {
        self.0.retain(|(_, value)| keeps(value));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (*key, value))
    }

    /// All values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    fn find(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_in_the_order_of_their_keys_and_each_key_once() {
        let mut map = Sorted::default();
        for (key, value) in [(3, 'c'), (1, 'x'), (2, 'b'), (1, 'a')] {
            map.insert(key, value);
        }
        assert_eq!(map.iter().collect::<Vec<_>>(), [(1, &'a'), (2, &'b'), (3, &'c')]);
        assert_eq!(
            (map.remove(2), map.remove(2), map.get(2), map.get(3)),
            (Some('b'), None, None, Some(&'c'))
        );
        map.retain(|value| *value == 'c');
        assert_eq!(map.values().collect::<String>(), "c");
    }
}
