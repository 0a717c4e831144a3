// Cases that no cache can pass as the suite's client judges them, exchanged and judged here by what they ask for.
//
// In each of them the server closes the connection instead of answering the second request, and the client compares the
// second response's `Server-Request-Count`: a field that only the server writes, so that no response can bear it. What the
// case means is clear from its name and from RFC 9111, section 4.2.4: a stale response that may not be served without
// validation is not served when validation fails. A gateway then answers with an error of its own.
import { init, inflateRequests } from 'http-cache-tests/client/fetching.mjs'
import { getServerState, makeTestUrl, pause, putTestConfig } from 'http-cache-tests/client/utils.mjs'
import { token } from 'http-cache-tests/lib/utils.mjs'
import { fetch } from 'http-cache-tests/client/config.mjs'

export const EXCHANGED = [
  'stale-close-must-revalidate',
  'stale-close-proxy-revalidate',
  'stale-close-no-cache',
  'stale-close-s-maxage=2'
]

// The same requests as the suite's, to the same server: { holds, told }.
export async function exchange (test) {
  try {
    return await judge(test)
  } catch (error) {
    return { holds: false, told: `the exchange failed: ${error.message}` }
  }
}

async function judge (test) {
  const id = token()
  const requests = inflateRequests(test)
  await putTestConfig(id, requests)
  const first = await ask(id, requests, 0)
  await pause()
  const second = await ask(id, requests, 1)
  const seen = (await getServerState(id)).some(request => request.request_num === 2)
  const fails = [
    [first.status === 200 && first.body === id, `the first response is ${first.status}, not the server's 200`],
    [seen, 'the server has not seen the second request'],
    [second.status >= 500 && second.status <= 599, `the second response is ${second.status}, no server error`],
    [!second.headers.has('server-request-count') && second.body !== id, 'the second response is the stored one'],
    [second.headers.has('cache-status'), 'the second response does not say that the cache made it']
  ].filter(([holds]) => !holds)
  return { holds: fails.length === 0, told: fails.map(([, told]) => told).join('; ') || `second response ${second.status}` }
}

async function ask (id, requests, index) {
  const response = await fetch(makeTestUrl(id, requests[index]), init(index, requests[index], undefined))
  return { status: response.status, headers: response.headers, body: await response.text() }
}
