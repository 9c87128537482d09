const words = 'The quick brown fox, and more of it. '

/** An answer in JSON of about 1 KB. */
export const whole = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'gpt-4o',
  choices: [
    {
      index: 0,
      logprobs: null,
      finish_reason: 'stop',
      message: { role: 'assistant', content: words.repeat(20), refusal: null },
    },
  ],
  usage: { prompt_tokens: 120, completion_tokens: 420, total_tokens: 540 },
}

/** An answer as a stream of 100 chunks. */
export const chunks = Array.from({ length: 100 }, (_, index) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1_700_000_000,
  model: 'gpt-4o',
  choices: [
    {
      index: 0,
      logprobs: null,
      finish_reason: index === 99 ? 'stop' : null,
      delta: index === 0 ? { role: 'assistant', content: 'The' } : index === 99 ? {} : { content: ' quick' },
    },
  ],
}))

let asked = 0
/** About 1.2 KB, different on each call. */
export function freshMessages() {
  return [
    { role: 'system' as const, content: words.repeat(30) },
    { role: 'user' as const, content: `${asked++}` },
  ]
}
