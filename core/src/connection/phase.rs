//! The phases of a connection, each owning what only it needs. Transitions consume a phase and give
//! the next.

use alloc::boxed::Box;

use super::event::{CloseReason, Deadline, PhaseName, Timer, Violation};
use super::handshake::Handshake;
use super::link::{Link, PeerEnd};
use super::open::{Mode, Open, Step};
use crate::time::Instant;
use crate::wire::{Dialect, Frame};

#[derive(Debug)]
pub(super) enum Phase {
    Handshake(Box<Handshake>),
    Open(Box<Open>),
    Draining(Draining),
    Ending(Ending),
    Closed,
}

/// Nothing new begins; what is under way may finish.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) open: Box<Open>,
    reason: CloseReason,
    until: Instant,
}

/// Only what is already queued goes out; nothing that comes in is looked at.
#[derive(Debug)]
pub(super) struct Ending {
    reason: CloseReason,
    until: Instant,
    /// In dialect `netconduit` nobody confirms an end (wire fact 10), so there is nothing to wait
    /// for after our own.
    awaits_peer: bool,
    shut: bool,
}

impl Phase {
    pub(super) fn name(&self) -> PhaseName {
        match self {
            Self::Handshake(_) => PhaseName::Handshake,
            Self::Open(_) => PhaseName::Open,
            Self::Draining(_) | Self::Ending(_) => PhaseName::Closing,
            Self::Closed => PhaseName::Closed,
        }
    }

    pub(super) fn on_frame(self, link: &mut Link, frame: Frame) -> Self {
        match self {
            Self::Handshake(handshake) => handshake.on_frame(link, &frame),
            Self::Open(mut open) => {
                let step = open.on_frame(link, frame, Mode::Serving);
                Self::Open(open).on_step(link, step)
            }
            Self::Draining(mut draining) => {
                let step = draining.open.on_frame(link, frame, Mode::Draining);
                Self::Draining(draining).on_step(link, step)
            }
            unmoved @ (Self::Ending(_) | Self::Closed) => unmoved,
        }
    }

    /// What a frame that was taken means for the phase.
    pub(super) fn on_step(self, link: &mut Link, step: Result<Step, Violation>) -> Self {
        match (self, step) {
            (Self::Open(open), Ok(Step::PeerCloses)) => Self::drain(link, open, CloseReason::Peer),
            (Self::Open(open) | Self::Draining(Draining { open, .. }), Err(violation)) => {
                Self::fail(link, open, CloseReason::Violation(violation))
            }
            (unmoved @ Self::Open(_), Ok(Step::Stay))
            | (unmoved @ Self::Draining(_), Ok(Step::Stay | Step::PeerCloses))
            | (unmoved @ (Self::Handshake(_) | Self::Ending(_) | Self::Closed), Ok(_) | Err(_)) => {
                unmoved
            }
        }
    }

    /// Lets what is under way finish, then ends.
    pub(super) fn drain(link: &mut Link, mut open: Box<Open>, reason: CloseReason) -> Self {
        open.leave();
        open.announce_close(link, &reason);
        let until = link.now + link.config.limits.drain;
        Self::Draining(Draining { open, reason, until })
    }

    /// Ends every call now; what the peer may still be told goes out, nothing else.
    pub(super) fn fail(link: &mut Link, mut open: Box<Open>, reason: CloseReason) -> Self {
        open.lose_calls(link);
        open.drop_unsent_data(link);
        open.announce_close(link, &reason);
        Self::Ending(Ending::new(link, reason))
    }

    /// Ends everything now.
    pub(super) fn break_off(self, link: &mut Link, reason: CloseReason) -> Self {
        let reason = match self {
            Self::Handshake(_) => reason,
            Self::Open(mut open) => {
                open.lose_calls(link);
                reason
            }
            Self::Draining(mut draining) => {
                draining.open.lose_calls(link);
                draining.reason
            }
            Self::Ending(ending) => ending.reason,
            Self::Closed => return Self::Closed,
        };
        link.finish(reason);
        Self::Closed
    }

