//! Values that the user keeps with a connection, one of each type.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Empty maps cost no memory beyond their head: most connections keep nothing.
#[derive(Default)]
pub(crate) struct Attached(Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>);

impl Attached {
    // A clone that panics leaves the map as it was.
    fn lock(&self) -> MutexGuard<'_, HashMap<TypeId, Box<dyn Any + Send + Sync>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert<T: Any + Send + Sync>(&self, value: T) -> Option<T> {
        let before = self.lock().insert(TypeId::of::<T>(), Box::new(value));
        before.and_then(|before| before.downcast().ok()).map(|before| *before)
    }

    pub(crate) fn find<T: Any + Clone>(&self) -> Option<T> {
        self.lock().get(&TypeId::of::<T>())?.downcast_ref::<T>().cloned()
    }

    pub(crate) fn remove<T: Any>(&self) -> Option<T> {
        let removed = self.lock().remove(&TypeId::of::<T>())?;
        removed.downcast().ok().map(|removed| *removed)
    }
}
