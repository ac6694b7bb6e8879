//! The methods as an OpenRPC document (<https://spec.open-rpc.org>), made from the handlers' types.

use bytes::BytesMut;
use cndt_core::message::{Body, Typed};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::reply::RawReply;

/// The method that answers with the document (OpenRPC, "Service Discovery Method").
pub(super) const NAME: &str = "rpc.discover";
pub(super) const DESCRIPTION: &str = "The methods as an OpenRPC document.";

const VERSION: &str = "1.3.2";
/// Where schemas that others refer to stand in the document.
const SCHEMAS: &str = "/components/schemas";

/// Whose methods they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) description: &'a str,
}

/// One method, for the document.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    /// Parameters and result.
    pub(super) types: fn(&mut SchemaGenerator) -> (Option<Schema>, Schema),
}

/// The answer, encoded once: methods do not change while a server runs.
pub(super) fn reply<'a>(about: About<'_>, methods: impl Iterator<Item = Entry<'a>>) -> RawReply {
    let mut out = BytesMut::new();
    if let Err(error) = Typed(&document(about, methods)).write(&mut out) {
        // JSON always has a form in MessagePack; no document is better than no server.
        tracing::error!(target: "cndt", %error, "the OpenRPC document cannot be written");
        out.clear();
        out.extend_from_slice(&[0x80]);
    }
    RawReply(out.freeze())
}

fn document<'a>(about: About<'_>, methods: impl Iterator<Item = Entry<'a>>) -> Value {
    let settings =
        SchemaSettings::draft07().with(|settings| settings.definitions_path = SCHEMAS.into());
    let mut generator = settings.into_generator();
    let methods: Vec<Value> = methods.map(|entry| method(&entry, &mut generator)).collect();
    let schemas = generator.take_definitions(true);
    json!({
        "openrpc": VERSION,
        "info": {
            "title": about.name,
            "version": about.version,
            "description": about.description,
        },
        "methods": methods,
        "components": { "schemas": schemas },
    })
}

fn method(entry: &Entry<'_>, generator: &mut SchemaGenerator) -> Value {
    let (params, result) = (entry.types)(generator);
    let params = params.map(|schema| parameters(schema.as_value(), generator)).unwrap_or_default();
    json!({
        "name": entry.name,
        "description": entry.description,
        "paramStructure": "either",
        "params": params,
        "result": { "name": "result", "schema": result },
    })
}

/// One descriptor for each field, or each place of a list.
fn parameters(schema: &Value, generator: &SchemaGenerator) -> Vec<Value> {
    let schema = resolved(schema, generator.definitions());
    if let Some(Value::Object(fields)) = schema.get("properties") {
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &String| required.is_some_and(|all| all.iter().any(|one| one == name));
        let descriptor = |(name, schema): (&String, &Value)| json!({ "name": name, "required": is_required(name), "schema": schema });
        return fields.iter().map(descriptor).collect();
    }
    match schema.get("items") {
        Some(Value::Array(places)) => places
            .iter()
            .enumerate()
            .map(|(index, schema)| {
                json!({ "name": format!("arg{index}"), "required": true, "schema": schema })
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// What a reference leads to, or the schema itself.
fn resolved<'a>(schema: &'a Value, definitions: &'a Map<String, Value>) -> &'a Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|reference| {
        reference.strip_prefix('#')?.strip_prefix(SCHEMAS)?.strip_prefix('/')
    });
    name.and_then(|name| definitions.get(name)).unwrap_or(schema)
}
