// An HTTP/2 origin in the clear (Node's http2): prints its port, answers every request with a 103 and then a 200.

import http2 from "node:http2";

const server = http2.createServer();

server.on("stream", (stream, headers) => {
  // A stream that breaks off is the client's business.
  stream.on("error", () => {});
  stream.additionalHeaders({ ":status": 103, link: "</node.css>; rel=preload", "holm-as-of": "7" });
  setImmediate(() => {
    stream.respond({ ":status": 200, "cache-control": "no-store" });
    stream.end(headers[":path"]);
  });
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
