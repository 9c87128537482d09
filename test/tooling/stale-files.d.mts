export declare function staleFiles(folder: string): string[]
