//! Admission: whether there is room for a write, asked before anything is locked or changed.
//!
//! The bounds are checked against what is there now, not reserved: writers that are admitted at
//! the same moment may overshoot by one group each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use crate::error::Result;
use crate::id::Key;
use crate::limits::{ADMIT_WAIT, BUFFER_BYTES_MAX, KEEPER_PERIOD_MS};
use crate::log::frame::{Group, Op};
use crate::log::{Durability, Log};
use crate::metrics::count;
use crate::store::apply::cost;
use crate::store::disk::Disk;
use crate::store::engine::{Engine, WhenFull, let_go};
use crate::store::map::State;
use crate::store::read::Seen;
use crate::store::stripe::Stripe;

/// Entries that are looked at to find one to evict.
const SAMPLE: u32 = 16;
/// Stripes that a writer looks through before it gives up.
const TRIES: usize = 8;

/// What a write is about to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Class {
    /// It may add a session under this key.
    New(Key),
    /// It changes what is there.
    Change,
    /// It ends something: always admitted, short of a closed store.
    Removal,
}

/// A write that waits for room as a future.
#[derive(Debug)]
pub(crate) struct Admission {
    class: Class,
    /// When it first found none, by the clock that counts from the machine's start.
    since: Option<u64>,
}

impl Admission {
    pub(crate) fn new(class: Class) -> Self {
        Admission { class, since: None }
    }
}

/// Why a write cannot begin.
enum Obstacle {
    /// It is being dealt with.
    Passing(String),
    /// Only the caller, or an operator, can do something about it.
    Final(String),
}

impl<V: Clone> Engine<V> {
    /// Blocks until there is room.
    ///
    /// # Errors
    /// `is_full` if a limit is reached, or nothing moves for five seconds; `is_poisoned`,
    /// `is_disk_full`, `is_closed`. Nothing has happened then.
    pub(crate) fn admit(&self, class: Class) -> Result<()> {
        let mut waited = std::time::Duration::ZERO;
        let step = std::time::Duration::from_millis(KEEPER_PERIOD_MS);
        while let Some(reason) = self.obstacle(class)? {
            let (Some(log), true) = (self.log(), waited < ADMIT_WAIT) else {
                return Err(self.refuse(reason));
            };
            log.want(Durability::Process);
            if self.disk.as_ref().is_some_and(|disk| disk.is_threadless()) {
                log.write();
                self.flush()?;
            }
            let passed = log.event().wait_for(step, || self.may_have_passed(log));
            // What seems to have passed and has not is looked at again a little later.
            let pause = step / 100;
            waited += if passed && !log.event().wait_for(pause, || false) { pause } else { step };
        }
        Ok(())
    }

    /// Whether it is worth while to look again: loads only.
    fn may_have_passed(&self, log: &Log) -> bool {
        let backlog = self.disk.as_ref().is_some_and(Disk::is_behind);
        log.buffered() <= BUFFER_BYTES_MAX && !backlog && !self.is_over_memory()
    }

    /// The same as a poll, its time counted from the first that finds no room. Blocks where nobody
    /// else would make room.
    pub(crate) fn poll_admit(
        &self,
        admission: &mut Admission,
        context: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        let class = admission.class;
        let Some(disk) = self.disk.as_ref().filter(|disk| !disk.is_threadless()) else {
            return Poll::Ready(self.admit(class));
        };
        match self.obstacle(class) {
            Err(error) => return Poll::Ready(Err(error)),
            Ok(None) => return Poll::Ready(Ok(())),
            Ok(Some(_)) => {
                disk.log.event().register(context.waker());
                disk.waits.register(context.waker());
            }
        }
        disk.log.want(Durability::Process);
        match self.obstacle(class) {
            Err(error) => Poll::Ready(Err(error)),
            Ok(None) => Poll::Ready(Ok(())),
            Ok(Some(reason)) => {
                let now = self.time.clock().boot_ms();
                let since = *admission.since.get_or_insert(now);
                if u128::from(now.saturating_sub(since)) < ADMIT_WAIT.as_millis() {
                    return Poll::Pending;
                }
                Poll::Ready(Err(self.refuse(reason)))
            }
        }
    }

