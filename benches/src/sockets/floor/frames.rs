//! Whole frames as CNDT writes them, and what the floors look at in them.

use bytes::{Bytes, BytesMut};
use cndt_core::message::{BodyError, Typed, rpc};
use cndt_core::rpc::Beside;
use cndt_core::wire::{Dialect, HEADER_LEN, Header, Kind, write_frame};
use serde::Serialize;

use crate::sockets::Result;
use crate::sockets::hits::push_payload;

// Where things stand in dialect `cndt`; see PROTOCOL.md.
const KIND: usize = 5;
const LENGTH: usize = 8;
const ID: usize = 12;
/// `{"method": "…`: the map, seven bytes of key, one of length.
const METHOD: usize = HEADER_LEN + 9;

const FRAME_MAX: usize = 100 << 20;

/// What a frame is, as far as the floors tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Add,
    Echo,
    Subscribe,
    Publish,
    Answer,
    Pushed,
}

/// A frame's beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peeked {
    pub(super) content: Content,
    pub(super) id: u64,
    /// Bytes of all of it.
    pub(super) length: usize,
}

/// The first frame in `bytes`, if all of it is there and it is one that the floors send.
#[inline]
pub(super) fn peek(bytes: &[u8]) -> Option<Peeked> {
    let length = u32::from_be_bytes(*bytes.get(LENGTH..)?.first_chunk()?);
    let length = HEADER_LEN + usize::try_from(length).ok()?;
    let id = u64::from_be_bytes(*bytes.get(ID..)?.first_chunk()?);
    if bytes.len() < length {
        return None;
    }
    let kind = *bytes.get(KIND)?;
    let content = if kind == REQUEST {
        match bytes.get(METHOD)? {
            b'a' => Content::Add,
            b'e' => Content::Echo,
            b's' => Content::Subscribe,
            b'p' => Content::Publish,
            _ => return None,
        }
    } else if kind == MESSAGE {
        Content::Pushed
    } else {
        Content::Answer
    };
    Some(Peeked { content, id, length })
}

const REQUEST: u8 = code(Kind::RpcRequest);
const RESPONSE: u8 = code(Kind::RpcResponse);
const MESSAGE: u8 = code(Kind::Message);

const fn code(kind: Kind) -> u8 {
    match kind.code(Dialect::Cndt) {
        Some(code) => code.to_be_bytes()[1],
        None => 0,
    }
}

/// Gives a frame another id.
#[inline]
pub(super) fn set_id(frame: &mut [u8], id: u64) {
    if let Some(field) = frame.get_mut(ID..).and_then(<[u8]>::first_chunk_mut) {
        *field = id.to_be_bytes();
    }
}

/// Makes an answer of a request, in place.
#[inline]
pub(super) fn make_answer(frame: &mut [u8]) {
    if let Some(kind) = frame.get_mut(KIND) {
        *kind = RESPONSE;
    }
}

#[derive(Serialize)]
struct Add {
    a: i64,
    b: i64,
}

#[derive(Serialize)]
struct Echo {
    data: Bytes,
}

#[derive(Serialize)]
struct Publish {
    messages: u64,
}

// As large as in the middle of a run.
const SUMMAND: i64 = 70_000;

pub(super) fn add() -> Result<Bytes> {
    request("add", &Add { a: SUMMAND, b: 2 })
}

pub(super) fn add_answer() -> Result<Bytes> {
    let result = Typed(&(SUMMAND + 2));
    frame(Kind::RpcResponse, |out| {
        rpc::write_result(out, Dialect::Cndt, &result, &Beside::default())
    })
}

pub(super) fn echo(data: Bytes) -> Result<Bytes> {
    request("echo", &Echo { data })
}

pub(super) fn subscribe() -> Result<Bytes> {
    request("subscribe", &())
}

/// `messages` stands in its last eight bytes, whatever it is.
pub(super) fn publish(messages: u64) -> Result<Bytes> {
    const WIDE: u64 = 1 << 63;
    let whole = request("publish", &Publish { messages: messages | WIDE })?;
    Ok(whole)
}

/// What [`publish`] asks for.
pub(super) fn published(frame: &[u8]) -> u64 {
    frame.last_chunk().map_or(0, |number| u64::from_be_bytes(*number) & (u64::MAX >> 1))
}

/// An empty answer.
pub(super) fn done() -> Result<Bytes> {
    let result = Typed(&());
    frame(Kind::RpcResponse, |out| {
        rpc::write_result(out, Dialect::Cndt, &result, &Beside::default())
    })
}

pub(super) fn push(number: u64) -> Result<Bytes> {
    let data = Bytes::copy_from_slice(&push_payload(number));
    frame(Kind::Message, |out| rpc::write_message(out, "push", &Typed(&data)))
}

fn request(method: &str, params: &impl Serialize) -> Result<Bytes> {
    frame(Kind::RpcRequest, |out| rpc::write_request(out, method, &Typed(params)))
}

fn frame(
    kind: Kind,
    write: impl FnOnce(&mut BytesMut) -> std::result::Result<(), BodyError>,
) -> Result<Bytes> {
    let header = Header { timestamp: 1_700_000_000_000, ..Header::new(kind) };
    let mut out = BytesMut::new();
    write_frame(&mut out, Dialect::Cndt, &header, FRAME_MAX, write)
        .map_err(|error| error.to_string())?;
    Ok(out.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart() {
        let frames = [
            (add(), Content::Add),
            (add_answer(), Content::Answer),
            (echo(Bytes::from_static(b"data")), Content::Echo),
            (subscribe(), Content::Subscribe),
            (publish(250), Content::Publish),
            (done(), Content::Answer),
            (push(3), Content::Pushed),
        ];
        for (frame, content) in frames {
            let mut frame = frame.expect("encodes").to_vec();
            set_id(&mut frame, 77);
            let peeked = peek(&frame).expect("is whole");
            assert_eq!((peeked.content, peeked.id, peeked.length), (content, 77, frame.len()));
            frame.pop();
            assert!(peek(&frame).is_none());
        }
        assert_eq!(published(&publish(250).expect("encodes")), 250);
    }
}
