import type { NodeState } from '../nodes/node-state.js'
import type { NodeRequirements } from './requirements.js'

/**
 * Why no node fits, and which node lacks the least: "2 of 5 have the model 'm', 0 of 5 have the tag 'v2'; nearest:
 * node-3, which lacks the tag 'v2'".
 */
export function nearestMiss(states: readonly NodeState[], { model, tags = [] }: NodeRequirements): string {
  if (states.length === 0) return 'The pool has no nodes'
  const requirements: readonly (readonly [string, (state: NodeState) => boolean])[] = [
    ...(model === undefined
      ? []
      : [
          [
            `the model '${model}'`,
            ({ node }: NodeState) => node.model === undefined || node.model === model,
          ] as const,
        ]),
    ...tags.map((tag) => [`the tag '${tag}'`, ({ node }: NodeState) => node.tags.includes(tag)] as const),
  ]
  const fitting = states.filter((state) => requirements.every(([, has]) => has(state)))
  if (fitting.length > 0)
    return `${fitting.length} of ${states.length} nodes fit, and all of these are draining`
  const lacks = states.map((state) => ({
    id: state.node.id,
    lacking: requirements.filter(([, has]) => !has(state)).map(([name]) => name),
  }))
  const [nearest] = [...lacks].sort((one, other) => one.lacking.length - other.lacking.length)
  const counts = requirements
    .map(([name, has]) => [name, states.filter(has).length] as const)
    .filter(([, count]) => count < states.length)
    .map(([name, count]) => `${count} of ${states.length} have ${name}`)
  const told = counts.length === 0 ? `None of ${states.length} nodes fits` : counts.join(', ')
  return nearest === undefined
    ? told
    : `${told}; nearest: ${nearest.id}, which lacks ${nearest.lacking.join(' and ')}`
}
