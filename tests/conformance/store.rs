//! `Store` itself as a subject: in memory, and in a directory that is closed or killed.

use std::sync::Arc;
use std::time::Duration;

use sessile::testing::conformance::{Collision, Data, Result, Subject, check};
use sessile::testing::{ManualClock, SimFs};
use sessile::{Background, Clock, Expiry, Id, Store};

/// How it is closed.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Close,
    Kill,
}

struct Ours {
    store: Store<Data>,
    clock: ManualClock,
    disk: Option<(SimFs, End)>,
}

impl Ours {
    fn new(disk: Option<(SimFs, End)>) -> Ours {
        let clock = ManualClock::new();
        Ours { store: open(&clock, disk.as_ref()), clock, disk }
    }

    fn ends(&self, lives: Duration) -> Expiry {
        Expiry::At(self.clock.wall().after(lives))
    }
}

fn open(clock: &ManualClock, disk: Option<&(SimFs, End)>) -> Store<Data> {
    let builder = Store::builder().clock(clock.clone());
    match disk {
        Some((fs, _)) => {
            builder.background(Background::Callers).open_fs(Arc::new(fs.clone())).unwrap()
        }
        None => builder.in_memory().unwrap(),
    }
}

impl Subject for Ours {
    type Id = Id;

    async fn create(&self, data: &Data, lives: Duration) -> Result<Id> {
        let id = Id::new()?;
        let ends = self.ends(lives);
        assert!(self.store.create_with_async(id.key(), data.clone(), ends).await?);
        Ok(id)
    }

    async fn load(&self, id: &Id) -> Result<Option<Data>> {
        Ok(self.store.get(&id.key())?.map(|data| Data::clone(&data)))
    }

    async fn save(&self, id: &Id, data: &Data, lives: Duration) -> Result<Id> {
        let (data, ends) = (data.clone(), self.ends(lives));
        self.store
            .transact_async(&[id.key()], |slots| {
                if slots.get(0).is_some() {
                    slots.insert(0, data, ends);
                }
            })
            .await?;
        Ok(id.clone())
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.store.remove_async(&id.key()).await?;
        Ok(())
    }

    fn unknown(&self) -> Id {
        Id::new().unwrap()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    async fn held(&self) -> Result<Option<u64>> {
        Ok(Some(self.store.len()))
    }

    async fn collide(&self, id: &Id, data: &Data, lives: Duration) -> Result<Collision<Id>> {
        let ends = self.ends(lives);
        let created = self.store.create_with_async(id.key(), data.clone(), ends).await?;
        Ok(if created { Collision::Created(id.clone()) } else { Collision::Refused })
    }

    async fn rotate(&self, id: &Id) -> Result<Option<Id>> {
        let new = Id::new()?;
        self.store.rename_async(&id.key(), &new.key()).await?;
        Ok(Some(new))
    }

    fn reopen(&mut self) -> Result<bool> {
        let Some((fs, end)) = &mut self.disk else { return Ok(false) };
        if *end == End::Close {
            self.store.close()?;
        }
        *fs = fs.kill();
        self.store = open(&self.clock, self.disk.as_ref());
        Ok(true)
    }
}

#[test]
fn a_store_in_memory_conforms() {
    check(|| Ours::new(None)).assert_all();
}

#[test]
fn a_store_that_is_closed_and_opened_conforms() {
    check(|| Ours::new(Some((SimFs::new(1), End::Close)))).assert_all();
}

#[test]
fn a_store_that_is_killed_and_opened_conforms() {
    check(|| Ours::new(Some((SimFs::new(1), End::Kill)))).assert_all();
}
