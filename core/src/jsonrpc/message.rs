use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::message::Text;
use crate::rpc::ErrorCode;

const VERSION: &str = "2.0";
const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL_ERROR: i64 = -32603;

/// What ties an answer to its request: a string or a number, kept byte for byte, or null.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id(Bytes);

impl Id {
    /// The id of answers to what has none that could be read.
    pub const NULL: Self = Self(Bytes::from_static(b"null"));

    /// From a number of one's own.
    pub fn number(number: u64) -> Self {
        Self(alloc::format!("{number}").into())
    }

    /// As JSON, exactly as it came.
    pub fn as_json(&self) -> &[u8] {
        &self.0
    }

    /// The number, if that is what it is.
    pub fn as_number(&self) -> Option<u64> {
        core::str::from_utf8(&self.0).ok()?.parse().ok()
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        *self == Self::NULL
    }

    fn read(value: &RawValue, text: &Bytes) -> Option<Self> {
        let raw = value.get();
        let is_id = raw == "null" || matches!(raw.as_bytes().first()?, b'"' | b'-' | b'0'..=b'9');
        is_id.then(|| Self(share(text, raw)))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", core::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.0).unwrap_or_default())
    }
}

/// What a JSON text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// One item by itself.
    Single(Item),
    /// Items that belong together: the answers to them go out together.
    Batch(Vec<Item>),
    /// A list without items, or with too many: one error answers it.
    InvalidBatch(InvalidItem),
}

/// A request, a notification, an answer, or nothing of the kind. Parts are JSON, and share the
/// memory of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A call that wants an answer.
    Request {
        /// To answer by.
        id: Id,
        /// What to call.
        method: Text,
        /// An object or a list; `None` if there are no parameters, or null in their place.
        params: Option<Bytes>,
    },
    /// A call that wants none.
    Notification {
        /// What to call.
        method: Text,
        /// An object or a list; `None` if there are no parameters, or null in their place.
        params: Option<Bytes>,
    },
    /// The result of a call.
    Result {
        /// Which call.
        id: Id,
        /// Any value.
        result: Bytes,
    },
    /// The failure of a call; with [`Id::NULL`], of something that could not be read.
    Error {
        /// Which call.
        id: Id,
        /// See [`error_code`].
        number: i64,
        /// For people.
        message: String,
        /// For programs: any value.
        data: Option<Bytes>,
    },
    /// None of them.
    Invalid(InvalidItem),
}

/// Why an item is none: what it is to be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidItem {
    /// The id, if there is one that can be read.
    pub id: Id,
    /// What is wrong.
    pub why: &'static str,
}

impl InvalidItem {
    fn new(id: Id, why: &'static str) -> Self {
        Self { id, why }
    }
}

/// The members that count. `None` is a member that is not there; null is a value like any other.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ErrorMembers<'a> {
    code: i64,
    #[serde(default)]
    message: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a text that a [`TextDecoder`](super::TextDecoder) gave. A batch may have `batch_max` items.
pub fn read(text: &Bytes, batch_max: usize) -> Incoming {
    let invalid = |why| Incoming::InvalidBatch(InvalidItem::new(Id::NULL, why));
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        return match core::str::from_utf8(text) {
            Ok(json) => Incoming::Single(read_item(json, text)),
            Err(_) => invalid("the text is not UTF-8"),
        };
    }
    match serde_json::from_slice::<Batch<'_>>(text) {
        Ok(Batch(items)) if items.is_empty() => invalid("a batch must not be empty"),
        Ok(Batch(items)) if items.len() > batch_max => invalid("the batch has too many items"),
        Ok(Batch(items)) => {
            Incoming::Batch(items.into_iter().map(|item| read_item(item.get(), text)).collect())
        }
        Err(_) => invalid("the batch cannot be read"),
    }
}

#[derive(Deserialize)]
struct Batch<'a>(#[serde(borrow)] Vec<&'a RawValue>);

