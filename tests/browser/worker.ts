/**
 * The tests that run in a worker of a page, where models run. Not among them: files that compile,
 * start processes, or check documentation.
 */
import "./devices.ts";
import "../core/capture_test.ts";
import "../core/half_test.ts";
import "../core/kernel_test.ts";
import "../core/memory_test.ts";
import "../core/pack_test.ts";
import "../core/random_test.ts";
import "../core/shape_test.ts";
import "../core/tape_test.ts";
import "../core/tensor_test.ts";
import "../core/tree_test.ts";
import "../core/webgpu_test.ts";
import "../kernels/limits_test.ts";
import "../kernels/matmul_test.ts";
import "../kernels/references_test.ts";
import "../kernels/threads_test.ts";
import "../models/adamw_test.ts";
import "../models/beam_search_test.ts";
import "../models/decoder_test.ts";
import "../models/half_weights_test.ts";
import "../models/item_trie_test.ts";
import "../models/prefix_losses_test.ts";
import "../models/safetensors_test.ts";
import "../models/semantics_test.ts";
import "../models/sgd_test.ts";
import "../models/title_trie_test.ts";
import "../models/transformer_test.ts";
import "../models/trie_test.ts";
import "../ops/attention_test.ts";
import "../ops/empty_test.ts";
import "../ops/gradients_test.ts";
import "../ops/indexing_test.ts";
import "../ops/layout_test.ts";
import "../ops/matmul_test.ts";
import "../ops/norms_test.ts";
import "../ops/pointwise_test.ts";
import "../ops/random_test.ts";
import "../ops/reduce_test.ts";
import "../ops/softmax_test.ts";
import "../ops/trie_log_prob_test.ts";
import "../ops/value_and_grad_test.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { runTests } from "./node.ts";
import { train } from "./training.ts";

test("training: the weights are as in Deno, bit by bit", async () => {
  const hash = await train();
  const { expected, sameEngine } = await (await fetch("/expected")).json();
  assert.match(hash, /^[0-9a-f]{64}$/);
  if (sameEngine) assert.equal(hash, expected);
});

await runTests();
