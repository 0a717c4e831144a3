//! The command for people: `holm`. Arguments, the commands, and how they speak to a cluster and to a terminal.

pub mod args;
mod cluster;
mod commands;
mod failure;
mod output;
pub mod site;
mod stores;
mod together;

pub use self::commands::main;
pub use self::failure::Failure;
