//! Captchas: a code, the attempts at it, and its picture, drawn from bare strokes so that the
//! page's source does not spell it. Knows no store and no HTTP.

use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::time::Duration;

use sessile::{Error, Id};

/// How long a captcha may be answered.
pub const CAPTCHA_LIFETIME: Duration = Duration::from_secs(180);
/// Letters of a code.
pub const CODE_LETTERS: usize = 5;
/// Answers that one captcha takes.
pub const ATTEMPTS: u32 = 3;

/// Width and height of the picture.
const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 80.0;
/// Points of one path at least; a path ends up to as many later.
const PIECE_POINTS: usize = 4;
const SPECK_COUNT: usize = 16;
const WIRE_COUNT: usize = 2;

/// A letter's strokes on a grid of 4 × 6, corners as points.
type Glyph = &'static [&'static [(u8, u8)]];

/// Letters that nobody takes for another, whatever the case.
const GLYPHS: &[(char, Glyph)] = &[
    ('A', &[&[(0, 6), (2, 0), (4, 6)], &[(1, 4), (3, 4)]]),
    ('C', &[&[(4, 1), (3, 0), (1, 0), (0, 2), (0, 4), (1, 6), (3, 6), (4, 5)]]),
    ('E', &[&[(4, 0), (0, 0)], &[(0, 0), (0, 6)], &[(0, 6), (4, 6)], &[(0, 3), (3, 3)]]),
    ('F', &[&[(4, 0), (0, 0)], &[(0, 0), (0, 6)], &[(0, 3), (3, 3)]]),
    ('H', &[&[(0, 0), (0, 6)], &[(4, 0), (4, 6)], &[(0, 3), (4, 3)]]),
    ('J', &[&[(1, 0), (4, 0)], &[(3, 0), (3, 5), (2, 6), (1, 6), (0, 5)]]),
    ('K', &[&[(0, 0), (0, 6)], &[(4, 0), (0, 3)], &[(1, 3), (4, 6)]]),
    ('L', &[&[(0, 0), (0, 6)], &[(0, 6), (4, 6)]]),
    ('M', &[&[(0, 6), (0, 0)], &[(0, 0), (2, 3)], &[(2, 3), (4, 0)], &[(4, 0), (4, 6)]]),
    ('N', &[&[(0, 6), (0, 0)], &[(0, 0), (4, 6)], &[(4, 6), (4, 0)]]),
    ('P', &[&[(0, 6), (0, 0)], &[(0, 0), (3, 0), (4, 1), (4, 2), (3, 3), (0, 3)]]),
    (
        'R',
        &[&[(0, 6), (0, 0)], &[(0, 0), (3, 0), (4, 1), (4, 2), (3, 3), (0, 3)], &[(2, 3), (4, 6)]],
    ),
    ('T', &[&[(0, 0), (4, 0)], &[(2, 0), (2, 6)]]),
    ('U', &[&[(0, 0), (0, 5), (1, 6), (3, 6), (4, 5), (4, 0)]]),
    ('W', &[&[(0, 0), (1, 6)], &[(1, 6), (2, 2)], &[(2, 2), (3, 6)], &[(3, 6), (4, 0)]]),
    ('X', &[&[(0, 0), (4, 6)], &[(4, 0), (0, 6)]]),
    ('Y', &[&[(0, 0), (2, 3)], &[(4, 0), (2, 3)], &[(2, 3), (2, 6)]]),
    (
        '3',
        &[&[(0, 0), (4, 0)], &[(4, 0), (2, 2)], &[(2, 2), (4, 3), (4, 5), (3, 6), (1, 6), (0, 5)]],
    ),
    ('4', &[&[(3, 6), (3, 0)], &[(3, 0), (0, 4)], &[(0, 4), (4, 4)]]),
    ('7', &[&[(0, 0), (4, 0)], &[(4, 0), (1, 6)], &[(1, 3), (4, 3)]]),
];

/// A code that is to be read from a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captcha {
    code: String,
    /// What the picture's noise is drawn from: the same picture each time, so that nothing can
    /// be averaged out of several.
    seed: u64,
}

