//! The options of a store, with their defaults and their checks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::{Clock, SystemClock};
use crate::entropy::Entropy;
use crate::error::{Error, Result};
use crate::fs::{Fs, OsFs, Permissions};
use crate::limits::{
    ABSOLUTE_DEFAULT, FLUSH_BYTES_DEFAULT, IDLE_DEFAULT, MEMORY_BYTES_DEFAULT, MEMORY_BYTES_MIN,
    MERGE_BYTES_PER_SECOND, SEGMENT_BYTES, SESSIONS_PER_STRIPE, STRIPES_DEFAULT, STRIPES_MAX,
    STRIPES_MIN, SYNC_EVERY_DEFAULT, VALUE_BYTES_DEFAULT, VALUE_BYTES_MAX,
};
use crate::log::Durability;
use crate::record::codec::{Codec, Coder};
use crate::record::expiry::{Policy, check};
use crate::store::engine::{Settings, WhenFull, Written};
use crate::store::keeper::Keeper;
use crate::store::open::{Opening, Recovery};
use crate::store::time::SuspectClock;
use crate::store::{Owner, Store};

/// How the bases are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Read {
    /// Through a memory map. An error of the disk while a page is read ends the process with
    /// SIGBUS, as with every mapped file.
    #[default]
    Mmap,
    /// By calls of the system, a few per cold read; an error of the disk is an error.
    Pread,
}

/// Who does what no caller waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// Five threads of the store's own.
    #[default]
    Threads,
    /// Nobody: callers write and sync themselves, flush and merge run when they are called, the
    /// wheel turns when a hand-moved clock does. For tests that must repeat exactly.
    Callers,
}

/// Builds a [`Store`]. Every option has a default that suits a web server on one machine.
pub struct Builder<V> {
    idle: Option<Duration>,
    absolute: Duration,
    durability: Durability,
    removal_durability: Durability,
    max_memory: u64,
    max_sessions: Option<u64>,
    max_value_bytes: usize,
    when_full: WhenFull,
    expected_sessions: Option<usize>,
    flush_bytes: u64,
    segment_bytes: u64,
    merge_rate: u64,
    sync_every: Duration,
    read: Read,
    background: Background,
    permissions: Permissions,
    wait_for_lock: Duration,
    recovery: Recovery,
    suspect_clock: SuspectClock,
    coder: Option<Coder<V>>,
    schema_tag: u64,
    migrate: Option<Box<crate::store::engine::Migrate<V>>>,
    weigher: Option<Box<crate::store::engine::Weigher<V>>>,
    clock: Arc<dyn Clock>,
    entropy: Entropy,
}

