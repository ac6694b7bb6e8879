use alloc::string::String;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use super::shared::Format;
use crate::auth::UserName;
use crate::auth::scram::{Derivation, ScramError};
use crate::message::auth::{Failure, RefusalCode};
use crate::message::{MessageError, Text};
use crate::rpc::{Reply, RpcError};
use crate::time::Instant;
use crate::wire::{Dialect, Kind, WireError};

/// One of this side's calls; unique within its connection, in the order of issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(crate) u64);

impl CallId {
    /// The correlation id that stands on the wire.
    pub const fn correlation(self) -> u64 {
        self.0
    }
}

/// One of the peer's requests that wants an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

impl RequestId {
    /// The correlation id that stands on the wire.
    pub const fn correlation(self) -> u64 {
        self.0
    }
}

/// The number of a message that was queued for sending; see `Connection::sent_through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SendId(pub(crate) u64);

impl SendId {
    /// Messages are numbered from 1 on each connection.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What a connection tells its driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client of dialect `cndt` needs keys for its login: run this where waiting does no harm,
    /// and hand them in by `Connection::derived`.
    Derive(Derivation),
    /// The login succeeded; comes before everything else but [`Event::Derive`].
    Opened(Opened),
    /// The peer sent a message.
    Message(Message),
    /// The peer calls a method; answer by `Connection::respond` or `respond_error`.
    Request(Request),
    /// The peer does not want the answer to this request any more, and has been told that it gets
    /// none: stop working on it. Only for requests that were delivered.
    Cancelled(RequestId),
    /// One of this side's calls has its outcome. Each call gets exactly one.
    Finished {
        /// Which call.
        call: CallId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A ping was answered after this time.
    Pong {
        /// The round trip, the peer's reading and writing included.
        round_trip: Duration,
    },
    /// There is room again after a command was answered by [`SendError::Blocked`].
    Writable,
    /// The connection is over; comes once and last (unless `Connection::poll_outcome` has passed
    /// over messages and requests: those may still be taken). Every call had its outcome before.
    Closed(Closed),
}

/// What the application gets: an [`Event::Message`] or an [`Event::Request`] that was taken together
/// with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The peer sent a message.
    Message(Message),
    /// The peer calls a method.
    Request(Request),
}

impl From<Delivery> for Event {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Message(message) => Self::Message(message),
            Delivery::Request(request) => Self::Request(request),
        }
    }
}

/// What is known of a peer once it has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The dialect of the connection; `None` if it is none of CNDT, but JSON-RPC.
    pub dialect: Option<Dialect>,
    /// Who has logged in; `None` in dialect `netconduit`, which knows no users.
    pub user: Option<UserName>,
    /// The peer's own name; empty if it gave none.
    pub peer_name: String,
    /// The peer's own version; empty if it gave none.
    pub peer_version: String,
    /// How long the handshake took.
    pub handshake: Duration,
}

/// A message from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The type that handlers are registered for.
    pub name: Text,
    /// The data, as one MessagePack value.
    pub data: Bytes,
    /// When the peer says it sent it, in unix milliseconds; informational.
    pub timestamp: u64,
}

/// A call by the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Hand it back with the answer.
    pub id: RequestId,
    /// The method's name.
    pub method: Text,
    /// The parameters, as one MessagePack value.
    pub params: Bytes,
    /// When the peer says it sent it, in unix milliseconds; informational.
    pub timestamp: u64,
}

/// How a call ended.
pub type Outcome = Result<Reply, CallFailure>;

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// The peer's application says so.
    #[error("the peer answered with error {0}")]
    Remote(RpcError),
    /// No answer came in time. The call may have been executed.
    #[error("no answer within {after:?}; the call may have been executed")]
    TimedOut {
        /// The time that it had.
        after: Duration,
    },
    /// The connection ended first.
    #[error("the connection ended before the answer came; {}", sent_words(*.sent))]
    ConnectionLost {
        /// Whether any byte of the call had been handed to the transport. If not, it cannot have
        /// been executed and may safely be repeated.
        sent: bool,
    },
    /// The answer came but cannot be read.
    #[error("the answer cannot be read: {0}")]
    Unreadable(MessageError),
    /// The peer refused the message whose acknowledgement was asked for.
    #[error("the peer refused the message")]
    Refused,
}

fn sent_words(sent: bool) -> &'static str {
    if sent { "it may have been executed" } else { "it was not sent" }
}

