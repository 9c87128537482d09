import type { Strategy } from '../strategy.js'

export const random: Strategy = {
  name: 'random',
  choose: ({ states }, _, __, draw) => states[Math.floor(draw() * states.length)],
}
