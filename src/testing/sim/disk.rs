//! What a simulated disk holds: contents and names as programs see them, as they would be found
//! after a power cut, and what lies between the two. Knows nothing of faults.
//!
//! Every change is an effect that waits for its sync. A power cut keeps any of them: sectors of
//! 512 bytes, sizes and names each by itself; only the effects on one name keep their order.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::{Arc, Weak};

/// Bytes that arrive on disk as a whole or not at all.
pub(super) const SECTOR: u64 = 512;

pub(super) type Sector = [u8; SECTOR as usize];
type Sectors = BTreeMap<u64, Arc<Sector>>;
pub(super) type Number = u64;

/// Kept by whoever has the file open: its space is not free before that.
pub(super) type Handle = Arc<()>;

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// Sectors that are missing read as zeros.
    sectors: Sectors,
    size: u64,
    synced: Sectors,
    synced_size: u64,
    /// What each sector held before it was last written.
    before: Sectors,
    handles: Weak<()>,
}

/// A change that is not durable yet.
#[derive(Clone, Debug)]
enum Effect {
    Sector(Number, u64, Arc<Sector>),
    Size(Number, u64),
    Link(String, Number),
    Unlink(String),
    Rename(String, String, Number),
}

impl Effect {
    fn inode(&self) -> Option<Number> {
        match self {
            Effect::Sector(number, ..) | Effect::Size(number, _) => Some(*number),
            _ => None,
        }
    }

    fn names(&self) -> Vec<&String> {
        match self {
            Effect::Link(name, _) | Effect::Unlink(name) => vec![name],
            Effect::Rename(from, to, _) => vec![from, to],
            _ => Vec::new(),
        }
    }
}

/// What becomes of the changes to a file whose sync fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncFailure {
    /// As on ext4 and XFS: reads show the new contents, which never reach the disk; the next sync
    /// succeeds.
    #[default]
    Keep,
    /// As on btrfs: reads show the old contents again; the next sync succeeds.
    Revert,
    /// A part of it, by chance, has reached the disk; otherwise as `Keep`.
    Partial,
}