/// How and why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Why.
    pub reason: CloseReason,
    /// Messages that were queued but not handed to the transport as a whole: those numbered from
    /// `Connection::sent_through` plus one. Those that were dropped for newer ones count as well.
    pub unsent: u64,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed by this side")]
    Local,
    /// The peer closed it.
    #[error("closed by the peer")]
    Peer,
    /// The server refused the login.
    #[error("the server refused the login: {}; {}", .0.reason, advice(.0.code))]
    LoginRefused(Failure),
    /// The server ended the connection instead of answering the login. A server that speaks another
    /// dialect may do so.
    #[error(
        "the peer ended the connection instead of answering the login; speaks it this dialect?"
    )]
    LoginUnanswered,
    /// The server speaks the other dialect.
    #[error("the peer speaks dialect {0}; choose it explicitly if that is what you want")]
    OtherDialect(Dialect),
    /// The client's login was wrong (as the server sees it).
    #[error("the peer's login was refused: {0}")]
    LoginRejected(LoginRejection),
    /// The handshake was not finished in time.
    #[error("no login within {after:?}; is the other side a CNDT peer, and has it a free slot?")]
    AuthTimeout {
        /// The time that it had.
        after: Duration,
    },
    /// No complete frame came for so long.
    #[error("no sign of life for {after:?}")]
    HeartbeatTimeout {
        /// The configured limit.
        after: Duration,
    },
    /// The peer asked to pause and never to go on.
    #[error("the peer kept this side paused for {after:?}")]
    PausedTooLong {
        /// `Limits::pause_max`.
        after: Duration,
    },
    /// The peer began a frame and did not finish it.
    #[error("a frame that began {after:?} ago is still incomplete")]
    FrameTimeout {
        /// The time that it had.
        after: Duration,
    },
    /// Bytes waited to be sent, and the transport took none for so long: the peer does not read.
    #[error("the peer took no bytes for {after:?}")]
    Stalled {
        /// `Limits::stall_max`.
        after: Duration,
    },
    /// A message had no room, and was sent with `Overflow::Disconnect`.
    #[error("the peer reads more slowly than messages are sent to it")]
    TooSlow,
    /// Nothing but heartbeats passed for so long.
    #[error("nothing was sent or asked for {after:?}")]
    Idle {
        /// `Limits::idle_timeout`.
        after: Duration,
    },
    /// The bytes are no frames.
    #[error("{0}")]
    Wire(WireError),
    /// The bytes are no JSON-RPC, and nobody knows where the next text begins.
    #[error("the peer sent no JSON-RPC: {0}")]
    Text(crate::jsonrpc::TextError),
    /// The frames break the rules.
    #[error("the peer broke the protocol: {0}")]
    Violation(Violation),
    /// The transport failed.
    #[error("the connection was lost")]
    TransportLost,
}

fn advice(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::AuthFailed => "check user and password",
        RefusalCode::MechRequired => "choose the other dialect explicitly if you mean it",
        RefusalCode::Busy => "try again later",
        RefusalCode::Protocol => "the two sides disagree about the protocol",
        RefusalCode::Unspecified => "check the password",
    }
}

/// Why a server refused a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginRejection {
    /// The proof does not fit, or the user is unknown.
    #[error("wrong user or password")]
    WrongPassword,
    /// The server does not take this dialect.
    #[error("dialect {0} is not accepted here")]
    Dialect(Dialect),
    /// The server has no room, see `Connection::set_vacancy`.
    #[error("the server is full")]
    Full,
}

/// What a peer did that no peer may do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A frame that has no place in this phase.
    #[error("{} is not allowed {phase}", .kind.name())]
    Unexpected {
        /// The frame's type.
        kind: Kind,
        /// When it came.
        phase: PhaseName,
    },
    /// A frame that this side cannot read.
    #[error("{} cannot be read: {error}", .kind.name())]
    Unreadable {
        /// The frame's type.
        kind: Kind,
        /// What is wrong with it.
        error: MessageError,
    },
    /// A login of dialect `cndt` that does not follow its rules.
    #[error("{} is wrong: {fault}", .kind.name())]
    Login {
        /// The frame's type.
        kind: Kind,
        /// What is wrong with it.
        fault: LoginFault,
    },
    /// An answer to a call that was never made.
    #[error("an answer to call {correlation}, which was never made")]
    UnknownCall {
        /// The correlation id.
        correlation: u64,
    },
    /// A request under the id of one that is still open, or under 0.
    #[error("request id {correlation} is already in use, or 0")]
    RequestIdInUse {
        /// The correlation id.
        correlation: u64,
    },
    /// Too much misuse in too little time; the last one is named.
    #[error("misuse {count} times within {within:?}, last: {last}")]
    TooManyStrikes {
        /// How often.
        count: u32,
        /// `Limits::strikes_window`.
        within: Duration,
        /// The last one.
        last: Strike,
    },
}

