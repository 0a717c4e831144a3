//! End-to-end tests through real sockets: the built `holm`, and clients and origins that we did not write (curl, aioquic,
//! websockets, nginx), with an origin of our own for what no real one does. What can't be had panics: these are tests.

mod ask;
mod bytes;
mod curl;
mod fields;
mod h3;
mod holm;
mod nginx;
mod node;
mod origin;
mod process;
mod raw;
mod response;
mod tools;
mod websocket;

pub use self::ask::{Ask, Protocol, ask, get, head};
pub use self::bytes::{Pattern, sha256};
pub use self::curl::{Curl, Transfer};
pub use self::fields::Fields;
pub use self::h3::H3Client;
pub use self::holm::{Holm, Ran, Starting, cli};
pub use self::nginx::Nginx;
pub use self::node::HintingOrigin;
pub use self::origin::{Asked, Exchange, Gate, Origin, broken_off, ok};
pub use self::process::{PATIENCE, Process, wait_for};
pub use self::raw::Raw;
pub use self::response::Response;
pub use self::tools::{built_command, built_wasm, repository, unused_port};
pub use self::websocket::{EchoServer, websocket};
