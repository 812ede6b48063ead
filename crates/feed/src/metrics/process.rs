//! What every exporter tells of its own process, under the names that all of them use.

use super::{Families, Source};

/// This process, as `/proc` shows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

#[tonic::async_trait]
impl Source for Process {
    async fn collect(&self, families: &mut Families) {
        // Without /proc there is nothing to tell, and the other metrics are worth more.
        let _ = collect(families);
    }
}

fn collect(families: &mut Families) -> procfs::ProcResult<()> {
    let process = procfs::process::Process::myself()?;
    let stat = process.stat()?;
    #[expect(clippy::cast_precision_loss, reason = "a double is what the format has")]
    let seconds = |ticks: u64| ticks as f64 / procfs::ticks_per_second() as f64;
    let mut gauge =
        |name, help, value: super::Number| families.gauge(name, help).sample(&[], value);
    gauge(
        "process_resident_memory_bytes",
        "Resident memory",
        (stat.rss * procfs::page_size()).into(),
    );
    gauge("process_virtual_memory_bytes", "Virtual memory", stat.vsize.into());
    gauge("process_open_fds", "Open file descriptors", process.fd_count()?.into());
    if let procfs::process::LimitValue::Value(most) = process.limits()?.max_open_files.soft_limit {
        gauge("process_max_fds", "Most file descriptors", most.into());
    }
    let threads = u64::try_from(stat.num_threads).unwrap_or_default();
    gauge("process_threads", "Threads", threads.into());
    #[expect(clippy::cast_precision_loss, reason = "a double is what the format has")]
    let booted = procfs::boot_time_secs()? as f64;
    gauge(
        "process_start_time_seconds",
        "When the process started, in seconds since 1970",
        (booted + seconds(stat.starttime)).into(),
    );
    families
        .counter("process_cpu_seconds_total", "Processor time of user and kernel")
        .sample(&[], seconds(stat.utime + stat.stime));
    Ok(())
}
