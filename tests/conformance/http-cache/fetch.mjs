// fetch over the protocol asked for, with as much of its interface as the suite's client uses.
import nodeFetch from 'node-fetch'

import { openH2 } from './fetch-h2.mjs'
import { openH3 } from './fetch-h3.mjs'

// { fetch, close }
export async function openFetch (options) {
  switch (options.protocol) {
    case 'h1': return { fetch: nodeFetch, close () {} }
    case 'h2': return openH2(options)
    case 'h3': return openH3(options)
    default: throw new Error(`no such protocol: ${options.protocol}`)
  }
}

// What node-fetch sends of itself, so that the origin's answers can be compared.
const OWN = [['accept', '*/*'], ['user-agent', 'node-fetch'], ['accept-encoding', 'gzip,deflate']]

// The fields of a request: those of `init` and those of node-fetch, all names in lower case.
export function requestFields (init) {
  const given = (init.headers ?? []).map(([name, value]) => [name.toLowerCase(), String(value)])
  const absent = OWN.filter(([name]) => !given.some(([other]) => other === name))
  return [...given, ...absent]
}

// A response as the suite's client reads it.
export class Response {
  constructor (status, fields, body) {
    this.status = status
    this.statusText = ''
    this.headers = new Headers(fields)
    this.body = body
  }

  async text () {
    return this.body.toString('utf8')
  }
}

// Fields, joined as node's own HTTP/1 client joins them: of some names the first line counts.
class Headers {
  #fields = new Map()

  constructor (fields) {
    for (const [name, value] of fields) {
      const held = this.#fields.get(name)
      if (held === undefined) this.#fields.set(name, value)
      else if (!FIRST_COUNTS.has(name)) this.#fields.set(name, `${held}, ${value}`)
    }
  }

  get (name) {
    return this.#fields.get(name.toLowerCase()) ?? null
  }

  has (name) {
    return this.#fields.has(name.toLowerCase())
  }

  forEach (visit) {
    this.#fields.forEach((value, name) => visit(value, name))
  }

  [Symbol.iterator] () {
    return this.#fields.entries()
  }
}

// node's documentation of `message.headers`.
const FIRST_COUNTS = new Set([
  'age', 'authorization', 'content-length', 'content-type', 'etag', 'expires', 'from', 'host', 'if-modified-since',
  'if-unmodified-since', 'last-modified', 'location', 'max-forwards', 'proxy-authorization', 'referer', 'retry-after',
  'server', 'user-agent'
])
