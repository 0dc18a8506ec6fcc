//! The keys: 16 random bytes each, the same for every side and every run, and how they hash.

use std::hash::{BuildHasher, Hash, Hasher};

const SEED: u64 = 0x5e55_11e5_ca1e_d0ca;
/// The constants of sessile's hash.
const PI: u64 = 0x243f_6a88_85a3_08d3;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a session is filed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// A number that is this key's own.
    pub fn seed(&self) -> u64 {
        let [low, high] = self.halves();
        low ^ high
    }

    fn halves(&self) -> [u64; 2] {
        let bits = u128::from_le_bytes(self.0);
        [bits as u64, (bits >> 64) as u64]
    }
}

impl Hash for Key {
    // One write without a length, as a key of fixed size deserves.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_le_bytes(self.0));
    }
}

/// The keys of a run.
pub struct Keys {
    /// In the order in which they are inserted.
    pub filed: Vec<Key>,
    /// The same keys in another order, in which they are asked for. The keys themselves lie in
    /// a row, as a server has the key of a request at hand; what they lead to does not.
    pub asked: Vec<Key>,
}

impl Keys {
    pub fn new(count: usize) -> Self {
        let mut random = Random::new(SEED);
        let filed: Vec<Key> = (0..count).map(|_| random.key()).collect();
        let mut asked = filed.clone();
        for index in (1..asked.len()).rev() {
            let other = (random.next() % (index as u64 + 1)) as usize;
            asked.swap(index, other);
        }
        Keys { filed, asked }
    }

    /// Keys that are not among those of any run: another stream of the same generator.
    pub fn others(count: usize) -> Vec<Key> {
        let mut random = Random::new(!SEED);
        (0..count).map(|_| random.key()).collect()
    }
}

/// SplitMix64: small, quick, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub fn key(&mut self) -> Key {
        Key((u128::from(self.next()) << 64 | u128::from(self.next())).to_le_bytes())
    }
}

/// The hasher of sessile's own map, for the rivals that take one: a seeded multiply, folded, and
/// folded once more with constants. Kept in step with `src/hash.rs` by hand.
#[derive(Clone)]
pub struct Folded([u64; 2]);

impl Default for Folded {
    fn default() -> Self {
        let mut random = Random::new(SEED ^ 1);
        Folded([random.next(), random.next()])
    }
}

impl BuildHasher for Folded {
    type Hasher = FoldedHasher;

    fn build_hasher(&self) -> FoldedHasher {
        FoldedHasher { seed: self.0, hash: 0 }
    }
}

/// See [`Folded`]. Made for one key, and takes what moka hashes beside it.
pub struct FoldedHasher {
    seed: [u64; 2],
    hash: u64,
}

impl Hasher for FoldedHasher {
    fn write_u128(&mut self, bits: u128) {
        let [low, high] = self.seed;
        self.hash = fold(fold(bits as u64 ^ low, (bits >> 64) as u64 ^ high) ^ PI, GOLDEN);
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
            self.hash = fold(self.hash ^ bits ^ PI, GOLDEN);
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
