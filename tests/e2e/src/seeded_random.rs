//! Random numbers that can be repeated from a seed.

/// A generator whose numbers follow from a seed, the same on every machine (splitmix64).
#[derive(Clone, Debug)]
pub struct SeededRandom(u64);

impl SeededRandom {
    /// Returns a generator with the seed in `GNT_HA_SEED`, or one from the clock; prints the seed, so that a run can be
    /// repeated.
    #[must_use]
    pub fn new() -> Self {
        let named = std::env::var("GNT_HA_SEED").ok().and_then(|text| text.parse().ok());
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |time| u64::from(time.subsec_nanos()));
        let seed = named.unwrap_or_else(clock);
        println!("GNT_HA_SEED={seed} repeats this run");
        Self(seed)
    }

    /// Returns a number from 0 to `sides` - 1.
    pub fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % sides.max(1) as u64).unwrap_or(0)
    }

    /// Returns so many of `all`, each at most once.
    pub fn some<T: Clone>(&mut self, all: &[T], count: usize) -> Vec<T> {
        let mut left = all.to_vec();
        (0..count.min(all.len())).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }
}

impl Default for SeededRandom {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns a number that an environment variable may set for a run.
#[must_use]
pub fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
