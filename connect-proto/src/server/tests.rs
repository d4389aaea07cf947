//! A server's call, rule by rule, in virtual time.

mod answering;
mod incoming;
mod life;
mod message_timeout;
mod requests;
