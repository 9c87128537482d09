import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Application, type TypeDocOptions } from 'typedoc'
import type { PluginOptions } from 'typedoc-plugin-markdown'
import { collected, root } from './folders.ts'

interface Entry {
  /** What a user imports: `@evenkeel/core/lock`. */
  readonly name: string
  readonly source: string
}

/** Contract suites, and what only our own packages share, are documented in their sources only. */
const leftOut = /^\.\/(testing|kit|package\.json)$/

function entries(): Entry[] {
  return readdirSync(join(root, 'packages'))
    .sort()
    .flatMap((folder) => {
      const manifest = JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as {
        readonly name: string
        readonly exports: Readonly<Record<string, { readonly '@evenkeel/source'?: string }>>
      }
      return Object.entries(manifest.exports).flatMap(([subpath, { '@evenkeel/source': source }]) =>
        leftOut.test(subpath) || source === undefined
          ? []
          : [{ name: manifest.name + subpath.slice(1), source: join(root, 'packages', folder, source) }],
      )
    })
}

/** Writes a page for each entry of each package, from the sources' own comments. */
export async function writeApi(): Promise<void> {
  const found = entries()
  const out = join(collected, 'api')
  const options: TypeDocOptions & Partial<PluginOptions> = {
    entryPoints: found.map(({ source }) => source),
    tsconfig: join(root, 'docs/site/tsconfig.api.json'),
    plugin: ['typedoc-plugin-markdown'],
    router: 'module',
    readme: 'none',
    outputs: [{ name: 'markdown', path: out }],
    skipErrorChecking: true,
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    disableSources: true,
    logLevel: 'Error',
    hidePageHeader: true,
    hideBreadcrumbs: true,
    hidePageTitle: true,
    useCodeBlocks: true,
    expandObjects: true,
    parametersFormat: 'table',
    interfacePropertiesFormat: 'table',
    typeAliasPropertiesFormat: 'table',
    enumMembersFormat: 'table',
    sanitizeComments: true,
    validation: { notExported: false, invalidLink: false, invalidPath: false },
  }
  const app = await Application.bootstrapWithPlugins(options)
  const project = await app.convert()
  if (project === undefined) throw new Error('typedoc could not read the sources')
  for (const module of project.children ?? []) module.name = pathOf(named(found, module.name))
  await app.generateOutputs(project)
  const pages = found.map(({ name }) => ({
    text: name,
    link: `/api/${pathOf({ name })}`,
    file: join(out, `${pathOf({ name })}.md`),
  }))
  for (const { text, file } of pages) {
    writeFileSync(file, `---\noutline: 2\neditLink: false\n---\n\n# ${text}\n\n${readFileSync(file, 'utf8')}`)
  }
  rmSync(join(out, 'README.md'))
  writeFileSync(join(out, 'pages.json'), JSON.stringify(pages.map(({ text, link }) => ({ text, link }))))
}

/** Finds an entry by typedoc's name for its module, which is the path of its source. */
function named(found: readonly Entry[], module: string): Entry {
  const entry = found.find(
    ({ source }) => relative(join(root, 'packages'), source).replace(/(\/index)?\.ts$/, '') === module,
  )
  if (entry === undefined) throw new Error(`typedoc gave a module that is no entry: ${module}`)
  return entry
}

/** `@evenkeel/core/lock` has the path `core-lock`. */
function pathOf({ name }: { readonly name: string }): string {
  return name.replace('@evenkeel/', '').replaceAll('/', '-')
}
