//! Open files of a simulated file system.

use std::io;

use super::disk::{Handle, Number, SECTOR};
use super::fault::{Call, Failure, ReadFault};
use super::{SimFs, State};
use crate::fs::{File, Image};

pub(super) struct SimFile {
    pub(super) fs: SimFs,
    pub(super) number: Number,
    pub(super) name: String,
    pub(super) _handle: Handle,
}

pub(super) struct SimImage {
    pub(super) fs: SimFs,
    pub(super) number: Number,
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) _handle: Handle,
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (state, most) = match self.fs.begin(Call::Read, &self.name) {
            Ok(running) => (running, buf.len()),
            Err((Failure::ShortRead, running)) => (running, buf.len().div_ceil(2)),
            Err((failure, _)) => return Err(failure.error()),
        };
        let buf = buf.get_mut(..most).unwrap_or_default();
        state.state.read(self.number, Some(&self.name), buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let (mut running, failure) = match self.fs.begin(Call::Write, &self.name) {
            Ok(running) => (running, None),
            Err((failure, running)) => (running, Some(failure)),
        };
        let state = &mut running.state;
        let whole = buf.len() as u64;
        let part = match failure {
            None => state.fits(self.number, offset, whole)?,
            Some(Failure::NoSpace | Failure::ReadOnly) => 0,
            // Halves would always end on the same side of a sector.
            Some(_) => state.chance(whole + 1),
        };
        let written = buf.get(..part as usize).unwrap_or(buf);
        state.disk.write(self.number, written, offset)?;
        match failure {
            Some(failure) => Err(failure.error()),
            None if part < whole => Err(Failure::ShortWrite.error()),
            None => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self.fs.begin(Call::Sync, &self.name) {
            Ok(mut running) => {
                running.state.disk.sync(self.number);
                Ok(())
            }
            Err((Failure::Halt, _)) => Err(Failure::Halt.error()),
            Err((failure, mut running)) => {
                let state = &mut *running.state;
                let (how, random) = (state.sync_failure, &mut state.random);
                let chance = || random.as_mut().is_some_and(|random| random.below(2) == 0);
                state.disk.fail_sync(self.number, how, chance);
                Err(failure.error())
            }
        }
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fs.call(Call::Allocate, &self.name, |state| {
            if state.disk.unreserved {
                return Err(io::ErrorKind::Unsupported.into());
            }
            if state.fits(self.number, offset, len)? < len {
                return Err(Failure::NoSpace.error());
            }
            state.disk.extend(self.number, offset.saturating_add(len))
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.fs.0.lock().disk.size(self.number)
    }
}

impl Image for SimImage {
    fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let running = match self.fs.begin(Call::ReadImage, &self.name) {
            Ok(running) => running,
            Err((failure, _)) => return Err(failure.error()),
        };
        let wanted = buf.len();
        match running.state.read(self.number, Some(&self.name), buf, offset)? == wanted {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn size(&self) -> u64 {
        self.size
    }
}

impl State {
    /// Copies what is there into `buf`, with the faults of the file of this name; says how much.
    pub(super) fn read(
        &self,
        number: Number,
        faults_of: Option<&str>,
        buf: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        let left = self.disk.size(number)?.saturating_sub(offset);
        let count = left.min(buf.len() as u64) as usize;
        let (mut at, mut rest) = (offset, buf.get_mut(..count).unwrap_or_default());
        while !rest.is_empty() {
            let (index, skipped) = (at / SECTOR, (at % SECTOR) as usize);
            let (now, later) = rest.split_at_mut(rest.len().min(SECTOR as usize - skipped));
            let sector = self.sector(number, faults_of, index)?;
            if let Some(from) = sector.get(skipped..skipped + now.len()) {
                now.copy_from_slice(from);
            }
            (at, rest) = (at + now.len() as u64, later);
        }
        Ok(count)
    }

    fn sector(
        &self,
        number: Number,
        faults_of: Option<&str>,
        index: u64,
    ) -> io::Result<super::disk::Sector> {
        let fault = faults_of
            .filter(|_| !self.read_faults.is_empty())
            .and_then(|name| self.read_faults.get(&(name.to_owned(), index)));
        match fault {
            None => self.disk.sector(number, index, false),
            Some(ReadFault::Stale) => self.disk.sector(number, index, true),
            Some(ReadFault::Misdirected(other)) => self.disk.sector(number, *other, false),
            Some(ReadFault::Unreadable) => Err(Failure::Io.error()),
            Some(ReadFault::BitRot(bit)) => {
                let mut sector = self.disk.sector(number, index, false)?;
                if let Some(byte) = sector.get_mut(usize::from(bit / 8)) {
                    *byte ^= 1 << (bit % 8);
                }
                Ok(sector)
            }
        }
    }

    /// How many of `len` bytes at `offset` there is room for.
    fn fits(&self, number: Number, offset: u64, len: u64) -> io::Result<u64> {
        let end = self.disk.size(number)?.saturating_add(self.room());
        Ok(end.saturating_sub(offset).min(len))
    }
}
