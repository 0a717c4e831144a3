//! The command for people.
