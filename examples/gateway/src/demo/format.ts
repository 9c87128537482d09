export function formatMs(value: number): string {
  if (Number.isNaN(value)) return '-'
  return `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} ms`
}
