//! The memory tier and the purge marks.
