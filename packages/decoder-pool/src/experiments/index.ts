/** For who reads or writes experiments by themselves: their rules, and which arm a unit is in. */
export { type Arm, armOf } from './assign.js'
export {
  checkExperiment,
  type Experiment,
  type ExperimentInput,
  type ExperimentRecord,
  experimentInputOf,
} from './experiment.js'
export type { Assignment, Experiments, Exposure } from './experiments.js'