    /// The peer sends nothing more, and everything it sent has been read.
    pub(super) fn on_peer_end(self, link: &mut Link) -> Self {
        match self {
            Self::Handshake(handshake) => {
                link.finish(handshake.on_peer_end());
                Self::Closed
            }
            Self::Open(mut open) => {
                // It cannot answer any more, but it may still read what it asked for.
                open.lose_calls(link);
                open.drop_unsent_data(link);
                open.leave();
                let until = link.now + link.config.limits.drain;
                Self::Draining(Draining { open, reason: CloseReason::Peer, until })
            }
            Self::Draining(mut draining) => {
                draining.open.lose_calls(link);
                Self::Draining(draining)
            }
            unmoved @ (Self::Ending(_) | Self::Closed) => unmoved,
        }
    }

    /// Moves on where nothing holds the phase any more. Time has no say here, only in
    /// [`Phase::on_timeout`]: otherwise it would matter how bytes were cut that came late.
    pub(super) fn settle(self, link: &mut Link) -> Self {
        match self {
            Self::Draining(draining) => {
                if draining.open.is_idle() && link.out.is_empty() {
                    return draining.end(link).settle(link);
                }
                Self::Draining(draining)
            }
            Self::Ending(ending) => {
                let peer_ended = link.peer_end != PeerEnd::NotSeen;
                if ending.shut && (peer_ended || !ending.awaits_peer) {
                    link.finish(ending.reason);
                    return Self::Closed;
                }
                Self::Ending(ending)
            }
            unmoved @ (Self::Handshake(_) | Self::Open(_) | Self::Closed) => unmoved,
        }
    }

    pub(super) fn on_timeout(self, link: &mut Link) -> Self {
        match self {
            Self::Handshake(handshake) => handshake.on_timeout(link),
            Self::Open(mut open) => match open.on_timeout(link) {
                None => Self::Open(open),
                Some(reason @ CloseReason::Idle { .. }) => Self::drain(link, open, reason),
                Some(reason) => {
                    // Nobody is there to be told anything.
                    open.lose_calls(link);
                    link.finish(reason);
                    Self::Closed
                }
            },
            Self::Draining(mut draining) => match draining.open.on_timeout(link) {
                None if link.now >= draining.until => draining.end(link),
                None => Self::Draining(draining),
                Some(_) => {
                    draining.open.lose_calls(link);
                    link.finish(draining.reason);
                    Self::Closed
                }
            },
            Self::Ending(ending) if link.now >= ending.until => {
                link.finish(ending.reason);
                Self::Closed
            }
            unmoved @ (Self::Ending(_) | Self::Closed) => unmoved,
        }
    }

    pub(super) fn next_deadline(&self, link: &Link) -> Option<Deadline> {
        match self {
            Self::Handshake(handshake) => Some(handshake.next_deadline()),
            Self::Open(open) => Some(open.next_deadline(link)),
            Self::Draining(draining) => {
                let inner = draining.open.next_deadline(link);
                if inner.at < draining.until {
                    Some(inner)
                } else {
                    Some(Deadline { at: draining.until, why: Timer::Drain })
                }
            }
            Self::Ending(ending) => Some(Deadline { at: ending.until, why: Timer::Linger }),
            Self::Closed => None,
        }
    }

    /// False while nothing that comes in could be acted upon.
    pub(super) fn wants_read(&self) -> bool {
        match self {
            Self::Handshake(handshake) => handshake.wants_read(),
            Self::Open(_) | Self::Draining(_) | Self::Ending(_) => true,
            Self::Closed => false,
        }
    }

    pub(super) fn wants_shutdown(&self, link: &Link) -> bool {
        matches!(self, Self::Ending(ending) if !ending.shut && link.out.is_empty())
    }

    pub(super) fn shutdown_done(&mut self) {
        if let Self::Ending(ending) = self {
            ending.shut = true;
        }
    }

    pub(super) fn open(&self) -> Option<&Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Draining(draining) => Some(&draining.open),
            Self::Handshake(_) | Self::Ending(_) | Self::Closed => None,
        }
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Draining(draining) => Some(&mut draining.open),
            Self::Handshake(_) | Self::Ending(_) | Self::Closed => None,
        }
    }
}

impl Draining {
    /// What is under way has finished, or has had its time.
    fn end(mut self, link: &mut Link) -> Phase {
        self.open.lose_calls(link);
        Phase::Ending(Ending {
            awaits_peer: self.open.dialect() == Dialect::Cndt,
            ..Ending::new(link, self.reason)
        })
    }
}

impl Ending {
    pub(super) fn new(link: &Link, reason: CloseReason) -> Self {
        let until = link.now + link.config.limits.linger;
        Self { reason, until, awaits_peer: false, shut: false }
    }
}
