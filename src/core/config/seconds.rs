//! Holds the times of the configuration; touches nothing.

use std::time::Duration;

use serde::Deserialize;

use super::setting_error::SettingError;

/// The longest time that a setting can have, in seconds.
const MOST_SECONDS: f64 = 3600.0;

/// A time in seconds, 0 to 3600, written as a whole number or with a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Number")]
pub struct Seconds(pub Duration);

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Fraction(f64),
}

impl TryFrom<Number> for Seconds {
    type Error = SettingError;

    fn try_from(number: Number) -> Result<Self, SettingError> {
        let seconds = match number {
            #[allow(clippy::cast_precision_loss, reason = "anything near the limit of f64 is refused below")]
            Number::Whole(n) => n as f64,
            Number::Fraction(n) => n,
        };
        if !(0.0..=MOST_SECONDS).contains(&seconds) {
            return Err(SettingError::Time { seconds, most: MOST_SECONDS });
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}
