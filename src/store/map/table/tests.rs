//! The table against a plain map, with keys that crowd, and its bounds.

use std::collections::BTreeMap;

use super::*;

fn seed() -> Seed {
    Seed::from_bytes([7; 16])
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % sides
    }
}

fn key(number: usize) -> Key {
    Key::of(number.to_string().as_bytes())
}

/// Keys, the first of them with the very same hash.
fn keys(count: usize, twins: u64) -> Vec<Key> {
    (0..twins).map(|number| seed().twin(number)).chain((0..).map(key)).take(count).collect()
}

impl<T> Table<T> {
    fn put(&mut self, key: Key, value: T) {
        self.upsert(seed(), rank_of(seed(), &key), key, |_| (), || (value, ()));
    }

    fn take(&mut self, key: &Key) -> Option<T> {
        self.remove_if(seed(), rank_of(seed(), key), key, |_| true)
    }

    /// Every value is where a look finds it, and all are in the order of their ranks.
    fn check(&self) {
        let (mut last, mut count, mut free) = (0, 0, None);
        for (bucket, at) in self.buckets.iter().zip(0..) {
            if bucket.value.is_none() {
                free = Some(at);
                continue;
            }
            let rank = rank_of(seed(), &bucket.key);
            let home = self.home(rank);
            assert!(home <= at && free.is_none_or(|free| free < home), "{home} from {at}");
            assert!(rank >= last);
            (last, count) = (rank, count + 1);
        }
        assert_eq!(count, self.len);
        assert!(self.len * FULL.1 < self.homes * FULL.0 + FULL.1);
        assert!(self.buckets.len() >= self.homes);
    }
}

fn against_the_model(start: u64, keys: &[Key], steps: usize) {
    let mut dice = Dice(start);
    let mut table = Table::new(start as usize);
    let mut model = BTreeMap::new();
    for step in 0..steps {
        // It mostly grows, then it mostly shrinks, and again.
        let rising = (step / (steps / 4)).is_multiple_of(2);
        let key = keys[dice.roll(keys.len() as u64) as usize];
        let rank = rank_of(seed(), &key);
        match dice.roll(10) {
            0..=2 => assert_eq!(table.get(seed(), rank, &key), model.get(&key)),
            3 => {
                let changed = table.get_mut(seed(), rank, &key).map(|value| *value += 1);
                assert_eq!(changed, model.get_mut(&key).map(|value| *value += 1));
            }
            4 => {
                let even = |value: &usize| value.is_multiple_of(2);
                let removed = table.remove_if(seed(), rank, &key, even);
                assert_eq!(removed, model.get(&key).copied().filter(even));
                if removed.is_some() {
                    model.remove(&key);
                }
            }
            other if (other < 9) == rising => {
                let change = |value: &mut usize| {
                    *value = step;
                    false
                };
                let is_new = table.upsert(seed(), rank, key, change, || (step, true));
                assert_eq!(is_new, model.insert(key, step).is_none());
            }
            _ => assert_eq!(table.take(&key), model.remove(&key)),
        }
        assert_eq!(table.len(), model.len());
        if step % 64 == 0 {
            table.shrink(seed());
            table.check();
        }
    }
    table.check();
    for key in keys {
        assert_eq!(table.get(seed(), rank_of(seed(), key), key), model.get(key));
    }
}

#[test]
fn it_answers_as_a_plain_map_does() {
    for start in 0..4 {
        against_the_model(start, &keys(30, 0), 4_000);
        against_the_model(start, &keys(3_000, 0), 40_000);
    }
}

#[test]
fn keys_with_one_hash_are_told_apart() {
    for start in 0..4 {
        against_the_model(start, &keys(200, 150), 8_000);
    }
}

#[test]
fn what_does_not_fit_at_the_end_goes_behind_it() {
    // Only the last of all ranks: homes are of no use.
    let mut keys: Vec<Key> = (0..40_000).map(key).collect();
    keys.sort_by_key(|key| rank_of(seed(), key));
    let keys = &keys[keys.len() - 100..];
    let mut table = Table::new(0);
    for key in keys {
        table.put(*key, *key);
    }
    assert!(table.buckets.len() > table.homes + 50);
    for key in keys {
        assert_eq!(table.get(seed(), rank_of(seed(), key), key), Some(key));
        assert_eq!(table.take(key), Some(*key));
    }
    assert_eq!(table.len(), 0);
}

#[test]
fn keys_in_the_order_of_their_hashes_do_not_crowd() {
    let mut keys: Vec<Key> = (0..20_000).map(key).collect();
    keys.sort_by_key(|key| seed().hash(key));
    let mut table = Table::new(0);
    for (key, count) in keys.iter().zip(1..) {
        table.put(*key, ());
        if count % 500 == 0 {
            let far = |(at, bucket): (usize, &Bucket<()>)| {
                bucket.value.map(|()| at - table.home(rank_of(seed(), &bucket.key)))
            };
            let furthest = table.buckets.iter().enumerate().filter_map(far).max();
            assert!(furthest < Some(100), "{furthest:?} of {count}");
        }
    }
}

#[test]
fn a_key_of_zeros_is_a_key() {
    let (zeros, mut table) = (Key::from_bytes([0; 16]), Table::new(0));
    let rank = rank_of(seed(), &zeros);
    assert_eq!(table.get(seed(), rank, &zeros), None);
    table.put(key(1), 1);
    assert_eq!(table.get(seed(), rank, &zeros), None);
    table.put(zeros, 2);
    assert_eq!(table.get(seed(), rank, &zeros), Some(&2));
    assert_eq!(table.take(&zeros), Some(2));
    assert_eq!(table.get(seed(), rank, &zeros), None);
}

#[test]
fn it_takes_memory_by_what_it_holds() {
    let keys: Vec<Key> = (0..20_000).map(key).collect();
    let mut table = Table::new(1);
    assert_eq!(table.buckets.capacity(), 0, "an empty one has no heap");
    for (key, count) in keys.iter().zip(1..) {
        table.put(*key, [0_u64; 2]);
        let most = count * 15 * 51 / (8 * 50) + 64;
        assert!(table.buckets.capacity() <= most, "{} for {count}", table.buckets.capacity());
    }
    for (key, left) in keys.iter().zip((0..keys.len()).rev()) {
        assert!(table.take(key).is_some());
        if left % 100 == 0 {
            table.shrink(seed());
            assert!(table.buckets.capacity() <= 5 * left + 200, "{left}");
        }
    }
}