    /// What is in the way of a write and may pass; `None` if it may begin.
    fn obstacle(&self, class: Class) -> Result<Option<String>> {
        self.enter()?;
        if matches!(class, Class::Removal) {
            return Ok(None);
        }
        if let Some(log) = self.log() {
            log.check()?;
        }
        match self.memory_obstacle(class).or_else(|| self.log_obstacle()) {
            None => Ok(None),
            Some(Obstacle::Passing(reason)) => Ok(Some(reason)),
            Some(Obstacle::Final(reason)) => Err(self.refuse(reason)),
        }
    }

    /// What is in the way of a write, by the limits on the log.
    fn log_obstacle(&self) -> Option<Obstacle> {
        let disk = self.disk.as_ref()?;
        if disk.log.buffered() > BUFFER_BYTES_MAX {
            let message = "the log's buffer is full: the disk does not keep up";
            return Some(Obstacle::Passing(message.to_owned()));
        }
        if !disk.is_behind() {
            return None;
        }
        disk.want_flush();
        let backlog = disk.log_bytes();
        let message = format!("{backlog} bytes of log wait for a flush, which does not keep up");
        let failing = disk.background_error.lock().clone();
        Some(match failing {
            None => Obstacle::Passing(message),
            Some(error) => Obstacle::Final(format!("{message}: {error}")),
        })
    }

    /// What is in the way of a write, by the limits on memory and on sessions.
    fn memory_obstacle(&self, class: Class) -> Option<Obstacle> {
        let Class::New(key) = class else { return None };
        if let Some(most) = self.settings.max_sessions {
            let full = self.len() >= most && !self.has(&key);
            if full && !self.make_room(true) {
                return Some(Obstacle::Final(format!(
                    "there are {} sessions and `max_sessions` is {most}; raise it, or let some end",
                    self.len()
                )));
            }
        }
        if self.is_over_memory() && !self.make_room(false) {
            let message = format!(
                "{} bytes of memory are in use and `max_memory` is {}; raise it, or let sessions end",
                self.gauges.memory.load(Ordering::Relaxed),
                self.settings.max_memory
            );
            // What is dirty can leave once it is flushed.
            let may_pass = self.disk.as_ref().is_some_and(|disk| {
                disk.want_flush();
                disk.background_error.lock().is_none()
            });
            return Some(if may_pass {
                Obstacle::Passing(message)
            } else {
                Obstacle::Final(message)
            });
        }
        None
    }

    fn has(&self, key: &Key) -> bool {
        !matches!(self.look(key, self.now()), Seen::Nothing | Seen::Gone)
    }

    /// Lets something leave memory. `session`: a whole session must go, not only its value.
    fn make_room(&self, session: bool) -> bool {
        if self.disk.is_some() {
            return !session && self.evict(TRIES) > 0 && {
                self.evict(1);
                true
            };
        }
        self.settings.when_full == WhenFull::EvictNearestDeadline && self.evict_session()
    }

    /// Ends the session of a sample whose deadline is nearest. Only without a disk.
    fn evict_session(&self) -> bool {
        for _ in 0..self.stripes.count() {
            let turn = self.hand.fetch_add(1, Ordering::Relaxed);
            let stripes = self.stripes.count() as u64;
            let (index, round) = ((turn % stripes) as usize, turn / stripes);
            let mut stripe = self.stripes.at(index).lock();
            let slots = (stripe.slab.capacity() as u64).max(1);
            let from = (round * u64::from(SAMPLE) % slots) as u32;
            let nearest = stripe
                .slab
                .iter_range(from, SAMPLE)
                .filter_map(|(_, node)| {
                    let deadline = self.map.read(&node.key, |entry| entry.life().deadline)?;
                    Some((deadline, node.key))
                })
                .min();
            let Some((_, key)) = nearest else { continue };
            let gone = self.vanish(&mut stripe, &key, |_| true);
            drop(stripe);
            if let Some(gone) = gone {
                let_go(gone.into_value());
                self.gauges.count.fetch_sub(1, Ordering::Relaxed);
                count(&self.counters.evicted);
                return true;
            }
        }
        false
    }
}

