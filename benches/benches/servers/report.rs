//! The figures, as a table.

use crate::idle;
use crate::load::{Case, Measured};

/// For a unary case its calls count, for a stream its messages.
pub(crate) fn print(case: &Case, measured: &[Measured]) {
    println!("{}", case.name);
    let floor = measured.first().map_or(1.0, |floor| floor.cpu_per_call.as_secs_f64());
    for Measured { server, cpu_per_call, calls_per_second } in measured {
        let cpu = cpu_per_call.as_secs_f64();
        let messages = case.messages as f64;
        let cost = if case.is_unary() {
            format!("{:7.2} us a call, {:8.0} calls/s", cpu * 1e6, calls_per_second)
        } else {
            let rate = calls_per_second * messages;
            let megabytes = rate * case.size as f64 / 1e6;
            format!(
                "{:7.0} ns a message, {:9.0} messages/s, {:5.0} MB/s",
                cpu * 1e9 / messages,
                rate,
                megabytes
            )
        };
        println!("  {server:10} {cost}, {:5.2} x the floor's CPU", cpu / floor);
    }
}

pub(crate) fn print_idle(server: &str, measured: &idle::Measured) {
    let idle::Measured { fresh, used } = measured;
    println!("idle connection on {server}: {fresh} bytes when accepted, {used} after a call");
}
