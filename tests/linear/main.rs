//! Recorded histories: what threads called and were answered, with the times of both, must be
//! what one thread could have been answered, calling in some order that those times allow. One
//! key at a time where calls have one key, all keys at once where they have several.
//!
//! A failing history is printed; it is the evidence, for the threads will not meet in the same
//! way again. `SESSILE_SEED` repeats the choice of calls, `SESSILE_ROUNDS` asks for more of them.
#![cfg(all(feature = "testing", any(feature = "bincode", feature = "postcard", feature = "json")))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod checker;
#[path = "../common/mod.rs"]
mod common;
mod known;
mod number;
mod spec;
mod stage;
#[path = "../support/mod.rs"]
mod support;

use checker::{Event, describe, is_linearizable};
use number::{Number, perhaps_yield};
use sessile::Store;
use spec::{Any, KEYS, One, any, one};
use stage::{Kind, Player, Stage, rounds};
use support::key;

fn draw_one(player: &mut Player<'_>, store: &Store<Number>) -> sessile::Result<(usize, One)> {
    let at = player.below(KEYS);
    let (key, value) = (key(at as u64), player.value());
    let call = match player.below(16) {
        0..3 => One::Create(value, store.create(key, Number(value))?),
        3 => {
            store.insert(key, Number(value))?;
            One::Insert(value)
        }
        4..8 => {
            let change = |held: &mut Number| {
                perhaps_yield();
                std::mem::replace(&mut held.0, value)
            };
            One::Update(value, store.update(&key, change)?)
        }
        8..10 => One::Take(store.take(&key)?.map(|held| held.0)),
        10..12 => One::Remove(store.remove(&key)?),
        12..15 => One::Get(store.get(&key)?.map(|held| held.0)),
        _ => One::Peek(store.peek(&key)?.map(|held| held.0)),
    };
    Ok((at, call))
}

fn draw_any(player: &mut Player<'_>, store: &Store<Number>) -> sessile::Result<Any> {
    let from = player.below(KEYS);
    let to = (from + 1 + player.below(KEYS - 1)) % KEYS;
    let keys = [key(from as u64), key(to as u64)];
    Ok(match player.below(12) {
        0..2 => Any::Rename(from, to, store.rename(&keys[0], &keys[1])?),
        2 => {
            store.clear()?;
            Any::Clear
        }
        3..5 => {
            let was = store.transact(&keys, |slots| {
                perhaps_yield();
                let was = [0, 1].map(|index| slots.get(index).map(|held| held.0));
                for (index, value) in [(0, was[1]), (1, was[0])] {
                    match value {
                        Some(value) => slots.set(index, Number(value)),
                        None => slots.remove(index),
                    }
                }
                was
            })?;
            Any::Swap([from, to], was)
        }
        5..7 => {
            let keys: Vec<_> = (0..KEYS as u64).map(key).collect();
            Any::Look(
                store.transact(&keys, |slots| {
                    [0, 1, 2].map(|at| slots.get(at).map(|held| held.0))
                })?,
            )
        }
        _ => {
            let (at, call) = draw_one(player, store)?;
            Any::One(at, call)
        }
    })
}

/// Every key's part of the history by itself.
fn check_each(start: &[Option<u32>; KEYS], events: &[Event<(usize, One)>]) -> Result<(), String> {
    for (at, start) in start.iter().enumerate() {
        let events: Vec<_> = events
            .iter()
            .filter(|event| event.call.0 == at)
            .map(|event| event.with(event.call.1))
            .collect();
        if !is_linearizable(*start, &events, |state, call| one(*state, *call)) {
            return Err(format!("key {at}, at first {start:?}:\n{}", describe(&events)));
        }
    }
    Ok(())
}

fn check_all(start: &[Option<u32>; KEYS], events: &[Event<Any>]) -> Result<(), String> {
    if is_linearizable(*start, events, |state, call| any(state, *call)) {
        return Ok(());
    }
    Err(format!("at first {start:?}:\n{}", describe(events)))
}

fn each_key(kind: Kind) {
    rounds(kind, 1000, |stage: &mut Stage| {
        stage.play(5, draw_one, |at, call| (at, call), check_each)
    });
}

fn all_keys(kind: Kind) {
    rounds(kind, 700, |stage: &mut Stage| stage.play(4, draw_any, Any::One, check_all));
}

#[test]
fn each_key_of_a_store_in_memory_is_a_register() {
    each_key(Kind::Memory);
}

#[test]
fn each_key_is_a_register_while_it_is_flushed_and_merged() {
    each_key(Kind::Disk);
}

#[test]
fn each_key_is_a_register_while_memory_is_full_and_values_leave_it() {
    each_key(Kind::Tight);
}

#[test]
fn all_keys_of_a_store_in_memory_change_as_one() {
    all_keys(Kind::Memory);
}

#[test]
fn all_keys_change_as_one_while_they_are_flushed_and_merged() {
    all_keys(Kind::Disk);
}

#[test]
fn all_keys_change_as_one_while_memory_is_full_and_values_leave_it() {
    all_keys(Kind::Tight);
}
