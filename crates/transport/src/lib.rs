//! HTTP/1, HTTP/2, HTTP/3 and TLS, server and client side.
