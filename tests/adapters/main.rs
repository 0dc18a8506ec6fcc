//! The adapters for tower-sessions and actix-session: the sequences that go wrong elsewhere, and
//! the real middlewares over them.
#![cfg(all(
    feature = "actix-session-0-11",
    feature = "testing",
    feature = "tower-sessions-0-14",
    feature = "tower-sessions-0-15",
    any(feature = "bincode", feature = "postcard", feature = "json"),
    not(any(loom, shuttle))
))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod actix;
mod actix_web;
mod both;
mod tower;
mod tower_web;

use std::sync::Arc;

use sessile::Background;
use sessile::session::Sessions;
use sessile::testing::SimFs;

type Bytes = Sessions;

fn in_memory() -> Bytes {
    Sessions::builder().in_memory().unwrap()
}

/// A store on a simulated disk, with nobody working in the background.
fn on_disk(fs: &SimFs) -> Bytes {
    let builder = Sessions::builder().store(|store| store.background(Background::Callers));
    builder.open_fs(Arc::new(fs.clone())).unwrap()
}

/// A store whose records may have 1024 bytes.
fn small(fs: &SimFs) -> Bytes {
    let builder = Sessions::builder()
        .store(|store| store.background(Background::Callers).max_value_bytes(1 << 10));
    builder.open_fs(Arc::new(fs.clone())).unwrap()
}

/// Whether any file of the disk holds these bytes.
fn disk_holds(fs: &SimFs, needle: &[u8]) -> bool {
    let files: Vec<_> = fs.names().iter().filter_map(|name| fs.bytes(name)).collect();
    files.iter().any(|file| file.windows(needle.len()).any(|bytes| bytes == needle))
}

/// The value of a response's session cookie, if it sets one; empty if it removes it.
fn cookie(headers: &[String]) -> Option<String> {
    let set = headers.iter().find_map(|header| header.strip_prefix("id="))?;
    Some(set.split(';').next().unwrap().to_owned())
}
