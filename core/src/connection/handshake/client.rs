//! The client's half.

use alloc::boxed::Box;
use alloc::string::String;

use super::transcript::Transcript;
use super::{Next, check_header, open, own_caps, own_identity, own_mechanisms, reject, unexpected};
use crate::auth::scram::{
    BindingFlag, ClientFinal, ClientFirst, Keys, ServerFinal, ServerFirst, auth_message,
};
use crate::auth::{Credentials, Entropy, PasswordHash, ScramSecret, UserName};
use crate::connection::event::{CloseReason, Event, LoginFault, Violation};
use crate::connection::link::Link;
use crate::connection::phase::Phase;
use crate::connection::send_buffer::Class;
use crate::message::auth::{self, Caps, Challenge, Failure, Request, Response, Success};
use crate::wire::{Dialect, Flags, Frame, Kind};

/// Ties the frames of a login together.
const CORRELATION: u64 = 1;

/// A client that waits for the server's next word, or for its own keys.
#[derive(Debug)]
pub(in crate::connection) struct ClientLogin(Stage);

#[derive(Debug)]
enum Stage {
    /// Dialect `netconduit`: waits for the verdict.
    Netconduit,
    /// Waits for the challenge.
    Requested(Box<Requested>),
    /// Waits for keys.
    Deriving(Box<Challenged>),
    /// Waits for the server's proof.
    Responded(Box<Responded>),
}

#[derive(Debug)]
struct Requested {
    secret: ScramSecret,
    first: ClientFirst,
    transcript: Transcript,
}

#[derive(Debug)]
struct Challenged {
    secret: ScramSecret,
    first: ClientFirst,
    server: ServerFirst,
    transcript: Transcript,
    caps: Caps,
}

#[derive(Debug)]
struct Responded {
    user: UserName,
    keys: Keys,
    signed: String,
    caps: Caps,
}

impl ClientLogin {
    /// Queues the first frame.
    pub(in crate::connection) fn begin(
        link: &mut Link,
        credentials: Credentials,
        entropy: &Entropy,
    ) -> Self {
        Self(match credentials.into_scram() {
            Ok(secret) => Stage::Requested(Box::new(request(link, secret, entropy))),
            Err(hash) => {
                request_netconduit(link, &hash);
                Stage::Netconduit
            }
        })
    }

    pub(super) fn is_deriving(&self) -> bool {
        matches!(self.0, Stage::Deriving(_))
    }

    pub(super) fn awaits(&self, keys: &Keys) -> bool {
        match &self.0 {
            Stage::Deriving(challenged) => {
                let server = &challenged.server;
                server.salt == keys.salt() && server.iterations == keys.iterations()
            }
            Stage::Netconduit | Stage::Requested(_) | Stage::Responded(_) => false,
        }
    }

    pub(super) fn derived(self, link: &mut Link, keys: Keys) -> Self {
        Self(match self.0 {
            Stage::Deriving(challenged) => challenged.respond(link, keys),
            waiting @ (Stage::Netconduit | Stage::Requested(_) | Stage::Responded(_)) => waiting,
        })
    }

    pub(super) fn on_frame(self, link: &mut Link, frame: &Frame) -> Next<Self> {
        let own = match self.0 {
            Stage::Netconduit => Dialect::Netconduit,
            Stage::Requested(_) | Stage::Deriving(_) | Stage::Responded(_) => Dialect::Cndt,
        };
        if frame.dialect != own {
            link.finish(CloseReason::OtherDialect(frame.dialect));
            return Next::Leave(Phase::Closed);
        }
        let kind = frame.header.kind;
        let outcome = match (self.0, kind) {
            (_, Kind::AuthFailure) => return Next::Leave(refused(link, frame)),
            (Stage::Netconduit, Kind::AuthSuccess) => {
                succeed_netconduit(link, frame).map(Next::Leave)
            }
            (Stage::Requested(requested), Kind::AuthChallenge) => requested
                .read_challenge(link, frame)
                .map(|challenged| Next::Stay(Self(challenged.go_on(link)))),
            (Stage::Responded(responded), Kind::AuthSuccess) => {
                responded.succeed(link, frame).map(Next::Leave)
            }
            _ => Err(unexpected(kind)),
        };
        outcome.unwrap_or_else(|violation| Next::Leave(reject(link, violation)))
    }
}

fn request(link: &mut Link, secret: ScramSecret, entropy: &Entropy) -> Requested {
    let flag = match link.config.channel_binding {
        Some(_) => BindingFlag::TlsExporter,
        None => BindingFlag::None,
    };
    let first = ClientFirst::new(flag, secret.user.clone(), &entropy.nonce());
    let text = first.text();
    let request = Request {
        mechs: own_mechanisms(link).to_vec(),
        scram: &text,
        caps: own_caps(link),
        client: own_identity(link),
    };
    let sent = link.write_login(Kind::AuthRequest, CORRELATION, |out| request.write(out));
    Requested { secret, first, transcript: Transcript::begun_by(&sent) }
}

