// fetch over HTTP/2: node's own client, one connection.
import { readFileSync } from 'node:fs'
import http2 from 'node:http2'

import { requestFields, Response } from './fetch.mjs'

export async function openH2 ({ base, ca }) {
  const session = http2.connect(base, { ca: readFileSync(ca) })
  await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject))
  return { fetch: (url, init = {}) => ask(session, new URL(url), init), close: () => session.close() }
}

function ask (session, url, init) {
  return new Promise((resolve, reject) => {
    const head = { ':method': init.method ?? 'GET', ':path': url.pathname + url.search }
    for (const [name, value] of requestFields(init)) {
      head[name] = name in head ? [head[name], value].flat() : value
    }
    const stream = session.request(head, { endStream: init.body === undefined })
    let status, fields
    const body = []
    stream.on('response', (headers, _flags, raw) => {
      status = headers[':status']
      fields = pairs(raw).filter(([name]) => !name.startsWith(':'))
    })
    stream.on('data', piece => body.push(piece))
    stream.on('error', reject)
    stream.on('end', () => resolve(new Response(status, fields, Buffer.concat(body))))
    if (init.body !== undefined) stream.end(init.body)
  })
}

// [name, value, name, value, …] → [[name, value], …]
function pairs (raw) {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index], raw[2 * index + 1]])
}