impl<V> Engine<V> {
    /// Lets clean values leave memory, a few of each of `stripes` stripes: those that were not
    /// touched for longest, of a sample. Returns how many left.
    pub(crate) fn evict(&self, stripes: usize) -> usize {
        let mut evicted = 0;
        for _ in 0..stripes {
            let turn = self.hand.fetch_add(1, Ordering::Relaxed);
            let count = self.stripes.count() as u64;
            let (index, round) = ((turn % count) as usize, turn / count);
            let Some(mut stripe) = self.stripes.at(index).try_lock() else { continue };
            let dropped = self.evict_from(&mut stripe, round);
            drop(stripe);
            evicted += dropped.len();
            let_go(dropped);
        }
        self.counters.evicted.fetch_add(evicted as u64, Ordering::Relaxed);
        evicted
    }

    fn evict_from(&self, stripe: &mut Stripe, round: u64) -> Vec<Arc<V>> {
        let (cut, now, generation) = (self.cut(), self.now(), self.generation());
        let slots = (stripe.slab.capacity() as u64).max(1);
        let from = (round * u64::from(SAMPLE) % slots) as u32;
        let sample: Vec<(Key, u64)> = stripe
            .slab
            .iter_range(from, SAMPLE)
            .filter(|(_, node)| node.lsn() <= cut)
            .map(|(_, node)| (node.key, node.lsn()))
            .collect();
        let mut ranked: Vec<_> = sample
            .into_iter()
            .filter_map(|(key, _)| {
                let rank = |life: crate::record::expiry::Life| {
                    (u64::from(life.deadline.saturating_sub(now)) << 16)
                        / u64::from(life.idle.max(1))
                };
                let seen = self.map.read(&key, |entry| {
                    (entry.is_of(generation) && entry.value().is_some()).then(|| rank(entry.life()))
                })?;
                Some((seen?, key))
            })
            .collect();
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        let half = ranked.len().div_ceil(2);
        ranked.into_iter().take(half).filter_map(|(_, key)| self.evict_one(stripe, key)).collect()
    }

    /// Lets a clean value leave. If its deadline moved since it was logged, that is logged, and
    /// the entry stays as `Cold`.
    fn evict_one(&self, stripe: &mut Stripe, key: Key) -> Option<Arc<V>> {
        let generation = self.generation();
        let (slot, life) = self.map.read(&key, |entry| (entry.slot(), entry.life()))?;
        let node = stripe.slab.get(slot)?;
        let (logged, bytes) = (node.logged, node.bytes());
        if life.deadline == logged {
            // Between the look and the removal a reader may touch it; then it stays.
            let entry = self.vanish(stripe, &key, |entry| {
                entry.is_of(generation) && entry.life().deadline == logged
            })?;
            return entry.into_value();
        }
        if life.is_over(self.now()) {
            return None;
        }
        let mut group = Group::default();
        group.add(&Op::Terms(key, self.terms(life)));
        let lsn = self.append(&group).ok()?;
        count(&self.counters.touches_logged);
        let logged_now = life.deadline;
        let old = self.map.change(&key, |mut entry| {
            // A touch may have moved it further since; that is for the wheel to log.
            let life = entry.view().life();
            entry.set(State::Cold, None, life)
        })?;
        let node = stripe.slab.get_mut(slot)?;
        if node.lsn() <= stripe.note {
            stripe.dirty.push(key);
        }
        node.set_lsn(lsn);
        node.logged = logged_now;
        self.account(cost(State::Warm, bytes), cost(State::Cold, bytes));
        old
    }
}