impl Requested {
    fn read_challenge(self, link: &Link, frame: &Frame) -> Result<Challenged, Violation> {
        let Self { secret, first, transcript } = self;
        let kind = Kind::AuthChallenge;
        let wrong = |fault| Violation::Login { kind, fault };
        check_header(frame, Some(CORRELATION)).map_err(wrong)?;
        let limits = &link.config.limits;
        let challenge = Challenge::read(&frame.payload, limits.depth_max)
            .map_err(|error| Violation::Unreadable { kind, error })?;
        let mechanism = first.flag.mechanism();
        if challenge.mech != mechanism || !challenge.mechs.contains(&mechanism) {
            return Err(wrong(LoginFault::Mechanism));
        }
        let server = ServerFirst::parse(challenge.scram, &first)
            .map_err(|error| wrong(LoginFault::Scram(error)))?;
        let iterations = server.iterations;
        let (min, max) = (limits.iterations_min, limits.iterations_max);
        if !(min..=max).contains(&iterations) {
            return Err(wrong(LoginFault::Iterations { iterations, min, max }));
        }
        if let Some(before) = secret.known_iterations().filter(|before| iterations < *before) {
            return Err(wrong(LoginFault::Weakened { iterations, before }));
        }
        let transcript = transcript.with_frame(frame);
        Ok(Challenged { secret, first, server, transcript, caps: challenge.caps })
    }
}

impl Challenged {
    /// Responds where the keys are known, and asks for them where not.
    fn go_on(self, link: &mut Link) -> Stage {
        match self.secret.keys_for(&self.server) {
            Ok(keys) => self.respond(link, keys),
            Err(derivation) => {
                link.events.push(Event::Derive(derivation));
                Stage::Deriving(Box::new(self))
            }
        }
    }

    fn respond(self, link: &mut Link, keys: Keys) -> Stage {
        let Self { secret, first, server, transcript, caps } = self;
        let binding = link.config.channel_binding.as_ref();
        let hash = transcript.hash();
        let without_proof = ClientFinal::without_proof(&first, &server, binding, &hash);
        let signed = auth_message(&first, &server, &without_proof);
        let text = ClientFinal::text(&without_proof, &keys.client_proof(signed.as_bytes()));
        let response = Response { scram: &text };
        link.write_login(Kind::AuthResponse, CORRELATION, |out| response.write(out));
        Stage::Responded(Box::new(Responded { user: secret.user, keys, signed, caps }))
    }
}

impl Responded {
    /// Nothing is believed of the server before its signature is.
    fn succeed(self, link: &mut Link, frame: &Frame) -> Result<Phase, Violation> {
        let kind = Kind::AuthSuccess;
        let wrong = |fault| Violation::Login { kind, fault };
        check_header(frame, Some(CORRELATION)).map_err(wrong)?;
        let success = Success::read(&frame.payload, link.config.limits.depth_max)
            .map_err(|error| Violation::Unreadable { kind, error })?;
        let server =
            ServerFinal::parse(success.scram).map_err(|error| wrong(LoginFault::Scram(error)))?;
        if !self.keys.accepts_server(self.signed.as_bytes(), &server.signature) {
            return Err(wrong(LoginFault::ServerUnproven));
        }
        let user = Some(self.user);
        Ok(Phase::Open(open(link, Dialect::Cndt, user, success.server, Some(self.caps))))
    }
}

fn refused(link: &mut Link, frame: &Frame) -> Phase {
    match Failure::read(&frame.payload, link.config.limits.depth_max) {
        Ok(failure) => {
            link.finish(CloseReason::LoginRefused(failure));
            Phase::Closed
        }
        Err(error) => reject(link, Violation::Unreadable { kind: Kind::AuthFailure, error }),
    }
}

fn request_netconduit(link: &mut Link, hash: &PasswordHash) {
    let (name, version) = (link.config.name.clone(), link.config.version.clone());
    let envelope = link.envelope(Dialect::Netconduit, Kind::AuthRequest, Flags::empty(), 0);
    // The parts were validated with the configuration, so this frame always fits.
    let _ = link.write(Class::Control, envelope, |out, _| {
        auth::write_legacy_request(out, hash.as_str(), &name, &version);
        Ok(())
    });
}

fn succeed_netconduit(link: &mut Link, frame: &Frame) -> Result<Phase, Violation> {
    let server = auth::read_legacy_success(&frame.payload, link.config.limits.depth_max)
        .map_err(|error| Violation::Unreadable { kind: Kind::AuthSuccess, error })?;
    let mut open = open(link, Dialect::Netconduit, None, server, None);
    // Speaking first tells the server that this side listens by now.
    open.ping(link);
    Ok(Phase::Open(open))
}
