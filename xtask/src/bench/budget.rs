//! The budgets of each operation and whether they hold. They are set for Debian's 6.12.

use guest::bench::{Arm, Operation, RULES, Report};
use serde::Serialize;

use super::added;

/// Additions for different numbers of rules may lie so far from their middle.
const FLAT: f64 = 0.05;

/// Additions that are allowed in a governed container, whatever the number of rules.
const GOVERNED: [(Operation, f64); 6] = [
    (Operation::OpenInNewDirectory, 3_400.0),
    (Operation::OpenInKnownDirectory, 850.0),
    (Operation::OpenAgain, 550.0),
    (Operation::Write, 50.0),
    (Operation::Socket, 400.0),
    (Operation::Spawn, 3_000.0),
];
/// Additions that are allowed in a container without rules.
const UNPROTECTED: [(Operation, f64); 3] = [
    (Operation::OpenInNewDirectory, 340.0),
    (Operation::OpenInKnownDirectory, 340.0),
    (Operation::OpenAgain, 340.0),
];

/// What a budget limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Limits {
    /// Instructions added in a governed container, by the dearest number of rules.
    Governed,
    /// Instructions added in an unprotected container.
    Unprotected,
    /// How far the additions for different numbers of rules lie from their middle, in percent.
    Spread,
}

/// What the measurement says of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Holds {
    Yes,
    No,
    /// It holds for what was measured, but a number of rules that it is set for was not.
    NotShown,
}

/// A budget and what was measured against it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Checked {
    pub(super) operation: Operation,
    pub(super) limits: Limits,
    pub(super) budget: f64,
    pub(super) measured: f64,
    pub(super) holds: Holds,
}

/// Holds a report against every budget.
pub(super) fn check(report: &Report) -> Vec<Checked> {
    let mut checked = Vec::new();
    let mut add = |operation, limits, budget: f64, measured: f64, whole: bool| {
        let holds = match (measured <= budget, whole) {
            (true, true) => Holds::Yes,
            (true, false) => Holds::NotShown,
            (false, _) => Holds::No,
        };
        checked.push(Checked { operation, limits, budget, measured, holds });
    };
    for (operation, budget) in GOVERNED {
        let additions: Vec<f64> = RULES
            .into_iter()
            .filter_map(|count| added(report, Arm::Governed(count), operation))
            .collect();
        let least = additions.iter().copied().fold(f64::INFINITY, f64::min);
        let most = additions.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let whole = additions.len() == RULES.len();
        add(operation, Limits::Governed, budget, most, whole);
        if is_open(operation) {
            let spread = (most - least) / (most + least);
            add(operation, Limits::Spread, FLAT * 100.0, spread * 100.0, whole);
        }
    }
    for (operation, budget) in UNPROTECTED {
        if let Some(measured) = added(report, Arm::Unprotected, operation) {
            add(operation, Limits::Unprotected, budget, measured, true);
        }
    }
    checked
}

fn is_open(operation: Operation) -> bool {
    UNPROTECTED.iter().any(|(open, _)| *open == operation)
}

#[cfg(test)]
mod tests {
    use guest::bench::{Cost, Measured};

    use super::*;

    /// A report in which every operation costs the same in an arm.
    fn report(arms: &[(Arm, f64)]) -> Report {
        let costs = |median| {
            Operation::ALL.map(|operation| Cost { operation, median, least: median }).to_vec()
        };
        let arms =
            arms.iter().map(|&(arm, median)| Measured { arm, costs: costs(median) }).collect();
        Report { arms, shares: Vec::new(), left_out: Vec::new() }
    }

    const UNFLAT: [(Arm, f64); 6] = [
        (Arm::Plain, 8_000.0),
        (Arm::Unprotected, 8_340.0),
        (Arm::Governed(1), 8_500.0),
        (Arm::Governed(100), 8_500.0),
        (Arm::Governed(1_000), 8_500.0),
        (Arm::Governed(10_000), 8_900.0),
    ];

    fn find(checked: &[Checked], operation: Operation, limits: Limits) -> &Checked {
        checked.iter().find(|c| c.operation == operation && c.limits == limits).unwrap()
    }

    #[test]
    fn the_dearest_number_of_rules_counts() {
        let checked = check(&report(&UNFLAT));
        let known = find(&checked, Operation::OpenInKnownDirectory, Limits::Governed);
        assert_eq!(known.holds, Holds::No);
        assert!((known.measured - 900.0).abs() < 0.01);
        assert_eq!(
            find(&checked, Operation::OpenInKnownDirectory, Limits::Spread).holds,
            Holds::No
        );
        assert_eq!(find(&checked, Operation::OpenAgain, Limits::Unprotected).holds, Holds::Yes);
        assert_eq!(find(&checked, Operation::Spawn, Limits::Governed).holds, Holds::Yes);
    }

    #[test]
    fn what_was_not_measured_is_not_shown() {
        let checked = check(&report(&UNFLAT[..5]));
        assert_eq!(find(&checked, Operation::Spawn, Limits::Governed).holds, Holds::NotShown);
    }
}
