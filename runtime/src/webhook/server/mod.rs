//! The receiving side.

mod body;
mod connection;
mod envelope;
mod request;
mod settings;

pub(crate) use connection::serve;
pub(crate) use settings::Reception;
pub use settings::Webhooks;
