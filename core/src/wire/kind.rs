//! What frames are for: the types of both dialects under one set of names.

use super::Dialect;
use core::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $cndt:tt $netconduit:tt;)*) => {
        /// What a frame is for, whatever its code in either dialect.
        ///
        /// Codes are wire facts, save those of dialect `cndt` from 0x21 on, which the format left
        /// free and this project assigned.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
            /// A code that the dialect does not define. No error here: the frame can be skipped.
            Unknown(u16),
        }

        impl Kind {
            /// Every kind that has a name, in no order that means anything.
            pub const ALL: [Self; 20] = [$(Self::$kind),*];

            /// The name on the wire, as documents and captures write it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                    Self::Unknown(_) => "UNKNOWN",
                }
            }

            /// The code of this kind in `dialect`; `None` where that dialect cannot say it.
            ///
            /// [`Kind::Unknown`] gives its own code back, unless it does not fit the one byte of
            /// dialect `cndt`, or is 0, which that dialect never sends.
            #[must_use]
            pub const fn code(self, dialect: Dialect) -> Option<u16> {
                match (dialect, self) {
                    (Dialect::Cndt, Self::Unknown(0 | 0x100..)) => None,
                    (_, Self::Unknown(code)) => Some(code),
                    $((Dialect::Cndt, Self::$kind) => kinds!(@code $cndt),)*
                    $((Dialect::Netconduit, Self::$kind) => kinds!(@code $netconduit),)*
                }
            }

            const fn from_cndt(code: u16) -> Self {
                $(kinds!(@known $cndt code $kind);)*
                Self::Unknown(code)
            }

            const fn from_netconduit(code: u16) -> Self {
                $(kinds!(@known $netconduit code $kind);)*
                Self::Unknown(code)
            }
        }
    };
    (@code -) => { None };
    (@code $code:literal) => { Some($code) };
    (@known - $value:ident $kind:ident) => {};
    (@known $code:literal $value:ident $kind:ident) => {
        if $value == $code {
            return Self::$kind;
        }
    };
}

// One table, so that the two directions cannot disagree; `-` where a dialect has no such type.
kinds! {
    /// Application data, `{type, data}`.
    Message "MESSAGE" 0x01 0x01;
    /// A call, `{method, params}`.
    RpcRequest "RPC_REQUEST" 0x02 0x02;
    /// The result of a call.
    RpcResponse "RPC_RESPONSE" 0x03 0x03;
    /// The failure of a call.
    RpcError "RPC_ERROR" 0x04 0x04;
    /// A sign of life that asks for one.
    HeartbeatPing "HEARTBEAT_PING" 0x05 0x05;
    /// The answer to a ping.
    HeartbeatPong "HEARTBEAT_PONG" 0x06 0x06;
    /// Asks the peer to stop sending.
    Pause "PAUSE" 0x07 0x0A;
    /// Lets the peer send again.
    Resume "RESUME" 0x08 0x0B;
    /// The client's first frame.
    AuthRequest "AUTH_REQUEST" 0x10 0x07;
    /// The login succeeded.
    AuthSuccess "AUTH_SUCCESS" 0x11 0x08;
    /// The login failed; the server closes.
    AuthFailure "AUTH_FAILURE" 0x12 0x09;
    /// The server's half of a challenge and response.
    AuthChallenge "AUTH_CHALLENGE" 0x13 -;
    /// The client's answer to a challenge.
    AuthResponse "AUTH_RESPONSE" 0x14 -;
    /// The sender is about to close; documents of dialect `cndt` call it DISCONNECT.
    Close "CLOSE" 0x20 0x0E;
    /// The answer to a close.
    CloseAck "CLOSE_ACK" 0x21 0x0F;
    /// A frame with `REQUIRES_ACK` was taken.
    Ack "ACK" 0x22 0x0C;
    /// A frame with `REQUIRES_ACK` was refused.
    Nack "NACK" 0x23 0x0D;
    /// The caller no longer waits for a call.
    Cancel "CANCEL" 0x24 -;
    /// Asks for the list of methods; never sent by any known peer.
    RpcList "RPC_LIST" - 0x10;
    /// The connection failed; the sender closes.
    Error "ERROR" 0xFF -;
}

impl Kind {
    /// The kind that `code` stands for in `dialect`; [`Kind::Unknown`] for a code it does not
    /// define.
    #[must_use]
    pub const fn from_code(dialect: Dialect, code: u16) -> Self {
        match dialect {
            Dialect::Cndt => Self::from_cndt(code),
            Dialect::Netconduit => Self::from_netconduit(code),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(code) => write!(f, "{}({code:#06x})", self.name()),
            _ => f.pad(self.name()),
        }
    }
}
