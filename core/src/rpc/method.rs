use alloc::string::String;
use alloc::vec::Vec;

/// What discovery tells of a method.
///
/// On the wire (fact 4) it is `{name, description, parameters: {name: type}, return_type,
/// requires_auth}`. Type names are Python's: `int`, `float`, `str`, `bool`, `dict`, `list`, `Any`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodInfo {
    /// The name to call it by.
    pub name: String,
    /// What it does, for people.
    pub description: String,
    /// Parameter names with their types, in order.
    pub parameters: Vec<(String, String)>,
    /// The type of the result.
    pub return_type: String,
    /// Whether a caller must have logged in.
    pub requires_auth: bool,
}
