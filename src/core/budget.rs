//! How a total time is split over what is left to try.

use std::time::Duration;

/// The part of `left` that the next of `to_try` attempts may use: an equal share, so that one device that
/// does not answer cannot use up the time of those behind it.
///
/// Time that an attempt does not use goes to those after it, as the caller asks again with what is left.
#[must_use]
pub fn share(left: Duration, to_try: usize) -> Duration {
    match u32::try_from(to_try) {
        Ok(0) => Duration::ZERO,
        Ok(n) => left / n,
        Err(_) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_does_not_use_is_left_to_the_next() {
        let total = Duration::from_secs(50);
        assert_eq!(share(total, 2), Duration::from_secs(25));
        let after_a_fast_failure = total - Duration::from_secs(1);
        assert_eq!(share(after_a_fast_failure, 1), Duration::from_secs(49));
    }

    #[test]
    fn nothing_to_try_gets_nothing() {
        assert_eq!(share(Duration::from_secs(50), 0), Duration::ZERO);
    }
}
