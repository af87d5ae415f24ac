//! What the stream parsers of Pacemaker's XML share.

use quick_xml::events::BytesStart;

/// Returns the value of an attribute; `None` if it is missing or cannot be read.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|attribute| attribute.key.as_ref() == name)?;
    Some(quick_xml::escape::unescape(&found.value).ok()?.into_owned())
}
