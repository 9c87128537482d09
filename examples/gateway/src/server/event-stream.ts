export function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type')?.includes('text/event-stream') === true
}

/**
 * A stream of events that breaks off ends with an error event, which OpenAI's clients raise as an error.
 * Without it a cut stream looks like one that ended.
 */
export function tellOfCut(response: Response): ReadableStream<Uint8Array> | null {
  if (response.body === null || !isEventStream(response)) return response.body
  const reader = response.body.getReader()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (!done) return controller.enqueue(value)
      } catch {
        const error = { message: 'The answer was cut short by its decoder', type: 'upstream_error' }
        controller.enqueue(new TextEncoder().encode(`\n\ndata: ${JSON.stringify({ error })}\n\n`))
      }
      controller.close()
    },
    cancel: (reason) => reader.cancel(reason),
  })
}
