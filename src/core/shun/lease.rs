//! Whether a leashed node may run on: the one decision of the leash.
