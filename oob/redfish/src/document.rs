//! Reads a JSON object of a BMC. Few keys are read, and each may have any type.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The fault in a document of the BMC, as text for the failure of the call: no caller decides by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DocumentError(pub(crate) String);

impl From<&str> for DocumentError {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<DocumentError> for String {
    fn from(error: DocumentError) -> Self {
        error.0
    }
}

/// Parses the body as an object. A key that is read and comes twice is an error: one of both values would win by chance.
/// Anything behind the object, and a body that was cut off, is an error, too.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, DocumentError> {
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if begins.is_none() {
        return Err("the answer is empty".into());
    }
    // A derived type would also read an array, by the order of its fields.
    if begins != Some(&b'{') {
        return Err("the answer is not a JSON object".into());
    }
    // The parser's message names positions and keys, and quotes no value.
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => "the answer was cut off".into(),
        _ if error.to_string().starts_with("duplicate field") => "the answer has a key twice".into(),
        _ => DocumentError(format!("the answer is not valid JSON (line {}, column {})", error.line(), error.column())),
    })
}

/// Returns the text of a value that is a text.
pub(crate) fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

/// Whether a value is null, which many BMCs send in place of nothing.
pub(crate) const fn is_null(value: &Value) -> bool {
    matches!(value, Value::Null)
}

/// Returns the `@odata.id` of each entry of a list of links; `None` if an entry has none, or the value is not a list.
pub(crate) fn links(value: Option<&Value>) -> Option<Vec<&str>> {
    value?.as_array()?.iter().map(|link| text(link.get("@odata.id"))).collect()
}
