/** Threads that are replayed at once; each of them in its order. */
const replayedAtOnce = 16

/** Some at a time; when one fails the others of its turn are awaited first. */
export async function inLanes<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const next = items[Symbol.iterator]()
  const lanes = Array.from({ length: replayedAtOnce }, async () => {
    for (let item = next.next(); !item.done; item = next.next()) await work(item.value)
  })
  const failed = (await Promise.allSettled(lanes)).find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}
