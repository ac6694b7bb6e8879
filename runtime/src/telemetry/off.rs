//! Nothing is counted, and nothing of it is left in the program.

use cndt_core::connection::{CallFailure, CloseReason, Stats};
use cndt_core::rpc::ErrorCode;
use cndt_core::time::Instant;

use super::Role;
use crate::router::{FailureCause, HandlerKind};
use crate::server::Refusal;

pub(crate) struct Meters;

impl Meters {
    pub(crate) const ON: bool = false;

    pub(crate) fn new(_: Role) -> Self {
        Self
    }

    pub(crate) fn opened(&self) {}

    pub(crate) fn closed(&self, _: bool, _: &CloseReason) {}

    pub(crate) fn refused(&self, _: &Refusal) {}

    pub(crate) fn evicted(&self) {}

    pub(crate) fn shed(&self) {}

    pub(crate) fn reconnects(&self) {}

    pub(crate) fn traffic(&self, _: &mut Stats, _: Stats) {}
}

pub(crate) fn handler_failed(_: HandlerKind, _: FailureCause) {}

#[cfg(feature = "outbox")]
pub(crate) fn outbox(_: &'static str) {}

#[derive(Clone)]
pub(crate) struct MethodMeter;

impl MethodMeter {
    pub(crate) fn new(_: &str) -> Self {
        Self
    }

    pub(crate) fn of_others() -> Self {
        Self
    }

    pub(crate) fn begin(&self, _: Instant) -> CallMeter {
        CallMeter
    }
}

#[derive(Debug)]
pub(crate) struct CallMeter;

impl CallMeter {
    pub(crate) fn end(&self, _: Instant, _: Option<ErrorCode>) {}

    pub(crate) fn made(_: &str, _: Instant, _: Instant, _: Option<&CallFailure>) {}
}
