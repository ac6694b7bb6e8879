//! The envelopes of messages, calls and answers, in both dialects.
//!
//! | frame | payload |
//! |---|---|
//! | MESSAGE | `{type, data}` |
//! | RPC_REQUEST | `{method, params}` |
//! | RPC_RESPONSE, dialect `cndt` | `{success: true, result, message?, metadata?, pagination?}` |
//! | RPC_ERROR, dialect `cndt` | `{success: false, error, code?, details?}` |
//! | RPC_RESPONSE, dialect `netconduit` | `{success: true, result: {success: true, data, message?, metadata?, pagination?}}`, or `{success: true, result: {success: false, error, code, details?}}` (wire fact 3) |
//!
//! ```
//! use bytes::BytesMut;
//! use cndt_core::message::{Raw, rpc};
//! use cndt_core::rpc::Beside;
//! use cndt_core::wire::{Dialect, Kind};
//!
//! let mut payload = BytesMut::new();
//! rpc::write_result(&mut payload, Dialect::Netconduit, &Raw(&[30]), &Beside::default())?;
//! let answer = rpc::read_answer(Dialect::Netconduit, Kind::RpcResponse, payload.freeze(), 64)?;
//! assert_eq!(&answer.unwrap().data[..], &[30]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::string::String;
use core::ops::Range;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::body::{Body, BodyError};
use super::msgpack::{self, Bounds, MessageError, MessageErrorKind, Reader};
use super::text::Text;
use crate::rpc::{Beside, ErrorCode, Reply, RpcError};
use crate::wire::{Dialect, Kind};

/// What stands for a value that an envelope leaves out.
const NIL: &[u8] = &[0xc0];

/// A call as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestBody {
    /// The method's name.
    pub method: Text,
    /// The parameters, as one MessagePack value; `nil` if there were none.
    pub params: Bytes,
}

/// A message as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageBody {
    /// The message's type.
    pub name: Text,
    /// The data, as one MessagePack value; `nil` if there was none.
    pub data: Bytes,
}

/// Writes `{type, data}`.
///
/// # Errors
/// When `data` cannot be written.
pub fn write_message<B: Body + ?Sized>(
    out: &mut BytesMut,
    name: &str,
    data: &B,
) -> Result<(), BodyError> {
    write_pair(out, (TYPE, name), (DATA, data))
}

/// Writes `{method, params}`.
///
/// # Errors
/// When `params` cannot be written.
pub fn write_request<B: Body + ?Sized>(
    out: &mut BytesMut,
    method: &str,
    params: &B,
) -> Result<(), BodyError> {
    write_pair(out, (METHOD, method), (PARAMS, params))
}

fn write_pair<B: Body + ?Sized, const N: usize, const M: usize>(
    out: &mut BytesMut,
    (name_key, name): (Key<N>, &str),
    (body_key, body): (Key<M>, &B),
) -> Result<(), BodyError> {
    out.put_slice(&name_key.before);
    msgpack::put_str(out, name);
    out.put_slice(&body_key.before);
    body.write(out)
}

/// Writes the payload of a successful answer, and what stands beside its result.
///
/// In dialect `netconduit` a result that is itself a map with a `success` key, with nothing beside
/// it, goes out as it is (wire facts 3 and 18).
///
/// # Errors
/// When `result` cannot be written.
pub fn write_result<B: Body + ?Sized>(
    out: &mut BytesMut,
    dialect: Dialect,
    result: &B,
    beside: &Beside,
) -> Result<(), BodyError> {
    let more = beside.count();
    put_success_and_key(out, "result", if dialect == Dialect::Cndt { more } else { 0 });
    let wrapper_at = out.len();
    if dialect == Dialect::Netconduit {
        put_success_and_key(out, "data", more);
    }
    let body_at = out.len();
    result.write(out)?;
    write_beside(out, beside);
    if dialect == Dialect::Netconduit && more == 0 {
        let body = out.get(body_at..).unwrap_or_default();
        if has_success_key(body) {
            let whole = Bytes::copy_from_slice(body);
            out.truncate(wrapper_at);
            out.put_slice(&whole);
        }
    }
    Ok(())
}

