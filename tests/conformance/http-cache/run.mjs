// One run of the public suite against a cache: its own cases and its own client, with a fetch of the protocol asked for.
//
//   node run.mjs --base URL --protocol h1|h2|h3 [--ca FILE] [--python PROGRAM --h3-client SCRIPT] [--only ID]…
//
// Prints one line of JSON:
//   cases:     [{ id, name, suite, kind }]  what was run, in the suite's order; kind is required, optimal or check
//   results:   { id: true | [error, message] }  as the suite found them
//   exchanges: { id: { holds, told } }  the cases that we judge ourselves (exchange.mjs)
// Counting and exceptions are the caller's: xtask/src/conformance.rs.
import { parseArgs } from 'node:util'

import surrogate from 'http-cache-tests/tests/surrogate-control.mjs'
import suites from 'http-cache-tests/tests/index.mjs'
import { getResults, runTests } from 'http-cache-tests/client/runner.mjs'

import { exchange, EXCHANGED } from './exchange.mjs'
import { openFetch } from './fetch.mjs'

const { values: options } = parseArgs({
  options: {
    base: { type: 'string' },
    protocol: { type: 'string' },
    ca: { type: 'string' },
    python: { type: 'string' },
    'h3-client': { type: 'string' },
    only: { type: 'string', multiple: true }
  }
})

const isAsked = test => test.browser_only !== true && (options.only?.includes(test.id) ?? true)
const all = [...suites, surrogate].map(suite => ({ ...suite, tests: suite.tests.filter(isAsked) }))
const cases = all.flatMap(suite => suite.tests
  .map(test => ({ id: test.id, name: test.name, suite: suite.id, kind: test.kind ?? 'required' })))
// The suite's client changes the cases as it goes, so ours are copied first.
const ours = all.flatMap(suite => suite.tests).filter(test => EXCHANGED.includes(test.id)).map(test => structuredClone(test))

const { fetch: plainFetch, close } = await openFetch(options)

// Errors that the server didn't send are told in the log: the suite's messages don't name them.
async function fetch (url, init) {
  const response = await plainFetch(url, init)
  if (response.status >= 500 && !response.headers.has('server-request-count')) {
    const id = (init.headers ?? []).find(([name]) => name === 'Test-ID')?.[1] ?? url
    console.error(`${id}: ${response.status}, Cache-Status: ${response.headers.get('cache-status')}`)
  }
  return response
}

// The suite's client has one fetch for all: ours begin when that is set.
const finished = runTests(all, fetch, false, options.base)
const exchanges = await Promise.all(ours.map(async test => [test.id, await exchange(test)]))
await finished
close()
console.log(JSON.stringify({ cases, results: getResults(), exchanges: Object.fromEntries(exchanges) }))
