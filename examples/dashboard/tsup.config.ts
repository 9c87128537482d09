import { defineConfig } from 'tsup'

export default defineConfig([
  {
    entry: { dashboard: 'src/main.ts' },
    format: 'esm',
    target: 'node20',
    clean: true,
    outDir: 'dist/server',
  },
  {
    entry: { page: 'src/page/page.ts' },
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    minify: true,
    clean: true,
    outDir: 'dist/page',
  },
])