/// Writes the payload of a failure: of RPC_ERROR in dialect `cndt`, of RPC_RESPONSE in dialect
/// `netconduit`, where numbers are the package's own.
pub fn write_error(out: &mut BytesMut, dialect: Dialect, error: &RpcError) {
    let number = match dialect {
        Dialect::Netconduit => {
            put_success_and_key(out, "result", 0);
            error.code.to_netconduit()
        }
        Dialect::Cndt => error.code.number(),
    };
    msgpack::put_map(out, if error.details.is_some() { 4 } else { 3 });
    msgpack::put_str(out, "success");
    msgpack::put_bool(out, false);
    msgpack::put_str(out, "error");
    msgpack::put_str(out, &error.message);
    msgpack::put_str(out, "code");
    msgpack::put_int(out, number);
    if let Some(details) = &error.details {
        msgpack::put_str(out, "details");
        out.put_slice(details);
    }
}

/// The frame type that carries a failure.
pub fn error_kind(dialect: Dialect) -> Kind {
    match dialect {
        Dialect::Cndt => Kind::RpcError,
        Dialect::Netconduit => Kind::RpcResponse,
    }
}

/// Begins a map up to the value of `key`; `more` entries follow after that.
fn put_success_and_key(out: &mut BytesMut, key: &str, more: u8) {
    if (key, more) == ("result", 0) {
        return out.put_slice(&BEFORE_RESULT);
    }
    msgpack::put_map(out, more.saturating_add(2));
    msgpack::put_str(out, "success");
    msgpack::put_bool(out, true);
    msgpack::put_str(out, key);
}

fn write_beside(out: &mut BytesMut, beside: &Beside) {
    if !beside.message.is_empty() {
        msgpack::put_str(out, "message");
        msgpack::put_str(out, &beside.message);
    }
    if let Some(metadata) = &beside.metadata {
        msgpack::put_str(out, "metadata");
        out.put_slice(metadata);
    }
    if let Some(page) = beside.page {
        msgpack::put_str(out, "pagination");
        page.write(out);
    }
}

fn has_success_key(value: &[u8]) -> bool {
    let mut reader = Reader::new(value, super::PYTHON_DEPTH_MAX);
    let Ok(pairs) = reader.map_len() else { return false };
    for _ in 0..pairs {
        let Ok(key) = reader.clone().str() else { return false };
        if key == "success" {
            return true;
        }
        if reader.skip().and_then(|_| reader.skip()).is_err() {
            return false;
        }
    }
    false
}

/// Reads `{type, data}`.
///
/// # Errors
/// When the payload is no such map.
#[inline]
pub fn read_message(
    payload: Bytes,
    bounds: impl Into<Bounds>,
) -> Result<MessageBody, MessageError> {
    let (name, data) = read_pair(payload, bounds.into(), TYPE, DATA)?;
    Ok(MessageBody { name, data })
}

/// Reads `{method, params}`.
///
/// # Errors
/// When the payload is no such map.
#[inline]
pub fn read_request(
    payload: Bytes,
    bounds: impl Into<Bounds>,
) -> Result<RequestBody, MessageError> {
    let (method, params) = read_pair(payload, bounds.into(), METHOD, PARAMS)?;
    Ok(RequestBody { method, params })
}

/// A key of a pair, and the bytes that usually stand before its value: so many, which is known when this
/// is compiled, so that they are compared in one go.
#[derive(Debug, Clone, Copy)]
struct Key<const N: usize> {
    name: &'static str,
    before: [u8; N],
}

/// What stands before the result of an answer that holds nothing else.
const BEFORE_RESULT: [u8; 17] = *b"\x82\xa7success\xc3\xa6result";

