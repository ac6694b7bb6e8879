//! The server's half. It derives no keys: a login costs it a few hashes, right or wrong.

use alloc::boxed::Box;

use super::transcript::Transcript;
use super::{Next, check_header, open, own_caps, own_identity, own_mechanisms, reject, unexpected};
use crate::auth::scram::{
    BindingFlag, ClientFinal, ClientFirst, ServerFinal, ServerFirst, Verifier, auth_message,
};
use crate::auth::{Access, Entropy, UserName};
use crate::connection::event::{CloseReason, LoginFault, LoginRejection, Violation};
use crate::connection::link::Link;
use crate::connection::phase::{Ending, Phase};
use crate::connection::send_buffer::Class;
use crate::message::MessageError;
use crate::message::auth::{
    self, Caps, Challenge, Failure, Identity, RefusalCode, Request, Response, Success,
};
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

/// A server that waits for the client's next word.
#[derive(Debug)]
pub(in crate::connection) struct ServerLogin {
    entropy: Entropy,
    vacancy: Vacancy,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Waits for the request.
    Waiting(Access),
    /// Dialect `cndt`: waits for the proof.
    Challenged(Box<Challenged>),
    /// Wrong: says so when the time has come.
    Refusing(Refusal),
}

#[derive(Debug)]
struct Challenged {
    verifier: Verifier,
    first: ClientFirst,
    server: ServerFirst,
    transcript: [u8; 32],
    client: Identity,
    caps: Caps,
    correlation: u64,
}

/// Whom to tell what, and when.
#[derive(Debug)]
struct Refusal {
    at: Instant,
    dialect: Dialect,
    correlation: u64,
}

impl ServerLogin {
    pub(in crate::connection) fn new(access: Access, entropy: Entropy) -> Self {
        Self { entropy, vacancy: Vacancy::Room, stage: Stage::Waiting(access) }
    }

    pub(super) fn set_vacancy(&mut self, vacancy: Vacancy) {
        self.vacancy = vacancy;
    }

    pub(super) fn refuses_at(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Refusing(refusal) => Some(refusal.at),
            Stage::Waiting(_) | Stage::Challenged(_) => None,
        }
    }

    pub(super) fn refuse_now(self, link: &mut Link) -> Phase {
        let rejection = LoginRejection::WrongPassword;
        match self.stage {
            Stage::Refusing(refusal) => {
                refuse(link, refusal.dialect, refusal.correlation, rejection)
            }
            Stage::Waiting(_) | Stage::Challenged(_) => {
                link.finish(CloseReason::LoginRejected(rejection));
                Phase::Closed
            }
        }
    }

    pub(super) fn on_frame(mut self, link: &mut Link, frame: &Frame) -> Next<Self> {
        let kind = frame.header.kind;
        let verdict = match (self.stage, kind) {
            (Stage::Waiting(access), Kind::AuthRequest) => match frame.dialect {
                Dialect::Netconduit => judge_netconduit(link, frame, &access, self.vacancy),
                Dialect::Cndt => challenge(link, frame, &access, &self.entropy),
            },
            (Stage::Challenged(challenged), Kind::AuthResponse) => {
                challenged.judge(link, frame, self.vacancy)
            }
            // Nothing that it sends now matters any more.
            (Stage::Refusing(refusal), _) => Verdict::Stay(Stage::Refusing(refusal)),
            (Stage::Waiting(_) | Stage::Challenged(_), _) => Verdict::Wrong(unexpected(kind)),
        };
        match verdict {
            Verdict::Stay(stage) => {
                self.stage = stage;
                Next::Stay(self)
            }
            Verdict::Welcome { client, verified } => {
                Next::Leave(welcome(link, frame, &self.entropy, client, verified))
            }
            Verdict::Refuse(rejection) => {
                Next::Leave(refuse(link, frame.dialect, frame.header.correlation, rejection))
            }
            Verdict::Wrong(violation) => Next::Leave(wrong(link, frame, violation)),
        }
    }
}

