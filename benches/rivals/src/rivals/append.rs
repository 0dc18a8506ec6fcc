//! The plainest way to be durable: append the encoded record to a file and call `fdatasync`,
//! under a mutex. What every group commit has to beat.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Client, Level, Rival};
use crate::Result;
use crate::keys::Key;
use crate::record::{ENCODED, Record};

pub struct Append(Arc<Mutex<File>>);

/// One thread's access.
pub struct AppendClient {
    file: Arc<Mutex<File>>,
    buffer: Vec<u8>,
}

impl Rival for Append {
    type Client = AppendClient;

    const NAME: &'static str = "append-fdatasync";

    fn open(dir: &Path, _: Level) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(dir)?;
        Ok(Append(Arc::new(Mutex::new(file))))
    }

    fn client(&self) -> Result<AppendClient> {
        let buffer = Vec::with_capacity(16 + ENCODED);
        Ok(AppendClient { file: Arc::clone(&self.0), buffer })
    }
}

impl Client for AppendClient {
    type Value = Record;

    /// Nothing can be found again.
    fn get(&mut self, _: &Key) -> Result<Option<Record>> {
        Ok(None)
    }

    fn insert(&mut self, key: &Key, record: Record) -> Result<()> {
        self.buffer.clear();
        self.buffer.extend_from_slice(&key.0);
        record.encode(&mut self.buffer)?;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&self.buffer)?;
        Ok(file.sync_data()?)
    }
}
