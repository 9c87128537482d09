import type { ClientPort } from '../clients/port.js'
import { textOf } from '../kit/replies.js'
import { untilAborted } from '../kit/until-aborted.js'
import { parseInfo } from './info.js'
import { type ServerHealth, serverHealth } from './report.js'

const timeoutMs = 1_000

/** INFO of each primary, all at once; omits those that do not answer within a second. Never rejects. */
export async function askPrimaries(client: ClientPort): Promise<readonly ServerHealth[]> {
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const primaries = await untilAborted(client.primaries(), signal)
    const answers = await Promise.all(
      primaries.map((send) => untilAborted(send(['INFO'], {}), signal).catch(() => undefined)),
    )
    return answers.flatMap((answer) => {
      const text = textOf('INFO', answer)
      return text === undefined ? [] : [serverHealth(parseInfo(text), undefined)]
    })
  } catch {
    return []
  }
}
