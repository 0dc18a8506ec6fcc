//! The ranges of hashes whose records were lost to damage; knows hashes alone.
//!
//! For a key in such a range, "not found" means "not known", and is said so.

use super::{Fields, seal, verifies};

/// Disjoint inclusive ranges in ascending order; ranges that touch are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost(Vec<(u64, u64)>);

impl Lost {
    pub(super) fn new() -> Self {
        Lost::default()
    }

    /// Adds `lo..=hi`. Costs what lies behind it.
    pub(super) fn add(&mut self, lo: u64, hi: u64) {
        let (lo, hi) = (lo.min(hi), lo.max(hi));
        let start = self.0.partition_point(|range| range.1 < lo.saturating_sub(1));
        let end = self.0.partition_point(|range| range.0 <= hi.saturating_add(1));
        let united = self.0.get(start..end).unwrap_or_default().iter();
        let united = united.fold((lo, hi), |sum, range| (sum.0.min(range.0), sum.1.max(range.1)));
        self.0.splice(start..end, [united]);
    }

    /// The range that `hash` lies in.
    #[inline]
    pub(crate) fn around(&self, hash: u64) -> Option<(u64, u64)> {
        if self.0.is_empty() {
            return None;
        }
        let index = self.0.partition_point(|range| range.1 < hash);
        self.0.get(index).copied().filter(|range| range.0 <= hash)
    }

    /// Lowest and highest hash of each range, in ascending order.
    pub(crate) fn ranges(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// Bytes that [`encode`](Self::encode) makes of `count` ranges.
    pub(super) fn bytes(count: u64) -> u64 {
        8 + 16 * count
    }

    pub(super) fn encode(&self, salt: u32, offset: u64) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        for (lo, hi) in &self.0 {
            bytes.extend_from_slice(&lo.to_le_bytes());
            bytes.extend_from_slice(&hi.to_le_bytes());
        }
        seal(&mut bytes, salt, offset);
        bytes
    }

    /// `None` if the bytes are not what [`encode`](Self::encode) wrote.
    pub(super) fn decode(bytes: &[u8], salt: u32, offset: u64) -> Option<Self> {
        if !verifies(bytes, salt, offset) {
            return None;
        }
        let mut fields = Fields(bytes.get(8..)?);
        let mut lost = Lost::new();
        while let (Some(lo), Some(hi)) = (fields.u64(), fields.u64()) {
            lost.add(lo, hi);
        }
        Some(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(add: &[(u64, u64)], expected: &[(u64, u64)]) {
        let mut lost = Lost::new();
        add.iter().for_each(|(lo, hi)| lost.add(*lo, *hi));
        assert_eq!(lost.ranges(), expected);
        assert_eq!(Lost::decode(&lost.encode(1, 64), 1, 64).as_ref(), Some(&lost));
        for hash in add.iter().flat_map(|(lo, hi)| [*lo, *hi]).flat_map(|h| [h.max(1) - 1, h]) {
            let inside = add.iter().any(|(lo, hi)| (*lo..=*hi).contains(&hash));
            assert_eq!(lost.around(hash).is_some(), inside, "{hash} in {expected:?}");
        }
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        check(&[], &[]);
        check(&[(3, 5)], &[(3, 5)]);
        check(&[(3, 5), (7, 9)], &[(3, 5), (7, 9)]);
        check(&[(7, 9), (3, 5)], &[(3, 5), (7, 9)]);
        check(&[(3, 5), (6, 9)], &[(3, 9)]);
        check(&[(6, 9), (3, 5)], &[(3, 9)]);
        check(&[(3, 5), (10, 12), (20, 21), (4, 15)], &[(3, 15), (20, 21)]);
        check(&[(3, 5), (4, 4)], &[(3, 5)]);
        check(&[(0, 0), (u64::MAX, u64::MAX)], &[(0, 0), (u64::MAX, u64::MAX)]);
        check(&[(1, 5), (0, u64::MAX), (7, 7)], &[(0, u64::MAX)]);
    }

    #[test]
    fn damaged_ranges_are_refused() {
        let mut lost = Lost::new();
        lost.add(3, 5);
        let bytes = lost.encode(1, 64);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Lost::decode(&bytes, 1, 64), None);
        }
        assert_eq!(Lost::decode(&bytes, 2, 64), None);
        assert_eq!(Lost::decode(&bytes, 1, 128), None);
        assert_eq!(Lost::decode(&[0; 24], 1, 64), None);
    }
}