/// The contents of one directory. A clone costs a pointer for each file and each effect.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    inodes: BTreeMap<Number, Arc<Inode>>,
    names: BTreeMap<String, Number>,
    synced_names: BTreeMap<String, Number>,
    pending: Vec<Effect>,
    next: Number,
    /// A rename is two effects, of which either may be kept without the other.
    pub(super) torn_renames: bool,
    /// Space cannot be allocated ahead.
    pub(super) unreserved: bool,
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk {
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.names.keys()
    }

    pub(super) fn lookup(&self, name: &str) -> io::Result<Number> {
        self.names.get(name).copied().ok_or_else(not_found)
    }

    fn inode(&self, number: Number) -> io::Result<&Inode> {
        self.inodes.get(&number).map(|inode| &**inode).ok_or_else(not_found)
    }

    fn inode_mut(&mut self, number: Number) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&number).map(Arc::make_mut).ok_or_else(not_found)
    }

    pub(super) fn handle(&mut self, number: Number) -> io::Result<Handle> {
        let inode = self.inode_mut(number)?;
        let handle = inode.handles.upgrade().unwrap_or_default();
        inode.handles = Arc::downgrade(&handle);
        Ok(handle)
    }

    pub(super) fn create(&mut self, name: &str) -> io::Result<Number> {
        if self.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = self.next;
        self.next += 1;
        self.inodes.insert(number, Arc::default());
        self.names.insert(name.to_owned(), number);
        self.pending.push(Effect::Link(name.to_owned(), number));
        Ok(number)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let number = self.lookup(from)?;
        self.names.remove(from);
        self.names.insert(to.to_owned(), number);
        let (from, to) = (from.to_owned(), to.to_owned());
        if self.torn_renames {
            self.pending.extend([Effect::Link(to, number), Effect::Unlink(from)]);
        } else {
            self.pending.push(Effect::Rename(from, to, number));
        }
        self.collect();
        Ok(())
    }

    /// Into a folder, which is synced; the name that it had goes with the directory's next sync.
    pub(super) fn set_aside(&mut self, name: &str, folder: &str) -> io::Result<()> {
        let number = self.lookup(name)?;
        self.names.remove(name);
        let aside = format!("{folder}/{name}");
        self.names.insert(aside.clone(), number);
        self.synced_names.insert(aside, number);
        self.pending.push(Effect::Unlink(name.to_owned()));
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.names.remove(name).ok_or_else(not_found)?;
        self.pending.push(Effect::Unlink(name.to_owned()));
        self.collect();
        Ok(())
    }

    pub(super) fn sync_dir(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for effect in pending {
            match effect.inode() {
                Some(_) => self.pending.push(effect),
                None => self.keep(&effect),
            }
        }
        self.collect();
    }

    pub(super) fn size(&self, number: Number) -> io::Result<u64> {
        Ok(self.inode(number)?.size)
    }

    /// A sector as it is read, `stale` as it was before it was last written.
    pub(super) fn sector(&self, number: Number, index: u64, stale: bool) -> io::Result<Sector> {
        let inode = self.inode(number)?;
        let sectors = if stale { &inode.before } else { &inode.sectors };
        Ok(sectors.get(&index).map_or([0; SECTOR as usize], |sector| **sector))
    }

    pub(super) fn write(&mut self, number: Number, buf: &[u8], offset: u64) -> io::Result<()> {
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let (index, skipped) = (at / SECTOR, (at % SECTOR) as usize);
            let (now, later) = rest.split_at(rest.len().min(SECTOR as usize - skipped));
            let mut bytes = self.sector(number, index, false)?;
            if let Some(place) = bytes.get_mut(skipped..skipped + now.len()) {
                place.copy_from_slice(now);
            }
            let (sector, inode) = (Arc::new(bytes), self.inode_mut(number)?);
            let old = inode.sectors.insert(index, sector.clone());
            inode.before.insert(index, old.unwrap_or_else(|| Arc::new([0; SECTOR as usize])));
            self.pending.push(Effect::Sector(number, index, sector));
            (at, rest) = (at + now.len() as u64, later);
        }
        self.extend(number, offset + buf.len() as u64)
    }

    /// Makes the file at least so long.
    pub(super) fn extend(&mut self, number: Number, size: u64) -> io::Result<()> {
        let inode = self.inode_mut(number)?;
        if size > inode.size {
            inode.size = size;
            self.pending.push(Effect::Size(number, size));
        }
        Ok(())
    }

    pub(super) fn sync(&mut self, number: Number) {
        let pending = std::mem::take(&mut self.pending);
        for effect in pending {
            if effect.inode() == Some(number) {
                self.keep(&effect);
            } else {
                self.pending.push(effect);
            }
        }
    }

    /// A sync that fails. `chance` says for each effect whether it has got through all the same.
    pub(super) fn fail_sync(
        &mut self,
        number: Number,
        how: SyncFailure,
        mut chance: impl FnMut() -> bool,
    ) {
        let pending = std::mem::take(&mut self.pending);
        for effect in pending {
            if effect.inode() != Some(number) {
                self.pending.push(effect);
            } else if how == SyncFailure::Partial && chance() {
                self.keep(&effect);
            }
        }
        if how == SyncFailure::Revert
            && let Ok(inode) = self.inode_mut(number)
        {
            inode.sectors = inode.synced.clone();
            inode.size = inode.synced_size;
        }
    }

    /// How many changes wait for a sync.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Changes that wait, in words.
    pub(super) fn describe(&self) -> Vec<String> {
        let name = |number: &Number| {
            let of = self.names.iter().find(|(_, other)| *other == number);
            of.map_or_else(|| format!("#{number}"), |(name, _)| name.clone())
        };
        let words = |effect: &Effect| match effect {
            Effect::Sector(number, index, _) => format!("sector {index} of {}", name(number)),
            Effect::Size(number, size) => format!("size {size} of {}", name(number)),
            Effect::Link(to, _) => format!("name {to}"),
            Effect::Unlink(from) => format!("end of name {from}"),
            Effect::Rename(from, to, _) => format!("name {to} for {from}"),
        };
        self.pending.iter().map(words).collect()
    }

    /// Makes one effect durable.
    fn keep(&mut self, effect: &Effect) {
        match effect {
            Effect::Link(name, number) => drop(self.synced_names.insert(name.clone(), *number)),
            Effect::Unlink(name) => drop(self.synced_names.remove(name)),
            Effect::Rename(from, to, number) => {
                self.synced_names.remove(from);
                self.synced_names.insert(to.clone(), *number);
            }
            Effect::Sector(number, index, sector) => {
                if let Ok(inode) = self.inode_mut(*number) {
                    inode.synced.insert(*index, sector.clone());
                }
            }
            Effect::Size(number, size) => {
                if let Ok(inode) = self.inode_mut(*number) {
                    inode.synced_size = *size;
                }
            }
        }
    }

    /// The disk as it is found after a power cut that kept those of the waiting changes, by
    /// their places, for which `kept` says so.
    pub(super) fn after_power_cut(&self, mut kept: impl FnMut(usize) -> bool) -> Disk {
        let mut disk = self.clone();
        let mut lost: BTreeSet<&String> = BTreeSet::new();
        for (place, effect) in self.pending.iter().enumerate() {
            let names = effect.names();
            let in_order = self.torn_renames || names.iter().all(|name| !lost.contains(name));
            if kept(place) && in_order {
                disk.keep(effect);
            } else {
                lost.extend(names);
            }
        }
        disk.pending.clear();
        disk.names = disk.synced_names.clone();
        for inode in disk.inodes.values_mut().map(Arc::make_mut) {
            // What lies behind the end is not there, and does not come back with a new end.
            let sectors = inode.synced_size.div_ceil(SECTOR);
            inode.synced.split_off(&sectors);
            let end = (inode.synced_size % SECTOR) as usize;
            if end > 0
                && let Some(last) = inode.synced.get_mut(&(sectors - 1))
            {
                Arc::make_mut(last).iter_mut().skip(end).for_each(|byte| *byte = 0);
            }
            inode.sectors = inode.synced.clone();
            inode.size = inode.synced_size;
            inode.before = Sectors::new();
        }
        disk.forget_handles();
        disk.collect();
        disk
    }

    /// Nobody has a file open.
    pub(super) fn forget_handles(&mut self) {
        for inode in self.inodes.values_mut() {
            Arc::make_mut(inode).handles = Weak::new();
        }
    }

    /// Forgets files that nothing leads to.
    fn collect(&mut self) {
        let mut reached: BTreeSet<Number> = self.names.values().copied().collect();
        reached.extend(self.synced_names.values());
        for effect in &self.pending {
            if let Effect::Link(_, number) | Effect::Rename(_, _, number) = effect {
                reached.insert(*number);
            }
        }
        self.inodes
            .retain(|number, inode| reached.contains(number) || inode.handles.strong_count() > 0);
        let inodes = &self.inodes;
        self.pending.retain(|effect| effect.inode().is_none_or(|one| inodes.contains_key(&one)));
    }

    /// Bytes that the files with a name, and those still open, take.
    pub(super) fn used(&self) -> u64 {
        let named: BTreeSet<Number> = self.names.values().copied().collect();
        let counts = |(number, inode): &(&Number, &Arc<Inode>)| {
            named.contains(number) || inode.handles.strong_count() > 0
        };
        self.inodes.iter().filter(counts).map(|(_, inode)| inode.size).sum()
    }

    /// Tells disks apart that share their sectors: by place in memory rather than by content.
    pub(super) fn fingerprint(&self, hasher: &mut impl Hasher) {
        for (name, number) in &self.names {
            let Some(inode) = self.inodes.get(number) else { continue };
            (name, inode.size).hash(hasher);
            for (index, sector) in &inode.sectors {
                index.hash(hasher);
                if index * SECTOR + SECTOR > inode.size {
                    // A power cut may have made it anew.
                    sector.hash(hasher);
                } else {
                    Arc::as_ptr(sector).hash(hasher);
                }
            }
        }
    }

    /// Puts these bytes, durable, in the place of all that the file held.
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) {
        let number = self.names.get(name).copied().unwrap_or(self.next);
        self.next = self.next.max(number + 1);
        let mut inode = Inode { size: bytes.len() as u64, ..Inode::default() };
        for (index, bytes) in (0..).zip(bytes.chunks(SECTOR as usize)) {
            let mut sector: Sector = [0; SECTOR as usize];
            if let Some(place) = sector.get_mut(..bytes.len()) {
                place.copy_from_slice(bytes);
            }
            if sector != [0; SECTOR as usize] {
                inode.sectors.insert(index, Arc::new(sector));
            }
        }
        (inode.synced, inode.synced_size) = (inode.sectors.clone(), inode.size);
        self.pending.retain(|effect| effect.inode() != Some(number));
        self.inodes.insert(number, Arc::new(inode));
        self.names.insert(name.to_owned(), number);
        self.synced_names.insert(name.to_owned(), number);
    }
}
