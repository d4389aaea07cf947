//! The dynamic table of RFC 7541 sections 2.3.2 and 4, with entries of any kind: the newest first, sizes counted, the
//! oldest evicted.

use std::collections::VecDeque;

/// Entries of at most [`max`](Table::max) bytes in all, where each has the size that it was inserted with.
#[derive(Debug)]
pub(super) struct Table<E> {
    entries: VecDeque<(E, usize)>,
    size: usize,
    max: usize,
}

impl<E> Table<E> {
    /// An empty table; it allocates with its first entry.
    pub(super) const fn new(max: usize) -> Self {
        Self { entries: VecDeque::new(), size: 0, max }
    }

    /// The bytes that it may hold.
    pub(super) const fn max(&self) -> usize {
        self.max
    }

    /// The bytes that it may take without evicting.
    pub(super) const fn room(&self) -> usize {
        self.max.saturating_sub(self.size)
    }

    /// The entry at `index`, 0 being the newest.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&E> {
        self.entries.get(index).map(|(entry, _)| entry)
    }

    /// The entries from the newest to the oldest.
    pub(super) fn iter(&self) -> impl Iterator<Item = &E> {
        self.entries.iter().map(|(entry, _)| entry)
    }

    /// Makes room for an entry of `size` and says whether there is: if not, the table is empty now, which is no error
    /// (section 4.4).
    pub(super) fn make_room(&mut self, size: usize) -> bool {
        let fits = size <= self.max;
        self.evict(if fits { self.max - size } else { 0 });
        fits
    }

    /// Inserts an entry that [`make_room`](Table::make_room) has made room for.
    pub(super) fn insert(&mut self, entry: E, size: usize) {
        self.size += size;
        self.entries.push_front((entry, size));
        debug_assert!(self.size <= self.max);
    }

    /// Changes the bytes that it may hold (section 4.3).
    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
        self.evict(max);
        if max == 0 {
            self.entries = VecDeque::new();
        }
    }

    fn evict(&mut self, max: usize) {
        while self.size > max {
            let Some((_, size)) = self.entries.pop_back() else { return };
            self.size -= size;
        }
    }

    #[cfg(test)]
    pub(super) const fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(entries: &[(char, usize)], max: usize) -> Table<char> {
        let mut table = Table::new(max);
        for (entry, size) in entries {
            if table.make_room(*size) {
                table.insert(*entry, *size);
            }
        }
        table
    }

    fn held(table: &Table<char>) -> (String, usize) {
        (table.iter().collect(), table.size())
    }

    #[test]
    fn the_oldest_go_first() {
        let table = full(&[('a', 40), ('b', 40), ('c', 40)], 100);
        assert_eq!(held(&table), ("cb".into(), 80));
        assert_eq!((table.get(0), table.get(1), table.get(2)), (Some(&'c'), Some(&'b'), None));
        assert_eq!(table.room(), 20);
    }

    #[test]
    fn an_entry_that_does_not_fit_empties_the_table() {
        assert_eq!(held(&full(&[('a', 40), ('b', 101)], 100)), (String::new(), 0));
        assert_eq!(held(&full(&[('a', 40), ('b', 100)], 100)), ("b".into(), 100));
    }

    #[test]
    fn a_smaller_maximum_evicts_and_a_larger_one_gives_room() {
        let mut table = full(&[('a', 40), ('b', 40)], 100);
        table.resize(50);
        assert_eq!(held(&table), ("b".into(), 40));
        table.resize(0);
        assert_eq!(held(&table), (String::new(), 0));
        table.resize(70);
        assert!(table.make_room(70));
        assert_eq!(table.max(), 70);
    }
}
