use std::fmt;
use std::sync::Arc;

use cndt_core::connection::{CallFailure, CloseReason, Stats};
use cndt_core::rpc::ErrorCode;
use cndt_core::time::Instant;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::{CALLS_MADE, CALLS_SERVED, Role, label};
use crate::router::{FailureCause, HandlerKind};
use crate::server::Refusal;

const SYSTEM: &str = "cndt";
/// The method of calls to methods that are not registered: strangers choose their names.
const OTHER: &str = "_OTHER";

/// The numbers of one server or client.
pub(crate) struct Meters {
    role: &'static str,
    active: Gauge,
    opened: Counter,
    evicted: Counter,
    shed: Counter,
    reconnects: Counter,
    bytes_received: Counter,
    bytes_sent: Counter,
    messages_received: Counter,
    messages_sent: Counter,
    messages_dropped: Counter,
    messages_limited: Counter,
    strikes: Counter,
    round_trip: Histogram,
}

impl Meters {
    /// Whether anything is counted.
    pub(crate) const ON: bool = true;

    pub(crate) fn new(role: Role) -> Self {
        let role = match role {
            Role::Server => "server",
            Role::Client => "client",
        };
        Self {
            role,
            active: gauge!("cndt.connections.active", "role" => role),
            opened: counter!("cndt.connections.opened", "role" => role),
            evicted: counter!("cndt.connections.evicted"),
            shed: counter!("cndt.connections.shed"),
            reconnects: counter!("cndt.reconnects"),
            bytes_received: counter!("cndt.bytes.received", "role" => role),
            bytes_sent: counter!("cndt.bytes.sent", "role" => role),
            messages_received: counter!("cndt.messages.received", "role" => role),
            messages_sent: counter!("cndt.messages.sent", "role" => role),
            messages_dropped: counter!("cndt.messages.dropped", "role" => role),
            messages_limited: counter!("cndt.messages.limited", "role" => role),
            strikes: counter!("cndt.strikes", "role" => role),
            round_trip: histogram!("cndt.round_trip", "role" => role),
        }
    }

    pub(crate) fn opened(&self) {
        self.opened.increment(1);
        self.active.increment(1.0);
    }

    pub(crate) fn closed(&self, was_open: bool, reason: &CloseReason) {
        let labels = [("role", self.role), ("reason", label(reason))];
        if was_open {
            self.active.decrement(1.0);
            counter!("cndt.connections.closed", &labels).increment(1);
        } else {
            counter!("cndt.logins.failed", &labels).increment(1);
        }
    }

    pub(crate) fn refused(&self, refusal: &Refusal) {
        let reason = match refusal {
            Refusal::HalfOpen(_) => "half_open",
            Refusal::Full(_) => "full",
            Refusal::Address(_) => "address",
            Refusal::FailedLogins(_) => "failed_logins",
            Refusal::Overload => "overload",
        };
        counter!("cndt.connections.refused", "reason" => reason).increment(1);
    }

    pub(crate) fn evicted(&self) {
        self.evicted.increment(1);
    }

    pub(crate) fn shed(&self) {
        self.shed.increment(1);
    }

    pub(crate) fn reconnects(&self) {
        self.reconnects.increment(1);
    }

    /// What a connection has done since `before`.
    pub(crate) fn traffic(&self, before: &mut Stats, now: Stats) {
        for (counter, before, now) in [
            (&self.bytes_received, before.bytes_received, now.bytes_received),
            (&self.bytes_sent, before.bytes_sent, now.bytes_sent),
            (&self.messages_received, before.messages_received, now.messages_received),
            (&self.messages_sent, before.messages_sent, now.messages_sent),
            (&self.messages_dropped, before.messages_dropped, now.messages_dropped),
            (&self.messages_limited, before.rate_limited, now.rate_limited),
            (&self.strikes, before.strikes, now.strikes),
        ] {
            if now > before {
                counter.increment(now - before);
            }
        }
        if now.round_trips.count > before.round_trips.count {
            self.round_trip.record(now.round_trips.last);
        }
        *before = now;
    }
}

/// A handler that failed.
pub(crate) fn handler_failed(kind: HandlerKind, cause: FailureCause) {
    let kind = match kind {
        HandlerKind::Method => "method",
        HandlerKind::Message => "message",
        HandlerKind::Webhook => "webhook",
    };
    let cause = match cause {
        FailureCause::Returned => "returned",
        FailureCause::Refused => "refused",
        FailureCause::Panicked => "panicked",
        FailureCause::Unsendable => "unsendable",
    };
    counter!("cndt.handlers.failed", "kind" => kind, "cause" => cause).increment(1);
}

/// What happened to a webhook of an outbox.
#[cfg(feature = "outbox")]
pub(crate) fn outbox(event: &'static str) {
    counter!("cndt.outbox", "event" => event).increment(1);
}

/// The numbers of one method.
#[derive(Clone)]
pub(crate) struct MethodMeter(Arc<Method>);

struct Method {
    name: String,
    succeeded: Histogram,
}

impl MethodMeter {
    pub(crate) fn new(method: &str) -> Self {
        let name = method.to_owned();
        let succeeded = histogram!(
            CALLS_SERVED,
            "rpc.system.name" => SYSTEM,
            "rpc.method" => name.clone(),
        );
        Self(Arc::new(Method { name, succeeded }))
    }

    pub(crate) fn of_others() -> Self {
        Self::new(OTHER)
    }

    /// A call begins to be served.
    pub(crate) fn begin(&self, now: Instant) -> CallMeter {
        CallMeter { method: self.clone(), began: now }
    }
}

/// One call that is being served.
pub(crate) struct CallMeter {
    method: MethodMeter,
    began: Instant,
}

impl CallMeter {
    /// It is answered: by a result, or by an error of this kind.
    pub(crate) fn end(&self, now: Instant, error: Option<ErrorCode>) {
        let took = now.since(self.began);
        let Method { name, succeeded } = &*self.method.0;
        match error {
            None => succeeded.record(took),
            Some(code) => {
                let histogram = histogram!(
                    CALLS_SERVED,
                    "rpc.system.name" => SYSTEM,
                    "rpc.method" => name.clone(),
                    "error.type" => code.name(),
                );
                histogram.record(took);
            }
        }
    }

    /// A call that was made has its outcome.
    pub(crate) fn made(method: &str, began: Instant, now: Instant, failure: Option<&CallFailure>) {
        let mut labels =
            vec![("rpc.system.name", SYSTEM.to_owned()), ("rpc.method", method.to_owned())];
        if let Some(failure) = failure {
            let error = match failure {
                CallFailure::Remote(error) => error.code.name(),
                CallFailure::TimedOut { .. } => "timeout",
                CallFailure::ConnectionLost { .. } => "connection_lost",
                CallFailure::Unreadable(_) => "unreadable",
                CallFailure::Refused => "refused",
            };
            labels.push(("error.type", error.to_owned()));
        }
        histogram!(CALLS_MADE, &labels).record(now.since(began));
    }
}

impl fmt::Debug for CallMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallMeter").field("began", &self.began).finish_non_exhaustive()
    }
}
