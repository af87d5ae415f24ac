//! Holds passwords and session tokens, which must not reach a log or an error.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A password, a token or a body that has one: never printed, overwritten in memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpSecret(Zeroizing<String>);

impl HttpSecret {
    /// Takes ownership of the text; pass an owned one so that no second copy remains in memory.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the text as it is inside a JSON text, where that differs: an echoed body has this form.
    pub(crate) fn in_json(&self) -> Option<Self> {
        let text = Zeroizing::new(serde_json::to_string(&*self.0).ok()?);
        let inner = text.strip_prefix('"')?.strip_suffix('"')?;
        (inner != self.expose()).then(|| Self::new(inner))
    }

    /// Returns the text, to send it to the BMC.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HttpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpSecret(..)")
    }
}

/// For the pipe between two programs of this package. Nothing else may serialize a secret.
impl Serialize for HttpSecret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HttpSecret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}
