//! The engine under every handle of one store: its parts, and the steps that all writes share.
//!
//! The order of a write: admit (holding nothing) → encode → lock the key's stripe → append to
//! the log's buffer → apply to map and wheel, which cannot fail → unlock → drop old values → wait
//! for the level that was asked for.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::clock::Tick;
use crate::error::{Error, ErrorKind, Result};
use crate::hash::Seed;
use crate::id::Key;
use crate::limits::{ENTRY_OVERHEAD_BYTES, VALUE_BYTES_MAX};
use crate::log::frame::{Group, Op, Terms};
use crate::log::segment::Encoding;
use crate::log::{Durability, Log};
use crate::metrics::{Counters, Reads, count};
use crate::record::codec::{Coder, Sink};
use crate::record::expiry::{Life, Policy};
use crate::store::disk::Disk;
use crate::store::keeper::Marks;
use crate::store::map::Map;
use crate::store::stripe::Stripes;
use crate::store::time::Time;
use crate::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, thread_local};

/// Reads a value that was written with another codec or schema tag.
pub(crate) type Migrate<V> = dyn Fn(Written, &[u8]) -> Result<V, String> + Send + Sync;
/// What a value weighs in `max_memory`'s account, in bytes.
pub(crate) type Weigher<V> = dyn Fn(&V) -> u64 + Send + Sync;

/// How the bytes that a migration is given were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// [`Codec::ID`](crate::Codec::ID) of the codec.
    pub codec: u32,
    /// The schema tag of the builder.
    pub schema_tag: u64,
}

/// What a store in memory does when it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Refuses new sessions: `is_full`.
    #[default]
    Refuse,
    /// Ends the session whose deadline is nearest, of a sample. Only for a store in memory: it
    /// logs somebody out.
    EvictNearestDeadline,
}

/// Settings that last as long as the store.
pub(crate) struct Settings<V> {
    pub(crate) policy: Policy,
    pub(crate) write_level: Durability,
    pub(crate) removal_level: Durability,
    pub(crate) max_memory: u64,
    pub(crate) max_sessions: Option<u64>,
    pub(crate) max_value_bytes: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) coder: Option<Coder<V>>,
    pub(crate) schema_tag: u64,
    pub(crate) migrate: Option<Box<Migrate<V>>>,
    pub(crate) weigher: Option<Box<Weigher<V>>>,
}

/// What every write changes, apart from what every read loads.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Gauges {
    /// Bytes in memory, as `max_memory` counts them.
    pub(crate) memory: AtomicU64,
    /// Live sessions, as far as known.
    pub(crate) count: AtomicI64,
}

impl<V> Settings<V> {
    /// How values are encoded.
    pub(crate) fn encoding(&self) -> Encoding {
        let codec = self.coder.as_ref().map_or(0, |coder| coder.id);
        Encoding { codec, schema: self.schema_tag }
    }
}

/// See the module's text.
pub(crate) struct Engine<V> {
    pub(crate) map: Map<V>,
    pub(crate) stripes: Stripes,
    pub(crate) seed: Seed,
    pub(crate) time: Time,
    /// Entries of another generation are no longer there: a `clear` has ended them.
    pub(crate) generation: AtomicU32,
    pub(crate) closed: AtomicBool,
    pub(crate) disk: Option<Disk>,
    pub(crate) settings: Settings<V>,
    pub(crate) reads: Reads,
    pub(crate) counters: Counters,
    pub(crate) gauges: Gauges,
    /// Where the next search for something to evict begins.
    pub(crate) hand: AtomicU64,
    /// Keys whose touch is to be logged soon.
    pub(crate) returned: Mutex<Vec<Key>>,
    /// When the time was last written into the log.
    pub(crate) marks: Mutex<Marks>,
    /// What clears have left behind in the map, to be swept.
    pub(crate) leavings: Mutex<Vec<crate::store::slab::Slab>>,
}

