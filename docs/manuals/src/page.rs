//! A manual page of something else than a program: a file (section 5), a convention or an OCF agent (section 7).

use std::path::PathBuf;

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// The date of a page. It is not empty: an empty date is left out, and the next field would become the date.
pub(crate) const NO_DATE: &str = " ";

/// A manual page that is being written.
pub(crate) struct Page {
    name: String,
    section: u8,
    roff: Roff,
    /// The section has no text yet.
    fresh: bool,
}

impl Page {
    /// Begins a page of this name in this section; `short` is its subject in a few words.
    pub(crate) fn new(name: &str, section: u8, short: &str) -> Self {
        let mut roff = Roff::new();
        roff.control("TH", [name, &section.to_string(), NO_DATE, "gnt-ha", "gnt-ha"]);
        roff.control("SH", ["NAME"]);
        roff.text([roman(format!("{name} - {short}"))]);
        Self { name: name.to_owned(), section, roff, fresh: false }
    }

    /// Returns the path of the page in the directory of all pages.
    pub(crate) fn file(&self) -> PathBuf {
        PathBuf::from(format!("man{0}/{1}.{0}", self.section, self.name))
    }

    /// Begins a section.
    pub(crate) fn section(mut self, title: &str) -> Self {
        self.roff.control("SH", [title]);
        self.fresh = true;
        self
    }

    /// Adds a paragraph of plain text.
    pub(crate) fn paragraph(self, text: &str) -> Self {
        self.paragraph_of([roman(text)])
    }

    /// Adds a paragraph with words in bold.
    pub(crate) fn paragraph_of(mut self, text: impl Into<Vec<Inline>>) -> Self {
        self.break_paragraph();
        self.roff.text(text);
        self
    }

    /// Adds an item to a list: a word, an addition to it, and its meaning.
    pub(crate) fn item(mut self, word: &str, addition: &str, meaning: &str) -> Self {
        self.fresh = false;
        self.roff.control("TP", []);
        self.roff.text([bold(word), roman(addition)]);
        self.roff.text([roman(meaning)]);
        self
    }

    /// Adds lines to be typed as they are.
    pub(crate) fn lines(mut self, lines: &[String]) -> Self {
        self.break_paragraph();
        self.roff.control("RS", ["4"]);
        self.roff.control("nf", []);
        lines.iter().for_each(|line| {
            self.roff.text([roman(line)]);
        });
        self.roff.control("fi", []);
        self.roff.control("RE", []);
        self
    }

    fn break_paragraph(&mut self) {
        if !std::mem::take(&mut self.fresh) {
            self.roff.control("PP", []);
        }
    }

    /// Returns the page in the format of its file.
    pub(crate) fn text(&self) -> String {
        self.roff.render()
    }
}
