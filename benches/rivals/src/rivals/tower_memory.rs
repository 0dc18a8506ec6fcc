//! The memory store of tower-sessions 0.15: a `HashMap` behind one asynchronous mutex, each session
//! a map of JSON values. The record is one of them, under one name, converted as the crate's
//! `Session` does it. Its futures are polled until they are ready, without a runtime.

use std::collections::HashMap;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use time::OffsetDateTime;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record as Stored};
use tower_sessions_memory_store::MemoryStore;

use super::{Client, IDLE_S, Level, Rival};
use crate::Result;
use crate::keys::Key;
use crate::record::Record;

const NAME_OF_THE_VALUE: &str = "session";

pub struct TowerMemory(MemoryStore);

impl Rival for TowerMemory {
    type Client = MemoryStore;

    const NAME: &'static str = "tower-sessions-memory";

    fn open(_: &Path, _: Level) -> Result<Self> {
        Ok(TowerMemory(MemoryStore::default()))
    }

    fn client(&self) -> Result<MemoryStore> {
        Ok(self.0.clone())
    }
}

impl Client for MemoryStore {
    type Value = Record;

    fn get(&mut self, key: &Key) -> Result<Option<Record>> {
        let Some(mut stored) = ready(self.load(&id(key)))? else { return Ok(None) };
        let value = stored.data.remove(NAME_OF_THE_VALUE);
        Ok(value.map(serde_json::from_value).transpose()?)
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        let value = serde_json::to_value(record)?;
        let stored = Stored {
            id: id(key),
            data: HashMap::from([(NAME_OF_THE_VALUE.to_owned(), value)]),
            expiry_date: OffsetDateTime::now_utc() + std::time::Duration::from_secs(IDLE_S),
        };
        Ok(ready(self.save(&stored))?)
    }
}

fn id(key: &Key) -> Id {
    Id(i128::from_le_bytes(key.0))
}

/// What `future` comes to. It waits for nothing but other calls to end, which takes moments.
fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}
