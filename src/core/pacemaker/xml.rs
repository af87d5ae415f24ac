//! What the readers of Pacemaker's XML share.

use quick_xml::events::BytesStart;

/// The value of an attribute; none if it is not there, or cannot be read.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|attribute| attribute.key.as_ref() == name)?;
    Some(quick_xml::escape::unescape(&found.value).ok()?.into_owned())
}
