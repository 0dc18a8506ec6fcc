//! The memory store that tower-sessions brings: what it does, and the defects that it has.
//!
//! Its `save` is an upsert, so a slow request undoes a logout, and a save under an id of the
//! client's choice begins a session. Its expired records are hidden and never freed.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use sessile::testing::conformance::{Collision, Data, Result, Subject, check};
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions_memory_store::MemoryStore;

struct Theirs(MemoryStore);

fn record(id: Id, data: &Data, lives: Duration) -> Result<Record> {
    let mut values = HashMap::new();
    for (name, value) in data {
        values.insert(name.clone(), serde_json::from_str(value)?);
    }
    Ok(Record { id, data: values, expiry_date: time::OffsetDateTime::now_utc() + lives })
}

impl Subject for Theirs {
    type Id = Id;

    async fn create(&self, data: &Data, lives: Duration) -> Result<Id> {
        let mut record = record(Id::default(), data, lives)?;
        self.0.create(&mut record).await?;
        Ok(record.id)
    }

    async fn load(&self, id: &Id) -> Result<Option<Data>> {
        let record = self.0.load(id).await?;
        let text = |(name, value): (String, serde_json::Value)| (name, value.to_string());
        Ok(record.map(|record| record.data.into_iter().map(text).collect()))
    }

    async fn save(&self, id: &Id, data: &Data, lives: Duration) -> Result<Id> {
        self.0.save(&record(*id, data, lives)?).await?;
        Ok(*id)
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        Ok(self.0.delete(id).await?)
    }

    fn unknown(&self) -> Id {
        Id::default()
    }

    fn pass(&self, time: Duration) {
        thread::sleep(time);
    }

    fn unit(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// It has no count, but its `Debug` shows every record.
    async fn held(&self) -> Result<Option<u64>> {
        Ok(Some(format!("{:?}", self.0).matches("expiry_date").count() as u64))
    }

    async fn collide(&self, id: &Id, data: &Data, lives: Duration) -> Result<Collision<Id>> {
        let mut record = record(*id, data, lives)?;
        self.0.create(&mut record).await?;
        Ok(Collision::Created(record.id))
    }
}

#[test]
fn it_resurrects_on_save_and_never_frees_what_has_expired() {
    check(|| Theirs(MemoryStore::default())).assert_all_but(&[
        // `save` does not ask whether the session is there.
        "save_of_unknown_creates_nothing",
        "save_does_not_resurrect",
        "save_does_not_move_what_is_gone",
        "save_after_expiry_does_not_resurrect",
        "racing_saves_do_not_resurrect",
        // `load` hides what has expired, and nothing removes it.
        "expired_are_freed",
    ]);
}
