//! `get-zipf`: warm gets of which few sessions get most: the one of rank k in proportion to
//! 1 / k^0.99, by 1 thread, 2, and as many as there are cores.

use super::Bench;
use super::get::{found, slice};
use crate::Result;
use crate::heap;
use crate::keys::{Key, Random};
use crate::report::{Line, Unit};
use crate::rivals::{Level, Rival, Sessile};

const EXPONENT: f64 = 0.99;
const SEED: u64 = 0x21bf;

pub fn zipf<R: Rival>(bench: &Bench) -> Result<Vec<Line>> {
    let ours = bench.filled::<Sessile>(Level::Memory)?;
    let theirs = bench.filled::<R>(Level::Memory)?;
    let keys = draw(bench.size.sessions, &bench.keys.asked);
    let mut lines = Vec::new();
    for threads in threads()? {
        let (mut our_clients, mut their_clients) =
            (ours.clients(threads)?, theirs.clients(threads)?);
        let pair = bench.measure(
            |round| slice(bench, &mut our_clients, &keys, round, found),
            |round| slice(bench, &mut their_clients, &keys, round, found),
        )?;
        lines.push(Line::of_pair("get-zipf", R::NAME, threads, Unit::OpsPerS, &pair));
    }
    ours.close()?;
    theirs.close()?;
    heap::tidy();
    Ok(lines)
}

fn threads() -> Result<Vec<usize>> {
    let mut threads = vec![1, 2, std::thread::available_parallelism()?.get()];
    threads.sort_unstable();
    threads.dedup();
    Ok(threads)
}

/// `count` keys, drawn with the first of `ranked` the most often. Drawn
/// before the clock runs, as the search through the sums costs more than a get.
fn draw(count: usize, ranked: &[Key]) -> Vec<Key> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=ranked.len())
        .map(|rank| {
            sum += (rank as f64).powf(-EXPONENT);
            sum
        })
        .collect();
    let mut random = Random::new(SEED);
    let mut pick = || {
        let point = random.next() as f64 / u64::MAX as f64 * sum;
        let rank = sums.partition_point(|&upto| upto < point);
        ranked[rank.min(ranked.len() - 1)]
    };
    (0..count).map(|_| pick()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    #[test]
    fn the_first_is_drawn_twice_as_often_as_the_second_and_ten_times_the_tenth() {
        let ranked = Keys::new(1000).asked;
        let drawn = draw(200_000, &ranked);
        let count = |rank: usize| drawn.iter().filter(|key| **key == ranked[rank]).count() as f64;
        assert!((1.9..2.1).contains(&(count(0) / count(1))));
        assert!((8.5..11.0).contains(&(count(0) / count(9))));
        assert!(count(999) > 0.0);
    }
}
