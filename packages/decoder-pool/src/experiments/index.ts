/** For tools that read or write experiments without a pool: the checks, and the arm of a unit. */
export { type Arm, armOf } from './assign.js'
export {
  checkExperiment,
  type Experiment,
  type ExperimentInput,
  type ExperimentRecord,
  experimentInputOf,
} from './experiment.js'
export type { Assignment, Experiments, Exposure } from './experiments.js'
