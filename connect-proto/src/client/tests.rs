//! A client's call, rule by rule, in virtual time.

mod closing;
mod life;
mod requests;
mod responses;
mod sending;
mod streams;
