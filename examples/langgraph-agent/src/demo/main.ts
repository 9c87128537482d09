import { connect } from '@evenkeel/core'
import { Command } from '@langchain/langgraph'
import { createAgent } from '../agent.js'
import { standIn } from '../stand-in.js'

/**
 * An agent stops to ask, and a second agent resumes the conversation from its checkpoints. Another conversation then
 * knows what was learned. Without REDIS_URL, all is kept in memory.
 */
const { REDIS_URL } = process.env
const redis = REDIS_URL === undefined ? undefined : await connect({ url: REDIS_URL })
const first = createAgent({ redis, model: standIn })
// With Redis, the second agent is a new one, as after a restart of the process.
const second = redis === undefined ? first : createAgent({ redis, model: standIn })
const run = Date.now()
const config = (thread: string) => ({ configurable: { thread_id: `${thread}-${run}`, user: `ada-${run}` } })
const say = (content: string) => ({ messages: [{ role: 'user', content }] })

console.log(`checkpoints are kept in ${redis ? 'Redis, without modules' : 'this process'}`)
await first.graph.invoke(say('remember likes tea'), config('one'))
const [waiting] = (await second.graph.getState(config('one'))).tasks.flatMap(({ interrupts }) => interrupts)
console.log('it asks:', JSON.stringify(waiting?.value))
const done = await second.graph.invoke(new Command({ resume: 'yes' }), config('one'))
console.log('it goes on elsewhere:', done.messages.at(-1)?.content)
const told = await second.graph.invoke(say('what do you know?'), config('two'))
const answer = String(told.messages.at(-1)?.content)
console.log('in another conversation:', answer)

let checkpoints = 0
for await (const _ of second.graph.getStateHistory(config('one'))) checkpoints++
console.log(`the first conversation has ${checkpoints} checkpoints`)
await second.checkpointer.deleteThread(`one-${run}`)
await redis?.close()
if (answer !== 'I know of you: likes tea.' || waiting === undefined || checkpoints < 4) {
  console.error('the agent did not go on')
  process.exitCode = 1
}
