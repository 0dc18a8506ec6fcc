//! Every bound and every default of the crate, with its unit.
//!
//! Knows nothing but numbers; the assertions at the end say how they hang together.

use std::time::Duration;

/// Default idle lifetime of a session: two weeks, as in Django.
pub(crate) const IDLE_DEFAULT: Duration = Duration::from_secs(14 * 24 * 3600);
/// Default absolute lifetime of a session: 30 days.
pub(crate) const ABSOLUTE_DEFAULT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest lifetime that a policy or an expiry may ask for: five years.
pub(crate) const LIFETIME_MAX: Duration = Duration::from_secs(5 * 366 * 24 * 3600);
/// How far ahead of the last sign of life a wall clock may be before it is suspect: 400 days.
pub(crate) const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(400 * 24 * 3600);

/// Milliseconds of one tick, the unit of time in memory and in bases.
pub(crate) const TICK_MS: i64 = 125;
/// Milliseconds between two publications of the time by the keeper.
pub(crate) const KEEPER_PERIOD_MS: u64 = 100;
/// Milliseconds between two clock marks in the log of a store in which nothing else happens.
pub(crate) const CLOCK_MARK_MS: i64 = 600_000;

/// Highest LSN that is believed of a file: half of what a node of the slab can hold, and more than
/// any store reaches.
pub(crate) const LSN_READ_MAX: u64 = (1 << 47) - 1;

/// Default limit of one encoded value: 64 KiB.
pub(crate) const VALUE_BYTES_DEFAULT: usize = 64 << 10;
/// Largest limit that may be set for one encoded value: 8 MiB.
pub(crate) const VALUE_BYTES_MAX: usize = 8 << 20;
/// Most keys in one transaction.
pub(crate) const GROUP_KEYS_MAX: usize = 1024;
/// Most encoded bytes in one transaction.
pub(crate) const GROUP_BYTES_MAX: usize = 16 << 20;

/// Default `max_memory`: 512 MiB.
pub(crate) const MEMORY_BYTES_DEFAULT: u64 = 512 << 20;
/// Smallest `max_memory` that may be set: 1 MiB.
pub(crate) const MEMORY_BYTES_MIN: u64 = 1 << 20;
/// What an entry costs beyond its encoded value, in `max_memory`'s account.
pub(crate) const ENTRY_OVERHEAD_BYTES: u64 = 150;

/// Unwritten bytes in the log's buffer above which callers wait.
pub(crate) const BUFFER_BYTES_MAX: usize = 8 << 20;
/// Unwritten bytes in the log's buffer from which the writer is woken at once.
pub(crate) const BUFFER_BYTES_WAKE: usize = 64 << 10;
/// What either half of the log's buffer keeps of the memory that a burst made it take: 1 MiB.
pub(crate) const BUFFER_BYTES_KEPT: usize = 1 << 20;
/// Default size at which a log segment is closed and the next one begun: 16 MiB.
pub(crate) const SEGMENT_BYTES: u64 = 16 << 20;
/// Space of a segment that is allocated at a time.
pub(crate) const SEGMENT_ALLOCATE_BYTES: u64 = 4 << 20;
/// Default log size since the cut from which a flush starts: 32 MiB.
pub(crate) const FLUSH_BYTES_DEFAULT: u64 = 32 << 20;
/// Times `flush_bytes` at which writers wait for the flush.
pub(crate) const FLUSH_BACKLOG_FACTOR: u64 = 8;
/// Last part of the allocated log space, kept for removals when the disk is full.
pub(crate) const RESERVE_BYTES: u64 = 256 << 10;
/// Longest that a caller waits for room before it gets an error.
pub(crate) const ADMIT_WAIT: Duration = Duration::from_secs(5);
/// Default for how long written data may wait for its sync: one second.
pub(crate) const SYNC_EVERY_DEFAULT: Duration = Duration::from_secs(1);

/// Bases beyond which a merge starts.
pub(crate) const BASES_MAX: usize = 4;
/// Default pace of a merge, bytes written per second.
pub(crate) const MERGE_BYTES_PER_SECOND: u64 = 128 << 20;

/// Fewest and most stripes (and shards of the map).
pub(crate) const STRIPES_MIN: usize = if cfg!(any(loom, shuttle)) { 4 } else { 16 };
/// See [`STRIPES_MIN`].
pub(crate) const STRIPES_MAX: usize = 1024;
/// Stripes of a store that was not told how many sessions to expect.
pub(crate) const STRIPES_DEFAULT: usize = 64;
/// Sessions per stripe when the number to expect is known.
pub(crate) const SESSIONS_PER_STRIPE: usize = 4096;
/// Most entries that the wheel handles in one hold of a stripe.
pub(crate) const WHEEL_BATCH_MAX: u32 = 64;
/// Most sessions, back after a long absence, that wait to have their touch logged.
pub(crate) const RETURNED_MAX: usize = 4096;
/// Most clears whose leavings may wait to be swept.
pub(crate) const GENERATIONS: u32 = 15;

