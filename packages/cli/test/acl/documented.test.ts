import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { packageNames, permissionsOf } from '../../src/redis-conf/acl.js'

const page = readFileSync(new URL('../../../../docs/acl.md', import.meta.url), 'utf8')
const rows = page.split('\n').filter((line) => line.startsWith('| '))

/** The commands of the row whose first cell begins with `start`. */
function documented(start: string): readonly string[] {
  const row = rows.find((line) => line.startsWith(`| ${start}`))
  const [, , commands = ''] = row?.split(/(?<!\\)\|/) ?? []
  return [...commands.matchAll(/\+(\S+?)(?=[\s`])/g)]
    .map(([, command = '']) => command.replace('\\', ''))
    .sort()
}

describe('docs/acl.md', () => {
  it.each(packageNames)('lists what %s needs', (name) => {
    const label = name === 'vectors' ? '`vectors`' : `\`@evenkeel/${name}\``
    const listed = [...new Set([...documented('all |'), ...documented(label)])].sort()
    expect(listed).toEqual(permissionsOf(name).needed)
  })

  it('lists what is used where it is allowed', () => {
    expect(documented('used where allowed')).toEqual(permissionsOf('core').useful)
  })
})