/// What a frame of the client comes to.
enum Verdict {
    Stay(Stage),
    Welcome { client: Identity, verified: Option<Verified> },
    Refuse(LoginRejection),
    Wrong(Violation),
}

/// A proof of dialect `cndt` that was right.
struct Verified {
    user: UserName,
    caps: Caps,
    signature: ServerFinal,
}

impl Verdict {
    /// Holds the answer back for a while.
    fn wrong_password(link: &Link, frame: &Frame) -> Self {
        Self::Stay(Stage::Refusing(Refusal {
            at: link.now + link.config.limits.refusal_delay,
            dialect: frame.dialect,
            correlation: frame.header.correlation,
        }))
    }

    fn fault(frame: &Frame, fault: LoginFault) -> Self {
        Self::Wrong(Violation::Login { kind: frame.header.kind, fault })
    }

    fn unreadable(frame: &Frame, error: MessageError) -> Self {
        Self::Wrong(Violation::Unreadable { kind: frame.header.kind, error })
    }
}

fn judge_netconduit(link: &Link, frame: &Frame, access: &Access, vacancy: Vacancy) -> Verdict {
    if !access.accepts_netconduit() {
        return Verdict::Refuse(LoginRejection::Dialect(frame.dialect));
    }
    let depth_max = link.config.limits.depth_max;
    match auth::read_legacy_request(&frame.payload, depth_max) {
        Err(error) => Verdict::unreadable(frame, error),
        Ok((hash, _)) if !access.admits_legacy(hash) => Verdict::wrong_password(link, frame),
        Ok(_) if vacancy == Vacancy::Full => Verdict::Refuse(LoginRejection::Full),
        Ok((_, client)) => Verdict::Welcome { client, verified: None },
    }
}

/// Answers a request of dialect `cndt`, the same way whether its user exists or not.
fn challenge(link: &mut Link, frame: &Frame, access: &Access, entropy: &Entropy) -> Verdict {
    if let Err(fault) = check_header(frame, None) {
        return Verdict::fault(frame, fault);
    }
    let request = match Request::read(&frame.payload, link.config.limits.depth_max) {
        Ok(request) => request,
        Err(error) => return Verdict::unreadable(frame, error),
    };
    let first = match ClientFirst::parse(request.scram) {
        Ok(first) => first,
        Err(error) => return Verdict::fault(frame, LoginFault::Scram(error)),
    };
    let mechs = own_mechanisms(link);
    let mech = first.flag.mechanism();
    // A client that could bind must not be told that this server cannot when it can.
    let misled = first.flag == BindingFlag::Unoffered && link.config.channel_binding.is_some();
    if misled || !request.mechs.contains(&mech) {
        return Verdict::fault(frame, LoginFault::Mechanism);
    }
    let verifier = access.verifier(&first.user).filter(|_| mechs.contains(&mech));
    let Some(verifier) = verifier else {
        return Verdict::Refuse(LoginRejection::Dialect(frame.dialect));
    };
    let (salt, iterations) = (verifier.salt(), verifier.iterations());
    let server = ServerFirst::new(&first, &entropy.nonce(), salt, iterations);
    let challenge =
        Challenge { mech, mechs: mechs.to_vec(), scram: server.text(), caps: own_caps(link) };
    let correlation = frame.header.correlation;
    let sent = link.write_login(Kind::AuthChallenge, correlation, |out| challenge.write(out));
    Verdict::Stay(Stage::Challenged(Box::new(Challenged {
        verifier,
        transcript: Transcript::begun_by_frame(frame).with(&sent).hash(),
        client: request.client,
        caps: request.caps,
        first,
        server,
        correlation,
    })))
}

