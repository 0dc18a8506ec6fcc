//! How time is measured: sides in turn, medians, quartiles.
//!
//! Knows neither sessions nor works; a side is a closure that runs one round and gives its figure.

use crate::Result;

/// A side of a measurement: runs one round, given its number, 0 for the one that does not count.
pub type Side<'a> = &'a mut dyn FnMut(usize) -> Result<f64>;

/// Runs all sides in turn, `rounds` times after one round that does not count. Who begins changes
/// with every round, so that none always finds what the same other left. The figures of each side,
/// round by round.
pub fn rounds<const N: usize>(rounds: usize, sides: [Side; N]) -> Result<[Vec<f64>; N]> {
    let mut figures = [const { Vec::new() }; N];
    for round in 0..=rounds {
        for turn in 0..N {
            let side = (round + turn) % N;
            let figure = sides[side](round)?;
            if round > 0 {
                figures[side].push(figure);
            }
        }
    }
    Ok(figures)
}

/// A median, and the quartiles around it.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |share| quantile(&values, share);
        Spread { median: at(0.5), low: at(0.25), high: at(0.75) }
    }

    /// That of the rounds' own quotients.
    pub fn of_ratio(ours: &[f64], theirs: &[f64]) -> Self {
        Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
    }
}

/// The value below which `share` of the sorted `values` lie, between two of them if need be.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let place = share * values.len().saturating_sub(1) as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * place.fract(),
        _ => f64::NAN,
    }
}

/// What is above `floor`, round by round.
pub fn above(figures: &[f64], floor: &[f64]) -> Vec<f64> {
    figures.iter().zip(floor).map(|(figure, floor)| figure - floor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_take_turns_and_the_first_round_does_not_count() {
        let order = std::cell::RefCell::new(String::new());
        let side = |name: char| {
            let order = &order;
            move |round: usize| {
                order.borrow_mut().push(name);
                Ok(round as f64)
            }
        };
        let (mut a, mut b) = (side('a'), side('b'));
        let figures = rounds(2, [&mut a, &mut b]).unwrap();
        assert_eq!(order.into_inner(), "abbaab");
        assert_eq!(figures, [vec![1.0, 2.0], vec![1.0, 2.0]]);
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0, 5.0]);
        assert_eq!((spread.low, spread.median, spread.high), (2.0, 3.0, 4.0));
        assert_eq!(quantile(&[1.0, 2.0], 0.5), 1.5);
        assert!(Spread::of([]).median.is_nan());
    }
}
