/**
 * Changes the manifest that `pnpm pack` and `pnpm publish` write. In the repository, `exports` is the only list of
 * entries. The published manifest omits our sources, and gives tools that don't read `exports` the same entries in
 * `main`, `module`, `types` and `typesVersions` (TypeScript's resolution `node10`).
 */
const ourSources = '@evenkeel/source'

function published(manifest) {
  if (manifest.private || manifest.exports === undefined) return manifest
  const exports = {}
  const legacyTypes = {}
  for (const [path, target] of Object.entries(manifest.exports)) {
    if (typeof target === 'string') {
      exports[path] = target
      continue
    }
    const { [ourSources]: _source, ...built } = target
    exports[path] = built
    if (path !== '.') legacyTypes[path.slice('./'.length)] = [built.require.types]
  }
  const root = exports['.']
  return {
    ...manifest,
    main: root.require.default,
    module: root.import.default,
    types: root.require.types,
    ...(Object.keys(legacyTypes).length > 0 ? { typesVersions: { '*': legacyTypes } } : {}),
    exports,
  }
}

module.exports = { hooks: { beforePacking: published } }
