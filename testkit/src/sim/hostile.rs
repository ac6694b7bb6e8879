//! Somebody who knows the protocol and means no good.

use bytes::BytesMut;
use cndt_core::message::{Raw, rpc};
use cndt_core::rpc::Beside;
use cndt_core::wire::{Dialect, Flags, Header, Kind, write_frame};

use super::broken::Broken;
use super::pair::{CLIENT, Pair};
use super::tape::Tape;

/// Says something to a server as whoever wants in without knowing the password.
pub(super) fn act(
    tape: &mut Tape<'_>,
    pair: &mut Pair,
    recorded: &[Vec<u8>],
) -> Result<(), Broken> {
    pair.feed_junk();
    let mut bytes = match tape.below(4) {
        0 if !recorded.is_empty() => recorded[tape.below(recorded.len())].clone(),
        1 => recorded.concat(),
        2 => frame(tape, Dialect::Cndt),
        _ => (0..1 + tape.below(40)).map(|_| tape.below(256) as u8).collect(),
    };
    if tape.chance(50) && !bytes.is_empty() {
        let at = tape.below(bytes.len());
        bytes[at] ^= 1 << tape.below(8);
    }
    pair.pipes[CLIENT].put(&bytes);
    Ok(())
}

/// Puts a frame among those of an honest side, as a proxy might.
pub(super) fn inject(tape: &mut Tape<'_>, pair: &mut Pair, side: usize) {
    let end = &pair.sides[side].end;
    if !end.between_frames() {
        return;
    }
    let dialect = end.connection.dialect().unwrap_or(Dialect::Cndt);
    pair.feed_junk();
    let bytes = frame(tape, dialect);
    let times = tape.pick(&[1, 1, 1, 2, 30, 200]);
    for _ in 0..times {
        pair.pipes[side].put(&bytes);
    }
}

/// A frame that is well formed on the outside.
fn frame(tape: &mut Tape<'_>, dialect: Dialect) -> Vec<u8> {
    let kind = if tape.chance(10) {
        Kind::from_code(dialect, 0x40 + tape.below(80) as u16)
    } else {
        tape.pick(&Kind::ALL)
    };
    let mut payload = BytesMut::new();
    let value = [0x92, 0xc3, 0xff];
    match tape.below(6) {
        0 => {}
        1 => drop(rpc::write_message(&mut payload, "message", &Raw(&value))),
        2 => drop(rpc::write_request(&mut payload, "method", &Raw(&value))),
        3 => drop(rpc::write_result(&mut payload, dialect, &Raw(&value), &Beside::default())),
        4 => payload.extend_from_slice(&[0xdd, 0xff, 0xff, 0xff, 0xff]),
        _ => payload.extend((0..tape.below(40)).map(|_| tape.below(256) as u8)),
    }
    let flags = [Flags::empty(), Flags::empty(), Flags::COMPRESSED, Flags::REQUIRES_ACK];
    let header = Header {
        flags: tape.pick(&flags),
        correlation: tape.below(12) as u64,
        ..Header::new(kind)
    };
    let mut out = BytesMut::new();
    // A kind that the dialect lacks gives no bytes: then nothing is said.
    let _ = write_frame(&mut out, dialect, &header, usize::MAX, |out| {
        out.extend_from_slice(&payload);
        Ok::<_, std::convert::Infallible>(())
    });
    out.to_vec()
}
