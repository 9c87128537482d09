import { defineConfig } from 'tsup'

/** The build of every published package: ESM and CommonJS with types for both, Lua inlined. */
export function definePackage(entry: Record<string, string>) {
  return defineConfig({
    entry,
    format: ['esm', 'cjs'],
    dts: true,
    sourcemap: true,
    clean: true,
    target: 'node20',
    loader: { '.lua': 'text' },
  })
}
