//! That every side does what its works take for granted.

use super::*;
use crate::keys::Keys;
use crate::scratch::Scratch;

const SESSIONS: usize = 300;
/// What a side may forget when it is opened again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rests {
    Nowhere,
    OnDisk,
}

/// Inserts, changes and ends sessions, and looks for each afterwards; twice, opened anew, if they
/// are on disk.
fn lives<R: Rival>(rests: Rests)
where
    R::Client: Change,
{
    if R::missing().is_some() {
        return;
    }
    let parent = std::env::temp_dir().join(format!("rivals-{}-{}", R::NAME, std::process::id()));
    crate::scratch::private(&parent).unwrap();
    let scratch = Scratch::new(&parent).unwrap();
    for level in [Level::Memory, Level::Process, Level::Power] {
        let dir = scratch.fresh();
        let mut store = R::open(&dir, level).unwrap();
        write(&mut store.client().unwrap());
        store.settle().unwrap();
        read::<R>(&store);
        store.compact().unwrap();
        store.close().unwrap();
        if rests == Rests::OnDisk {
            let store = R::open(&dir, level).unwrap();
            read::<R>(&store);
            store.close().unwrap();
        }
    }
    drop(scratch);
    std::fs::remove_dir(&parent).unwrap();
}

/// Of each three sessions one stays, one is changed twice and one ends.
fn write(client: &mut impl Change) {
    for (index, key) in Keys::new(SESSIONS).filed.iter().enumerate() {
        assert!(!client.update(key, Record::see).unwrap());
        assert!(!client.remove(key).unwrap());
        client.insert(key, Record::of(key)).unwrap();
        match index % 3 {
            0 => (),
            1 => {
                assert!(client.update(key, Record::see).unwrap());
                assert!(client.update(key, Record::see).unwrap());
            }
            _ => {
                assert!(client.remove(key).unwrap());
                assert!(!client.remove(key).unwrap());
            }
        }
    }
}

fn read<R: Rival>(store: &R)
where
    R::Client: Change,
{
    let mut client = store.client().unwrap();
    for (index, key) in Keys::new(SESSIONS).filed.iter().enumerate() {
        let mut expected = Record::of(key);
        if index % 3 == 1 {
            expected.see();
            expected.see();
        }
        let visited = client.visit(key).unwrap();
        let found = client.get(key).unwrap();
        match index % 3 {
            2 => assert!(found.is_none() && visited.is_none(), "{} keeps {index}", R::NAME),
            _ => {
                assert_eq!(found.as_ref().map(Borrow::borrow), Some(&expected), "{}", R::NAME);
                assert_eq!(visited.as_ref().map(Borrow::borrow), Some(&expected), "{}", R::NAME);
            }
        }
    }
    for key in &Keys::others(SESSIONS) {
        assert!(client.get(key).unwrap().is_none());
    }
}

#[test]
fn sessile_lives() {
    lives::<Sessile>(Rests::OnDisk);
}

#[test]
fn maps_and_caches_live() {
    lives::<Dashmap>(Rests::Nowhere);
    lives::<DashmapDefault>(Rests::Nowhere);
    lives::<Papaya>(Rests::Nowhere);
    lives::<QuickCache>(Rests::Nowhere);
    lives::<Moka>(Rests::Nowhere);
}

#[test]
fn embedded_stores_live() {
    lives::<Fjall>(Rests::OnDisk);
    lives::<Lmdb>(Rests::OnDisk);
    lives::<Redb>(Rests::OnDisk);
    lives::<Sled>(Rests::OnDisk);
}

#[test]
fn sql_lives() {
    lives::<Sqlite>(Rests::OnDisk);
    lives::<MokaSqlite>(Rests::OnDisk);
}

#[test]
fn redis_lives() {
    lives::<Redis>(Rests::OnDisk);
}

#[test]
fn the_memory_store_gives_back_what_it_was_given() {
    let store = TowerMemory::open(Path::new(""), Level::Memory).unwrap();
    let mut client = store.client().unwrap();
    let key = Keys::new(1).filed[0];
    assert!(client.get(&key).unwrap().is_none());
    client.insert(&key, Record::of(&key)).unwrap();
    assert_eq!(client.get(&key).unwrap(), Some(Record::of(&key)));
}
