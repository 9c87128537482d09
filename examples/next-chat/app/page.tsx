'use client'

import { type FormEvent, useState } from 'react'

interface Line {
  readonly id: string
  readonly text: string
}

/** Sends questions, and shows the answers and whether they came from the cache. */
export default function Page() {
  const [lines, setLines] = useState<readonly Line[]>([])
  const [content, setContent] = useState('')

  async function send(event: FormEvent): Promise<void> {
    event.preventDefault()
    const id = crypto.randomUUID()
    const response = await fetch('/api/chat', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-user': 'ada' },
      body: JSON.stringify({ chat: 'page', id, content }),
    })
    const text = response.ok
      ? await response.json().then(({ answer, cache }) => `${answer} (${cache})`)
      : `${response.status}: try again in ${response.headers.get('retry-after')} s`
    setLines((before) => [...before, { id, text: `${content} → ${text}` }])
    setContent('')
  }

  return (
    <main>
      <h1>A chat on Next</h1>
      <ol aria-live="polite">
        {lines.map(({ id, text }) => (
          <li key={id}>{text}</li>
        ))}
      </ol>
      <form onSubmit={send}>
        <label>
          Message <input value={content} onChange={(event) => setContent(event.target.value)} required />
        </label>{' '}
        <button type="submit">Send</button>
      </form>
    </main>
  )
}
