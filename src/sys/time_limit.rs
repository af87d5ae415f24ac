//! Runs work that may hang, such as a write on a disk, in a thread of its own, and waits no longer than a limit.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

/// The reason why work has no result.
#[derive(Debug, thiserror::Error)]
pub enum NoResultError {
    /// The system has no thread for it: the work was not begun.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The work did not end within the limit, or ended without a result. It may still go on.
    #[error("it did not end in time")]
    Timeout,
}

/// Runs `work` and returns its result. After `limit` the work is left behind, and its result is dropped.
///
/// # Errors
/// [`NoResultError`] if the work was not begun, or did not end within `limit`.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoResultError> {
    let (done, answer) = mpsc::channel();
    // After the limit the receiver is gone.
    std::thread::Builder::new().spawn(move || drop(done.send(work()))).map_err(NoResultError::Thread)?;
    answer.recv_timeout(limit).map_err(|_| NoResultError::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work that hangs never holds its caller for longer than the limit.
    #[test]
    fn work_that_hangs_is_left_behind() {
        let (go_on, hanging) = mpsc::channel::<()>();
        let result = within(Duration::from_millis(10), move || hanging.recv());
        assert!(matches!(result, Err(NoResultError::Timeout)), "{result:?}");
        drop(go_on);
        assert_eq!(within(Duration::from_secs(20), || 7).unwrap(), 7);
    }
}
