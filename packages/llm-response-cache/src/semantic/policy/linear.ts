export type Vector = readonly number[]

/** Solves `matrix * x = right` for a symmetric positive definite matrix (Cholesky). */
export function solve(matrix: readonly Vector[], right: Vector): Vector {
  const size = right.length
  const lower: number[][] = []
  for (let row = 0; row < size; row++) {
    const line: number[] = []
    for (let column = 0; column <= row; column++) {
      let value = matrix[row]?.[column] ?? 0
      for (let k = 0; k < column; k++)
        value -= (line[k] ?? 0) * ((column === row ? line : lower[column])?.[k] ?? 0)
      // A floor, since rounding may leave nothing of a positive diagonal.
      line.push(column === row ? Math.sqrt(Math.max(value, 1e-12)) : value / (lower[column]?.[column] ?? 1))
    }
    lower.push(line)
  }
  const half: number[] = []
  for (let row = 0; row < size; row++) {
    let value = right[row] ?? 0
    for (let k = 0; k < row; k++) value -= (lower[row]?.[k] ?? 0) * (half[k] ?? 0)
    half.push(value / (lower[row]?.[row] ?? 1))
  }
  const solution = new Array<number>(size).fill(0)
  for (let row = size - 1; row >= 0; row--) {
    let value = half[row] ?? 0
    for (let k = row + 1; k < size; k++) value -= (lower[k]?.[row] ?? 0) * (solution[k] ?? 0)
    solution[row] = value / (lower[row]?.[row] ?? 1)
  }
  return solution
}