impl Captcha {
    /// A new one, of the operating system's random bits.
    pub fn draw() -> Result<Captcha, Error> {
        let bits = u128::from_le_bytes(Id::new()?.key().to_bytes());
        // One half makes the code, the other the noise: neither can be worked out from the other.
        let mut noise = Noise(bits as u64);
        let code = (0..CODE_LETTERS).filter_map(|_| noise.pick(GLYPHS)).map(|(letter, _)| *letter);
        Ok(Captcha { code: code.collect(), seed: (bits >> 64) as u64 })
    }

    /// As it is kept.
    pub fn to_text(&self) -> String {
        format!("{} {:x}", self.code, self.seed)
    }

    /// Out of [`to_text`](Self::to_text).
    pub fn from_text(text: &str) -> Option<Captcha> {
        let (code, seed) = text.split_once(' ')?;
        Some(Captcha { code: code.to_owned(), seed: u64::from_str_radix(seed, 16).ok()? })
    }

    /// What would be kept if this answer, letters of either case, were its code.
    pub fn candidate(&self, answer: &str) -> String {
        Captcha { code: answer.trim().to_ascii_uppercase(), seed: self.seed }.to_text()
    }

    /// The picture as SVG: about a hundred short paths in no order, noise among them.
    pub fn svg(&self) -> String {
        let mut noise = Noise(self.seed);
        let warp = Warp::draw(&mut noise);
        let mut paths = Vec::new();
        let step = (WIDTH - 24.0) / CODE_LETTERS as f64;
        for (index, letter) in self.code.chars().enumerate() {
            let Some((_, glyph)) = GLYPHS.iter().find(|(other, _)| *other == letter) else {
                continue;
            };
            let place = Place::draw(&mut noise, 12.0 + step * (index as f64 + 0.5));
            for stroke in *glyph {
                let corners: Vec<Point> = stroke.iter().map(|corner| place.of(*corner)).collect();
                let points = round(&corners).into_iter().map(|point| warp.of(point)).collect();
                cut(points, 4.0, &mut noise, &mut paths);
            }
        }
        add_noise(&mut noise, &mut paths);
        noise.shuffle(&mut paths);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\"><rect width=\"100%\" height=\"100%\" \
             fill=\"#fbf8f1\"/><g fill=\"none\" stroke=\"#33413c\" stroke-linecap=\"round\" \
             stroke-linejoin=\"round\">{}</g></svg>\n",
            paths.concat()
        )
    }
}

type Point = (f64, f64);

/// Where one letter stands, how large and how slanted.
struct Place {
    middle: Point,
    scale: Point,
    sin: f64,
    cos: f64,
}

impl Place {
    fn draw(noise: &mut Noise, x: f64) -> Place {
        let (sin, cos) = noise.between(-0.2, 0.2).sin_cos();
        let middle = (x + noise.between(-2.0, 2.0), HEIGHT / 2.0 + noise.between(-5.0, 5.0));
        let scale = (noise.between(6.6, 8.2), noise.between(6.8, 8.2));
        Place { middle, scale, sin, cos }
    }

    fn of(&self, (x, y): (u8, u8)) -> Point {
        let (x, y) = ((f64::from(x) - 2.0) * self.scale.0, (f64::from(y) - 3.0) * self.scale.1);
        (self.middle.0 + x * self.cos - y * self.sin, self.middle.1 + x * self.sin + y * self.cos)
    }
}

/// Waves over the whole picture.
struct Warp {
    phases: (f64, f64),
    lengths: (f64, f64),
}

impl Warp {
    fn draw(noise: &mut Noise) -> Warp {
        let phases = (noise.between(0.0, TAU), noise.between(0.0, TAU));
        Warp { phases, lengths: (noise.between(34.0, 56.0), noise.between(46.0, 80.0)) }
    }

    fn of(&self, (x, y): Point) -> Point {
        let dx = 2.0 * (y / self.lengths.0 * TAU + self.phases.0).sin();
        let dy = 3.2 * (x / self.lengths.1 * TAU + self.phases.1).sin();
        (x + dx, y + dy)
    }
}