/// What can be wrong with a login of dialect `cndt`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    /// Flags or reserved bytes that are not 0.
    #[error("flags and reserved bytes must be 0 before login")]
    OddHeader,
    /// A correlation id of 0, or another one than the login began with.
    #[error("correlation id {0} is not that of the login, or 0")]
    Correlation(u64),
    /// Not a SCRAM message.
    #[error("{0}")]
    Scram(ScramError),
    /// A mechanism that was not offered, or does not fit the message.
    #[error("a mechanism was chosen that does not fit what was offered")]
    Mechanism,
    /// A number of iterations outside of `Limits::iterations_min` and `iterations_max`.
    #[error("{iterations} iterations are asked for; {min} to {max} are accepted")]
    Iterations {
        /// What the server asks for.
        iterations: u32,
        /// `Limits::iterations_min`.
        min: u32,
        /// `Limits::iterations_max`.
        max: u32,
    },
    /// Fewer iterations than this server asked for before.
    #[error("the server asks for {iterations} iterations, and asked for {before} before")]
    Weakened {
        /// What the server asks for.
        iterations: u32,
        /// What it asked for before.
        before: u32,
    },
    /// The server's signature is wrong: it does not know the password's verifier.
    #[error("the server did not prove that it knows the password; it may be an impostor")]
    ServerUnproven,
}

/// Misuse that a connection survives, until it happens too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Strike {
    /// A frame of a type that no one knows.
    #[error("unknown frame type {0}")]
    UnknownKind(u16),
    /// A frame whose payload cannot be read.
    #[error("unreadable payload")]
    Unreadable,
    /// Pings far faster than any heartbeat.
    #[error("pings too fast")]
    PingFlood,
    /// Pause and resume in turn, far faster than any queue fills.
    #[error("pause and resume too fast")]
    PauseFlood,
    /// An answer to a call that has its answer.
    #[error("a second answer to one call")]
    DuplicateAnswer,
}

/// The phases of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhaseName {
    /// Logging in.
    Handshake,
    /// Both sides may send.
    Open,
    /// Finishing what is under way.
    Closing,
    /// Over.
    Closed,
}

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "before login",
            Self::Open => "after login",
            Self::Closing => "while closing",
            Self::Closed => "after the end",
        })
    }
}

/// Why a command was not carried out. Nothing was queued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// A queue is full; [`Event::Writable`] says when to try again.
    #[error("the queue is full; wait for Event::Writable")]
    Blocked,
    /// The connection does not take it in this phase.
    #[error("the connection takes no new messages or calls {0}")]
    NotOpen(PhaseName),
    /// The frame would be larger than the limit.
    #[error("the payload has {length} bytes, more than limits.frame_max of one side ({max})")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// The value cannot be written, or the peer could not read it.
    #[error("the value cannot be sent: {0}")]
    Body(#[from] crate::message::BodyError),
    /// The dialect has no frame for that.
    #[error("dialect {dialect} has no {}", .kind.name())]
    NoSuchKind {
        /// What was to be sent.
        kind: Kind,
        /// The connection's dialect.
        dialect: Dialect,
    },
    /// A message that was encoded for other peers.
    #[error("the message was encoded for {frame}, the connection takes {connection}")]
    FormatMismatch {
        /// What the message is.
        frame: Format,
        /// What the connection takes.
        connection: Format,
    },
    /// All correlation ids are used up: connect again.
    #[error("all call ids of this connection are used up; connect again")]
    Exhausted,
    /// There is no such request, or it has been answered.
    #[error("request {0} is not open; it was answered before, or the connection ended")]
    NoSuchRequest(u64),
}

/// When a machine wants to be called next, and which timer asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// Call `handle_timeout` at this point.
    pub at: Instant,
    /// Who asks.
    pub why: Timer,
}

/// The timers of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// The handshake must be done.
    Auth,
    /// A refusal has been held back long enough.
    Refusal,
    /// A freshly joined peer is asked whether it listens.
    JoinProbe,
    /// A call has waited long enough.
    Call,
    /// It is time to ping.
    Ping,
    /// The peer has been silent too long.
    PeerDead,
    /// A frame that has begun must be complete.
    Frame,
    /// Nothing but heartbeats has passed for too long.
    Idle,
    /// The peer must have taken some of what waits.
    Stall,
    /// The peer has kept us paused too long.
    Pause,
    /// Calls under way must be done.
    Drain,
    /// The peer's end must have come.
    Linger,
}