thread_local! {
    static GROUP: Cell<Group> = Cell::new(Group::default());
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as running a closure that a store called. Where it is so marked already, it
/// stays so.
pub(crate) struct Inside(bool);

impl Inside {
    pub(crate) fn enter() -> Self {
        Inside(INSIDE.with(|inside| inside.replace(true)))
    }

    /// # Errors
    /// `is_reentrant`, inside a closure.
    #[inline]
    pub(crate) fn check() -> Result<()> {
        if INSIDE.with(Cell::get) { Err(Error::reentrant()) } else { Ok(()) }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with(|inside| inside.set(self.0));
    }
}

/// Lends the thread's buffer for one group.
pub(crate) fn with_group<R>(f: impl FnOnce(&mut Group) -> R) -> R {
    // Taken, not borrowed: a user's `Serialize` may call a store in its turn.
    let mut group = GROUP.with(Cell::take);
    group.clear();
    let result = f(&mut group);
    GROUP.with(|cell| cell.set(group));
    result
}

impl<V> Engine<V> {
    pub(crate) fn hash(&self, key: &Key) -> u64 {
        self.seed.hash(key)
    }

    pub(crate) fn now(&self) -> Tick {
        self.time.now()
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Ends every entry of an earlier generation, at once for all readers. The bases under it must
    /// have gone before: a reader that misses an old entry would ask them.
    pub(crate) fn enter_generation(&self, generation: u32) {
        self.generation.fetch_max(generation, Ordering::AcqRel);
    }

    pub(crate) fn log(&self) -> Option<&Log> {
        self.disk.as_ref().map(|disk| &*disk.log)
    }

    /// The LSN up to which the bases speak; entries that are not newer are clean.
    pub(crate) fn cut(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| disk.cut())
    }

    /// Whether the store may be called at all.
    ///
    /// # Errors
    /// From inside a closure; after `close`.
    #[inline]
    pub(crate) fn enter(&self) -> Result<()> {
        Inside::check()?;
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(()) }
    }

    pub(crate) fn append(&self, group: &Group) -> Result<u64> {
        match self.log() {
            Some(log) => log.append(group),
            None if self.closed.load(Ordering::Acquire) => Err(Error::closed()),
            None => Ok(0),
        }
    }

    /// A value's frame in `group`, if there is a log. Returns what the value counts in bytes.
    ///
    /// # Errors
    /// `is_too_large`; `is_decode` if it does not encode.
    pub(crate) fn encode(&self, group: &mut Group, key: Key, life: Life, value: &V) -> Result<u32> {
        let limit = self.settings.max_value_bytes;
        let mut size = 0;
        let mut refused = None;
        let terms = self.terms(life);
        if let (Some(coder), Some(_)) = (&self.settings.coder, &self.disk) {
            let encoded = group.push(&Op::Put(key, terms, &[]), |out| {
                let mut bounded = Sink::new(out, limit);
                refused = coder.encode(value, &mut bounded).err();
                size = bounded.size();
                if size > limit || refused.is_some() { Err(()) } else { Ok(()) }
            });
            if let Some(error) = refused {
                let message = format!("a value for key {} does not encode", key.fingerprint());
                return Err(Error::new(ErrorKind::Decode, message).caused_by(error));
            }
            if encoded.is_err() {
                return Err(Error::new(
                    ErrorKind::TooLarge,
                    format!(
                        "the value is {size} bytes encoded and the limit is {limit}; raise \
                         `max_value_bytes` or store less"
                    ),
                ));
            }
        }
        Ok(self.weigh(value, size))
    }

    /// What a value counts in `max_memory`'s account.
    pub(crate) fn weigh(&self, value: &V, encoded: usize) -> u32 {
        let weight = match &self.settings.weigher {
            Some(weigher) => usize::try_from(weigher(value)).unwrap_or(usize::MAX),
            None if self.disk.is_some() => encoded,
            None => size_of::<V>(),
        };
        u32::try_from(weight.min(VALUE_BYTES_MAX)).unwrap_or(u32::MAX)
    }

    /// Times in ticks as the log has them.
    pub(crate) fn terms(&self, life: Life) -> Terms {
        let epoch = self.time.epoch();
        Terms {
            deadline_ms: epoch.time(life.deadline).as_millis(),
            cap_ms: epoch.time(life.cap).as_millis(),
            idle: life.idle,
        }
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.settings.encoding()
    }

    /// Decodes a value; one written in another way goes through the user's migration.
    ///
    /// # Errors
    /// `is_decode`, naming the key's fingerprint; `is_mismatch` without a migration.
    pub(crate) fn decode(&self, key: &Key, bytes: &[u8], encoding: Encoding) -> Result<V> {
        if encoding == self.encoding() {
            let Some(coder) = &self.settings.coder else {
                return Err(mismatch(encoding, self.encoding()));
            };
            return coder.decode(bytes).map_err(|error| {
                Error::new(
                    ErrorKind::Decode,
                    format!(
                        "the value of key {} does not decode as the type asked for ({}, schema \
                         tag {}); if the type has changed, give it another `schema_tag` and a \
                         `migrate`",
                        key.fingerprint(),
                        coder.name,
                        encoding.schema
                    ),
                )
                .caused_by(error)
            });
        }
        let Some(migrate) = &self.settings.migrate else {
            return Err(mismatch(encoding, self.encoding()));
        };
        let written = Written { codec: encoding.codec, schema_tag: encoding.schema };
        migrate(written, bytes).map_err(|message| {
            Error::new(
                ErrorKind::Decode,
                format!(
                    "the migration of the value of key {} failed: {message}",
                    key.fingerprint()
                ),
            )
        })
    }

    pub(crate) fn is_over_memory(&self) -> bool {
        self.gauges.memory.load(Ordering::Relaxed) + ENTRY_OVERHEAD_BYTES > self.settings.max_memory
    }

    /// Whether three quarters of the memory are taken and nothing can leave it for a disk.
    #[cfg(feature = "session")]
    pub(crate) fn is_nearly_full(&self) -> bool {
        let most = self.settings.max_memory;
        self.disk.is_none() && self.gauges.memory.load(Ordering::Relaxed) > most - most / 4
    }

    /// Live sessions, as far as known.
    pub(crate) fn len(&self) -> u64 {
        u64::try_from(self.gauges.count.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(crate) fn refuse(&self, message: String) -> Error {
        count(&self.counters.refused);
        Error::new(ErrorKind::Full, message)
    }
}

/// Drops users' values where no user is to take a panic of theirs: on the store's own threads,
/// and for values that have nothing to do with the call. The panic's message has been printed.
pub(crate) fn let_go<V>(values: impl IntoIterator<Item = Arc<V>>) {
    for value in values {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(value)));
    }
}

pub(crate) fn mismatch(found: Encoding, ours: Encoding) -> Error {
    Error::new(
        ErrorKind::Mismatch,
        format!(
            "the store was written with codec {} and schema tag {}, and opened with codec {} and \
             schema tag {}; open it as it was written, or give the builder a `migrate`",
            found.codec, found.schema, ours.codec, ours.schema
        ),
    )
}
