import { defineConfig } from 'tsup'

export default defineConfig({
  entry: { main: 'src/demo/main.ts', worker: 'src/demo/worker.ts' },
  format: 'esm',
  target: 'node20',
  clean: true,
})
