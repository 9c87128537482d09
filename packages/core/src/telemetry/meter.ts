import type * as Api from '@opentelemetry/api'
import { createLog } from '../kit/log.js'
import type { MeterLike, MeterProviderLike } from './provider.js'

export interface MeterOptions {
  /** @default the one registered with OpenTelemetry, now or later */
  readonly meterProvider?: MeterProviderLike | undefined
}

const log = createLog('metrics')

/** Milliseconds between two searches for a provider that is not registered yet. */
const lookEveryMs = 1_000

/**
 * Attaches a package's metrics to the provider that the host gives, or to the one that it registers with OpenTelemetry
 * before or after this call; until there is one, the function looks for it once a second. `attach` returns a function
 * that detaches the metrics; the returned function does that too, and stops the search. OpenTelemetry is imported only
 * on first use, since loading it takes longer than loading core.
 */
export function followMeter(
  name: string,
  options: boolean | MeterOptions,
  attach: (meter: MeterLike) => () => void,
): () => void {
  let detach = () => {}
  let isStopped = false
  if (options === false) return () => {}
  const attachTo = (provider: MeterProviderLike) => {
    if (isStopped) return
    try {
      detach = attach(provider.getMeter(name))
    } catch (error) {
      log('%s has no metrics: %s', name, error)
    }
  }
  const given = options === true ? undefined : options.meterProvider
  const stopLooking = given === undefined ? whenRegistered(attachTo) : () => {}
  if (given !== undefined) attachTo(given)
  return () => {
    isStopped = true
    stopLooking()
    detach()
  }
}

const waiting = new Set<(provider: MeterProviderLike) => void>()
let timer: NodeJS.Timeout | undefined

/** One timer searches on behalf of all waiting callers; it does not keep the process alive. */
function whenRegistered(found: (provider: MeterProviderLike) => void): () => void {
  waiting.add(found)
  void look()
  return () => {
    waiting.delete(found)
    if (waiting.size === 0) clearTimeout(timer)
  }
}

async function look(): Promise<void> {
  clearTimeout(timer)
  try {
    const provider = await registeredMeterProvider()
    if (provider !== undefined) {
      const found = [...waiting]
      waiting.clear()
      for (const attach of found) attach(provider)
    }
  } catch (error) {
    log('OpenTelemetry could not be loaded: %s', error)
    waiting.clear()
  }
  clearTimeout(timer)
  if (waiting.size === 0) return
  timer = setTimeout(() => void look(), lookEveryMs)
  timer.unref()
}

/** The provider that the host has registered; `undefined` while OpenTelemetry has only its no-op provider. */
export async function registeredMeterProvider(): Promise<MeterProviderLike | undefined> {
  const api = await import('@opentelemetry/api')
  return isProviderRegistered(api) ? (api.metrics.getMeterProvider() as MeterProviderLike) : undefined
}

/** Whether OpenTelemetry has a provider of the host, and not only its no-op provider, which gives a no-op meter. */
export function isProviderRegistered({
  createNoopMeter,
  metrics,
}: Pick<typeof Api, 'createNoopMeter' | 'metrics'>): boolean {
  return metrics.getMeter('@evenkeel/core') !== createNoopMeter()
}