const TYPE: Key<6> = Key { name: "type", before: *b"\x82\xa4type" };
const DATA: Key<5> = Key { name: "data", before: *b"\xa4data" };
const METHOD: Key<8> = Key { name: "method", before: *b"\x82\xa6method" };
const PARAMS: Key<7> = Key { name: "params", before: *b"\xa6params" };

#[inline]
fn read_pair<const N: usize, const B: usize>(
    payload: Bytes,
    bounds: Bounds,
    name_key: Key<N>,
    body_key: Key<B>,
) -> Result<(Text, Bytes), MessageError> {
    if let Some((name, body)) = read_usual_pair(&payload, bounds, name_key, body_key)
        && let Some(name) = Text::from_utf8(payload.slice_ref(name))
    {
        return Ok((name, cut(payload, body)));
    }
    read_any_pair(&payload, bounds, name_key.name, body_key.name)
}

fn read_any_pair(
    payload: &Bytes,
    bounds: Bounds,
    name_key: &'static str,
    body_key: &'static str,
) -> Result<(Text, Bytes), MessageError> {
    let [name, body] = read_map(payload, bounds, [name_key, body_key])?;
    let name = name.ok_or(msgpack::error(0, MessageErrorKind::MissingKey { key: name_key }))?;
    let text = Reader::new(payload.get(name.clone()).unwrap_or_default(), 1)
        .text()
        .map_err(|error| error.moved_by(name.start))?;
    let text = Text::from_utf8(payload.slice_ref(text))
        .ok_or(msgpack::error(name.start, MessageErrorKind::NotUtf8))?;
    Ok((text, body_or_nil(payload, body)))
}

/// The pair as nearly everybody writes it, in this order and nothing else: half as dear to read as
/// any map. `None` says nothing but that it is written in another way.
#[inline]
fn read_usual_pair<const N: usize, const B: usize>(
    payload: &[u8],
    bounds: Bounds,
    name_key: Key<N>,
    body_key: Key<B>,
) -> Option<(&[u8], Range<usize>)> {
    let mut reader = Reader::new(payload, bounds);
    reader.pass(name_key.before).then_some(())?;
    let name = reader.short_text()?;
    reader.pass(body_key.before).then_some(())?;
    let body = reader.skip().ok()?;
    reader.end().ok()?;
    Some((name, body))
}

/// The answer that nearly all are, `{success: true, result}`: where its result lies.
fn read_usual_answer(payload: &[u8], bounds: Bounds) -> Option<Range<usize>> {
    let mut reader = Reader::new(payload, bounds);
    reader.pass(BEFORE_RESULT).then_some(())?;
    let result = reader.skip().ok()?;
    reader.end().ok()?;
    Some(result)
}

fn body_or_nil(payload: &Bytes, body: Option<Range<usize>>) -> Bytes {
    match body {
        // The range was measured in this very payload.
        Some(range) => payload.slice(range),
        None => Bytes::from_static(NIL),
    }
}

