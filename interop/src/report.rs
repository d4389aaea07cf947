//! What is told of the cases.

use std::fmt::Debug;
use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use connect_proto_async::Runtime;
use futures_lite::future::or;

use crate::{Failure, pause};

/// How long a case may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Prints a line for each case, and remembers whether all were well.
pub(crate) struct Report {
    runtime: Arc<dyn Runtime>,
    failed: usize,
}

impl Report {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Report {
        Report { runtime, failed: 0 }
    }

    pub(crate) async fn case(&mut self, name: &str, case: impl Future<Output = Result<(), Failure>>) {
        let late = async {
            pause(&self.runtime, LIMIT).await;
            Err("took too long".into())
        };
        match or(case, late).await {
            Ok(()) => println!("{name} ok"),
            Err(failure) => {
                self.failed += 1;
                println!("{name} FAILED: {failure}");
            }
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Says what is not as it should be.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, is: T, should_be: T) -> Result<(), Failure> {
    holds(is == should_be, || format!("{what}: {is:?} instead of {should_be:?}"))
}

pub(crate) fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if condition { Ok(()) } else { Err(otherwise().into()) }
}
