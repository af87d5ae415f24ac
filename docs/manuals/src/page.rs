//! A manual page of something else than a program: a file (section 5), a convention or an OCF agent (section 7).

use std::path::PathBuf;

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// Not empty: an empty date would be left out, and what follows it be taken for the date.
pub(crate) const NO_DATE: &str = " ";

/// A page.
pub(crate) struct Page {
    name: String,
    section: u8,
    roff: Roff,
    /// Nothing stands in the section yet.
    fresh: bool,
}

impl Page {
    /// A page of this name in this section, and what it is about in a few words.
    pub(crate) fn new(name: &str, section: u8, short: &str) -> Self {
        let mut roff = Roff::new();
        roff.control("TH", [name, &section.to_string(), NO_DATE, "gnt-ha", "gnt-ha"]);
        roff.control("SH", ["NAME"]);
        roff.text([roman(format!("{name} - {short}"))]);
        Self { name: name.to_owned(), section, roff, fresh: false }
    }

    /// Its file, in the directory of all pages.
    pub(crate) fn file(&self) -> PathBuf {
        PathBuf::from(format!("man{0}/{1}.{0}", self.section, self.name))
    }

    /// Begins a section.
    pub(crate) fn section(mut self, title: &str) -> Self {
        self.roff.control("SH", [title]);
        self.fresh = true;
        self
    }

    /// A paragraph.
    pub(crate) fn paragraph(self, text: &str) -> Self {
        self.paragraph_of([roman(text)])
    }

    /// A paragraph with words that stand out.
    pub(crate) fn paragraph_of(mut self, text: impl Into<Vec<Inline>>) -> Self {
        self.break_paragraph();
        self.roff.text(text);
        self
    }

    /// One item of a list: a word, what is added to it, and what it means.
    pub(crate) fn item(mut self, word: &str, addition: &str, meaning: &str) -> Self {
        self.fresh = false;
        self.roff.control("TP", []);
        self.roff.text([bold(word), roman(addition)]);
        self.roff.text([roman(meaning)]);
        self
    }

    /// Lines that are to be typed as they stand.
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

    /// The page as it is written to the file.
    pub(crate) fn text(&self) -> String {
        self.roff.render()
    }
}
