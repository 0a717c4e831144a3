//! Listening sockets: one of each kind per worker on the same port, and a clear error where the port is taken.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// The sockets of one address: a TCP listener, and a UDP socket where asked for, for each worker.
#[derive(Debug)]
pub struct Bound {
    /// The address with its actual port.
    pub addr: SocketAddr,
    /// One listener per worker, non-blocking.
    pub tcp: Vec<TcpListener>,
    /// One socket per worker, non-blocking; empty if only TCP was asked for.
    pub udp: Vec<UdpSocket>,
}

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {protocol} {addr}: {}", explain(.source))]
pub struct BindError {
    /// The address as asked for.
    pub addr: SocketAddr,
    /// TCP or UDP.
    pub protocol: &'static str,
    /// The system's error.
    pub source: io::Error,
}

impl Bound {
    /// TCP alone.
    ///
    /// # Errors
    /// The port is taken, or the address is not ours.
    pub fn tcp(addr: SocketAddr, workers: usize) -> Result<Self, BindError> {
        let (addr, tcp) = bind_tcp(addr, workers)?;
        Ok(Self { addr, tcp, udp: Vec::new() })
    }

    /// UDP alone.
    ///
    /// # Errors
    /// As for [`Bound::tcp`].
    pub fn udp(addr: SocketAddr, workers: usize) -> Result<Self, BindError> {
        let (addr, udp) = bind_udp(addr, workers)?;
        Ok(Self { addr, tcp: Vec::new(), udp })
    }

    /// TCP and UDP on the same port.
    ///
    /// # Errors
    /// As for [`Bound::tcp`].
    pub fn tcp_and_udp(addr: SocketAddr, workers: usize) -> Result<Self, BindError> {
        let mut tries = if addr.port() == 0 { PORT_TRIES } else { 1 };
        loop {
            let (bound, tcp) = bind_tcp(addr, workers)?;
            tries -= 1;
            match bind_udp(bound, workers) {
                Ok((_, udp)) => return Ok(Self { addr: bound, tcp, udp }),
                // The system chose a port that is free for TCP only: another may be free for both.
                Err(error) if tries > 0 && error.source.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn bind_tcp(addr: SocketAddr, workers: usize) -> Result<(SocketAddr, Vec<TcpListener>), BindError> {
    let fail = |source| BindError { addr, protocol: "TCP", source };
    // SO_REUSEPORT would share a port with whoever has it: a bind without it tells.
    let probe = socket(addr, Type::STREAM, false).map_err(fail)?;
    let actual = probe.local_addr().map_err(fail)?.as_socket().unwrap_or(addr);
    drop(probe);
    let one = || {
        let socket = socket(actual, Type::STREAM, true)?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    let all: io::Result<Vec<TcpListener>> = (0..workers.max(1)).map(|_| one()).collect();
    Ok((actual, all.map_err(fail)?))
}

fn bind_udp(addr: SocketAddr, workers: usize) -> Result<(SocketAddr, Vec<UdpSocket>), BindError> {
    let fail = |source| BindError { addr, protocol: "UDP", source };
    let probe = socket(addr, Type::DGRAM, false).map_err(fail)?;
    let actual = probe.local_addr().map_err(fail)?.as_socket().unwrap_or(addr);
    drop(probe);
    let one = || {
        let socket = socket(actual, Type::DGRAM, true)?;
        // Best effort: the system may allow less.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER);
        let _ = socket.set_send_buffer_size(UDP_BUFFER);
        Ok(UdpSocket::from(socket))
    };
    let all: io::Result<Vec<UdpSocket>> = (0..workers.max(1)).map(|_| one()).collect();
    Ok((actual, all.map_err(fail)?))
}

fn socket(addr: SocketAddr, kind: Type, shared: bool) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if kind == Type::STREAM {
        // A port in TIME_WAIT is free; one that someone listens on is not.
        socket.set_reuse_address(true)?;
    }
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    if kind == Type::STREAM && !shared {
        socket.listen(1)?;
    }
    Ok(socket)
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use; stop whoever has it (`ss -tulpn` names it) or choose another, 0 for any".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE, or choose another".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address".to_owned(),
        _ => error.to_string(),
    }
}

/// Connections that wait to be accepted; the system caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// How often a port that is free for TCP but not for UDP is given back.
const PORT_TRIES: u32 = 16;
/// Room for a burst of packets while a worker is busy, in bytes.
const UDP_BUFFER: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_an_error() {
        let any = "127.0.0.1:0".parse().unwrap();
        let first = Bound::tcp_and_udp(any, 2).unwrap();
        assert_eq!((first.tcp.len(), first.udp.len()), (2, 2));
        let error = Bound::tcp(first.addr, 1).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
        let udp_only = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(Bound::tcp_and_udp(udp_only.local_addr().unwrap(), 1).is_err());
    }
}
