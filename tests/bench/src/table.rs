//! The table: what was measured, and what is to be reached.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One figure.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// Ours, as text.
    pub(crate) ours: String,
    /// What it is compared with, as text.
    pub(crate) theirs: String,
    /// The figure that is judged.
    pub(crate) figure: f64,
    /// What it must be.
    pub(crate) goal: Goal,
    /// What else there is to know.
    pub(crate) note: String,
}

/// What a figure must be.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Row {
    fn reached(&self) -> bool {
        match self.goal {
            Goal::AtMost(limit) => self.figure <= limit,
            Goal::AtLeast(limit) => self.figure >= limit,
        }
    }

    fn verdict(&self) -> &'static str {
        if self.reached() { "ok" } else { "MISSED" }
    }
}

impl Goal {
    fn text(self) -> String {
        match self {
            Self::AtMost(limit) => format!("at most {}", number(limit)),
            Self::AtLeast(limit) => format!("at least {}", number(limit)),
        }
    }
}

/// Without digits that mean nothing.
fn number(figure: f64) -> String {
    let text = if figure.abs() < 10.0 { format!("{figure:.3}") } else { format!("{figure:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// For a person.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut cells = vec![["what", "ours", "compared with", "figure", "to reach", ""].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let (figure, goal) = (number(row.figure), row.goal.text());
        [row.what.clone(), row.ours.clone(), row.theirs.clone(), figure, goal, row.verdict().to_owned()]
    }));
    let width = |column: usize| cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for (index, row) in cells.iter().enumerate() {
        let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
        if let Some(note) = index.checked_sub(1).and_then(|index| rows.get(index)).map(|row| &row.note)
            && !note.is_empty()
        {
            let _ = writeln!(text, "    {note}");
        }
    }
    text
}

/// For a program.
pub(crate) fn document(rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let (bound, limit) = match row.goal {
                Goal::AtMost(limit) => ("at most", limit),
                Goal::AtLeast(limit) => ("at least", limit),
            };
            json!({
                "what": row.what, "ours": row.ours, "compared_with": row.theirs, "figure": row.figure,
                "bound": bound, "limit": limit, "reached": row.reached(), "note": row.note
            })
        })
        .collect();
    json!({ "version": 1, "rows": rows })
}