fn read_item(json: &str, text: &Bytes) -> Item {
    let Some(members) = object::<Members<'_>>(json) else {
        return Item::Invalid(InvalidItem::new(Id::NULL, "not an object with each member once"));
    };
    let id = match members.id {
        None => None,
        Some(raw) => match Id::read(raw, text) {
            Some(id) => Some(id),
            None => {
                let why = "id must be a string, a number or null";
                return Item::Invalid(InvalidItem::new(Id::NULL, why));
            }
        },
    };
    let invalid = |why| Item::Invalid(InvalidItem::new(id.clone().unwrap_or(Id::NULL), why));
    let version = members.jsonrpc.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
    if version.as_deref() != Some(VERSION) {
        return invalid("jsonrpc must be \"2.0\"");
    }
    match (members.method, members.result, members.error) {
        (Some(method), None, None) => {
            let Ok(method) = serde_json::from_str::<String>(method.get()) else {
                return invalid("method must be a string");
            };
            let method = Text::from(method.as_str());
            let params = match members.params.map(RawValue::get) {
                // See the module's documentation.
                None | Some("null") => None,
                Some(raw) if raw.starts_with(['{', '[']) => Some(share(text, raw)),
                Some(_) => return invalid("params must be an object or a list, or left out"),
            };
            match id {
                Some(id) => Item::Request { id, method, params },
                None => Item::Notification { method, params },
            }
        }
        (None, Some(result), None) => match id {
            Some(id) => Item::Result { id, result: share(text, result.get()) },
            None => invalid("an answer must have an id"),
        },
        (None, None, Some(error)) => match object::<ErrorMembers<'_>>(error.get()) {
            Some(ErrorMembers { code, message, data }) => Item::Error {
                id: id.unwrap_or(Id::NULL),
                number: code,
                message: message.unwrap_or_default(),
                data: data.map(|data| share(text, data.get())),
            },
            None => invalid("error must be an object with a code"),
        },
        (None, None, None) => invalid("method is missing"),
        _ => invalid("only one of method, result and error may be there"),
    }
}

/// The members of an object. Serde would take them from a list as well, by their order.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    let is_object = json.trim_start().starts_with('{');
    is_object.then(|| serde_json::from_str(json).ok()).flatten()
}

/// A part of the text, without a copy.
fn share(text: &Bytes, part: &str) -> Bytes {
    text.slice_ref(part.as_bytes())
}

/// Writes a request, or a notification without `id`. `params` are JSON, an object or a list.
pub fn write_request(out: &mut BytesMut, id: Option<&Id>, method: &str, params: Option<&[u8]>) {
    out.put_slice(b"{\"jsonrpc\":\"2.0\",\"method\":");
    put_string(out, method);
    if let Some(params) = params {
        out.put_slice(b",\"params\":");
        out.put_slice(params);
    }
    if let Some(id) = id {
        out.put_slice(b",\"id\":");
        out.put_slice(id.as_json());
    }
    out.put_u8(b'}');
}

/// Writes a result, which is JSON.
pub fn write_result(out: &mut BytesMut, id: &Id, result: &[u8]) {
    out.put_slice(b"{\"jsonrpc\":\"2.0\",\"result\":");
    out.put_slice(result);
    out.put_slice(b",\"id\":");
    out.put_slice(id.as_json());
    out.put_u8(b'}');
}

/// Writes an error; `data` is JSON. See [`error_number`].
pub fn write_error(out: &mut BytesMut, id: &Id, number: i64, message: &str, data: Option<&[u8]>) {
    out.put_slice(b"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":");
    out.put_slice(alloc::format!("{number}").as_bytes());
    out.put_slice(b",\"message\":");
    put_string(out, message);
    if let Some(data) = data {
        out.put_slice(b",\"data\":");
        out.put_slice(data);
    }
    out.put_slice(b"},\"id\":");
    out.put_slice(id.as_json());
    out.put_u8(b'}');
}

/// Appends a JSON string, in ASCII: some peers cut characters of several bytes in two.
fn put_string(out: &mut BytesMut, text: &str) {
    out.put_u8(b'"');
    for character in text.chars() {
        match character {
            '"' => out.put_slice(b"\\\""),
            '\\' => out.put_slice(b"\\\\"),
            ' '..='~' => out.put_u8(character as u8),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.put_slice(alloc::format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
    out.put_u8(b'"');
}

/// The number by which JSON-RPC knows this code. What it reserves numbers for gets those; other
/// codes keep their own.
pub fn error_number(code: ErrorCode) -> i64 {
    match code {
        ErrorCode::MethodNotFound => METHOD_NOT_FOUND,
        ErrorCode::Validation
        | ErrorCode::MissingField
        | ErrorCode::InvalidType
        | ErrorCode::InvalidParams => INVALID_PARAMS,
        ErrorCode::Internal => INTERNAL_ERROR,
        other => other.number(),
    }
}

/// The code that this number stands for. Numbers without a counterpart are kept.
pub fn error_code(number: i64) -> ErrorCode {
    match number {
        METHOD_NOT_FOUND => ErrorCode::MethodNotFound,
        INVALID_PARAMS => ErrorCode::InvalidParams,
        INTERNAL_ERROR => ErrorCode::Internal,
        PARSE_ERROR | INVALID_REQUEST => ErrorCode::Other(number),
        other => ErrorCode::from_number(other),
    }
}
