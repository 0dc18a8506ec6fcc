//! The formats' pieces by hand: checksums, and frames, segments and manifests as bytes, with any
//! field set to anything. Written from the pages of the format; shares nothing with the crate.

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut word, mut bit) = (index as u32, 0);
        while bit < 8 {
            word = if word & 1 == 1 { word >> 1 ^ 0xEDB8_8320 } else { word >> 1 };
            bit += 1;
        }
        table[index] = word;
        index += 1;
    }
    table
};

/// `zlib.crc32(bytes, before)`.
pub fn crc(bytes: &[u8], before: u32) -> u32 {
    let step = |word: u32, byte: &u8| TABLE[(word as u8 ^ byte) as usize] ^ word >> 8;
    !bytes.iter().fold(!before, step)
}

/// The 8 bytes at `at` as a number; nothing may be missing.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The same of 4 bytes.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The same of 2 bytes.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

/// 16 bytes.
pub fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("they are there")
}

/// The fields of a frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Kind and *continues*.
    pub kind: u8,
    /// How many of the group follow.
    pub left: u16,
    /// Its number.
    pub lsn: u64,
    /// How far the watermark is behind.
    pub lag: u32,
    /// What the kind demands, or not.
    pub body: Vec<u8>,
}

impl Frame {
    /// Its bytes, padded to a multiple of 8.
    pub fn bytes(&self, salt: u32) -> Vec<u8> {
        let mut bytes = vec![0xA5, self.kind];
        bytes.extend(self.left.to_le_bytes());
        bytes.extend((self.body.len() as u32).to_le_bytes());
        bytes.extend(self.lsn.to_le_bytes());
        bytes.extend(self.lag.to_le_bytes());
        bytes.extend((crc(&self.body, 0) ^ salt).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(crc(&bytes, salt).to_le_bytes());
        bytes.extend(&self.body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }
}

/// The fields of a segment's header.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Major and minor version.
    pub version: (u16, u16),
    /// Compatible and incompatible flags.
    pub flags: (u32, u32),
    /// Of the store.
    pub uuid: [u8; 16],
    /// Of the segment.
    pub number: u64,
    /// The predecessor: number, offset, LSN.
    pub previous: (u64, u64, u64),
    /// Seeds the checksums of the frames.
    pub salt: u32,
    /// Codec and schema tag.
    pub encoding: (u32, u64),
}

impl Header {
    /// The first 4096 bytes of the segment.
    pub fn page(&self) -> Vec<u8> {
        let mut bytes = b"\x93SSLOG\r\n".to_vec();
        bytes.extend(self.version.0.to_le_bytes());
        bytes.extend(self.version.1.to_le_bytes());
        bytes.extend(112_u32.to_le_bytes());
        bytes.extend(self.flags.0.to_le_bytes());
        bytes.extend(self.flags.1.to_le_bytes());
        bytes.extend(self.uuid);
        for field in [self.number, self.previous.0, self.previous.1, self.previous.2] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(self.salt.to_le_bytes());
        bytes.extend(self.encoding.0.to_le_bytes());
        bytes.extend(self.encoding.1.to_le_bytes());
        bytes.resize(108, 0);
        bytes.extend(crc(&bytes, 0).to_le_bytes());
        let copy = bytes.clone();
        bytes.resize(512, 0);
        bytes.extend(copy);
        bytes.resize(4096, 0);
        bytes
    }
}

/// The fields of a manifest.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// Major and minor version.
    pub version: (u16, u16),
    /// Compatible and incompatible flags.
    pub flags: (u32, u32),
    /// Of the store.
    pub uuid: [u8; 16],
    /// Of the hash.
    pub seed: [u8; 16],
    /// Of the manifest.
    pub number: u64,
    /// Epoch and mark.
    pub times: (i64, i64),
    /// Cut and watermark.
    pub lsns: (u64, u64),
    /// First segment and sessions.
    pub counts: (u64, u64),
    /// How many bases it says that there are, if that is a lie.
    pub claimed: Option<u32>,
    /// Number, size and mark of each base.
    pub bases: Vec<(u64, u64, i64)>,
    /// What a higher minor version has added.
    pub added: Vec<u8>,
}

impl Manifest {
    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"\x93SSMAN\r\n".to_vec();
        bytes.extend(self.version.0.to_le_bytes());
        bytes.extend(self.version.1.to_le_bytes());
        bytes.extend(116_u32.to_le_bytes());
        bytes.extend(self.flags.0.to_le_bytes());
        bytes.extend(self.flags.1.to_le_bytes());
        bytes.extend(self.uuid);
        bytes.extend(self.seed);
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.times.0.to_le_bytes());
        bytes.extend(self.lsns.0.to_le_bytes());
        bytes.extend(self.lsns.1.to_le_bytes());
        bytes.extend(self.times.1.to_le_bytes());
        bytes.extend(self.counts.0.to_le_bytes());
        bytes.extend(self.counts.1.to_le_bytes());
        let count = self.claimed.unwrap_or(self.bases.len() as u32);
        bytes.extend(count.to_le_bytes());
        for (number, size, mark) in &self.bases {
            bytes.extend(number.to_le_bytes());
            bytes.extend(size.to_le_bytes());
            bytes.extend(mark.to_le_bytes());
        }
        bytes.extend(&self.added);
        bytes.extend(crc(&bytes, 0).to_le_bytes());
        bytes
    }
}

/// The name of a file.
pub fn name(kind: &str, number: u64) -> String {
    format!("{kind}.{number:012}")
}
