//! A server's call, rule by rule, in virtual time.

mod answering;
mod incoming;
mod life;
mod requests;
