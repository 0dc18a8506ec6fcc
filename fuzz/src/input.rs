//! Reads choices from a fuzzer's bytes. What is missing reads as zero, so every input is one.

/// The bytes that are left.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of them.
    pub fn new(bytes: &'a [u8]) -> Self {
        Input(bytes)
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let bytes = self.bytes(N);
        taken[..bytes.len()].copy_from_slice(bytes);
        taken
    }

    /// One byte.
    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    /// Two.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    /// Four.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    /// Eight.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    /// A number below `end`, from two bytes; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.u16()).checked_rem(end).unwrap_or(0)
    }

    /// A number that is small, or near an end of its range, or anything.
    pub fn odd(&mut self) -> u64 {
        match self.u8() {
            small @ 0..=191 => small.into(),
            192..=207 => u64::MAX - u64::from(self.u8()),
            208..=223 => (1 << self.below(64)) - u64::from(self.u8() & 1),
            _ => self.u64(),
        }
    }

    /// At most so many bytes.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// All that are left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }
}

/// Damages a file as this input wants it: a bit, a stretch, its end, or a part put elsewhere.
/// Positions lie below `reach` or anywhere, so that the small parts of a file are hit too.
pub fn mutate(bytes: &mut Vec<u8>, input: &mut Input<'_>, reach: usize) {
    let kind = input.u8();
    if bytes.is_empty() {
        return;
    }
    let whole = if kind & 0x80 == 0 { bytes.len() } else { reach.min(bytes.len()) };
    let place = (input.u32() & 0xFF_FFFF) as usize % whole;
    let amount = 1 + usize::from(input.u8());
    let end = bytes.len().min(place + amount);
    match kind % 8 {
        0 | 1 => bytes[place] ^= 1 << (amount % 8),
        2 => bytes[place..end].fill(0),
        3 => bytes[place..end].fill(amount as u8),
        4 => bytes.truncate(place),
        5 => {
            let to = input.below(bytes.len());
            let end = end.min(place + bytes.len() - to);
            bytes.copy_within(place..end, to);
        }
        6 => {
            let patch = input.bytes(amount % 17);
            let end = bytes.len().min(place + patch.len());
            bytes[place..end].copy_from_slice(&patch[..end - place]);
        }
        _ => bytes.resize(bytes.len() + amount, 0),
    }
}
