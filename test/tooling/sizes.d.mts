/** In bytes, of a folder such as `packages/core` that was built. */
export function sizeOf(folder: string): Promise<{ readonly atImport: number; readonly later: number }>
