//! Ids, units, limits, the site manifest: raw to resolved.
