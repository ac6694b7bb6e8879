//! A disk in memory whose power can be cut: of what was not synced, any part may be lost.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// What a disk writes in one piece.
const SECTOR: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    synced: Vec<u8>,
    current: Vec<u8>,
    since: Vec<Write>,
    /// Writes and syncs until the power fails.
    left: Option<u32>,
    syncs: u64,
}

#[derive(Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

/// Of a seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power fails after so many further writes and syncs.
    pub(super) fn fail_after(&self, writes: u32) {
        self.lock().left = Some(writes);
    }

    pub(super) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// What is found when the process was killed, and a sector has gone bad since.
    pub(super) fn damaged(&self, at: usize) -> Self {
        let mut image = self.lock().synced.clone();
        image.iter_mut().skip(at).take(SECTOR).for_each(|byte| *byte ^= 0x55);
        let state = State { synced: image.clone(), current: image, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn image(&self) -> Vec<u8> {
        self.lock().current.clone()
    }

    /// What is found when the power is back.
    pub(super) fn cut(&self, seed: u64) -> Self {
        let state = self.lock();
        let mut dice = Dice(seed);
        let mut image = state.synced.clone();
        for write in &state.since {
            match (write, dice.roll(3)) {
                (_, 0) => {}
                (Write::Length(length), _) => image.resize(*length, 0),
                (Write::Bytes(offset, bytes), 1) => put(&mut image, *offset, bytes),
                (Write::Bytes(offset, bytes), _) => {
                    for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                        if dice.roll(2) == 0 {
                            put(&mut image, offset + index * SECTOR, sector);
                        }
                    }
                }
            }
        }
        let state = State { synced: image.clone(), current: image, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl State {
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the power failed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let offset = offset as usize;
        let bytes = state.current.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.spend()?;
        state.current.resize(length as usize, 0);
        state.since.push(Write::Length(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.spend()?;
        state.synced = state.current.clone();
        state.since.clear();
        state.syncs += 1;
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.spend()?;
        put(&mut state.current, offset as usize, data);
        state.since.push(Write::Bytes(offset as usize, data.to_vec()));
        Ok(())
    }
}
