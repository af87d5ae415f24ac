//! The table of the measurements and their limits.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One row of the table.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    /// The name of the measurement.
    pub(crate) what: String,
    /// The value of gnt-ha, as text.
    pub(crate) ours: String,
    /// The value for comparison, as text.
    pub(crate) theirs: String,
    /// The number that is checked.
    pub(crate) figure: f64,
    /// The limit of that number.
    pub(crate) goal: Goal,
    /// A note on the row.
    pub(crate) note: String,
}

/// The limit of a number.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// The number must not be greater.
    AtMost(f64),
    /// The number must not be smaller.
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

/// Returns a number without insignificant digits.
fn number(figure: f64) -> String {
    let text = if figure.abs() < 10.0 { format!("{figure:.3}") } else { format!("{figure:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns the table as text.
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

/// Returns the table as JSON.
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
