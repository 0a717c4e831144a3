// fetch over HTTP/3: aioquic, in a process that reads requests and writes responses as lines of JSON.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

import { requestFields, Response } from './fetch.mjs'

export async function openH3 ({ base, ca, python, 'h3-client': script }) {
  const { hostname, port } = new URL(base)
  const client = spawn(python, [script, ca, hostname, port], { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting = new Map()
  createInterface({ input: client.stdout }).on('line', line => {
    const told = JSON.parse(line)
    waiting.get(told.id)(told)
    waiting.delete(told.id)
  })
  client.on('exit', () => waiting.forEach(resolve => resolve({ error: 'the HTTP/3 client has ended' })))
  let next = 0
  const fetch = async (url, init = {}) => {
    const id = next++
    const told = await new Promise(resolve => {
      waiting.set(id, resolve)
      client.stdin.write(JSON.stringify({ id, ...request(new URL(url), init) }) + '\n')
    })
    if (told.error) throw new Error(told.error)
    return new Response(told.status, told.fields, Buffer.from(told.body, 'base64'))
  }
  return { fetch, close: () => client.stdin.end() }
}

function request (url, init) {
  return {
    method: init.method ?? 'GET',
    path: url.pathname + url.search,
    authority: url.host,
    fields: requestFields(init),
    body: init.body === undefined ? null : Buffer.from(init.body).toString('base64')
  }
}
