"""A WebSocket client of the echo server: text, 1 MiB of bytes, many messages, then a close with a code.

websocket_client.py URL CA_FILE

Prints {"text", "path", "headers", "binary": bool, "in_order": bool, "deflate": bool, "close": code, "reason"}.
"""

import asyncio
import json
import os
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

SECONDS = 30


async def main(url, ca_file):
    tls = ssl.create_default_context(cafile=ca_file) if url.startswith("wss:") else None
    async with connect(url, ssl=tls, max_size=None) as connection:

        async def echo(message):
            await connection.send(message)
            return await asyncio.wait_for(connection.recv(), SECONDS)

        told = {"text": await echo("grüße"), "path": await echo("path"), "headers": await echo("headers")}
        binary = os.urandom(1 << 20)
        told["binary"] = await echo(binary) == binary
        messages = [f"message {number}" for number in range(500)]
        sending = asyncio.gather(*(connection.send(message) for message in messages))
        received = [await asyncio.wait_for(connection.recv(), SECONDS) for _ in messages]
        await sending
        told["in_order"] = received == messages
        told["deflate"] = any("deflate" in extension.name for extension in connection.protocol.extensions)
        await connection.send("close 4001")
        try:
            await asyncio.wait_for(connection.recv(), SECONDS)
        except ConnectionClosed as closed:
            told["close"], told["reason"] = closed.rcvd.code, closed.rcvd.reason
        print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
