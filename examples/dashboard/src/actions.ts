import type { Observer } from './observer.js'
import { type ActionName, actionNames } from './snapshot.js'
import type { Stage } from './stage.js'

/** @throws Error for an unknown action or decoder, and for an action that is not possible now */
export async function act(stage: Stage, observer: Observer, name: string, decoder = ''): Promise<void> {
  const known = actionNames.find((one) => one === name)
  if (known === undefined) throw new Error(`Expected one of ${actionNames.join(', ')}`)
  const done: Readonly<Record<ActionName, () => void | Promise<void>>> = {
    freeze: () => stage.freezeRedis(),
    kill: () => stage.killRedis(),
    return: () => stage.returnRedis(),
    hang: () => stage.hang(decoder),
    wake: () => stage.wake(decoder),
  }
  const text: Readonly<Record<ActionName, string>> = {
    freeze: 'You froze Redis (SIGSTOP)',
    kill: 'You killed Redis (SIGKILL)',
    return: 'You brought Redis back',
    hang: `You made ${decoder} hang (SIGSTOP)`,
    wake: `You woke ${decoder}`,
  }
  const pending = done[known]()
  observer.note('action', text[known])
  await pending
}
