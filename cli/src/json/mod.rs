//! JSON for people and scripts, MessagePack for the wire, and the way between them.
//!
//! | MessagePack | JSON |
//! |---|---|
//! | integers, floats, text, booleans, nil, lists | the same; whole floats keep their `.0` |
//! | NaN and infinities | `null` |
//! | binary data | `{"$binary": "<base64>"}` |
//! | extension | `{"$ext": [type, "<base64>"]}` |
//! | map key that is no text | its JSON text |
//!
//! Except for the third and the last line, the way back gives the same value again. A map that
//! really has `$binary` or `$ext` as its only key cannot be told from the other meaning.

mod read;
mod write;

pub(crate) use read::Payload;
pub(crate) use write::{Style, binary, from_msgpack, quoted};

/// Nesting that is followed. What `serde_json` and most JSON tools read as well.
pub(crate) const DEPTH_MAX: usize = 127;

const BINARY: &str = "$binary";
const EXTENSION: &str = "$ext";

#[cfg(test)]
mod tests;
