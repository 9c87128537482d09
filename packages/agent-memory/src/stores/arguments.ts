import type { PreparedMessage } from '../messages/prepare.js'
import type { Change } from './change.js'
import { fixedLimits, type Limits } from './limits.js'

/** A message as the arguments that scripts/thread/records.lua reads. */
export function argumentsOf({ id, role, tokens, digest, body, opens, answers }: PreparedMessage): string[] {
  const counts = [String(opens.length), String(answers.length)]
  const calls = [...opens, ...answers].map(encodeURIComponent)
  return [encodeURIComponent(id), role, String(tokens), digest, body, ...counts, ...calls]
}

/** The arguments of a change's own script, which follow those that all scripts have. */
export function changeArguments(change: Change, limits: Limits): string[] {
  switch (change.kind) {
    case 'edit':
      return [String(change.revision ?? ''), ...argumentsOf(change.message)]
    case 'remove':
      return [encodeURIComponent(change.id)]
    case 'pin':
      return [encodeURIComponent(change.id), change.pinned ? '1' : '0', String(fixedLimits.pinned)]
    case 'splice': {
      const expected = change.expected.flatMap(({ id, digest = '' }) => [encodeURIComponent(id), digest])
      return [String(change.expected.length), ...expected, ...change.messages.flatMap(argumentsOf)]
    }
    case 'put': {
      const { removes, messages } = change
      const range = removes === undefined ? ['', ''] : [String(removes.from), String(removes.upTo)]
      const bounds = [limits.messages, limits.bytes, limits.threads].map(String)
      return [...range, ...bounds, ...messages.flatMap(argumentsOf)]
    }
    case 'summarise': {
      const { plan, to, before, edited, tokens, body } = change
      return [plan, ...[to, before, edited, tokens].map(String), body]
    }
    case 'add':
      return ['add', encodeURIComponent(change.key), String(change.by), '', String(fixedLimits.stateKeys)]
    default: {
      const value = change.kind === 'set' ? change.value : ''
      const version = String(change.version ?? '')
      return [change.kind, encodeURIComponent(change.key), value, version, String(fixedLimits.stateKeys)]
    }
  }
}
