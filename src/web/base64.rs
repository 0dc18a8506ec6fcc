//! base64url without padding, strict: one spelling for every value. Knows not what it spells.

/// Letters that spell so many bytes.
pub(super) const fn letters(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// Spells `bytes` into `to`, which is [`letters`] long.
pub(super) fn encode(bytes: &[u8], to: &mut [u8]) {
    for (three, four) in bytes.chunks(3).zip(to.chunks_mut(4)) {
        let padded = three.iter().copied().chain([0; 2]).take(3);
        let word = padded.fold(0, |word, byte| word << 8 | u32::from(byte));
        for (to, shift) in four.iter_mut().zip([18, 12, 6, 0]) {
            *to = letter((word >> shift) as u8 & 63);
        }
    }
}

/// Reads what [`encode`] has written, and fills `to` with it. False, and `to` is worth nothing, if
/// the length is another, a letter is none, or a spare bit of the last one is set.
pub(super) fn decode(text: &[u8], to: &mut [u8]) -> bool {
    if text.len() != letters(to.len()) {
        return false;
    }
    // Valid letters are below 64, so one bit above tells of all the others together.
    let mut wrong = 0;
    for (four, three) in text.chunks(4).zip(to.chunks_mut(3)) {
        let values = four.iter().map(|letter| value(*letter)).chain([0; 3]).take(4);
        let word = values.fold(0, |word, value| {
            wrong |= u32::from(value & 64);
            word << 6 | u32::from(value & 63)
        });
        wrong |= word & ((1 << (8 * (3 - three.len()))) - 1);
        for (to, shift) in three.iter_mut().zip([16, 8, 0]) {
            *to = (word >> shift) as u8;
        }
    }
    wrong == 0
}

fn letter(value: u8) -> u8 {
    match value {
        0..=25 => b'A' + value,
        26..=51 => b'a' + (value - 26),
        52..=61 => b'0' + (value - 52),
        62 => b'-',
        _ => b'_',
    }
}

/// 64 for what is no letter.
fn value(letter: u8) -> u8 {
    match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelt(bytes: &[u8]) -> String {
        let mut to = vec![0; letters(bytes.len())];
        encode(bytes, &mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn known_spellings() {
        let known: [(&[u8], &str); 7] = [
            (b"", ""),
            (b"f", "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xFB, 0xFF, 0xFE], "-__-"),
            (&[0xFF; 2], "__8"),
        ];
        for (bytes, text) in known {
            assert_eq!(spelt(bytes), text);
            let mut read = vec![7; bytes.len()];
            assert!(decode(text.as_bytes(), &mut read));
            assert_eq!(read, bytes);
        }
    }

    /// Whatever is read is spelt again as it was: nothing has two spellings.
    #[test]
    fn every_value_has_one_spelling() {
        for length in 1..=3 {
            let whole = spelt(&[0x5A, 0xC3, 0x81][..length]);
            for place in 0..whole.len() {
                for byte in 0..=255 {
                    let mut text = whole.clone().into_bytes();
                    text[place] = byte;
                    let mut read = vec![0; length];
                    if decode(&text, &mut read) {
                        assert_eq!(spelt(&read).as_bytes(), text);
                    }
                }
            }
            assert!(!decode(&whole.as_bytes()[1..], &mut vec![0; length]));
            assert!(!decode(format!("{whole}A").as_bytes(), &mut vec![0; length]));
        }
    }
}
