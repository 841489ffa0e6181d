//! Tables of hashes, each with a line: 16 bytes for each, in tables that are half to nearly full.

use super::key::Hash;

/// Tables for so many beginnings of hashes: only one of them at a time is made anew for more room.
const SHARDS: usize = 64;

/// Hashes with the lines they stand on.
#[derive(Debug)]
pub(super) struct Seen {
    shards: Vec<Shard>,
}

/// Open addressing; line 0 is an empty place.
#[derive(Debug, Default)]
struct Shard {
    places: Vec<(u64, u32, u32)>,
    taken: usize,
}

impl Seen {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { shards }
    }

    fn shard(hash: Hash) -> usize {
        hash.1 as usize % SHARDS
    }

    /// The line that was put in with this hash.
    pub(super) fn find(&self, hash: Hash) -> Option<u32> {
        let shard = &self.shards[Self::shard(hash)];
        shard.at(hash).map(|at| shard.places[at].2)
    }

    /// Puts in a hash that is not there yet.
    pub(super) fn insert(&mut self, hash: Hash, line: u32) {
        self.shards[Self::shard(hash)].insert(hash, line);
    }

    /// Puts in a hash, or another line in the place of the one that is there, which is given back.
    pub(super) fn replace(&mut self, hash: Hash, line: u32) -> Option<u32> {
        let shard = &mut self.shards[Self::shard(hash)];
        if let Some(at) = shard.at(hash) {
            return Some(std::mem::replace(&mut shard.places[at].2, line));
        }
        shard.insert(hash, line);
        None
    }
}

impl Shard {
    /// Where a hash lies.
    fn at(&self, (high, low): Hash) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        let mut at = place(high, mask);
        loop {
            match self.places[at] {
                (_, _, 0) => return None,
                (h, l, _) if (h, l) == (high, low) => return Some(at),
                _ => at = (at + 1) & mask,
            }
        }
    }

    fn insert(&mut self, (high, low): Hash, line: u32) {
        if self.taken * 8 >= self.places.len() * 7 {
            let length = (self.places.len() * 2).max(16);
            let old = std::mem::replace(&mut self.places, vec![(0, 0, 0); length]);
            old.into_iter().filter(|place| place.2 != 0).for_each(|place| self.put(place));
        }
        self.put((high, low, line));
        self.taken += 1;
    }

    fn put(&mut self, entry: (u64, u32, u32)) {
        let mask = self.places.len() - 1;
        let mut at = place(entry.0, mask);
        while self.places[at].2 != 0 {
            at = (at + 1) & mask;
        }
        self.places[at] = entry;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the mask leaves what fits")]
const fn place(hash: u64, mask: usize) -> usize {
    hash as usize & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_finds_what_was_put_into_it_and_nothing_else_in_16_bytes_each() {
        assert_eq!(size_of::<(u64, u32, u32)>(), 16);
        let mut seen = Seen::new();
        let hash = |n: u32| (u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15), n);
        (1..=10_000).for_each(|n| seen.insert(hash(n), n));
        assert!((1..=10_000).all(|n| seen.find(hash(n)) == Some(n)));
        assert!((1..=10_000).all(|n| seen.replace(hash(n), n + 1) == Some(n) && seen.find(hash(n)) == Some(n + 1)));
        assert!((10_001..20_000).all(|n| seen.find(hash(n)).is_none()));
        let room: usize = seen.shards.iter().map(|shard| shard.places.len()).sum();
        assert!(room < 10_000 * 37 / 16, "{room}");
    }
}
