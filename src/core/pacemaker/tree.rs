//! XML as a tree, for documents that are read in more than one pass: Pacemaker's configuration. Pure.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// How deep elements may stand in each other; Pacemaker's schemas come to a dozen.
const DEPTH_MOST: usize = 64;

/// The reason why a text is not a configuration of Pacemaker.
#[derive(Debug, thiserror::Error)]
pub enum BadCib {
    /// The text is not well-formed XML.
    #[error("it is not XML: {0}")]
    Xml(#[from] quick_xml::Error),
    /// XML of something else, or cut short.
    #[error("it is not a whole CIB")]
    Shape,
}

/// An XML element of a CIB with its attributes and children; comments and text are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// The tag of the element, such as `primitive`.
    pub name: String,
    attributes: BTreeMap<String, String>,
    /// The elements inside; text is left out.
    pub children: Vec<Element>,
}

impl Element {
    /// Parses a whole document.
    ///
    /// # Errors
    /// [`BadCib::Xml`] if the text is not XML, [`BadCib::Shape`] if it is cut short, has two roots, or is deeper than
    /// 64 elements.
    pub fn parse(xml: &str) -> Result<Self, BadCib> {
        let mut reader = Reader::from_str(xml);
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        loop {
            let done = match reader.read_event()? {
                Event::Start(tag) => {
                    if open.len() >= DEPTH_MOST {
                        return Err(BadCib::Shape);
                    }
                    open.push(Self::of(&tag));
                    None
                }
                Event::Empty(tag) => Some(Self::of(&tag)),
                Event::End(_) => open.pop(),
                Event::Eof if open.is_empty() => return root.ok_or(BadCib::Shape),
                Event::Eof => return Err(BadCib::Shape),
                _ => None,
            };
            if let Some(element) = done {
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None if root.is_none() => root = Some(element),
                    None => return Err(BadCib::Shape),
                }
            }
        }
    }

    fn of(tag: &BytesStart<'_>) -> Self {
        let attributes = tag.attributes().flatten().filter_map(|attribute| {
            let value = quick_xml::escape::unescape(&attribute.value).ok()?.into_owned();
            Some((attribute.key.as_ref().to_owned(), value))
        });
        Self { name: tag.name().as_ref().to_owned(), attributes: attributes.collect(), children: Vec::new() }
    }

    /// Returns the value of an attribute.
    #[must_use]
    pub fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }

    /// Returns the elements of this name inside, at any depth, in the order of the document.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&Self> {
        let mut found = Vec::new();
        self.gather(name, &mut found);
        found
    }

    fn gather<'a>(&'a self, name: &str, found: &mut Vec<&'a Self>) {
        for child in &self.children {
            if child.name == name {
                found.push(child);
            }
            child.gather(name, found);
        }
    }

    /// Returns the elements of this name directly inside.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_stand_in_each_other_and_attributes_are_unescaped() {
        let tree = Element::parse("<?xml version=\"1.0\"?><a x=\"1 &lt; 2\"><b/><c><b y='z'/>text</c></a>").unwrap();
        assert_eq!((tree.name.as_str(), tree.get("x")), ("a", Some("1 < 2")));
        assert_eq!(tree.all("b").iter().map(|b| b.get("y")).collect::<Vec<_>>(), [None, Some("z")]);
        assert_eq!(tree.children_named("b").count(), 1);
    }

    /// A file that ends early may lack the very lines that count.
    #[test]
    fn what_is_cut_short_or_two_is_no_document() {
        for bad in ["", "<a>", "<a><b></a>", "<a/><a/>", "no xml", "<a"] {
            assert!(Element::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Element::parse(&"<a>".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[<>/a-c=\"' &;]{0,120}") {
            let _ = Element::parse(&text);
        }
    }
}
