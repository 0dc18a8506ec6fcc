//! What is measured on, and when: for the record.

use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::Result;

/// Today's date in UTC, as `2026-11-21`.
pub fn today() -> Result<String> {
    let days = (UNIX_EPOCH.elapsed()?.as_secs() / 86_400) as i64;
    Ok(date(days))
}

/// The date so many days after 1970-01-01, counted in eras of 400 years that begin in March.
fn date(days: i64) -> String {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + later)
}

/// The processor's name as the kernel has it.
pub fn processor() -> Result<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo")?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    Ok(name.unwrap_or("unknown").trim().to_owned())
}

pub fn kernel() -> String {
    let name = rustix::system::uname();
    format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy())
}

/// The kind of the file system that `dir` lies in.
pub fn file_system(dir: &Path) -> Result<String> {
    let dir = dir.canonicalize()?;
    let text = std::fs::read_to_string("/proc/self/mounts")?;
    Ok(kind_of(&dir, &text).unwrap_or("unknown").to_owned())
}

/// That of the deepest mount that `dir` lies in; of two at one place the later one.
fn kind_of<'a>(dir: &Path, mounts: &'a str) -> Option<&'a str> {
    let mount = |line: &'a str| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (words.next()?, words.next()?);
        dir.starts_with(at).then_some((at.len(), kind))
    };
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        let cases =
            [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_778, "2026-11-21")];
        for (days, expected) in cases {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn the_deepest_mount_says_what_file_system_it_is() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/deep xfs rw 0 0\n";
        for (dir, kind) in
            [("/home", "ext4"), ("/tmp/x", "tmpfs"), ("/tmp/deep/x", "xfs"), ("/tmpx", "ext4")]
        {
            assert_eq!(kind_of(Path::new(dir), mounts), Some(kind), "{dir}");
        }
    }
}
