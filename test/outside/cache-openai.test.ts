import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forms, type Project, project } from './harness/index.js'
import { answer, right, type StandInProvider, startProvider, tryOut } from './stand-in-provider.js'

/** A chat by OpenAI's SDK; Groq's SDK has the same form. */
const chatOf = (sdk: string, path: string) =>
  tryOut(`
  import Client from '${sdk}'
  ---
  const client = new Client({ apiKey: 'k', baseURL: url + '${path}', maxRetries: 0, fetch: fetched })
  const ask = async (content: string, streamed: boolean, signal?: AbortSignal) => {
    const messages = [{ role: 'user' as const, content }]
    if (!streamed) {
      const made = await client.chat.completions.create({ model: 'm', messages }, { signal })
      return made.choices[0]?.message.content
    }
    let text = ''
    const stream = await client.chat.completions.create({ model: 'm', messages, stream: true }, { signal })
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    return text
  }`)

describe('the SDKs of OpenAI and Groq behind the cache', () => {
  let provider: StandInProvider
  let app: Project

  beforeAll(async () => {
    provider = await startProvider()
    app = await project('cache-openai', {
      packages: ['@evenkeel/llm-response-cache'],
      dependencies: {
        'openai-4': 'npm:openai@4.104.0',
        'openai-5': 'npm:openai@5.23.2',
        'openai-6': 'npm:openai@6.49.0',
        'openai-7': 'npm:openai@7.57.0',
        'groq-sdk': '1.6.0',
      },
    })
  })
  afterAll(() => provider[Symbol.asyncDispose]())

  const sdks = [4, 5, 6, 7].map(
    (version) => [`openai ${version}`, chatOf(`openai-${version}`, '/v1')] as const,
  )
  const cases = [...sdks, ['groq-sdk 1', chatOf('groq-sdk', '')] as const].flatMap(([name, script]) =>
    forms.map((form) => ({ name, form, script })),
  )

  it.each(cases)(
    '$name, $form: a miss, hits, a stream byte for byte, a caller who leaves',
    async ({ form, script }) => {
      const held = provider.callsFor('hold')
      // openai 4 brings a package that uses a deprecated module of Node.
      const { value } = await app.run(script, {
        form,
        env: { PROVIDER_URL: provider.url },
        stderr: 'allowed',
      })
      expect(value).toEqual({ ...right, left: expect.stringMatching(/Error$/), stayed: answer })
      expect(provider.callsFor('hold') - held).toBe(1)
    },
  )
})
