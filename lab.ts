/**
 * Experiments: data sets, training, evaluation, comparisons and reports.
 *
 * @example
 * ```ts
 * import { describeDataset, loadDataset } from "beargrad/lab";
 * ```
 *
 * @module
 */
export { UsageError } from "./core/errors.ts";
export { type Dataset, evaluationCases, leaveOneOut } from "./lab/data/dataset.ts";
export { type Folder, memoryFolder } from "./lab/folder.ts";
export { loadDataset } from "./lab/data/load.ts";
export { synthetic } from "./lab/data/synthetic.ts";
export { describeDataset } from "./lab/data/describe.ts";
export { loadTokenizer } from "./lab/text/tokenizer.ts";
export { makeCodes } from "./lab/codes/make.ts";
export { type CodesSummary, describeCodes } from "./lab/codes/describe.ts";
export { openDevice } from "./lab/devices.ts";
export { type DeviceReport, measureDevice } from "./lab/device/measure.ts";
export { parseOptions } from "./lab/cli/options.ts";
export { type Options, optionsOf } from "./lab/train/options.ts";
export { type Recipe, recipeOf, transformerConfig } from "./lab/train/recipe.ts";
export { Trainer } from "./lab/train/trainer.ts";
export {
  readRun,
  type SearchableModel,
  searchableModel,
  trainableModel,
} from "./lab/train/models.ts";
export { trainRun } from "./lab/train/run.ts";
export { runExperiment } from "./lab/train/experiment.ts";
export { renderReport, summaryOf } from "./lab/train/experiment_report.ts";
export { RunFolder } from "./lab/train/run_folder.ts";
export { runFiles } from "./lab/train/saved_run.ts";
export { loadAdapter, loadModel, saveAdapter } from "./lab/train/model_folder.ts";
export { openLoss } from "./lab/train/loss_module.ts";
export { type GradientWeight, gradientWeights } from "./lab/train/loss_probe.ts";
export { evaluate, evaluateBaseline, type Evaluation } from "./lab/evaluate/evaluate.ts";
export { cooccurrence, oracle, popularity } from "./lab/evaluate/baselines.ts";
export { hitRate, ndcg } from "./lab/evaluate/metrics.ts";
export { TeacherForcing } from "./lab/evaluate/teacher_forcing.ts";
export { margins, prunedAt, type StepMargin } from "./lab/analysis/pruning.ts";
export { explain, type Explanation } from "./lab/analysis/explanation.ts";
export {
  explainCase,
  explainUser,
  prunedCases,
  type PrunedUser,
} from "./lab/analysis/explain_user.ts";
export { renderExplanation } from "./lab/analysis/explanation_text.ts";
export { verifyModel } from "./lab/analysis/verify_model.ts";
export { renderModelVerification } from "./lab/analysis/verification_text.ts";
export { type OpenRun, openRun, recommend, recommendAll } from "./lab/lists/recommend.ts";
export { type Audit, auditLists } from "./lab/lists/audit.ts";
export { renderAudit } from "./lab/lists/audit_text.ts";
export { compareLosses } from "./lab/compare/compare.ts";
export { parseGridOptions } from "./lab/cli/compare.ts";
export { judgeAgain } from "./lab/compare/judge_again.ts";
export { rankByValidation } from "./lab/compare/ranking.ts";
