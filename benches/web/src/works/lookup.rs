//! From the bytes of a cookie header to the live session, every session in its turn, in random
//! order: nearly every call finds its session outside the processor's caches.

use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use sessile::web::{Cookie, Found};
use sessile::{Id, Key, Store};

use super::Bench;
use super::fill::{Filled, fill};
use crate::Result;
use crate::measure::{Spread, rounds};
use crate::report::{Goal, Line, Rival};

/// Calls of a side in a round. Their headers are made just before, as a server has just read them:
/// few enough to be still near.
const CALLS: usize = 1024;

/// These rounds are so much shorter than those of other works.
const SHORT: usize = 4;

pub fn run(bench: &Bench, print: &mut dyn FnMut(Line)) -> Result<()> {
    let count = bench.size.sessions;
    let filled = fill(&bench.scratch.fresh(), sessile::Durability::Memory, count, 0)?;
    let Filled { sessions, mut ids } = filled;
    shuffle(&mut ids);
    let floor: Store<Vec<u8>> = Store::builder().expected_sessions(count).in_memory()?;
    ids.iter().try_for_each(|id| floor.insert(id.key(), vec![0; 60]))?;
    let cookie = Cookie::default();

    // Each side of a round takes the next ids: none finds what another has just brought near.
    let place = Cell::new(0);
    let next = || {
        let begin = if place.get() + CALLS > ids.len() { 0 } else { place.get() };
        place.set(begin + CALLS);
        &ids[begin..begin + CALLS]
    };
    let [all, find, decode, load, key, get] = rounds(
        bench.size.rounds * SHORT,
        [
            &mut |_| {
                let headers = headers(&cookie, next())?;
                time(&headers, |headers| {
                    let Found::One(value) = cookie.find(headers) else { return Err("find".into()) };
                    let id = cookie.decode(value).ok_or("decode")?;
                    black_box(sessions.load(&id)?.ok_or("load")?);
                    Ok(())
                })
            },
            &mut |_| {
                let headers = headers(&cookie, next())?;
                time(&headers, |headers| match black_box(cookie.find(headers)) {
                    Found::One(_) => Ok(()),
                    _ => Err("find".into()),
                })
            },
            &mut |_| {
                let values: Vec<_> = next().iter().map(|id| cookie.encode(id)).collect();
                time(&values, |value| {
                    black_box(cookie.decode(value.expose()).ok_or("decode")?);
                    Ok(())
                })
            },
            &mut |_| {
                let ids = next().to_vec();
                time(&ids, |id| {
                    black_box(sessions.load(id)?.ok_or("load")?);
                    Ok(())
                })
            },
            &mut |_| {
                let ids = next().to_vec();
                time(&ids, |id| {
                    black_box(id.key());
                    Ok(())
                })
            },
            &mut |_| {
                let keys: Vec<Key> = next().iter().map(Id::key).collect();
                time(&keys, |key| {
                    black_box(floor.get(key)?.ok_or("get")?);
                    Ok(())
                })
            },
        ],
    )?;
    let line = |what, figures: &[f64]| {
        Line::new("lookup", what, "ns", Spread::of(figures.iter().copied()))
    };
    let mut whole = line("find + decode + load", &all).goal(Some(Goal::AtMost(600.0)));
    whole.rival = Some(Rival {
        name: "Store::get, same keys",
        figure: Spread::of(get.iter().copied()).median,
        ratio: Spread::of_ratio(&all, &get),
        goal: None,
    });
    whole.more.push(("cold-reads", sessions.stats().cold_reads as f64));
    print(whole);
    print(line("Cookie::find", &find));
    print(line("Cookie::decode", &decode));
    print(line("Sessions::load", &load));
    print(line("of that: Id::key (SHA-256)", &key));
    sessions.close()?;
    Ok(())
}

/// Nanoseconds for one call.
fn time<T>(items: &[T], mut call: impl FnMut(&T) -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    items.iter().try_for_each(&mut call)?;
    Ok(begun.elapsed().as_secs_f64() * 1e9 / items.len() as f64)
}

fn headers(cookie: &Cookie, ids: &[Id]) -> Result<Vec<HeaderMap>> {
    let header = |id: &Id| {
        let value = cookie.encode(id);
        let text = format!("theme=dark; {}={}", cookie.name(), value.expose());
        Ok(HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(text)?)]))
    };
    ids.iter().map(header).collect()
}

/// Into another order, the same in every run.
fn shuffle<T>(items: &mut [T]) {
    let mut random: u64 = 0x5e55_11e5_ca1e_d0ca;
    for index in (1..items.len()).rev() {
        // Xorshift: good enough to jump about in memory.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        items.swap(index, (random % (index as u64 + 1)) as usize);
    }
}
