//! Types as discovery names them: JSON Schema to Python's names (wire fact 4).

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

pub(super) const ANY: &str = "Any";

/// References that are followed before a type counts as [`ANY`]; schemas may refer to themselves.
const REFERENCES_MAX: usize = 16;

/// The fields of `T` with their types, in order of declaration.
pub(super) fn parameters<T: JsonSchema>() -> Vec<(String, String)> {
    let root = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    let fields = resolve(&root, &root).get("properties").and_then(Value::as_object);
    fields.map_or_else(Vec::new, |fields| {
        let field = |(name, schema): (&String, &Value)| (name.clone(), name_of(&root, schema));
        fields.iter().map(field).collect()
    })
}

/// The name of `T`.
pub(super) fn type_name<T: JsonSchema>() -> String {
    let root = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    name_of(&root, &root)
}

fn name_of(root: &Value, schema: &Value) -> String {
    let schema = resolve(root, schema);
    if schema.get("format").and_then(Value::as_str) == Some("bytes") {
        return "bytes".to_owned();
    }
    let name = match schema.get("type") {
        Some(Value::String(name)) => python(name),
        // `Option<T>` is `[T, "null"]`.
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            match (names.next(), names.next()) {
                (Some(only), None) => python(only),
                _ => ANY,
            }
        }
        _ => return of_alternatives(root, schema),
    };
    name.to_owned()
}

/// `Option<Struct>` is `anyOf [Struct, null]`, an enum of strings may be `oneOf` constants: one type
/// beside null has a name, several have none.
fn of_alternatives(root: &Value, schema: &Value) -> String {
    let alternatives = schema.get("anyOf").or_else(|| schema.get("oneOf"));
    let Some(alternatives) = alternatives.and_then(Value::as_array) else { return ANY.to_owned() };
    let mut names: Vec<_> = alternatives
        .iter()
        .filter(|schema| schema.get("type").and_then(Value::as_str) != Some("null"))
        .map(|schema| name_of(root, schema))
        .collect();
    names.dedup();
    match <[String; 1]>::try_from(names) {
        Ok([only]) => only,
        Err(_) => ANY.to_owned(),
    }
}

fn python(json: &str) -> &'static str {
    match json {
        "integer" => "int",
        "number" => "float",
        "string" => "str",
        "boolean" => "bool",
        "object" => "dict",
        "array" => "list",
        "null" => "None",
        _ => ANY,
    }
}

fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..REFERENCES_MAX {
        let target = schema.get("$ref").and_then(Value::as_str);
        let Some(pointer) = target.and_then(|target| target.strip_prefix('#')) else { break };
        let Some(next) = root.pointer(pointer) else { break };
        schema = next;
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Blob;

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Everything {
        zulu: i64,
        a: u8,
        ratio: f64,
        name: String,
        on: bool,
        list: Vec<i32>,
        map: std::collections::BTreeMap<String, i32>,
        maybe: Option<i32>,
        inner: Inner,
        maybe_inner: Option<Inner>,
        kind: Kind,
        any: Value,
        unit: (),
        data: Blob,
        maybe_data: Option<Blob>,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Inner {
        again: Option<Box<Inner>>,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    enum Kind {
        /// Documented variants become `oneOf`.
        One,
        Two,
    }

    #[test]
    fn fields_are_named_as_python_names_them_in_order() {
        let found = parameters::<Everything>();
        let found: Vec<_> =
            found.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
        let expected = [
            ("zulu", "int"),
            ("a", "int"),
            ("ratio", "float"),
            ("name", "str"),
            ("on", "bool"),
            ("list", "list"),
            ("map", "dict"),
            ("maybe", "int"),
            ("inner", "dict"),
            ("maybe_inner", "dict"),
            ("kind", "str"),
            ("any", "Any"),
            ("unit", "None"),
            ("data", "bytes"),
            ("maybe_data", "bytes"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn results_are_named_too() {
        assert_eq!(type_name::<i64>(), "int");
        assert_eq!(type_name::<String>(), "str");
        assert_eq!(type_name::<Inner>(), "dict");
        assert_eq!(type_name::<Value>(), "Any");
        assert_eq!(type_name::<()>(), "None");
    }
}
