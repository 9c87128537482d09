import { describe, expect, it } from 'vitest'
import { createManagementHandler, InvalidInputError } from '../src/index.js'

const request = (path: string) => new Request(`http://host${path}`)
const told = async (answer: Promise<Response>) => {
  const response = await answer
  return [response.status, await response.json()]
}

describe('paths for operators', () => {
  const handler = (authorize: (request: Request) => boolean | Promise<boolean>) =>
    createManagementHandler({
      authorize,
      basePath: '/things',
      answer: async (_, path) => {
        if (path[0] === 'bad') throw new InvalidInputError('name', 'a name', path[0])
        if (path[0] === 'broken') throw new Error('broken')
        return Response.json(path)
      },
    })
  const open = handler(() => true)

  it.each([
    ['says no', () => false],
    ['rejects', () => Promise.reject(new Error('no directory'))],
    [
      'throws',
      () => {
        throw new Error('no token')
      },
    ],
    ['gives something else than true', () => 'yes' as unknown as boolean],
  ])('stay closed where who watches the door %s', async (_, authorize) => {
    expect(await told(handler(authorize)(request('/things')))).toEqual([403, { error: 'forbidden' }])
  })

  it('need somebody who watches', () => {
    expect(() => handler(undefined as never)).toThrow('authorize')
  })

  it('give the parts of the path, decoded where they can be', async () => {
    expect(await told(open(request('/things')))).toEqual([200, []])
    expect(await told(open(request('/things/a%2Fb/%E4%B8/c/')))).toEqual([200, ['a/b', '%E4%B8', 'c']])
    expect((await open(request('/thingsandmore'))).status).toBe(404)
  })

  it('tell bad input with its field, and hide nothing else', async () => {
    expect(await told(open(request('/things/bad')))).toMatchObject([400, { field: 'name' }])
    await expect(open(request('/things/broken'))).rejects.toThrow('broken')
  })
})