/// Longest key of a session's dictionary, in bytes.
#[cfg(feature = "session")]
pub(crate) const SESSION_KEY_BYTES_MAX: usize = 255;
/// Most keys of a session.
#[cfg(feature = "session")]
pub(crate) const SESSION_KEYS_MAX: usize = 256;
/// Most flash messages that wait in a session.
#[cfg(feature = "session")]
pub(crate) const FLASHES_MAX: usize = 64;
/// Longest subject, in bytes.
#[cfg(feature = "session")]
pub(crate) const SUBJECT_BYTES_MAX: usize = 1024;
/// Default for how many sessions one owner may have.
#[cfg(feature = "session")]
pub(crate) const PER_OWNER_DEFAULT: usize = 100;
/// Most that may be set: a revocation of all of them is one group.
#[cfg(feature = "session")]
pub(crate) const PER_OWNER_MAX: usize = 200;
/// Default for how long an id that was renewed stays good after the new one was first presented.
#[cfg(feature = "session")]
pub(crate) const RENEWAL_GRACE_DEFAULT: Duration = Duration::from_secs(60);
/// Longest such grace.
#[cfg(feature = "session")]
pub(crate) const RENEWAL_GRACE_MAX: Duration = Duration::from_secs(10 * 60);
/// Shortest time between two routine renewals of an id.
#[cfg(feature = "session")]
pub(crate) const RENEW_EVERY_MIN: Duration = Duration::from_secs(60);
/// Renewals that are followed from one id: more than are made within the longest grace, each of
/// which moves the session once, and a presentation.
#[cfg(feature = "session")]
pub(crate) const RENEWALS_FOLLOWED_MAX: usize = 16;
/// New ids of one session that may wait to be presented.
#[cfg(feature = "session")]
pub(crate) const NEXT_IDS_MAX: usize = 2;
/// How long it is remembered that an owner's sessions were revoked: longer than a login takes.
#[cfg(feature = "session")]
pub(crate) const REVOCATION_MEMORY: Duration = Duration::from_secs(3600);
/// Most cookies of a request that are looked at; with one more, none is.
#[cfg(feature = "tower")]
pub(crate) const COOKIES_READ_MAX: usize = 64;
/// Most bytes of a request's cookies that are looked at; with one more, none is: 16 KiB.
#[cfg(feature = "tower")]
pub(crate) const COOKIE_BYTES_READ_MAX: usize = 16 << 10;
/// Longest name of a cookie.
#[cfg(feature = "tower")]
pub(crate) const COOKIE_NAME_BYTES_MAX: usize = 128;
/// Longest path of a cookie: browsers ignore a longer attribute.
#[cfg(feature = "tower")]
pub(crate) const COOKIE_PATH_BYTES_MAX: usize = 1024;
/// Longest domain of a cookie: that of the domain name system.
#[cfg(feature = "tower")]
pub(crate) const COOKIE_DOMAIN_BYTES_MAX: usize = 253;
/// Longest that a cookie may ask a browser to keep it: 400 days, as browsers cap it themselves.
#[cfg(feature = "tower")]
pub(crate) const COOKIE_AGE_MAX: Duration = Duration::from_secs(400 * 24 * 3600);
/// Shortest secret that a signing key is made of.
#[cfg(feature = "tower")]
pub(crate) const SIGNING_SECRET_BYTES_MIN: usize = 32;
/// Most signing keys of a cookie: a forged value costs one check with each.
#[cfg(feature = "tower")]
pub(crate) const SIGNING_KEYS_MAX: usize = 8;

#[cfg(feature = "session")]
const _: () = assert!(PER_OWNER_DEFAULT <= PER_OWNER_MAX);
/// All sessions of an owner end in one group, each with the ids that were given out for it.
#[cfg(feature = "session")]
const _: () = assert!((PER_OWNER_MAX + 1) * (NEXT_IDS_MAX + 1) + 8 <= GROUP_KEYS_MAX);
#[cfg(feature = "session")]
const _: () = assert!(
    RENEWAL_GRACE_MAX.as_secs() / RENEW_EVERY_MIN.as_secs() + 2 < RENEWALS_FOLLOWED_MAX as u64
);
const _: () = assert!(VALUE_BYTES_DEFAULT <= VALUE_BYTES_MAX);
const _: () = assert!(VALUE_BYTES_MAX <= GROUP_BYTES_MAX);
const _: () = assert!(RESERVE_BYTES < SEGMENT_ALLOCATE_BYTES);
const _: () = assert!(SEGMENT_ALLOCATE_BYTES <= SEGMENT_BYTES);
const _: () = assert!(STRIPES_MIN.is_power_of_two() && STRIPES_MAX.is_power_of_two());
