"""An HTTP/3 client (aioquic): reads requests as lines of JSON, answers each with a line of JSON.

h3_client.py CA_FILE HOST PORT

Request:  {"id", "method", "path", "authority", "fields": [[name, value]], "trailers": [[name, value]],
           "body": base64 | null, "declare": bool (the body's length), "fresh": bool,
           "hold": bool (take no more than the first window; fresh)}
Response: {"id", "status", "fields", "trailers", "interim": [[status, fields]], "length", "sha256",
           "body": base64 (up to 4 MiB), "error": text}
Requests share one connection, unless they ask for a fresh one; all run at once.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import sys

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StopSendingReceived, StreamReset

SECONDS = 60
SHOWN = 4 << 20
PIECE = 64 << 10


class Connection(H3Connection):
    """aioquic takes the length that a response to HEAD tells for that of its own content (RFC 9110, section 8.6)."""

    def __init__(self, quic):
        super().__init__(quic)
        self.heads = set()

    def _check_content_length(self, stream):
        if stream.stream_id in self.heads:
            stream.expected_content_length = stream.content_length
        super()._check_content_length(stream)


class Exchange:
    """One request and what comes of it."""

    def __init__(self):
        self.status, self.fields, self.trailers, self.interim = 0, [], [], []
        self.length, self.digest, self.body = 0, hashlib.sha256(), bytearray()
        self.error = ""
        self.done = asyncio.get_running_loop().create_future()

    def head(self, headers):
        fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]
        status = [value for name, value in fields if name == ":status"]
        fields = [field for field in fields if not field[0].startswith(":")]
        if not status:
            self.trailers = fields
        elif status[0].startswith("1"):
            self.interim.append([int(status[0]), fields])
        else:
            self.status, self.fields = int(status[0]), fields

    def data(self, data):
        self.length += len(data)
        self.digest.update(data)
        if len(self.body) < SHOWN:
            self.body += data

    def end(self, error=""):
        if not self.done.done():
            self.error = error
            self.done.set_result(None)

    def told(self):
        return {
            "status": self.status, "fields": self.fields, "trailers": self.trailers, "interim": self.interim,
            "length": self.length, "sha256": self.digest.hexdigest(),
            "body": base64.b64encode(bytes(self.body)).decode(), "error": self.error,
        }


def encoded(fields):
    return [(name.encode(), value.encode("latin-1")) for name, value in fields]


class Client(QuicConnectionProtocol):
    """A connection."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.h3 = Connection(self._quic)
        self.exchanges = {}
        self.ended = None

    def hold(self):
        """Never raises the limits of flow control."""
        self._quic._write_connection_limits = lambda *args, **kwargs: None
        self._quic._write_stream_limits = lambda *args, **kwargs: None

    async def ask(self, request):
        exchange = Exchange()
        if self.ended:
            exchange.end(self.ended)
            return exchange
        # The id is taken when the headers are sent, so nobody else may come between.
        stream = self._quic.get_next_available_stream_id()
        self.exchanges[stream] = exchange
        if request["method"] == "HEAD":
            self.h3.heads.add(stream)
        body = base64.b64decode(request["body"]) if request.get("body") is not None else None
        self.head(stream, request, body)
        sending = asyncio.ensure_future(self.send(stream, request, body, exchange))
        try:
            await asyncio.wait_for(exchange.done, SECONDS)
        except asyncio.TimeoutError:
            exchange.error = "no answer in time"
        sending.cancel()
        return exchange

    def head(self, stream, request, body):
        head = [(":method", request["method"]), (":scheme", "https"),
                (":authority", request["authority"]), (":path", request["path"])]
        head += [(name.lower(), value) for name, value in request["fields"]]
        if body is not None and request.get("declare", True):
            head.append(("content-length", str(len(body))))
        self.h3.send_headers(stream, encoded(head), end_stream=body is None and not request.get("trailers"))
        self.transmit()

    async def send(self, stream, request, body, exchange):
        trailers = [(name.lower(), value) for name, value in request.get("trailers", [])]
        size, sent = len(body or b""), 0
        while sent < size and not exchange.done.done():
            piece = body[sent:sent + PIECE]
            sent += len(piece)
            self.h3.send_data(stream, piece, end_stream=sent == size and not trailers)
            self.transmit()
            await self.drained(stream)
        if body == b"" and not trailers:
            self.h3.send_data(stream, b"", end_stream=True)
        if trailers:
            self.h3.send_headers(stream, encoded(trailers), end_stream=True)
        self.transmit()

    async def drained(self, stream):
        """aioquic holds whatever it is given: wait until little of it is left."""
        while True:
            quic_stream = self._quic._streams.get(stream)
            if quic_stream is None or len(quic_stream.sender._buffer) < 16 * PIECE:
                return
            await asyncio.sleep(0.002)

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            self.ended = f"connection closed: {event.error_code:#x} {event.reason_phrase}"
            for exchange in self.exchanges.values():
                exchange.end(self.ended)
        if isinstance(event, StreamReset) and event.stream_id in self.exchanges:
            self.exchanges[event.stream_id].end(f"stream reset: {event.error_code:#x}")
        if isinstance(event, StopSendingReceived):
            return
        for received in self.h3.handle_event(event):
            exchange = self.exchanges.get(getattr(received, "stream_id", None))
            if exchange is None:
                continue
            if isinstance(received, HeadersReceived):
                exchange.head(received.headers)
            if isinstance(received, DataReceived):
                exchange.data(received.data)
            if getattr(received, "stream_ended", False):
                exchange.end()


class Clients:
    """The connection that requests share, and fresh ones."""

    def __init__(self, ca_file, host, port):
        self.ca_file, self.host, self.port = ca_file, host, int(port)
        self.shared, self.lock = None, asyncio.Lock()
        self.kept = contextlib.AsyncExitStack()

    def connect(self):
        configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=self.host)
        configuration.load_verify_locations(self.ca_file)
        return connect(self.host, self.port, configuration=configuration, create_protocol=Client)

    async def ask(self, request):
        if request.get("fresh"):
            async with self.connect() as client:
                if request.get("hold"):
                    client.hold()
                return await client.ask(request)
        async with self.lock:
            if self.shared is None or self.shared.ended:
                self.shared = await self.kept.enter_async_context(self.connect())
        return await self.shared.ask(request)


async def answer(clients, request):
    try:
        told = (await clients.ask(request)).told()
    except Exception as error:  # whatever it is, somebody waits for a line
        told = {"status": 0, "fields": [], "trailers": [], "interim": [], "length": 0, "sha256": "", "body": "",
                "error": f"not asked: {error!r}"}
    print(json.dumps({"id": request["id"], **told}), flush=True)


async def main(ca_file, host, port):
    clients = Clients(ca_file, host, port)
    reader = asyncio.StreamReader(limit=1 << 30)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks = set()
    while line := await reader.readline():
        tasks.add(asyncio.ensure_future(answer(clients, json.loads(line))))
    await asyncio.gather(*tasks)
    await clients.kept.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
