//! What both roles share. How each role behaves is tested beside it.

mod halves;
mod matrices;
mod properties;
