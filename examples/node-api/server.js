// Count words over HTTP, with nothing but Node.js.
//
// GET /health          -> 200 {"status":"ok","slot_id","commit_sha"}
// GET /api/words?text= -> 200 {"words":{"one":1}}
//
// The listener is inherited as file descriptor 3 (LISTEN_FDS, sd_listen_fds(3)), so that it
// outlives this process; without one the server binds PORT itself.
import { createServer } from 'node:http'

const FIRST_INHERITED = 3

function count(text) {
  const words = new Map()
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) {
    words.set(word, (words.get(word) ?? 0) + 1)
  }
  return Object.fromEntries(words)
}

function answer(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
}

const server = createServer((request, response) => {
  const target = new URL(request.url ?? '/', 'http://slot')
  if (request.method !== 'GET') answer(response, 405, { error: 'method_not_allowed' })
  else if (target.pathname === '/health') {
    const { WORDS_SLOT = '', COMMIT_SHA = '' } = process.env
    answer(response, 200, { status: 'ok', slot_id: WORDS_SLOT, commit_sha: COMMIT_SHA })
  } else if (target.pathname === '/api/words') {
    answer(response, 200, { words: count(target.searchParams.get('text') ?? '') })
  } else answer(response, 404, { error: 'not_found' })
})

const inherited = Number(process.env.LISTEN_FDS ?? 0) > 0
const address = inherited
  ? { fd: FIRST_INHERITED }
  : { host: '127.0.0.1', port: Number(process.env.PORT) }
server.listen(address)

process.on('SIGTERM', () => {
  // Requests under way are answered; connections that only wait are let go.
  server.close()
  server.closeIdleConnections()
})
