//! Mutants of self-fencing: the rules of the lease, and the computation of its times.

use super::of;
use crate::Death::{Model, Unit};
use crate::Mutant;

const EXPIRY: &str = "src/core/shun/expiry.rs";
const LEASE: &str = "src/core/shun/lease.rs";
const LEASE_TIMES: &str = "src/core/shun/lease_times.rs";

/// The mutants of self-fencing.
pub(super) const MUTANTS: &[Mutant] = &[
    // The rules of the lease.
    of(
        "an-echo-begins-a-lease",
        LEASE,
        "if is_first { *answer == CandidateAnswer::Granted } else { answer.grants() }",
        "answer.grants() || is_first && *answer == CandidateAnswer::Granted",
        Unit("lease::tests::no_echo_begins_a_lease"),
    ),
    of(
        "a-denial-grants",
        LEASE,
        "matches!(self, Self::Granted | Self::Alive)",
        "!matches!(self, Self::Silent)",
        Unit("lease::tests::a_denial_renews_nothing"),
    ),
    of(
        "a-list-needs-no-majority-of-its-own",
        LEASE,
        "!named.is_empty() && grants(named)",
        "!named.is_empty()",
        Unit("lease::tests::a_list_comes_into_force_by_a_majority_of_its_own_too"),
    ),
    of(
        "a-list-needs-no-majority-of-the-one-before",
        LEASE,
        "        if !grants(&self.candidates) {",
        "        if !grants(named) {",
        Unit("lease::tests::a_shorter_list_needs_the_longer_ones_majority"),
    ),
    of(
        "an-old-round-shortens-the-lease",
        LEASE,
        "self.granted_at.max(Some(sent))",
        "Some(sent)",
        Unit("lease::tests::it_counts_from_the_sending_and_an_old_round_shortens_nothing"),
    ),
    of(
        "a-lease-lasts-one-unit-too-long",
        LEASE,
        "is_some_and(|ends| now < ends)",
        "is_some_and(|ends| now <= ends)",
        Unit("lease::tests::it_counts_from_the_sending_and_an_old_round_shortens_nothing"),
    ),
    of(
        "a-service-that-is-started-again-has-a-new-lease",
        LEASE,
        "Self { granted_at: Some(granted_at), ..Self::new(lease_times, candidates) }",
        "Self { granted_at: Some(granted_at + Duration::from_millis(lease_times.lease_ms)), ..Self::new(lease_times, candidates) }",
        Model("time_started_again"),
    ),
    // The computation of times.
    of(
        "one-watchdog-time",
        LEASE_TIMES,
        "2 * u128::from(self.watchdog_ms)",
        "u128::from(self.watchdog_ms)",
        Model("time"),
    ),
    of(
        "no-drift",
        LEASE_TIMES,
        "(held * (MILLION + drift)).div_ceil(MILLION - drift)",
        "held + drift * 0",
        Model("time"),
    ),
    of(
        "the-drift-of-one-clock",
        LEASE_TIMES,
        "(held * (MILLION + drift)).div_ceil(MILLION - drift)",
        "(held * (MILLION + drift)).div_ceil(MILLION)",
        Model("time"),
    ),
    of(
        "nothing-for-writes-that-were-accepted",
        LEASE_TIMES,
        "let all = stretched + stop;",
        "let all = stretched; let _ = stop;",
        Model("time_of_writes_that_were_accepted"),
    ),
    of(
        "writes-by-a-clock-that-is-right",
        LEASE_TIMES,
        "(u128::from(self.stop_ms) * (MILLION + drift)).div_ceil(MILLION)",
        "u128::from(self.stop_ms)",
        Unit("lease_times::tests::the_wait_is_rounded_up_and_covers_both_clocks"),
    ),
    of(
        "a-promise-need-not-last-for-the-wait",
        LEASE_TIMES,
        "self.is_promised(age_ms.saturating_add(wait_time_ms), guaranteed_for_ms)",
        "self.is_promised(age_ms.max(wait_time_ms.min(1)), guaranteed_for_ms)",
        Unit("lease_times::tests::a_promise_has_to_last_for_the_whole_wait"),
    ),
    of(
        "a-promise-by-one-clock",
        LEASE_TIMES,
        "u128::from(age_ms) * (MILLION + drift) < u128::from(guaranteed_for_ms) * (MILLION - drift)",
        "u128::from(age_ms) * (MILLION + drift * 0) < u128::from(guaranteed_for_ms) * MILLION",
        Unit("lease_times::tests::a_promise_has_to_last_for_the_whole_wait"),
    ),
    of(
        "a-late-driver-counts-once",
        EXPIRY,
        "None if LATE.contains(&driver) => set_ms.saturating_mul(2),",
        "None if LATE.contains(&driver) => set_ms,",
        Model("time_of_a_late_watchdog"),
    ),
    of(
        "a-measurement-makes-it-shorter",
        EXPIRY,
        "measured.reset_within_ms.max(set_ms)",
        "measured.reset_within_ms",
        Unit("expiry::tests::a_driver_that_may_be_late_counts_twice_until_it_is_measured"),
    ),
    of(
        "a-measurement-of-another-time-counts",
        EXPIRY,
        " && measured.set_ms == set_ms)",
        ")",
        Unit("expiry::tests::a_driver_that_may_be_late_counts_twice_until_it_is_measured"),
    ),
];
