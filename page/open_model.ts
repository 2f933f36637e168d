/**
 * Models that are open, with the programs that their searches have recorded.
 *
 * @module
 */
import {
  BeamSearch,
  type DeviceTrie,
  type Transformer,
  TransformerDecoder,
  type TransformerParams,
  treeLeaves,
} from "beargrad";
import {
  type evaluationCases,
  type SearchableModel,
  searchableModel,
  TeacherForcing,
} from "beargrad/lab";
import { Cache } from "./cache.ts";
import type { Files, ModelInfo, SearchSettings } from "./protocol.ts";

/** How many searches of a model are kept. */
const KEPT = 24;

/** What a search normalises over, and its temperature. */
type Over = Pick<SearchSettings, "normalization" | "tau">;

/** A user with the items that a model sees. */
export type Case = ReturnType<typeof evaluationCases>[number];

/** A model that is open. */
export interface OpenModel extends Disposable {
  readonly info: ModelInfo;
  readonly files: Files;
  readonly cases: readonly Case[];
  readonly decoder: TransformerDecoder;
  /** A traced search of one user. */
  search(beam: number, over: Over): BeamSearch;
  /** The model along a path, for one user. */
  forcing(over: Over): TeacherForcing;
  /** For many users at once. */
  many(over: Over): SearchableModel;
}

/** Opens a model, which then owns its weights. */
export function openModel(
  model: Transformer,
  params: TransformerParams,
  trie: DeviceTrie,
  about: Pick<OpenModel, "info" | "files" | "cases">,
): OpenModel {
  const decoder = new TransformerDecoder(model, params);
  const searches = new Cache<BeamSearch>(KEPT, (search) => search.dispose());
  const forcings = new Cache<TeacherForcing>(KEPT, (forcing) => forcing[Symbol.dispose]());
  const many = new Cache<SearchableModel>(2, (one) => one[Symbol.dispose]());
  const keyOf = ({ normalization, tau }: Over): string => `${normalization} ${tau}`;
  return {
    ...about,
    decoder,
    search: (beam, { normalization, tau }) =>
      searches.of(
        `${beam} ${keyOf({ normalization, tau })}`,
        () => new BeamSearch(decoder, trie, { beam, normalization, tau, trace: true, batch: 1 }),
      ),
    forcing: ({ normalization, tau }) =>
      forcings.of(
        keyOf({ normalization, tau }),
        () =>
          new TeacherForcing(model.device, model, params, trie, { normalization, tau, batch: 1 }),
      ),
    many: ({ normalization, tau }) =>
      many.of(
        keyOf({ normalization, tau }),
        () => searchableModel(model, params, trie, { normalization, tau }),
      ),
    [Symbol.dispose]: () => {
      searches.clear();
      forcings.clear();
      many.clear();
      for (const tensor of treeLeaves(params)) tensor.dispose();
    },
  };
}
