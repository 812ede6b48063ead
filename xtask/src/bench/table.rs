//! Measurements as tables for people.

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use guest::bench::{APPARMOR_RULES, Arm, Operation, Report, Share};

use super::{
    added,
    budget::{Checked, Holds, Limits},
    cost,
};

/// What is shown beside an operation, as a person would say it.
pub(super) fn name(operation: Operation) -> &'static str {
    match operation {
        Operation::OpenInNewDirectory => "open+close, 9 components, first touch of a directory",
        Operation::OpenInKnownDirectory => "open+close, 9 components, known directory",
        Operation::OpenAgain => "open+close, 9 components, same file again",
        Operation::Write => "write(2) to an open file",
        Operation::Socket => "socket+close",
        Operation::Spawn => "spawn+exec+exit",
        Operation::SpawnDynamic => "spawn+exec+exit, dynamic program",
    }
}

/// The heading of an arm's column.
pub(super) fn title(arm: Arm) -> String {
    match arm {
        Arm::Plain => "plain".to_owned(),
        Arm::AppArmor => format!("AppArmor, {APPARMOR_RULES} rules"),
        Arm::Unlabelled => "ours, host task".to_owned(),
        Arm::Unprotected => "ours, unprotected".to_owned(),
        Arm::Logged => "ours, unprotected, logged".to_owned(),
        Arm::Governed(1) => "ours, 1 rule".to_owned(),
        Arm::Governed(count) => format!("ours, {} rules", thousands(f64::from(count))),
    }
}

/// The plain kernel's instructions, and what each arm adds to them.
pub(super) fn costs(report: &Report) -> Table {
    let mut table = markdown(
        ["operation".to_owned()]
            .into_iter()
            .chain(report.arms.iter().map(|measured| title(measured.arm))),
    );
    for operation in Operation::ALL {
        let cells = report.arms.iter().map(|measured| match measured.arm {
            Arm::Plain => cost(report, Arm::Plain, operation).map_or_else(absent, thousands),
            arm => added(report, arm, operation).map_or_else(absent, signed),
        });
        table.add_row([name(operation).to_owned()].into_iter().chain(cells));
    }
    table
}

/// Each budget and whether it holds.
pub(super) fn budgets(checked: &[Checked]) -> Table {
    let mut table =
        markdown(["operation", "limit", "budget", "measured", "holds"].map(str::to_owned));
    for budget in checked {
        let (limit, allowed, measured) = match budget.limits {
            Limits::Governed => ("governed", signed(budget.budget), signed(budget.measured)),
            Limits::Unprotected => ("unprotected", signed(budget.budget), signed(budget.measured)),
            Limits::Spread => (
                "flat in rules",
                format!("+-{:.0} %", budget.budget),
                format!("+-{:.1} %", budget.measured),
            ),
        };
        let holds = match budget.holds {
            Holds::Yes => "yes",
            Holds::No => "NO",
            Holds::NotShown => "NOT SHOWN",
        };
        table.add_row([name(budget.operation), limit, &allowed, &measured, holds]);
    }
    table
}

/// What each kernel program takes of an operation.
pub(super) fn shares(shares: &[Share]) -> Table {
    let mut table = markdown(["operation", "program", "runs", "instructions"].map(str::to_owned));
    for share in shares {
        table.add_row([
            name(share.operation).to_owned(),
            share.program.clone(),
            format!("{:.1}", share.runs),
            thousands(share.instructions),
        ]);
    }
    table
}

fn markdown(header: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn absent() -> String {
    "-".to_owned()
}

fn signed(number: f64) -> String {
    let sign = if number < 0.0 { '-' } else { '+' };
    format!("{sign}{}", thousands(number.abs()))
}

/// Rounded to a whole number, with commas.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_and_signs() {
        assert_eq!(thousands(755_123.4), "755,123");
        assert_eq!(thousands(26.0), "26");
        assert_eq!(signed(-1_234.0), "-1,234");
        assert_eq!(signed(0.2), "+0");
    }
}
