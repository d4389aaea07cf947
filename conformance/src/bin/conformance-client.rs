//! The client under test: makes the calls that stdin asks for and writes their results to stdout.

use std::io::{Read, Write};
use std::sync::{Mutex, PoisonError};
use std::{env, io, thread};

use conformance::args::Args;
use conformance::client::CallPlan;
use conformance::convert::Unsupported;
use conformance::framing;
use conformance::proto::client_compat_response::Result as Outcome;
use conformance::proto::{ClientCompatRequest, ClientCompatResponse, ClientErrorResult};
use conformance::runtime::{self, Runtime};

fn main() -> Result<(), Unsupported> {
    let args = Args::parse(env::args().skip(1))?;
    let runtime = runtime::find(&args.runtime)?;
    let (input, output) = (Mutex::new(io::stdin()), Mutex::new(io::stdout()));
    let work = || work(&*runtime, &input, &output);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..args.parallel.get()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker panicked"))
    })?;
    Ok(())
}

/// Makes one call after the other, as long as there are any.
fn work(runtime: &dyn Runtime, input: &Mutex<impl Read>, output: &Mutex<impl Write>) -> io::Result<()> {
    loop {
        let next = framing::read(&mut *input.lock().unwrap_or_else(PoisonError::into_inner))?;
        let Some(request) = next else { return Ok(()) };
        let response = call(runtime, request);
        framing::write(&mut *output.lock().unwrap_or_else(PoisonError::into_inner), &response)?;
    }
}

fn call(runtime: &dyn Runtime, request: ClientCompatRequest) -> ClientCompatResponse {
    let test_name = request.test_name.clone();
    let plan = match CallPlan::new(request) {
        Ok(plan) => plan,
        Err(error) => return error.into_response(test_name),
    };
    runtime.call(&plan).unwrap_or_else(|error| {
        let message = error.to_string();
        ClientCompatResponse { test_name, result: Some(Outcome::Error(ClientErrorResult { message })) }
    })
}