/// Reads a map that must fill the payload, and tells where the values of `keys` lie. Other keys are
/// passed over (wire fact 16); each of `keys` may stand once.
pub(crate) fn read_map<const N: usize>(
    payload: &[u8],
    bounds: impl Into<Bounds>,
    keys: [&'static str; N],
) -> Result<[Option<Range<usize>>; N], MessageError> {
    let mut reader = Reader::new(payload, bounds);
    let found = read_map_from(&mut reader, keys)?;
    reader.end()?;
    Ok(found)
}

fn read_map_from<const N: usize>(
    reader: &mut Reader<'_>,
    keys: [&'static str; N],
) -> Result<[Option<Range<usize>>; N], MessageError> {
    let mut found = [const { None }; N];
    for _ in 0..reader.map_len()? {
        let key_at = reader.offset();
        let key = reader.key()?;
        let value = reader.skip()?;
        for (known, slot) in keys.iter().zip(found.iter_mut()) {
            if key != Some(known.as_bytes()) {
                continue;
            }
            if slot.is_some() {
                return Err(msgpack::error(key_at, MessageErrorKind::DuplicateKey { key: known }));
            }
            *slot = Some(value.clone());
        }
    }
    Ok(found)
}

/// Reads the answer to a call: `Ok` is its result, `Err` what the peer's application reports.
///
/// # Errors
/// When the payload is no answer.
pub fn read_answer(
    dialect: Dialect,
    kind: Kind,
    payload: Bytes,
    bounds: impl Into<Bounds>,
) -> Result<Result<Reply, RpcError>, MessageError> {
    let bounds = bounds.into();
    if let (Dialect::Cndt, Kind::RpcResponse) = (dialect, kind)
        && let Some(result) = read_usual_answer(&payload, bounds)
    {
        return Ok(Ok(Reply { data: cut(payload, result), envelope: None }));
    }
    read_any_answer(dialect, kind, &payload, bounds)
}

/// A part of the payload in its place: whoever has all of it needs no second count of references.
#[inline]
fn cut(mut payload: Bytes, part: Range<usize>) -> Bytes {
    payload.truncate(part.end);
    payload.advance(part.start.min(payload.len()));
    payload
}

fn read_any_answer(
    dialect: Dialect,
    kind: Kind,
    payload: &Bytes,
    bounds: Bounds,
) -> Result<Result<Reply, RpcError>, MessageError> {
    let parts = read_map(payload, bounds, ANSWER_KEYS)?;
    let [success, result, ..] = &parts;
    let succeeded = match success {
        Some(range) => sub_reader(payload, range, bounds).bool()?,
        None => kind != Kind::RpcError,
    };
    if !succeeded || kind == Kind::RpcError {
        return Ok(Err(read_failure(dialect, payload, &parts, bounds)));
    }
    match (dialect, result) {
        (Dialect::Netconduit, Some(inner)) => Ok(read_inner(&payload.slice(inner.clone()), bounds)),
        (_, result) => Ok(Ok(Reply {
            data: body_or_nil(payload, result.clone()),
            envelope: Some(payload.clone()),
        })),
    }
}

/// Where in an answer the values lie that stand beside its result.
#[derive(Debug, Default)]
pub(crate) struct BesideRanges {
    pub(crate) message: Option<Range<usize>>,
    pub(crate) metadata: Option<Range<usize>>,
    pub(crate) pagination: Option<Range<usize>>,
}

/// Looks for them. The envelope was checked when it was received.
pub(crate) fn read_beside(envelope: &[u8]) -> Option<BesideRanges> {
    let keys = ["message", "metadata", "pagination"];
    let [message, metadata, pagination] = read_map(envelope, Bounds::CHECKED, keys).ok()?;
    Some(BesideRanges { message, metadata, pagination })
}

const ANSWER_KEYS: [&str; 6] = ["success", "result", "error", "code", "details", "data"];

/// Reads what dialect `netconduit` puts inside `result`. Anything that is not an envelope is the
/// result itself.
fn read_inner(inner: &Bytes, bounds: Bounds) -> Result<Reply, RpcError> {
    let plain = || Ok(Reply { data: inner.clone(), envelope: None });
    let Ok(parts) = read_map(inner, bounds, ANSWER_KEYS) else { return plain() };
    let [success, .., data] = &parts;
    let Some(success) = success else { return plain() };
    match (sub_reader(inner, success, bounds).bool(), data) {
        (Ok(true), Some(data)) => {
            Ok(Reply { data: inner.slice(data.clone()), envelope: Some(inner.clone()) })
        }
        (Ok(false), _) => Err(read_failure(Dialect::Netconduit, inner, &parts, bounds)),
        // A handler's own map with a `success` key passed through as it is (wire fact 18).
        (Ok(true), None) | (Err(_), _) => plain(),
    }
}

fn read_failure(
    dialect: Dialect,
    payload: &Bytes,
    parts: &[Option<Range<usize>>; 6],
    bounds: Bounds,
) -> RpcError {
    let [_, _, error, code, details, _] = parts;
    let message = error
        .as_ref()
        .and_then(|range| sub_reader(payload, range, bounds).str().ok())
        .map_or_else(|| String::from("the peer gave no reason"), String::from);
    let number = code.as_ref().and_then(|range| sub_reader(payload, range, bounds).int().ok());
    let code = match (dialect, number) {
        (_, None) => ErrorCode::Unknown,
        (Dialect::Cndt, Some(number)) => ErrorCode::from_number(number),
        (Dialect::Netconduit, Some(number)) => ErrorCode::from_netconduit(number),
    };
    // `nil` is how Python says that there are none.
    let details = details
        .as_ref()
        .map(|range| payload.slice(range.clone()))
        .filter(|value| value.as_ref() != NIL);
    RpcError { code, message, details }
}

fn sub_reader<'a>(payload: &'a [u8], range: &Range<usize>, bounds: Bounds) -> Reader<'a> {
    Reader::new(payload.get(range.clone()).unwrap_or_default(), bounds)
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::collection;
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { depth_max: 4, elements_max: 12 };

    /// Pieces of envelopes, in any order: the usual ones among them, and all that nearly are.
    fn payload() -> impl Strategy<Value = Bytes> {
        let pieces: [&[u8]; 14] = [
            b"\x82",
            b"\x81",
            b"\x83",
            b"\xa6method",
            b"\xa6params",
            b"\xa7success",
            b"\xa6result",
            b"\xc3",
            b"\xc2",
            b"\xa3add",
            b"\xa1\xff",
            b"\xd9\x06method",
            b"\x92\x01\x91\x91\x91\x02",
            b"\xdc\x00\x0d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        ];
        let usual = Just(vec![0, 3, 9, 4, 12]);
        let answer = Just(vec![0, 5, 7, 6, 9]);
        let arbitrary = collection::vec(0..pieces.len(), 0..7);
        let order = prop_oneof![usual, answer, arbitrary];
        let change = (any::<prop::sample::Index>(), 0..pieces.len());
        (order, prop::option::of(change)).prop_map(move |(mut order, change)| {
            if let Some((at, by)) = change {
                // The last place is behind the last piece.
                let at = at.index(order.len() + 1);
                order.splice(at..order.len().min(at + 1), [by]);
            }
            order.iter().flat_map(|piece| pieces[*piece]).copied().collect::<Vec<u8>>().into()
        })
    }

    proptest! {
        #[test]
        fn pairs_are_read_alike_however_they_are_read(payload in payload()) {
            let usual = read_pair(payload.clone(), BOUNDS, METHOD, PARAMS);
            let any = read_any_pair(&payload, BOUNDS, "method", "params");
            prop_assert_eq!(usual, any);
        }

        #[test]
        fn what_looks_like_the_usual_answer_is_one(payload in payload()) {
            if let Some(result) = read_usual_answer(&payload, BOUNDS) {
                let found = read_map(&payload, BOUNDS, ANSWER_KEYS).unwrap();
                prop_assert_eq!(found, [Some(9..10), Some(result), None, None, None, None]);
            }
        }
    }

    #[test]
    fn the_usual_ways_are_taken() {
        let mut out = BytesMut::new();
        write_request(&mut out, "add", &super::super::Raw(&[0x92, 1, 2])).unwrap();
        assert!(read_usual_pair(&out, BOUNDS, METHOD, PARAMS).is_some());
        out.clear();
        let nothing = Beside::default();
        write_result(&mut out, Dialect::Cndt, &super::super::Raw(&[7]), &nothing).unwrap();
        assert_eq!(read_usual_answer(&out, BOUNDS), Some(out.len() - 1..out.len()));
    }
}
