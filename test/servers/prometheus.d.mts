export interface PrometheusPrograms {
  readonly prometheus: string
  readonly promtool: string
}

/** The two programs: those of the PATH, else those that the tests' set-up has unpacked. */
export function locatePrometheus(): PrometheusPrograms | undefined
/** Unpacks this Debian's package into the folder of the tests' servers. Gives whether the programs are there now. */
export function installPrometheus(): boolean
