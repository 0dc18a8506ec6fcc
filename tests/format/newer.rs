//! Files as a later release might write them: flags, versions and fields that nobody knows yet,
//! under checksums that are right.

use sessile::testing::SimFs;

/// What a later release did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A flag that a reader must know.
    Incompatible,
    /// A higher major version.
    Major,
    /// A flag that may be ignored, and a higher minor version.
    Compatible,
    /// Fields where the format leaves room for them.
    Longer,
}

impl Change {
    pub const ALL: [Change; 4] =
        [Change::Incompatible, Change::Major, Change::Compatible, Change::Longer];

    pub fn may_be_ignored(self) -> bool {
        matches!(self, Change::Compatible | Change::Longer)
    }
}

/// A copy in which the newest file of this kind has been changed.
pub fn change(fs: &SimFs, kind: &str, change: Change) -> SimFs {
    let copy = fs.kill();
    let name = copy.names().into_iter().rfind(|name| name.starts_with(kind)).unwrap();
    let mut bytes = copy.bytes(&name).unwrap();
    let is_base = kind == "base";
    let (compatible, incompatible) = if is_base { (20, 16) } else { (16, 20) };
    match change {
        Change::Incompatible => bytes[incompatible + 2] |= 1,
        Change::Major => bytes[8] += 1,
        Change::Compatible => {
            bytes[compatible + 2] |= 1;
            bytes[10] = 7;
        }
        Change::Longer => match kind {
            // Between the last base and the checksum.
            "manifest" => bytes.splice(bytes.len() - 4..bytes.len() - 4, [7; 24]).for_each(drop),
            // Before the seal, which moves.
            "base" => {
                bytes[760..768].fill(7);
                bytes[12..16].copy_from_slice(&772_u32.to_le_bytes());
            }
            // Reserved bytes.
            _ => bytes[88..108].fill(7),
        },
    }
    seal(kind, &mut bytes);
    copy.put(&name, &bytes);
    copy
}

fn seal(kind: &str, bytes: &mut [u8]) {
    let (place, end): (&[u8], usize) = match kind {
        "manifest" => (&[], bytes.len()),
        "base" => (&[0; 16], u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize),
        _ => (&[], 112),
    };
    let crc = crc32fast::hash(&[place, &bytes[..end - 4]].concat());
    bytes[end - 4..end].copy_from_slice(&crc.to_le_bytes());
    if kind == "log" {
        bytes.copy_within(..112, 512);
    }
}
