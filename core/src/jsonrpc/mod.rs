//! JSON-RPC 2.0 (<https://www.jsonrpc.org/specification>): texts out of bytes, meaning out of texts.
//!
//! [`TextDecoder`] finds JSON texts on a stream, on lines, behind headers or with nothing between.
//! `read` tells what a text means, member by member of a batch; `write_request`, `write_result` and
//! `write_error` make texts. An `Endpoint` is a whole connection. Everything but finding texts needs
//! the feature `jsonrpc`.
//!
//! Parameters may be null, which means that there are none. The specification wants an object or a list
//! there, or nothing; but clients whose language has one word for "nothing" and "null" send it (LSP4J
//! and Parity's `jsonrpc` have), and servers take it: go-ethereum, jsonrpsee, vscode-jsonrpc,
//! python-lsp-jsonrpc. Nothing else could be meant, so to refuse it, as jayson and jsonrpcserver do,
//! protects nobody. It is never sent.
//!
//! ```
//! # #[cfg(feature = "jsonrpc")] {
//! use cndt_core::jsonrpc::{Incoming, Item, TextDecoder, read, write_result};
//!
//! let mut decoder = TextDecoder::new(None, 1024, 64);
//! decoder.push(br#"{"jsonrpc":"2.0","method":"add","params":[1,2],"id":"a"}"#);
//! let text = decoder.next_text()?.expect("it is whole");
//! let Incoming::Single(Item::Request { id, method, params }) = read(&text, 100) else { panic!() };
//! assert_eq!((&*method, params.as_deref()), ("add", Some(&b"[1,2]"[..])));
//!
//! let mut answer = bytes::BytesMut::new();
//! write_result(&mut answer, &id, b"3");
//! assert_eq!(&answer[..], br#"{"jsonrpc":"2.0","result":3,"id":"a"}"#);
//! # }
//! # Ok::<(), cndt_core::jsonrpc::TextError>(())
//! ```

#[cfg(feature = "jsonrpc")]
mod ascii;
#[cfg(feature = "jsonrpc")]
mod endpoint;
mod framing;
#[cfg(feature = "jsonrpc")]
mod message;
mod scanner;
#[cfg(all(test, feature = "jsonrpc"))]
mod tests;
#[cfg(feature = "jsonrpc")]
mod transcode;

#[cfg(feature = "jsonrpc")]
pub(crate) use ascii::write as write_ascii;
#[cfg(feature = "jsonrpc")]
pub use endpoint::{BatchItem, Endpoint, EndpointConfig, Lifetime, QueuedBatch};
pub use framing::{Framing, TextDecoder, TextError, TextErrorKind};
#[cfg(feature = "jsonrpc")]
pub use message::{
    Id, Incoming, InvalidItem, Item, error_code, error_number, read, write_error, write_request,
    write_result,
};
pub use scanner::{Scan, Scanner};
#[cfg(feature = "jsonrpc")]
pub use transcode::{to_json, to_msgpack};

/// The deepest nesting that may be allowed.
pub const JSONRPC_DEPTH_CEILING: usize = 512;
