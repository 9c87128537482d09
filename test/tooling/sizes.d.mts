/** Sizes in bytes of a built package, whose folder is such as `packages/core`. */
export function sizeOf(folder: string): Promise<{ readonly atImport: number; readonly later: number }>
