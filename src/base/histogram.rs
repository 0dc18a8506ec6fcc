//! How many records expire when, in 64 buckets; knows nothing but ticks.
//!
//! The range is not known before the last record, so the buckets start one tick wide and double
//! their width, two becoming one, whenever a deadline lies outside the 64 that there are.

use crate::clock::Tick;

/// Buckets of a histogram.
pub(super) const BUCKETS: usize = 64;

/// Counts per bucket. Bucket `i` counts the deadlines `d` with `d >> shift == first + i`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Histogram {
    pub(super) first: u32,
    pub(super) shift: u32,
    pub(super) buckets: [u64; BUCKETS],
}

impl Histogram {
    pub(super) fn new() -> Self {
        Histogram { first: 0, shift: 0, buckets: [0; BUCKETS] }
    }

    /// Counts one deadline.
    pub(super) fn add(&mut self, deadline: Tick) {
        loop {
            let bucket = deadline >> self.shift;
            let index = bucket.checked_sub(self.first).map(|index| index as usize);
            if let Some(count) = index.and_then(|index| self.buckets.get_mut(index)) {
                *count += 1;
                return;
            }
            self.make_room(bucket);
        }
    }

    /// Moves the range so that it holds `bucket` too, or halves the number of buckets in use.
    fn make_room(&mut self, bucket: u32) {
        let used = |count: &u64| *count > 0;
        let (start, end) = match self.buckets.iter().position(used) {
            None => return self.first = bucket,
            Some(start) => (start, self.buckets.iter().rposition(used).unwrap_or(start)),
        };
        let (low, high) = (self.first + start as u32, self.first + end as u32);
        let (low, high) = (low.min(bucket), high.max(bucket));
        if (high - low) as usize >= BUCKETS {
            return self.widen();
        }
        match low.checked_sub(self.first) {
            Some(up) => self.buckets.rotate_left(up as usize),
            None => self.buckets.rotate_right((self.first - low) as usize),
        }
        self.first = low;
    }

    fn widen(&mut self) {
        let mut wide = [0; BUCKETS];
        let odd = (self.first & 1) as usize;
        for (index, count) in self.buckets.iter().enumerate() {
            if let Some(sum) = wide.get_mut((index + odd) / 2) {
                *sum += *count;
            }
        }
        self.buckets = wide;
        self.first >>= 1;
        self.shift += 1;
    }

    /// About how many of the deadlines lie after `tick`: exact but for one bucket, whose share
    /// is taken in proportion.
    pub(super) fn after(&self, tick: Tick) -> u64 {
        let mut sum = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            let start = (u64::from(self.first) + index as u64) << self.shift;
            let width = 1u64 << self.shift;
            let ended = (u64::from(tick) + 1).saturating_sub(start).min(width);
            let live = u128::from(*count) * u128::from(width - ended) + u128::from(width / 2);
            // Counts come from a file, and add up only if they are a writer's.
            let live = u64::try_from(live / u128::from(width)).unwrap_or(*count);
            sum = u64::saturating_add(sum, live);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(deadlines: &[Tick]) {
        let mut histogram = Histogram::new();
        for deadline in deadlines {
            histogram.add(*deadline);
        }
        assert_eq!(histogram.buckets.iter().sum::<u64>(), deadlines.len() as u64);
        for index in 0..BUCKETS {
            let bucket = u64::from(histogram.first) + index as u64;
            let inside = |d: &&Tick| u64::from(**d >> histogram.shift) == bucket;
            let count = deadlines.iter().filter(inside).count() as u64;
            assert_eq!(histogram.buckets[index], count, "bucket {index} of {deadlines:?}");
        }
        let (low, high) = (deadlines.iter().min(), deadlines.iter().max());
        if let (Some(low), Some(high)) = (low, high) {
            assert!(histogram.shift == 0 || (high - low) >> histogram.shift >= 30);
            assert_eq!(histogram.after(low.saturating_sub(1 << 27)), deadlines.len() as u64);
            assert_eq!(histogram.after(high.saturating_add(1 << 27)), 0);
        }
    }

    #[test]
    fn every_deadline_is_counted_in_its_bucket() {
        check(&[]);
        check(&[1 << 28]);
        check(&[u32::MAX]);
        check(&[100, 163, 100]);
        check(&[163, 100]);
        check(&[164, 100]);
        check(&[100, 164]);
        check(&[5, u32::MAX, 5, u32::MAX - 1]);
        check(&[u32::MAX, 5]);
        let many: Vec<u32> = (0..5000u32).map(|i| i.wrapping_mul(2_654_435_761) >> 9).collect();
        check(&many);
        check(&many.iter().map(|d| d + 4_000_000_000).collect::<Vec<_>>());
    }

    #[test]
    fn what_lies_after_a_tick_is_estimated_well() {
        let mut histogram = Histogram::new();
        (0..100_000u32).for_each(|i| histogram.add(1_000_000 + i * 10));
        for tick in [999_999, 1_000_005, 1_250_000, 1_777_777, 3_000_000] {
            let exact = (0..100_000u32).filter(|i| 1_000_000 + i * 10 > tick).count() as i64;
            assert!((histogram.after(tick) as i64 - exact).abs() < 100, "{tick}");
        }
    }
}
