/** A MeterProvider that records which instruments are created, by the names of their series in Prometheus. */
export function recordingMeterProvider() {
  const names = new Set<string>()
  const observable = (name: string) => {
    names.add(name)
    return { addCallback() {}, removeCallback() {} }
  }
  const meter = {
    createCounter: (name: string) => {
      names.add(name)
      return { add() {} }
    },
    createObservableCounter: observable,
    createObservableGauge: observable,
    createHistogram: (name: string) => {
      for (const suffix of ['bucket', 'sum', 'count']) names.add(`${name}_${suffix}`)
      return { record() {} }
    },
    addBatchObservableCallback() {},
    removeBatchObservableCallback() {},
  }
  return { provider: { getMeter: () => meter }, names: (): readonly string[] => [...names] }
}
