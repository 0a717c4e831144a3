// The published results that come with the suite: raw counts of the cases that are run against proxies.
// Prints [{ name, version, required, optimal }] as one line of JSON.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import index from 'http-cache-tests/results/index.mjs'
import suites from 'http-cache-tests/tests/index.mjs'

const cases = suites.flatMap(suite => suite.tests).filter(test => test.browser_only !== true)

function counted ({ file, name, version }) {
  const path = fileURLToPath(import.meta.resolve(`http-cache-tests/results/${file}`))
  const results = JSON.parse(readFileSync(path, 'utf8'))
  const passed = kind => cases.filter(test => (test.kind ?? 'required') === kind && results[test.id] === true).length
  return { name, version, required: passed('required'), optimal: passed('optimal') }
}

console.log(JSON.stringify(index.filter(({ type }) => type !== 'browser').map(counted)))
