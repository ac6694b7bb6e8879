//! The built-in discovery method (wire fact 4), both ends of it.

use bytes::BytesMut;
use cndt_core::message::{Body, Typed};
use cndt_core::rpc::MethodInfo;
use serde::{Deserialize, Serialize};

use super::reply::RawReply;

pub(crate) const NAME: &str = "listall";
pub(super) const DESCRIPTION: &str = "List all methods.";

#[derive(Serialize)]
struct List<'a> {
    methods: Vec<Entry<'a>>,
    count: usize,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    description: &'a str,
    parameters: Fields<'a>,
    return_type: &'a str,
    requires_auth: bool,
}

/// A map that keeps its order.
struct Fields<'a>(&'a [(String, String)]);

impl Serialize for Fields<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, kind)| (name, kind)))
    }
}

/// The answer, encoded once: methods do not change while a server runs.
pub(super) fn reply(methods: &[MethodInfo]) -> RawReply {
    let entries: Vec<_> = methods
        .iter()
        .map(|info| Entry {
            name: &info.name,
            description: &info.description,
            parameters: Fields(&info.parameters),
            return_type: &info.return_type,
            requires_auth: info.requires_auth,
        })
        .collect();
    let list = List { count: entries.len(), methods: entries };
    let mut out = BytesMut::new();
    if let Err(error) = Typed(&list).write(&mut out) {
        // Strings and numbers always have a form; an empty list is better than no server.
        tracing::error!(target: "cndt", %error, "discovery cannot be written");
        out.clear();
        out.extend_from_slice(&[0x80]);
    }
    RawReply(out.freeze())
}

/// The answer of a peer.
#[derive(Deserialize)]
pub(crate) struct Listed {
    #[serde(default)]
    methods: Vec<ListedMethod>,
}

#[derive(Deserialize)]
struct ListedMethod {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    #[serde(default)]
    return_type: Option<String>,
    #[serde(default)]
    requires_auth: bool,
}

/// Type names by parameter, in the order of the wire.
#[derive(Default)]
struct Parameters(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Parameters;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of parameter names to type names")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Parameters, A::Error> {
                let mut found = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    found.push(entry);
                }
                Ok(Parameters(found))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl Listed {
    pub(crate) fn into_methods(self) -> Vec<MethodInfo> {
        let info = |method: ListedMethod| MethodInfo {
            name: method.name,
            description: method.description.unwrap_or_default(),
            parameters: method.parameters.0,
            return_type: method.return_type.unwrap_or_else(|| "Any".to_owned()),
            requires_auth: method.requires_auth,
        };
        self.methods.into_iter().map(info).collect()
    }
}
