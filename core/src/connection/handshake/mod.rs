//! Logging in, both roles and both dialects.
//!
//! Dialect `netconduit`: one request, one answer (wire facts 1 and 2). Dialect `cndt`: the four
//! messages of SCRAM-SHA-256, bound to every byte that both sides have seen.

mod client;
mod server;
mod transcript;

use alloc::boxed::Box;

pub(super) use client::ClientLogin;
pub(super) use server::ServerLogin;
pub use server::Vacancy;

use super::event::{CloseReason, Deadline, Event, LoginFault, Opened, PhaseName, Timer, Violation};
use super::link::Link;
use super::open::Open;
use super::phase::Phase;
use crate::auth::UserName;
use crate::auth::scram::{BindingFlag, Keys};
use crate::message::auth::{Caps, Identity};
use crate::time::Instant;
use crate::wire::{Dialect, Flags, Frame, Kind};

#[derive(Debug)]
pub(super) struct Handshake {
    /// All of it must be done by then, whatever progress it makes.
    deadline: Instant,
    role: Role,
}

#[derive(Debug)]
enum Role {
    Client(ClientLogin),
    Server(ServerLogin),
}

impl Handshake {
    pub(super) fn client(link: &Link, login: ClientLogin) -> Self {
        Self { deadline: link.now + link.config.auth_timeout, role: Role::Client(login) }
    }

    pub(super) fn server(link: &Link, login: ServerLogin) -> Self {
        Self { deadline: link.now + link.config.auth_timeout, role: Role::Server(login) }
    }

    pub(super) fn set_vacancy(&mut self, vacancy: Vacancy) {
        if let Role::Server(login) = &mut self.role {
            login.set_vacancy(vacancy);
        }
    }

    /// False while nothing that comes in could be acted upon.
    pub(super) fn wants_read(&self) -> bool {
        match &self.role {
            Role::Client(login) => !login.is_deriving(),
            Role::Server(login) => login.refuses_at().is_none(),
        }
    }

    /// Whether these keys were asked for.
    pub(super) fn awaits(&self, keys: &Keys) -> bool {
        matches!(&self.role, Role::Client(login) if login.awaits(keys))
    }

    /// Goes on with keys that were asked for.
    pub(super) fn derived(self, link: &mut Link, keys: Keys) -> Self {
        let Self { deadline, role } = self;
        let role = match role {
            Role::Client(login) => Role::Client(login.derived(link, keys)),
            Role::Server(login) => Role::Server(login),
        };
        Self { deadline, role }
    }

    pub(super) fn next_deadline(&self) -> Deadline {
        let refusal = match &self.role {
            Role::Server(login) => login.refuses_at(),
            Role::Client(_) => None,
        };
        match refusal {
            Some(at) => Deadline { at, why: Timer::Refusal },
            None => Deadline { at: self.deadline, why: Timer::Auth },
        }
    }

    pub(super) fn on_timeout(self, link: &mut Link) -> Phase {
        let due = self.next_deadline();
        if link.now < due.at {
            return Phase::Handshake(Box::new(self));
        }
        match self.role {
            Role::Server(login) if due.why == Timer::Refusal => login.refuse_now(link),
            Role::Server(_) | Role::Client(_) => {
                link.finish(CloseReason::AuthTimeout { after: link.config.auth_timeout });
                Phase::Closed
            }
        }
    }

    /// Why the connection ends when the peer's stream ends now.
    pub(super) fn on_peer_end(&self) -> CloseReason {
        match &self.role {
            Role::Client(_) => CloseReason::LoginUnanswered,
            Role::Server(_) => CloseReason::Peer,
        }
    }

    pub(super) fn on_frame(self, link: &mut Link, frame: &Frame) -> Phase {
        if frame.header.flags.contains(Flags::COMPRESSED) {
            // Nobody gets to make us inflate anything before login.
            return reject(link, unexpected(frame.header.kind));
        }
        let Self { deadline, role } = self;
        let next = match role {
            Role::Client(login) => login.on_frame(link, frame).map(Role::Client),
            Role::Server(login) => login.on_frame(link, frame).map(Role::Server),
        };
        match next {
            Next::Stay(role) => Phase::Handshake(Box::new(Self { deadline, role })),
            Next::Leave(phase) => phase,
        }
    }
}

/// What follows a frame.
enum Next<L> {
    Stay(L),
    Leave(Phase),
}

impl<L> Next<L> {
    fn map<T>(self, f: impl FnOnce(L) -> T) -> Next<T> {
        match self {
            Self::Stay(login) => Next::Stay(f(login)),
            Self::Leave(phase) => Next::Leave(phase),
        }
    }
}

/// What this side can take.
fn own_caps(link: &Link) -> Caps {
    Caps {
        frame_max: u32::try_from(link.config.limits.frame_max).unwrap_or(u32::MAX),
        zlib: link.compression && cfg!(feature = "compress"),
    }
}

fn own_identity(link: &Link) -> Identity {
    Identity { name: link.config.name.clone(), version: link.config.version.clone() }
}

/// The mechanisms that this side can use, best first.
fn own_mechanisms(link: &Link) -> &'static [&'static str] {
    const PLUS: &str = BindingFlag::TlsExporter.mechanism();
    const PLAIN: &str = BindingFlag::None.mechanism();
    if link.config.channel_binding.is_some() { &[PLUS, PLAIN] } else { &[PLAIN] }
}

/// The peer has logged in, or has let this side in.
fn open(
    link: &mut Link,
    dialect: Dialect,
    user: Option<UserName>,
    peer: Identity,
    caps: Option<Caps>,
) -> Box<Open> {
    link.decoder.set_frame_max(link.config.limits.frame_max);
    if let Some(caps) = caps {
        let frame_max = usize::try_from(caps.frame_max).unwrap_or(usize::MAX);
        link.frame_max = link.frame_max.min(frame_max);
        link.compression &= caps.zlib;
    }
    link.events.push(Event::Opened(Opened {
        dialect: Some(dialect),
        user,
        peer_name: peer.name,
        peer_version: peer.version,
        handshake: link.now.since(link.started),
    }));
    Box::new(Open::new(link, dialect))
}

/// In dialect `cndt` every byte of a login counts, so those without a meaning must be 0, and one
/// correlation id ties its frames together.
fn check_header(frame: &Frame, correlation: Option<u64>) -> Result<(), LoginFault> {
    let header = &frame.header;
    if !header.flags.is_empty() || header.unknown_flags != 0 || header.reserved != 0 {
        return Err(LoginFault::OddHeader);
    }
    let found = header.correlation;
    if found == 0 || correlation.is_some_and(|expected| expected != found) {
        return Err(LoginFault::Correlation(found));
    }
    Ok(())
}

/// A stranger gets no answer.
fn reject(link: &mut Link, violation: Violation) -> Phase {
    link.finish(CloseReason::Violation(violation));
    Phase::Closed
}

fn unexpected(kind: Kind) -> Violation {
    Violation::Unexpected { kind, phase: PhaseName::Handshake }
}