impl<V> Builder<V>
where
    V: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    pub(crate) fn new() -> Self {
        Builder {
            idle: Some(IDLE_DEFAULT),
            absolute: ABSOLUTE_DEFAULT,
            durability: Durability::Process,
            removal_durability: Durability::Power,
            max_memory: MEMORY_BYTES_DEFAULT,
            max_sessions: None,
            max_value_bytes: VALUE_BYTES_DEFAULT,
            when_full: WhenFull::default(),
            expected_sessions: None,
            flush_bytes: FLUSH_BYTES_DEFAULT,
            segment_bytes: SEGMENT_BYTES,
            merge_rate: MERGE_BYTES_PER_SECOND,
            sync_every: SYNC_EVERY_DEFAULT,
            read: Read::default(),
            background: Background::default(),
            permissions: Permissions::default(),
            wait_for_lock: Duration::ZERO,
            recovery: Recovery::default(),
            suspect_clock: SuspectClock::default(),
            coder: Coder::default_codec(),
            schema_tag: 0,
            migrate: None,
            weigher: None,
            clock: Arc::new(SystemClock),
            entropy: Entropy::System,
        }
    }

    /// How long a session lives after its last read or write. Default: 14 days.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Reads do not extend sessions: only the absolute deadline counts.
    pub fn no_idle(mut self) -> Self {
        self.idle = None;
        self
    }

    /// How long a session lives at most. Default: 30 days.
    pub fn absolute(mut self, absolute: Duration) -> Self {
        self.absolute = absolute;
        self
    }

    /// What `insert`, `create`, `update` and a longer expiry wait for. Default:
    /// [`Durability::Process`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// What `remove`, `take`, `rename`, `clear` and a shorter expiry wait for. Default:
    /// [`Durability::Power`]: losing a new session costs a login, losing a logout is a hole.
    pub fn removal_durability(mut self, durability: Durability) -> Self {
        self.removal_durability = durability;
        self
    }

    /// Bytes that sessions may take in memory: encoded size plus a fixed 150, or what the
    /// weigher says. What is on disk too leaves first; the store as a whole may be larger.
    /// Default: 512 MiB; at least 1 MiB.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = bytes;
        self
    }

    /// Sessions there may be; more are refused. Default: no limit.
    pub fn max_sessions(mut self, sessions: u64) -> Self {
        self.max_sessions = Some(sessions);
        self
    }

    /// Largest encoded value, in bytes. Default: 64 KiB; at most 8 MiB.
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.max_value_bytes = bytes;
        self
    }

    /// What a store in memory does when it is full. Default: refuse, which is all that there is
    /// under sessions.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// About how many sessions will be in memory. Chooses the number of locks; growth is smooth
    /// where it is right.
    pub fn expected_sessions(mut self, sessions: usize) -> Self {
        self.expected_sessions = Some(sessions);
        self
    }

    /// Log size from which a flush starts in the background, in bytes: bounds what a crash has
    /// to replay. Default: 32 MiB.
    pub fn flush_bytes(mut self, bytes: u64) -> Self {
        self.flush_bytes = bytes;
        self
    }

    /// Size at which the log goes on in a new file, in bytes. Default: 16 MiB.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Bytes per second that a merge in the background writes at most. Default: 128 MiB.
    pub fn merge_bytes_per_second(mut self, bytes: u64) -> Self {
        self.merge_rate = bytes;
        self
    }

    /// How long what was written may wait for its sync to disk. Default: one second.
    pub fn sync_every(mut self, period: Duration) -> Self {
        self.sync_every = period;
        self
    }

    /// How bases are read. Default: through a memory map.
    pub fn read(mut self, read: Read) -> Self {
        self.read = read;
        self
    }

    /// Who works in the background. Default: threads.
    pub fn background(mut self, background: Background) -> Self {
        self.background = background;
        self
    }

    /// What to do about a directory that others may enter. Default: refuse.
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// How long to wait for another process to let the directory go: for rolling restarts.
    /// Default: not at all.
    pub fn wait_for_lock(mut self, wait: Duration) -> Self {
        self.wait_for_lock = wait;
        self
    }

    /// What to do about damage. Default: refuse to open.
    pub fn recovery(mut self, recovery: Recovery) -> Self {
        self.recovery = recovery;
        self
    }

    /// What to do about a clock that is implausibly far ahead. Default: serve, drop nothing.
    pub fn suspect_clock(mut self, policy: SuspectClock) -> Self {
        self.suspect_clock = policy;
        self
    }

    /// How values are encoded. Default: `Bincode` if its feature is on.
    pub fn codec<C: Codec>(mut self) -> Self {
        self.coder = Some(Coder::of::<C>());
        self
    }

    /// Which version of the type `V` this is: change it whenever the type changes in a way that
    /// its codec does not bridge, and give a [`migrate`](Self::migrate). Default: 0.
    pub fn schema_tag(mut self, tag: u64) -> Self {
        self.schema_tag = tag;
        self
    }

    /// Reads values that were written with another codec or schema tag. Called when such a value
    /// is first read, flushed or merged; an error names the key and leaves the value as it is.
    pub fn migrate(
        mut self,
        migrate: impl Fn(Written, &[u8]) -> std::result::Result<V, String> + Send + Sync + 'static,
    ) -> Self {
        self.migrate = Some(Box::new(migrate));
        self
    }

    /// A weigher for those who have set none.
    #[cfg(feature = "session")]
    pub(crate) fn weigher_or(self, weigher: impl Fn(&V) -> u64 + Send + Sync + 'static) -> Self {
        if self.weigher.is_some() { self } else { self.weigher(weigher) }
    }

    /// See [`max_value_bytes`](Self::max_value_bytes).
    #[cfg(feature = "session")]
    pub(crate) fn value_limit(&self) -> usize {
        self.max_value_bytes
    }

    /// See [`when_full`](Self::when_full).
    #[cfg(feature = "session")]
    pub(crate) fn ends_what_lives(&self) -> bool {
        self.when_full == WhenFull::EvictNearestDeadline
    }

    /// What a value weighs in `max_memory`'s account, in bytes, instead of its encoded size.
    pub fn weigher(mut self, weigher: impl Fn(&V) -> u64 + Send + Sync + 'static) -> Self {
        self.weigher = Some(Box::new(weigher));
        self
    }

    /// The source of time. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes a new store's files the same, to the byte, for the same calls. For tests that must
    /// repeat: salts and hash seeds can be foretold then.
    #[cfg(any(test, feature = "testing"))]
    pub fn random_seed(mut self, seed: u64) -> Self {
        self.entropy = Entropy::Seeded(seed.into());
        self
    }

    /// Opens the store in a directory, making it if it is missing.
    ///
    /// Costs about as much as reading back the log since the last flush; not more for more
    /// sessions.
    ///
    /// # Errors
    /// A config error naming the option; `is_locked`, `is_corrupt`, `is_mismatch`,
    /// `is_suspect_clock`; errors of the file system, with path and cause. Nothing has been
    /// changed then.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store<V>> {
        self.validate()?;
        let fs = OsFs::open(path.as_ref(), self.permissions)?;
        self.open_fs(Arc::new(fs))
    }

    /// Opens the store on a file system of one's own: a simulated one, in tests.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_fs(self, fs: Arc<dyn Fs>) -> Result<Store<V>> {
        self.validate()?;
        if self.coder.is_none() {
            return Err(Error::config(
                "no codec: turn on one of the features `bincode`, `postcard`, `json`, or name one \
                 with `codec`",
            ));
        }
        if self.when_full != WhenFull::Refuse {
            return Err(Error::config("`when_full` is for stores in memory only"));
        }
        let path = fs.path().to_path_buf();
        let sync_every = (self.background == Background::Threads).then_some(self.sync_every);
        let (engine, lock) = self.opening().on_disk(fs)?;
        let keeper = Keeper::start(&engine, sync_every)
            .map_err(|error| Error::io("the store's threads cannot be started", error).at(path))?;
        Ok(Store::of(Owner::new(engine, keeper, Some(lock))))
    }

    /// A store without a directory: nothing survives the process.
    ///
    /// # Errors
    /// A config error naming the option.
    pub fn in_memory(self) -> Result<Store<V>> {
        self.validate()?;
        let sync_every = (self.background == Background::Threads).then_some(self.sync_every);
        let engine = self.opening().in_memory()?;
        let keeper = Keeper::start(&engine, sync_every)
            .map_err(|error| Error::io("the store's threads cannot be started", error))?;
        Ok(Store::of(Owner::new(engine, keeper, None)))
    }

    fn validate(&self) -> Result<()> {
        if let Some(idle) = self.idle {
            check("idle", idle)?;
        }
        check("absolute", self.absolute)?;
        let bounds = [
            ("max_memory", self.max_memory, MEMORY_BYTES_MIN, u64::MAX / 2),
            ("max_sessions", self.max_sessions.unwrap_or(1), 1, u64::MAX / 2),
            ("max_value_bytes", self.max_value_bytes as u64, 1, VALUE_BYTES_MAX as u64),
            ("expected_sessions", self.expected_sessions.unwrap_or(1) as u64, 1, 1 << 40),
            ("flush_bytes", self.flush_bytes, 4096, 1 << 40),
            ("segment_bytes", self.segment_bytes, 4096, 1 << 30),
            ("merge_bytes_per_second", self.merge_rate, 1 << 10, 1 << 50),
        ];
        for (option, value, least, most) in bounds {
            if value < least || value > most {
                return Err(Error::config(format!(
                    "`{option}` is {value}; it must be between {least} and {most}"
                )));
            }
        }
        let (least, most) = (Duration::from_millis(1), Duration::from_secs(3600));
        if self.sync_every < least || self.sync_every > most {
            return Err(Error::config(format!(
                "`sync_every` is {:?}; it must be between {least:?} and {most:?}",
                self.sync_every
            )));
        }
        Ok(())
    }

    fn opening(self) -> Opening<V> {
        Opening {
            stripes: stripe_count(self.expected_sessions),
            clock: self.clock,
            suspect_clock: self.suspect_clock,
            recovery: self.recovery,
            wait_for_lock: self.wait_for_lock,
            mapped: self.read == Read::Mmap,
            flush_bytes: self.flush_bytes,
            segment_bytes: self.segment_bytes,
            merge_rate: self.merge_rate,
            entropy: Arc::new(self.entropy),
            threadless: self.background == Background::Callers,
            settings: Settings {
                policy: Policy { idle: self.idle, absolute: self.absolute },
                write_level: self.durability,
                removal_level: self.removal_durability,
                max_memory: self.max_memory,
                max_sessions: self.max_sessions,
                max_value_bytes: self.max_value_bytes,
                when_full: self.when_full,
                coder: self.coder,
                schema_tag: self.schema_tag,
                migrate: self.migrate,
                weigher: self.weigher,
            },
        }
    }
}

/// Stripes, and shards of the map, from cores and the sessions to expect.
fn stripe_count(expected_sessions: Option<usize>) -> usize {
    let cores = crate::sync::thread::available_parallelism().map_or(1, usize::from);
    let wanted =
        expected_sessions.map_or(STRIPES_DEFAULT, |sessions| sessions / SESSIONS_PER_STRIPE);
    wanted.max(4 * cores).next_power_of_two().clamp(STRIPES_MIN, STRIPES_MAX)
}
