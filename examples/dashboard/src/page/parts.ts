import type { DecoderView, Happening, LimitView, Snapshot, StoreState } from '../snapshot.js'
import { byId, create, keyed, part, update } from './dom.js'

interface FlowPart {
  readonly name: string
  readonly rate: string
  readonly isIdle: boolean
  readonly store: StoreState | undefined
}

const storeTexts = { primary: 'on Redis', fallback: 'from memory', recovering: 'returning to Redis' } as const

export function showFlow({ flow, stores, decoders }: Snapshot): void {
  const serving = decoders.filter(({ state }) => state === 'serving').length
  const parts: readonly FlowPart[] = [
    { name: 'Callers', rate: `${flow.requests} a second`, isIdle: flow.requests === 0, store: undefined },
    {
      name: 'Rate limiter',
      rate: `${flow.admitted} admitted`,
      isIdle: flow.requests === 0,
      store: stores.limiter,
    },
    {
      name: 'Agent memory',
      rate: `${flow.turns} ${flow.turns === 1 ? 'turn' : 'turns'}`,
      isIdle: flow.turns === 0,
      store: stores.memory,
    },
    {
      name: 'Response cache',
      rate: `${flow.hits} ${flow.hits === 1 ? 'hit' : 'hits'}`,
      isIdle: flow.admitted === 0,
      store: stores.cache,
    },
    {
      name: 'Decoder pool',
      rate: `${flow.dispatched} sent`,
      isIdle: flow.dispatched === 0,
      store: stores.pool,
    },
    {
      name: 'Decoders',
      rate: `${serving} of ${decoders.length} serve`,
      isIdle: flow.dispatched === 0,
      store: undefined,
    },
  ]
  keyed(
    byId('flow'),
    parts,
    ({ name }) => name,
    makePart,
    (element, { name, rate, isIdle, store }) => {
      element.dataset.idle = String(isIdle)
      update(part(element, 'strong'), name)
      update(part(element, '.rate'), rate)
      const badge = part(element, '.store')
      badge.dataset.state = store ?? 'none'
      update(badge, store === undefined ? '' : storeTexts[store])
    },
  )
}

function makePart(): HTMLElement {
  const item = create('li')
  const box = create('div', 'part')
  box.append(create('strong'), create('span', 'rate'), create('span', 'store'))
  item.append(box)
  return item
}

export function showDecoders(decoders: readonly DecoderView[]): void {
  keyed(
    byId('decoders'),
    decoders,
    ({ id }) => id,
    makeDecoder,
    (element, decoder) => {
      const { id, state, isHung, inFlight, slots, requests } = decoder
      update(part(element, 'strong'), id)
      const badge = part(element, '.state')
      badge.dataset.state = state
      update(badge, `${isHung ? 'hangs, ' : ''}${state}, ${requests.toLocaleString('en')} requests`)
      const load = part(element, 'meter') as HTMLMeterElement
      load.max = slots
      load.value = inFlight
      load.setAttribute('aria-label', `${id}: ${inFlight} of ${slots} slots in use`)
      const button = part(element, 'button') as HTMLButtonElement
      button.dataset.action = isHung ? 'wake' : 'hang'
      button.dataset.decoder = id
      update(button, isHung ? 'Wake' : 'Hang')
      button.setAttribute('aria-label', `${isHung ? 'Wake' : 'Hang'} ${id}`)
    },
  )
}

function makeDecoder(): HTMLElement {
  const item = create('li')
  const name = create('span')
  name.append(create('strong'), create('br'), create('span', 'state'))
  const button = create('button')
  button.type = 'button'
  const load = create('meter')
  item.append(name, button, load)
  return item
}

export function showLimits(limits: readonly LimitView[]): void {
  const sorted = [...limits].sort((one, other) => one.name.localeCompare(other.name))
  keyed(
    byId('limits'),
    sorted,
    ({ name }) => name,
    makeLimit,
    (element, { name, remaining, limit, refused }) => {
      update(part(element, 'strong'), name)
      update(part(element, '.state'), `${remaining} of ${limit}${refused > 0 ? `, ${refused} refused` : ''}`)
      const left = part(element, 'meter') as HTMLMeterElement
      left.max = limit
      left.value = remaining
      left.setAttribute('aria-label', `${name}: ${remaining} of ${limit} requests left`)
    },
  )
}

function makeLimit(): HTMLElement {
  const item = create('li')
  item.append(create('strong'), create('span', 'state'), create('meter'))
  return item
}

export function showTimeline(timeline: readonly Happening[]): void {
  const key = ({ atMs, text }: Happening) => `${atMs} ${text}`
  keyed(byId('timeline'), timeline, key, makeHappening, (element, { atMs, kind, text }) => {
    element.dataset.kind = kind
    update(part(element, 'time'), `${(atMs / 1_000).toFixed(1)} s`)
    update(part(element, 'span'), text)
  })
}

function makeHappening(): HTMLElement {
  const item = create('li')
  item.append(create('time'), create('span'))
  return item
}
