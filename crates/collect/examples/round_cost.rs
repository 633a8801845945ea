//! What a round costs: mean CPU milliseconds over 200 rounds, one round at a time, without a keep file.
//!
//! ```text
//! cargo run --release -p wellkept-collect --example round_cost
//! ```
//!
//! CPU time is that of the whole process (user and system) as the kernel counts it, so reading /proc is in it. At one
//! round a second, one millisecond is 0.1 % of one core.

use std::sync::Arc;

use wellkept_collect::Collector;
use wellkept_model::TimestampMs;
use wellkept_model::keep::Keep;

const ROUNDS: u32 = 200;

#[expect(clippy::print_stdout, reason = "printing the figure is what this program is for")]
fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _guard = runtime.enter();
    let mut collector = Collector::new(Arc::new(Keep::default()), "bench");
    let mut series = collector.round(TimestampMs(0)).batch.samples.len();
    let before = cpu_ms();
    for n in 1..=ROUNDS {
        series = collector.round(TimestampMs(i64::from(n) * 1000)).batch.samples.len();
    }
    let mean = (cpu_ms() - before) / f64::from(ROUNDS);
    println!("{ROUNDS} rounds, {series} series: {mean:.3} ms of CPU a round");
    Ok(())
}

/// CPU time of this process so far, milliseconds.
fn cpu_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "the run lasts seconds")]
    let ms = time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6;
    ms
}
