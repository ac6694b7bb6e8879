//! Logging in, both roles. Dialect `netconduit`: one request, one answer (wire facts 1 and 2).

use super::event::{CloseReason, Event, LoginRejection, Opened, PhaseName, Violation};
use super::link::Link;
use super::open::Open;
use super::phase::{Ending, Phase};
use super::send_buffer::Class;
use crate::auth::{Access, Credentials, Entropy, write_hex};
use crate::message::auth::{self, Identity};
use crate::time::Instant;
use crate::wire::{Dialect, Flags, Frame, Kind};

/// Whether a server has room for one more connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Vacancy {
    /// A right login is accepted.
    #[default]
    Room,
    /// A right login is refused with the reason that the server is full.
    Full,
}

#[derive(Debug)]
pub(super) enum Handshake {
    /// The request is on its way.
    Client { deadline: Instant },
    /// Waits for the client's request.
    Server { deadline: Instant, access: Access, entropy: Entropy, vacancy: Vacancy },
}

impl Handshake {
    pub(super) fn client(link: &mut Link, credentials: &Credentials) -> Self {
        let dialect = credentials.dialect();
        let hash = credentials.legacy_hash();
        let (name, version) = (link.config.name.clone(), link.config.version.clone());
        let envelope = link.envelope(dialect, Kind::AuthRequest, Flags::empty(), 0);
        // The parts were validated with the configuration, so this frame always fits.
        let _ = link.write(Class::Control, envelope, |out| {
            auth::write_legacy_request(out, hash.as_str(), &name, &version);
            Ok(())
        });
        Self::Client { deadline: link.now + link.config.auth_timeout }
    }

    pub(super) fn server(link: &Link, access: Access, entropy: Entropy) -> Self {
        let deadline = link.now + link.config.auth_timeout;
        Self::Server { deadline, access, entropy, vacancy: Vacancy::Room }
    }

    pub(super) fn set_vacancy(&mut self, value: Vacancy) {
        if let Self::Server { vacancy, .. } = self {
            *vacancy = value;
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self {
            Self::Client { deadline } | Self::Server { deadline, .. } => *deadline,
        }
    }

    pub(super) fn on_frame(self, link: &mut Link, frame: &Frame) -> Phase {
        if frame.header.flags.contains(Flags::COMPRESSED) {
            // Nobody gets to make us inflate anything before login.
            return reject(link, unexpected(frame.header.kind));
        }
        match self {
            Self::Client { .. } => client_frame(link, frame),
            Self::Server { access, entropy, vacancy, .. } => {
                server_frame(link, frame, &access, &entropy, vacancy)
            }
        }
    }
}

fn client_frame(link: &mut Link, frame: &Frame) -> Phase {
    let depth_max = link.config.limits.depth_max;
    match frame.header.kind {
        Kind::AuthSuccess => match auth::read_success(&frame.payload, depth_max) {
            Ok(server) => {
                let mut open = open(link, frame.dialect, server);
                // Speaking first tells the server that this side listens by now.
                open.ping(link);
                Phase::Open(open)
            }
            Err(error) => reject(link, Violation::Unreadable { kind: Kind::AuthSuccess, error }),
        },
        Kind::AuthFailure => match auth::read_failure(&frame.payload, depth_max) {
            Ok(reason) => {
                link.finish(CloseReason::LoginRefused { reason });
                Phase::Closed
            }
            Err(error) => reject(link, Violation::Unreadable { kind: Kind::AuthFailure, error }),
        },
        other => reject(link, unexpected(other)),
    }
}

fn server_frame(
    link: &mut Link,
    frame: &Frame,
    access: &Access,
    entropy: &Entropy,
    vacancy: Vacancy,
) -> Phase {
    if frame.header.kind != Kind::AuthRequest {
        return reject(link, unexpected(frame.header.kind));
    }
    if frame.dialect != Dialect::Netconduit || !access.accepts_netconduit() {
        return refuse(link, frame.dialect, LoginRejection::Dialect(frame.dialect));
    }
    let depth_max = link.config.limits.depth_max;
    let (hash, client) = match auth::read_legacy_request(&frame.payload, depth_max) {
        Ok(request) => request,
        Err(error) => {
            return reject(link, Violation::Unreadable { kind: Kind::AuthRequest, error });
        }
    };
    if !access.admits_legacy(hash) {
        return refuse(link, frame.dialect, LoginRejection::WrongPassword);
    }
    match vacancy {
        Vacancy::Full => refuse(link, frame.dialect, LoginRejection::Full),
        Vacancy::Room => {
            welcome(link, frame.dialect, entropy);
            let mut open = open(link, frame.dialect, client);
            open.wait_for_peer(link);
            Phase::Open(open)
        }
    }
}

fn welcome(link: &mut Link, dialect: Dialect, entropy: &Entropy) {
    let mut token = [0; 128];
    write_hex(&entropy.0, &mut token);
    let (name, version) = (link.config.name.clone(), link.config.version.clone());
    let envelope = link.envelope(dialect, Kind::AuthSuccess, Flags::empty(), 0);
    let _ = link.write(Class::Control, envelope, |out| {
        let token = core::str::from_utf8(&token).unwrap_or_default();
        auth::write_success(out, token, &name, &version);
        Ok(())
    });
}

fn open(link: &mut Link, dialect: Dialect, peer: Identity) -> alloc::boxed::Box<Open> {
    link.decoder.set_frame_max(link.config.limits.frame_max);
    link.events.push(Event::Opened(Opened {
        dialect,
        peer_name: peer.name,
        peer_version: peer.version,
        handshake: link.now.since(link.started),
    }));
    alloc::boxed::Box::new(Open::new(link, dialect))
}

/// Tells the peer in words that give nothing away, and ends.
fn refuse(link: &mut Link, dialect: Dialect, rejection: LoginRejection) -> Phase {
    let words = match rejection {
        // The Python package's own words.
        LoginRejection::WrongPassword => "Invalid password",
        LoginRejection::Dialect(_) => "Dialect not accepted",
        LoginRejection::Full => "Server is full",
    };
    let envelope = link.envelope(dialect, Kind::AuthFailure, Flags::empty(), 0);
    let _ = link.write(Class::Control, envelope, |out| {
        auth::write_failure(out, words);
        Ok(())
    });
    Phase::Ending(Ending::new(link, CloseReason::LoginRejected(rejection)))
}

/// A stranger gets no answer.
fn reject(link: &mut Link, violation: Violation) -> Phase {
    link.finish(CloseReason::Violation(violation));
    Phase::Closed
}

fn unexpected(kind: Kind) -> Violation {
    Violation::Unexpected { kind, phase: PhaseName::Handshake }
}
