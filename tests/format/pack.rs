//! Directories as text: every file with its size, rows of 32 bytes in hexadecimal, zeros left
//! out. So a golden directory can be read, and compared, line by line.

use std::fmt::Write;

use sessile::testing::SimFs;

use crate::dump::hex;

const ROW: usize = 32;

/// All files but the lock, as text.
pub fn pack(fs: &SimFs) -> String {
    let mut text = String::new();
    for name in fs.names().iter().filter(|name| *name != "lock") {
        let bytes = fs.bytes(name).unwrap();
        writeln!(text, "file {name}, {} bytes", bytes.len()).unwrap();
        let mut before: Option<&[u8]> = None;
        let mut repeated = 0;
        for (index, row) in bytes.chunks(ROW).enumerate() {
            if row.iter().all(|byte| *byte == 0) {
                before = None;
                continue;
            }
            if before == Some(row) {
                repeated += 1;
                let next = bytes.get((index + 1) * ROW..).unwrap_or_default();
                if !next.starts_with(row) {
                    writeln!(text, "* {repeated}").unwrap();
                    repeated = 0;
                }
            } else {
                writeln!(text, "{:06x} {}", index * ROW, hex(row)).unwrap();
            }
            before = Some(row);
        }
    }
    text
}

/// The directory that [`pack`] made this text of.
pub fn unpack(text: &str) -> SimFs {
    let fs = SimFs::new(0);
    let mut file: Option<(&str, Vec<u8>)> = None;
    let mut end = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(rest) = line.strip_prefix("file ") {
            if let Some((name, bytes)) = file.take() {
                fs.put(name, &bytes);
            }
            let (name, size) = rest.strip_suffix(" bytes").unwrap().split_once(", ").unwrap();
            file = Some((name, vec![0; size.parse().unwrap()]));
            continue;
        }
        let (_, bytes) = file.as_mut().unwrap();
        if let Some(times) = line.strip_prefix("* ") {
            for _ in 0..times.parse::<usize>().unwrap() {
                bytes.copy_within(end - ROW..end, end);
                end += ROW;
            }
            continue;
        }
        let (offset, row) = line.split_once(' ').unwrap();
        end = usize::from_str_radix(offset, 16).unwrap();
        for pair in 0..row.len() / 2 {
            bytes[end] = u8::from_str_radix(&row[2 * pair..2 * pair + 2], 16).unwrap();
            end += 1;
        }
    }
    if let Some((name, bytes)) = file {
        fs.put(name, &bytes);
    }
    fs
}
