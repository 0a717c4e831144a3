"""One GET over HTTP/3 with aioquic: prints the response as `curl -i` does.

h3get.py CA_FILE URL [NAME:VALUE ...]
"""

import asyncio
import sys
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset

SECONDS = 20


class Client(QuicConnectionProtocol):
    """Sends a request and collects its response."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.h3 = H3Connection(self._quic)
        self.headers, self.body = [], b""
        self.done = asyncio.get_running_loop().create_future()

    async def get(self, url, fields):
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = [(":method", "GET"), (":scheme", parts.scheme), (":authority", parts.netloc), (":path", path)]
        stream = self._quic.get_next_available_stream_id()
        head = [(name.encode(), value.encode()) for name, value in head + fields]
        self.h3.send_headers(stream, head, end_stream=True)
        self.transmit()
        await asyncio.wait_for(self.done, SECONDS)

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            self.fail(f"connection closed: {event.error_code:#x} {event.reason_phrase}")
        if isinstance(event, StreamReset):
            self.fail(f"stream reset: {event.error_code:#x}")
        for received in self.h3.handle_event(event):
            if isinstance(received, HeadersReceived) and not self.headers:
                self.headers = received.headers
            if isinstance(received, DataReceived):
                self.body += received.data
            if getattr(received, "stream_ended", False) and not self.done.done():
                self.done.set_result(None)

    def fail(self, message):
        if not self.done.done():
            self.done.set_exception(ConnectionError(message))


async def main(ca_file, url, *fields):
    parts = urlsplit(url)
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=parts.hostname)
    configuration.load_verify_locations(ca_file)
    fields = [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    async with connect(
        parts.hostname, parts.port or 443, configuration=configuration, create_protocol=Client
    ) as client:
        await client.get(url, fields)
        headers = [(name.decode(), value.decode("latin-1")) for name, value in client.headers]
        lines = [f"HTTP/3 {dict(headers)[':status']}"]
        lines += [f"{name}: {value}" for name, value in headers if not name.startswith(":")]
        sys.stdout.buffer.write("\r\n".join([*lines, "", ""]).encode() + client.body)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
