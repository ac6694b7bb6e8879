//! Arguments in the manner of httpie: `key=text`, `key:=json`, or the whole value by `--data`.

use std::io::Read;

use serde_json::{Map, Value};

use crate::args::Body;
use crate::exit::Failure;
use crate::json::Payload;

/// The value that `body` describes; an empty map when it says nothing.
pub(crate) fn payload(body: &Body) -> Result<Payload, Failure> {
    Payload::new(value(body)?).map_err(|error| Failure::Usage(error.to_string()))
}

/// The same as plain JSON.
pub(crate) fn value(body: &Body) -> Result<Value, Failure> {
    match &body.data {
        Some(data) => whole(data),
        None => fields(&body.fields).map(Value::Object),
    }
}

fn whole(data: &str) -> Result<Value, Failure> {
    let (text, origin) = match (data, data.strip_prefix('@')) {
        ("-", _) => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::Usage(format!("--data -: {error}")))?;
            (text, "stdin".to_owned())
        }
        (_, Some(path)) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::Usage(format!("--data @{path}: {error}")))?;
            (text, path.to_owned())
        }
        (_, None) => (data.to_owned(), "--data".to_owned()),
    };
    serde_json::from_str(&text)
        .map_err(|error| Failure::Usage(format!("{origin} is no JSON: {error}")))
}

fn fields(arguments: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut map = Map::new();
    for argument in arguments {
        let (key, value) = field(argument).map_err(Failure::Usage)?;
        if map.insert(key.to_owned(), value).is_some() {
            return Err(Failure::Usage(format!("`{key}` is given twice")));
        }
    }
    Ok(map)
}

fn field(argument: &str) -> Result<(&str, Value), String> {
    let (key, text) = argument
        .split_once('=')
        .ok_or_else(|| format!("`{argument}` is no argument: write key=text or key:=json"))?;
    let (key, value) = match key.strip_suffix(':') {
        Some(key) => {
            let value = serde_json::from_str(text)
                .map_err(|error| format!("`{argument}`: what follows := is no JSON: {error}"))?;
            (key, value)
        }
        None => (key, Value::from(text)),
    };
    if key.is_empty() {
        return Err(format!("`{argument}`: the key is missing"));
    }
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use super::field;
    use serde_json::json;

    #[test]
    fn text_and_json_are_told_apart() {
        assert_eq!(field("name=World"), Ok(("name", json!("World"))));
        assert_eq!(field("n=1"), Ok(("n", json!("1"))));
        assert_eq!(field("n:=1"), Ok(("n", json!(1))));
        assert_eq!(field("url=http://x/?a=b"), Ok(("url", json!("http://x/?a=b"))));
        assert_eq!(field("list:=[1, \"=\"]"), Ok(("list", json!([1, "="]))));
        assert_eq!(field("empty="), Ok(("empty", json!(""))));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (argument, words) in
            [("name", "key=text"), ("n:=x", "no JSON"), ("=1", "key is missing")]
        {
            let error = field(argument).unwrap_err();
            assert!(error.contains(words) && error.contains(argument), "{error}");
        }
    }
}
