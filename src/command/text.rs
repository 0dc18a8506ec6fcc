//! Figures as people read them, and text that a terminal does not obey.

use std::borrow::Cow;
use std::time::Duration;

use crate::clock::Timestamp;

/// 1,234,567.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 1 base, 1,234 bases.
pub(super) fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// 1.2 MiB.
pub(super) fn bytes(number: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (number as f64, "B");
    for next in units {
        unit = next;
        if value < 1024.0 {
            break;
        }
        if next != "TiB" {
            value /= 1024.0;
        }
    }
    if unit == "B" { format!("{number} B") } else { format!("{value:.1} {unit}") }
}

/// 2026-11-21T13:50:03Z. What lies outside the years that have four digits stays a number.
pub(super) fn instant(time: Timestamp) -> String {
    let seconds = time.as_millis().div_euclid(1000);
    match time::OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(at) if (0..=9999).contains(&at.year()) => format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        ),
        _ => format!("{} ms since 1970", time.as_millis()),
    }
}

/// 3 min, 5 h, 13 days.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Without characters that move the cursor, change colours or turn the direction of writing:
/// they are spelt as JSON spells them.
pub(super) fn harmless(text: &str) -> Cow<'_, str> {
    let obeyed = |letter: char| {
        letter != '\n' && letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let spell = |letter: char| match obeyed(letter) {
        true => format!("\\u{:04x}", u32::from(letter)),
        false => letter.to_string(),
    };
    Cow::Owned(text.chars().map(spell).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 2].map(|n| counted(n, "base")), ["0 bases", "1 base", "2 bases"]);
        let sizes = [0, 1023, 1024, 16 << 20, 3 << 29, 5 << 40, 5 << 51].map(bytes);
        assert_eq!(
            sizes,
            ["0 B", "1023 B", "1.0 KiB", "16.0 MiB", "1.5 GiB", "5.0 TiB", "10240.0 TiB"]
        );
        assert_eq!(instant(Timestamp::from_millis(1_790_003_600_999)), "2026-09-21T15:13:20Z");
        assert_eq!(instant(Timestamp::from_millis(i64::MAX)), "9223372036854775807 ms since 1970");
        assert_eq!(duration(Duration::from_secs(3 * 86_400)), "3 days");
    }

    #[test]
    fn a_terminal_obeys_nothing_that_is_stored() {
        assert_eq!(
            harmless("a\u{1b}[2Jb\u{9b}\u{202e}\r\nc"),
            "a\\u001b[2Jb\\u009b\\u202e\\u000d\nc"
        );
        assert!(matches!(harmless("tea, 茶"), Cow::Borrowed(_)));
    }
}
