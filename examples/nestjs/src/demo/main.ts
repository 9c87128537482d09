import { createChatApp } from '../app.js'
import { standIn } from '../stand-in.js'

/** Two callers ask the same, and one of them asks on until the limit stops it. Exits with 1 if that did not happen. */
const { model, calls } = standIn()
const app = await createChatApp({ model, requestsPerMinute: 5 })
await app.listen(0, '127.0.0.1')
const url = await app.getUrl()
const run = Date.now()

async function say(key: string, id: string, content: string) {
  const response = await fetch(`${url}/chats/${run}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': `${key}-${run}` },
    body: JSON.stringify({ id, content }),
  })
  const text = await response.text()
  console.log(`${key} says '${content}': ${response.status} ${text}`)
  return { status: response.status, ...(response.ok ? JSON.parse(text) : {}) }
}

console.log(`kept in ${process.env.REDIS_URL === undefined ? 'this process' : 'Redis'}`)
const first = await say('ada', '1', `hello at ${run}`)
const shared = await say('bob', '1', `hello at ${run}`)
const repeated = await say('ada', '1', `hello at ${run}`)
const statuses: number[] = []
for (let number = 2; number <= 5; number++) statuses.push((await say('ada', `${number}`, 'and now?')).status)
await app.close()

const asExpected =
  first.cache === 'miss' &&
  shared.cache === 'hit' &&
  repeated.question === 'duplicate' &&
  statuses.join() === '201,201,201,429' &&
  calls() <= 5
if (!asExpected) {
  console.error('an answer was not shared, a question was there twice, or the limit did not hold')
  process.exitCode = 1
}
