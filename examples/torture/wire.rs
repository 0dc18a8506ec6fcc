//! What writer and judge tell each other: fixed messages one way, single bytes the other.
//!
//! A message goes out in one `write`, so what a killed writer had said is whole and in order.
//! Knows not what the messages mean.

use std::io;

pub const BYTES: usize = 24;

/// From the judge: write, as far as the plan says.
pub const GO: u8 = b'g';
/// From the judge: end what was begun with [`GO`].
pub const STOP: u8 = b's';
/// From the judge: heal.
pub const HEAL: u8 = b'h';
/// From the judge: merge.
pub const MERGE: u8 = b'm';
/// From the judge: close, and end.
pub const CLOSE: u8 = b'c';

/// What a message is about. The numbers stand for themselves in the pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The writer is there; `a` is its process.
    Hello = 1,
    /// The store is open, or could not be opened (`code`).
    Opened,
    /// A cell with something in it: `a` is the id, `b` the end it was told.
    Found,
    /// A ticket or brief session: `a` is its name.
    Loose,
    /// A session that nobody can have made: `a` is the name it claims.
    Phantom,
    /// All that is there has been told; waits for an order.
    Ready,
    /// An operation begins: `a` has the ticket of a claim.
    Announce,
    /// It has returned: `a` is the id that it gave back.
    Ack,
    /// A heal in the middle of the plan begins.
    Heal,
    /// An order was carried out, or not (`code`).
    Done,
}

const KINDS: [Kind; 10] = [
    Kind::Hello,
    Kind::Opened,
    Kind::Found,
    Kind::Loose,
    Kind::Phantom,
    Kind::Ready,
    Kind::Announce,
    Kind::Ack,
    Kind::Heal,
    Kind::Done,
];

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It returned, and found nothing or changed nothing.
    No,
    /// It returned, and did it.
    Yes,
    /// An error that says that nothing happened.
    Refused,
    /// An error that says that it is visible and may not last.
    Unknown,
}

/// What class an error was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    None,
    Full,
    DiskFull,
    Poisoned,
    Closed,
    Other,
}

#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub kind: Kind,
    pub slot: u8,
    pub code: Code,
    pub class: Class,
    /// Of an operation its number, of a session its cell.
    pub number: u32,
    pub a: u64,
    pub b: i64,
}

impl Message {
    pub fn new(kind: Kind) -> Message {
        Message { kind, slot: 0, code: Code::Yes, class: Class::None, number: 0, a: 0, b: 0 }
    }

    pub fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[0] = self.kind as u8;
        bytes[1] = self.slot;
        bytes[2] = self.code as u8;
        bytes[3] = self.class as u8;
        bytes[4..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.a.to_le_bytes());
        bytes[16..].copy_from_slice(&self.b.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> io::Result<Message> {
        let bad = || io::Error::other(format!("this is no message: {bytes:?}"));
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == bytes[0]).ok_or_else(bad)?;
        let codes = [Code::No, Code::Yes, Code::Refused, Code::Unknown];
        let classes = [
            Class::None,
            Class::Full,
            Class::DiskFull,
            Class::Poisoned,
            Class::Closed,
            Class::Other,
        ];
        Ok(Message {
            kind,
            slot: bytes[1],
            code: *codes.get(usize::from(bytes[2])).ok_or_else(bad)?,
            class: *classes.get(usize::from(bytes[3])).ok_or_else(bad)?,
            number: u32::from_le_bytes(bytes[4..8].try_into().map_err(io::Error::other)?),
            a: u64::from_le_bytes(bytes[8..16].try_into().map_err(io::Error::other)?),
            b: i64::from_le_bytes(bytes[16..24].try_into().map_err(io::Error::other)?),
        })
    }
}
