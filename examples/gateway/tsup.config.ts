import { defineConfig } from 'tsup'

export default defineConfig({
  entry: { demo: 'src/demo/main.ts', gateway: 'src/server/main.ts', decoder: 'src/decoder/main.ts' },
  format: 'esm',
  target: 'node20',
  clean: true,
})
