use std::fs::{self, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Builder, Database, StorageBackend};

use super::Fault;
use crate::webhook::outbox::error::OutboxError;

/// Bytes of the file that are kept in memory.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// No file that is being made is larger.
const UNBORN_MAX: u64 = 64 * 1024 * 1024;

/// Makes the file if it may be made, and sees to it that its name is on the disk.
pub(super) fn prepare(path: &Path, must_exist: bool) -> Result<(), OutboxError> {
    revive_unborn(path)?;
    if must_exist {
        return match path.try_exists() {
            Ok(true) => Ok(()),
            Ok(false) => Err(OutboxError::Missing { path: path.to_owned() }),
            Err(error) => Err(failed(path, error)),
        };
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => {}
        // The process that made it may have died before its name was on the disk.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(path, error)),
    }
    sync_folder(path).map_err(|error| failed(path, error))
}

pub(super) fn open(path: &Path) -> Result<Database, Fault> {
    Ok(builder().create(path)?)
}

/// Everything is read and checked on opening: what does not fit must show then, not years later.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// A process that dies while redb makes the file leaves one that redb never opens again: its magic
/// number comes last. Nothing was accepted then; the file begins anew.
fn revive_unborn(path: &Path) -> Result<(), OutboxError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let Ok(file) = opened else { return Ok(()) };
    let backend = FileBackend::new(file).map_err(|error| Fault::from(error).at(path))?;
    let revive = || -> io::Result<()> {
        if !is_unborn(&backend)? {
            return Ok(());
        }
        // Whoever makes the file right now holds this lock, and redb tells that it is in use.
        if !backend.try_lock_range(Bound::Unbounded, Bound::Unbounded)? {
            return Ok(());
        }
        if is_unborn(&backend)? {
            backend.set_len(0)?;
            backend.sync_data()?;
        }
        backend.close()
    };
    revive().map_err(|error| failed(path, error))
}

/// Whether it holds nothing but, at most, the header without its magic number.
fn is_unborn(backend: &FileBackend) -> io::Result<bool> {
    const MAGIC: usize = 9;
    const HEADER: u64 = 4096;
    let length = backend.len()?;
    if !(1..=UNBORN_MAX).contains(&length) {
        return Ok(false);
    }
    let read = |from: u64, to: u64| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
        backend.read(from, &mut bytes)?;
        Ok(bytes)
    };
    let is_zero = |bytes: Vec<u8>| bytes.iter().all(|byte| *byte == 0);
    // Most files end the check here.
    let has_magic = read(0, length.min(HEADER))?.iter().take(MAGIC).any(|byte| *byte != 0);
    Ok(!has_magic && (length <= HEADER || is_zero(read(HEADER, length)?)))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    match cfg!(unix) {
        true => fs::File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}

fn failed(path: &Path, error: io::Error) -> OutboxError {
    OutboxError::Io { path: path.to_owned(), error: Arc::new(error) }
}
