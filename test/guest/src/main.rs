//! The first process of the test bed's virtual machine: brings the machine up, does the one piece
//! of work it was booted for, writes the results disk and powers off.

mod boot;
mod containers;
mod disks;
mod process;
mod results;
mod work;

use guest::{Report, STARTED};

fn main() {
    println!("{STARTED}");
    let report = match boot::bring_up().and_then(|plan| work::perform(&plan)) {
        Ok(status) => Report { status, error: None },
        Err(error) => Report { status: 125, error: Some(format!("{error:#}")) },
    };
    if let Some(error) = &report.error {
        eprintln!("guest: {error}");
    }
    if let Err(error) = results::write(&report) {
        eprintln!("guest: results are lost: {error:#}");
    }
    boot::power_off();
}
