/**
 * The theorems about beams on the searches of devices, of models that spread their probability over
 * many items. (On the scores of d2_devices.ts, which are added without rounding, hardly any item
 * but one has probability, and T4 and T6 cannot fail.) Here scores are rounded. A float64 reference
 * says what they are, and what rounding leaves open is undecided, as on a trained model.
 *
 * @module
 */
import type { Device } from "../../core/tensor.ts";
import { BeamSearch } from "../../models/decode/beam_search.ts";
import { referenceBeamSearch } from "../../models/decode/reference.ts";
import type { BeamResult } from "../../models/decode/results.ts";
import type { Trie } from "../../models/decode/trie.ts";
import { LevelCounts } from "../analysis/certificates.ts";
import { marginsOf, pathSteps, type SearchSetting } from "../analysis/pruning.ts";
import { modelTheorems, userEvidence, type UserFacts } from "../analysis/user_theorems.ts";
import { NodeDecoder } from "./node_decoder.ts";
import type { Proposition } from "./proposition.ts";
import { PRUNING, theorems } from "./t1_t15_search.ts";

/** A catalogue with a model. */
export interface SpreadCase extends SearchSetting {
  /** The catalogue. */
  readonly trie: Trie;
  /** The logits at each node, (nodes, V) flat: float32 numbers. */
  readonly logits: Float64Array;
}

/** What is known of each leaf of a case, from the searches of a device. */
export async function factsOn(device: Device, search: SpreadCase): Promise<UserFacts[]> {
  using _scope = device.arena();
  const { trie, logits, ...setting } = search;
  const { beam } = setting;
  const V = logits.length / trie.nodeCount;
  const uploaded = trie.upload(device);
  const decoder = new NodeDecoder(device, uploaded, [logits]);
  const searchWith = async (width: number): Promise<BeamResult> => {
    const options = { ...setting, beam: width, trace: true };
    using beams = new BeamSearch(decoder, uploaded, options);
    return (await beams.search([[0]]))[0];
  };
  const model = (path: readonly number[]): Float64Array => {
    const node = path.reduce((u, token) => trie.child(u, token), 0);
    return logits.subarray(node * V, (node + 1) * V);
  };
  const shared = {
    counts: new LevelCounts(trie),
    beam,
    normalization: setting.normalization,
    found: await searchWith(beam),
    wide: await searchWith(4 * beam),
    greedy: await searchWith(1),
    reference: referenceBeamSearch(trie, model, setting),
  };
  return [...new Set(trie.leafOf)].map((leaf) => {
    const path = pathSteps(trie, leaf, model, setting);
    const margins = marginsOf(path, beam);
    const logitErrors = margins.map(() => 0); // the device has the same logits
    return { ...shared, leaf, path, margins, deviceMargins: margins, logitErrors };
  });
}

/** The theorems about beams, and T11, on the beams of a device. They share its searches. */
export function spreadPropositions(device: Device): Proposition<SpreadCase>[] {
  const searched = new WeakMap<SpreadCase, Promise<UserFacts[]>>();
  const find = (search: SpreadCase): Promise<UserFacts[]> => {
    const found = searched.get(search) ?? factsOn(device, search);
    searched.set(search, found);
    return found;
  };
  const T10 = theorems.filter(({ id }) => id === "T10");
  return [...Object.values(modelTheorems), ...T10].map((theorem) => ({
    ...theorem,
    hypotheses: theorem.hypotheses === PRUNING ? PRUNING : undefined,
    async check(search, tally): Promise<void> {
      for (const user of await find(search)) {
        await theorem.check(userEvidence(user, { eps: 0, tau: search.tau }), tally);
      }
    },
  }));
}
