//! HTTP/2 over the h2 crate, what server and client share: bodies both ways, and pings. hyper, which would do this too, has no
//! way for interim responses (hyper #4114).

mod pings;
mod receive;
mod stall;
mod transmit;

pub(crate) use self::pings::{Heard, Listening, Pings, Silent};
pub(crate) use self::receive::{Hold, received_body};
pub(crate) use self::stall::{Moves, Stall};
pub(crate) use self::transmit::{Piece, SendFailure, send_body};

#[cfg(test)]
mod tests;