impl Challenged {
    fn judge(self, link: &Link, frame: &Frame, vacancy: Vacancy) -> Verdict {
        if let Err(fault) = check_header(frame, Some(self.correlation)) {
            return Verdict::fault(frame, fault);
        }
        let response = match Response::read(&frame.payload, link.config.limits.depth_max) {
            Ok(response) => response,
            Err(error) => return Verdict::unreadable(frame, error),
        };
        let last = match ClientFinal::parse(response.scram) {
            Ok(last) => last,
            Err(error) => return Verdict::fault(frame, LoginFault::Scram(error)),
        };
        let binding = link.config.channel_binding.as_ref();
        let signed = auth_message(&self.first, &self.server, last.received_without_proof());
        // All of it is looked at in any case, and none of it told apart.
        let same_exchange = last.continues(&self.first, &self.server, binding);
        let same_transcript = last.transcript == Some(self.transcript);
        let proven = self.verifier.accepts(signed.as_bytes(), &last.proof);
        if !(same_exchange & same_transcript & proven) {
            return Verdict::wrong_password(link, frame);
        }
        if vacancy == Vacancy::Full {
            return Verdict::Refuse(LoginRejection::Full);
        }
        let signature = self.verifier.server_signature(signed.as_bytes());
        let verified = Verified {
            user: self.first.user,
            caps: self.caps,
            signature: ServerFinal { signature },
        };
        Verdict::Welcome { client: self.client, verified: Some(verified) }
    }
}

fn welcome(
    link: &mut Link,
    frame: &Frame,
    entropy: &Entropy,
    client: Identity,
    verified: Option<Verified>,
) -> Phase {
    let token = entropy.session_token();
    let token = core::str::from_utf8(&token).unwrap_or_default();
    let server = own_identity(link);
    match verified {
        Some(Verified { user, caps, signature }) => {
            let scram = signature.text();
            let success = Success { scram: &scram, session_token: token, server };
            let correlation = frame.header.correlation;
            link.write_login(Kind::AuthSuccess, correlation, |out| success.write(out));
            Phase::Open(open(link, Dialect::Cndt, Some(user), client, Some(caps)))
        }
        None => {
            let dialect = Dialect::Netconduit;
            let envelope = link.envelope(dialect, Kind::AuthSuccess, Flags::empty(), 0);
            let _ = link.write(Class::Control, envelope, |out, _| {
                auth::write_legacy_success(out, token, &server.name, &server.version);
                Ok(())
            });
            let mut open = open(link, dialect, None, client, None);
            open.wait_for_peer(link);
            Phase::Open(open)
        }
    }
}

/// Tells the peer in words that give nothing away, and ends.
fn refuse(link: &mut Link, dialect: Dialect, correlation: u64, rejection: LoginRejection) -> Phase {
    let failure = match rejection {
        // The Python package's own words.
        LoginRejection::WrongPassword => Failure::new("Invalid password", RefusalCode::AuthFailed),
        LoginRejection::Dialect(_) => {
            Failure::new("This kind of login is not accepted", RefusalCode::MechRequired)
        }
        LoginRejection::Full => Failure {
            retry_after: Some(link.config.limits.busy_retry_after),
            ..Failure::new("Server is full", RefusalCode::Busy)
        },
    };
    tell(link, dialect, correlation, &failure);
    Phase::Ending(Ending::new(link, CloseReason::LoginRejected(rejection)))
}

/// A peer that speaks dialect `cndt` but not its login is told so much; others get no answer.
fn wrong(link: &mut Link, frame: &Frame, violation: Violation) -> Phase {
    match frame.dialect {
        Dialect::Netconduit => reject(link, violation),
        Dialect::Cndt => {
            let failure = Failure::new("The login is malformed", RefusalCode::Protocol);
            tell(link, frame.dialect, frame.header.correlation, &failure);
            Phase::Ending(Ending::new(link, CloseReason::Violation(violation)))
        }
    }
}

fn tell(link: &mut Link, dialect: Dialect, correlation: u64, failure: &Failure) {
    let correlation = match dialect {
        Dialect::Cndt => correlation,
        Dialect::Netconduit => 0,
    };
    let envelope = link.envelope(dialect, Kind::AuthFailure, Flags::empty(), correlation);
    let _ = link.write(Class::Control, envelope, |out, _| {
        failure.write(out);
        Ok(())
    });
}
