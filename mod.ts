/**
 * beargrad: a minimal tensor and autodiff engine with hand-written WGSL kernels, and on it a small decoder, the
 * SFT / MSL / BEAR losses, trie-constrained beam search, and a lab that measures what beam search prunes.
 *
 * @example
 * ```ts
 * import { cpu, mul, square, sub, sum, valueAndGrad } from "beargrad";
 *
 * const device = cpu();
 * const x = device.tensor([1, 2, 3]);
 * const loss = (p: { w: ReturnType<typeof device.tensor> }) => sum(square(sub(mul(p.w, x), 1)));
 * const { value, grads } = valueAndGrad(loss)({ w: device.tensor([0.5, 0.5, 0.5]) });
 * console.log(await value.item(), await grads.w.data()); // 0.5 [-1, 0, 3]
 * ```
 *
 * @module
 */
export * from "./models/engine.ts";

export { type Adapter, loadAdapter, saveAdapter } from "./lab/train/adapter_folder.ts";
export * from "./lab/analysis/certificates.ts";
export * from "./lab/analysis/pruning.ts";
export * from "./lab/train/adapter_training.ts";
export * from "./lab/evaluate/baselines.ts";
export * from "./lab/train/checkpoint.ts";
export * from "./lab/devices.ts";
export {
  compareLosses,
  type CompareObserver,
  type CompareOptions,
  type FinishedGrid,
} from "./lab/compare/compare.ts";
export {
  type GridCommand,
  type GridCommandOptions,
  parseGridOptions,
} from "./lab/compare/compare_options.ts";
export type { GridOptions, GridRun, Setting, Shard } from "./lab/compare/grid.ts";
export {
  judgeAgain,
  type JudgedAgain,
  type JudgeObserver,
  type JudgeOptions,
} from "./lab/compare/judge_again.ts";
export * from "./lab/compare/ranking.ts";
export * from "./lab/compare/run_result.ts";
export * from "./lab/evaluate/evaluate.ts";
export * from "./lab/train/experiment.ts";
export { explain, type ExplainInputs } from "./lab/analysis/explain.ts";
export * from "./lab/analysis/explain_report.ts";
export * from "./lab/analysis/explain_user.ts";
export * from "./lab/analysis/explanation.ts";
export type { TheoremCount, TheoremCounts, TheoremId } from "./lab/analysis/theorem_counts.ts";
export * from "./lab/train/loss_module.ts";
export * from "./lab/train/loss_probe.ts";
export * from "./lab/evaluate/metrics.ts";
export * from "./lab/train/model_folder.ts";
export { helpText, type Options, parseOptions } from "./lab/cli/options.ts";
export {
  createProgress,
  formatDuration,
  type Progress,
  type ProgressOptions,
  type ProgressStream,
} from "./lab/progress.ts";
export * from "./lab/train/recipe.ts";
export * from "./lab/train/run.ts";
export * from "./lab/train/summary.ts";
export { decimal, renderTable, shownSteps } from "./lab/table.ts";
export * from "./lab/evaluate/teacher_forcing.ts";
export * from "./lab/train/trained.ts";
export * from "./lab/train/trainer.ts";
export * from "./lab/train/training.ts";
export * from "./lab/train/run_folder.ts";
export * from "./lab/train/metrics_file.ts";
export type { BeamVerdict, Verdict } from "./lab/analysis/verdicts.ts";
export * from "./lab/analysis/verify_model.ts";
export * from "./lab/analysis/verify_report.ts";
export type { PathVerdict } from "./lab/analysis/verify_user.ts";
export * from "./lab/data/batches.ts";
export * from "./lab/data/codes.ts";
export * from "./lab/data/dataset.ts";
export * from "./lab/data/describe.ts";
export * from "./lab/data/join_validation.ts";
export * from "./lab/data/limit.ts";
export * from "./lab/data/load.ts";
export * from "./lab/data/semantic_ids.ts";
export * from "./lab/data/synthetic.ts";
export { isTitleFolder, type TrainFile } from "./lab/data/title_files.ts";
export * from "./lab/data/titles.ts";
export { decodeHtml } from "./lab/text/html.ts";
export { loadTemplate, type Template } from "./lab/text/template.ts";
export * from "./lab/text/tokenizer.ts";
export { exactWorlds } from "./lab/theorems/arbitraries.ts";
export * from "./lab/theorems/catalogue.ts";
export * from "./lab/theorems/proposition.ts";
export * from "./lab/theorems/report.ts";
export * from "./lab/theorems/runner.ts";
export type { Worlds } from "./lab/theorems/worlds.ts";
export type { ExactSearch, ExactStep } from "./lab/theorems/search.ts";
export {
  adjacentFloats,
  type FloatPair,
  type Perturbed,
  perturbedLogits,
} from "./lab/theorems/stability.ts";
export { type TokenBatch, tokenBatches, type TokenRow } from "./lab/theorems/token_batch.ts";
export * from "./lab/theorems/verification.ts";
export {
  type Branch,
  exactWorld,
  type Model,
  type World,
  type WorldSpec,
} from "./lab/theorems/world.ts";