/// Many points along a line of few, its corners cut twice: curves out of corners.
fn round(corners: &[Point]) -> Vec<Point> {
    let mut points = corners.to_vec();
    for _ in 0..2 {
        let between =
            |(ax, ay): Point, (bx, by): Point, t: f64| (ax + (bx - ax) * t, ay + (by - ay) * t);
        let pairs = points.iter().zip(points.iter().skip(1));
        let inner = pairs.flat_map(|(a, b)| [0.25, 0.5, 0.75].map(|t| between(*a, *b, t)));
        points = points
            .first()
            .copied()
            .into_iter()
            .chain(inner)
            .chain(points.last().copied())
            .collect();
    }
    points
}

/// Cuts a line into short overlapping paths, so that a letter is not one element.
fn cut(points: Vec<Point>, width: f64, noise: &mut Noise, paths: &mut Vec<String>) {
    let mut rest = points.as_slice();
    while rest.len() > 1 {
        let count = PIECE_POINTS + (noise.unit() * PIECE_POINTS as f64) as usize;
        let (piece, _) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        let width = width + noise.between(-0.7, 0.7);
        let mut path = format!("<path stroke-width=\"{width:.1}\" d=\"");
        for (index, (x, y)) in piece.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let (x, y) = (x + noise.between(-0.35, 0.35), y + noise.between(-0.35, 0.35));
            // Writing into a string cannot fail.
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        path.push_str("\"/>");
        paths.push(path);
        rest = rest.get(piece.len() - 1..).unwrap_or_default();
    }
}

/// Specks and wires of the letters' own make.
fn add_noise(noise: &mut Noise, paths: &mut Vec<String>) {
    for _ in 0..SPECK_COUNT {
        let (x, y) = (noise.between(4.0, WIDTH - 4.0), noise.between(4.0, HEIGHT - 4.0));
        let (sin, cos) = noise.between(0.0, TAU).sin_cos();
        let length = noise.between(2.0, 6.0);
        let points = [0.0, 0.5, 1.0].map(|t| (x + t * length * cos, y + t * length * sin));
        cut(points.to_vec(), 2.4, noise, paths);
    }
    for _ in 0..WIRE_COUNT {
        let (start, end) = (noise.between(10.0, 70.0), noise.between(10.0, 70.0));
        let (phase, height) = (noise.between(0.0, TAU), noise.between(3.0, 10.0));
        let points = (0..=40).map(|index| {
            let t = f64::from(index) / 40.0;
            (WIDTH * t, start + (end - start) * t + height * (t * 2.0 * TAU + phase).sin())
        });
        cut(points.collect(), 1.5, noise, paths);
    }
}

/// A small generator (splitmix64): repeatable, and good enough for a picture.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// At least 0 and below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get((self.unit() * from.len() as f64) as usize)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, (self.unit() * (last + 1) as f64) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_right_in_either_case() {
        let captcha = Captcha::draw().unwrap();
        assert_eq!(captcha.code.len(), CODE_LETTERS);
        assert_eq!(Captcha::from_text(&captcha.to_text()), Some(captcha.clone()));
        assert_eq!(captcha.candidate(&captcha.code.to_lowercase()), captcha.to_text());
        assert_ne!(captcha.candidate("no"), captcha.to_text());
        assert_ne!(captcha.candidate(""), captcha.to_text());
    }

    #[test]
    fn the_picture_stays_the_same_and_spells_nothing() {
        let captcha = Captcha::draw().unwrap();
        assert_eq!(captcha.svg(), captcha.svg());
        assert!(!captcha.svg().contains(&captcha.code) && !captcha.svg().contains("text"));
    }

    #[test]
    fn all_letters_are_drawn_inside_the_picture() {
        for (letter, _) in GLYPHS {
            let code = std::iter::repeat_n(letter, CODE_LETTERS).collect();
            let svg = Captcha { code, seed: 7 }.svg();
            assert!(svg.matches("<path").count() > 60, "{letter}");
        }
    }
}
