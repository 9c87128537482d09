/**
 * The same response, with a call back when its body has been read to the end or was given up. Nothing is
 * held up: each chunk passes through as it comes.
 */
export function whenBodyEnds(
  response: Response,
  ended: (complete: boolean) => unknown,
  seen?: (chunk: Uint8Array) => void,
): Response {
  if (response.body === null) {
    void ended(true)
    return response
  }
  const reader = response.body.getReader()
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (done) {
          controller.close()
          void ended(true)
          return
        }
        seen?.(value)
        controller.enqueue(value)
      } catch (error) {
        controller.error(error)
        void ended(false)
      }
    },
    async cancel(reason) {
      void ended(false)
      await reader.cancel(reason)
    },
  })
  const same = new Response(body, response)
  // What the constructor leaves empty.
  Object.defineProperties(same, {
    url: { value: response.url },
    redirected: { value: response.redirected },
    type: { value: response.type },
  })
  return same
}
