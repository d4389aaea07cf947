//! The calls that a client program has to make.

mod exchange;
mod plan;

pub use exchange::{Action, Exchange};
pub use plan::{CallPlan, CancelAt, PlanError};
