//! The project's own tasks: `cargo xtask --help`.
#![forbid(unsafe_code)]

mod bench;
mod binaries;
mod checkout;
mod cluster;
mod codegen;
mod demo;
mod e2e;
mod image;
mod program;
mod prove;
mod scale;
mod soak;
mod test;
mod verifier;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use checkout::Checkout;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the static programs: the agent, karmor, and the test bed's probe and guest
    Build(binaries::Arguments),
    /// Show policies at work in a container
    Demo(demo::Arguments),
    /// Count what the product costs, in guest instructions an operation
    Bench(bench::Arguments),
    /// A real cluster: the control plane on this machine, the node in a virtual one
    #[command(subcommand)]
    Cluster(cluster::Task),
    /// Write the custom resource definitions and the policy reference
    Codegen(codegen::Arguments),
    /// Run behaviour cases in virtual machines
    E2e(e2e::Arguments),
    /// Pack the product's container image and its bill of materials
    Image(image::Arguments),
    /// Compare every reading of the law with the law, in millions of generated accesses
    Prove(prove::Arguments),
    /// Count what a node full of protected containers takes of memory
    Scale(scale::Arguments),
    /// Start containers by the thousand, and open what is forbidden by the million
    Soak(soak::Arguments),
    /// Run every check and test, or the named ones
    Test(test::Arguments),
    /// Load every kernel program into every kernel, in virtual machines
    Verifier(verifier::Arguments),
    /// Virtual machines with stock kernels
    #[command(subcommand)]
    Vm(vm::Task),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(arguments.task) {
        Ok(status) => status,
        Err(error) => {
            // Not the debug form: a backtrace would bury the message.
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    let checkout = Checkout::find()?;
    match task {
        Task::Build(arguments) => binaries::perform(&checkout, &arguments),
        Task::Demo(arguments) => demo::perform(&checkout, &arguments),
        Task::Bench(arguments) => bench::perform(&checkout, &arguments),
        Task::Cluster(task) => cluster::perform(&checkout, task),
        Task::Codegen(arguments) => codegen::perform(&checkout, &arguments),
        Task::E2e(arguments) => e2e::perform(&checkout, &arguments),
        Task::Image(arguments) => image::perform(&checkout, &arguments),
        Task::Prove(arguments) => prove::perform(&checkout, &arguments),
        Task::Scale(arguments) => scale::perform(&checkout, &arguments),
        Task::Soak(arguments) => soak::perform(&checkout, &arguments),
        Task::Test(arguments) => test::perform(&checkout, &arguments),
        Task::Verifier(arguments) => verifier::perform(&checkout, &arguments),
        Task::Vm(task) => vm::perform(&checkout, task),
    }
}
