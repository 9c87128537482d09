import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { exitCodes } from '../src/index.js'
import { runCommand } from './support.js'

/** What a real bash would offer for the last of these words. */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const { out } = await runCommand(['completion', 'bash'])
  const line = words.map((word) => `'${word}'`).join(' ')
  const script = `${out}
COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _evenkeel; printf '%s\\n' "\${COMPREPLY[@]}"`
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\n').filter(Boolean)
}

describe('evenkeel completion', () => {
  it('offers commands, the commands of a command, and flags', async () => {
    expect(await offered('evenkeel', 'li')).toEqual(['limits'])
    expect(await offered('evenkeel', 'limits', '')).toEqual(expect.arrayContaining(['show', 'reset']))
    expect(await offered('evenkeel', 'limits', 'show', '--na')).toEqual(['--namespace', '--name'])
    expect(await offered('evenkeel', 'watch', '--int')).toEqual(['--interval'])
  })

  it.each(['zsh', 'fish'])('knows every command in %s too', async (shell) => {
    const { out, code } = await runCommand(['completion', shell])
    expect(code).toBe(exitCodes.done)
    for (const word of ['doctor', 'watch', 'limits', 'redis-conf', 'register-decoder'])
      expect(out).toContain(word)
  })

  it('refuses a shell that it does not know', async () => {
    expect((await runCommand(['completion', 'tcsh'])).code).toBe(exitCodes.usage)
  })
})
