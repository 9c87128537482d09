import type { ActionName, Snapshot } from '../snapshot.js'
import { drawChart } from './chart.js'
import { byId, setText } from './dom.js'
import { showDecoders, showFlow, showLimits, showTimeline } from './parts.js'

const shortcuts: Readonly<Record<string, ActionName>> = { f: 'freeze', k: 'kill', b: 'return' }

async function act(name: string, decoder = ''): Promise<void> {
  const path = decoder === '' ? name : `${name}/${encodeURIComponent(decoder)}`
  const response = await fetch(`/actions/${path}`, { method: 'POST' })
  const { error = '' } = (await response.json()) as { readonly error?: string }
  byId('problem').textContent = error
}

function show(snapshot: Snapshot): void {
  const { callers, latency, cache, redis } = snapshot
  showStatus(snapshot)
  setText('answered', callers.answered.toLocaleString('en'))
  setText('refused', callers.refused.toLocaleString('en'))
  setText('failed', callers.failed.toLocaleString('en'))
  byId('failed').classList.toggle('bad', callers.failed > 0)
  setText('p50', `${Math.round(latency.p50)} ms`)
  setText('p99', `${Math.round(latency.p99)} ms`)
  setText('hit-ratio', `${Math.round(cache.hitRatio * 100)} %`)
  setText('tokens-saved', cache.tokensSaved.toLocaleString('en'))
  const can: Readonly<Record<string, boolean>> = {
    freeze: redis.server === 'running',
    kill: redis.server === 'running' || redis.server === 'frozen',
    return: redis.server === 'frozen' || redis.server === 'killed',
  }
  for (const button of document.querySelectorAll<HTMLButtonElement>('.controls button'))
    button.disabled = can[button.dataset.action ?? ''] !== true
  setText('redis-note', noteOf(snapshot))
  drawChart(snapshot.seconds)
  showFlow(snapshot)
  showDecoders(snapshot.decoders)
  showLimits(snapshot.limits)
  showTimeline(snapshot.timeline)
}

function noteOf({ redis, journaled }: Snapshot): string {
  if (redis.server === 'not ours')
    return 'This Redis was given to the dashboard, which does not take it away.'
  return journaled === 0 ? '' : `${journaled} messages of conversations wait in the journal for Redis.`
}

function showStatus({ redis, stores }: Snapshot): void {
  const states = Object.values(stores)
  const onMemory = states.filter((state) => state === 'fallback').length
  const server = redis.server === 'not ours' ? '' : `, its server is ${redis.server}`
  const [state, text] =
    onMemory > 0
      ? [
          'memory',
          `Without Redis (${redis.connection}${server}): ${onMemory} of 4 packages answer from memory`,
        ]
      : states.includes('recovering')
        ? ['returning', 'Redis is back: what was written meanwhile is carried over']
        : ['redis', `On Redis${server}`]
  const status = byId('status')
  if (status.dataset.state !== state) status.dataset.state = state
  setText('status', text)
}

document.addEventListener('click', ({ target }) => {
  const button = target instanceof Element ? target.closest<HTMLButtonElement>('button[data-action]') : null
  if (button === null || button.disabled) return
  void act(button.dataset.action ?? '', button.dataset.decoder)
})
document.addEventListener('keydown', ({ key, ctrlKey, metaKey, altKey }) => {
  const action = shortcuts[key.toLowerCase()]
  if (action === undefined || ctrlKey || metaKey || altKey) return
  document.querySelector<HTMLButtonElement>(`.controls button[data-action="${action}"]`)?.click()
})

const live = new EventSource('/live')
live.addEventListener('message', ({ data }) => show(JSON.parse(String(data)) as Snapshot))
live.addEventListener('error', () => {
  byId('status').dataset.state = 'gone'
  setText('status', 'The dashboard has ended, or can not be reached; trying again …')
})
