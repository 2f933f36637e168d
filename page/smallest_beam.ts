/**
 * How wide a beam must be to return an item.
 *
 * @module
 */
import type { BeamStep, Trie } from "beargrad";

/** The widest beam that is tried. */
const WIDEST = 200;

/**
 * The smallest beam, up to 200, that returns a leaf. A wider one may lose it again (docs/theory.md,
 * R3), so all are tried in turn. `steps` are those of a traced search that is wider: its pools have
 * the scores that a beam compares, so no model is needed. Undefined if no beam returns the leaf, or
 * one keeps a prefix that the wide search dropped and whose children have no scores.
 */
export function smallestBeam(
  trie: Trie,
  steps: readonly BeamStep[],
  leaf: number,
): number | undefined {
  const known = steps.map(({ nodes }) => new Set(nodes));
  const own = steps.map((_, t) => trie.prefixOf(leaf, t + 1));
  const keptAt = new Int32Array(trie.nodeCount).fill(-1); // node -> the last beam and step
  /** Whether a beam returns the leaf; undefined if it is not known. */
  const returns = (beam: number): boolean | undefined => {
    const mark = beam * (steps.length + 1);
    keptAt[0] = mark;
    for (const [t, { pool }] of steps.entries()) {
      let kept = 0;
      for (const node of pool?.nodes ?? []) {
        const parent = trie.depths[node] > t ? trie.parents[node] : node;
        if (keptAt[parent] !== mark + t) continue;
        if (t < steps.length - 1 && !known[t].has(node)) return undefined;
        keptAt[node] = mark + t + 1;
        if (++kept === beam) break;
      }
      if (keptAt[own[t]] !== mark + t + 1) return false;
    }
    return true;
  };
  for (let beam = 1; beam <= WIDEST; beam++) {
    const found = returns(beam);
    if (found !== false) return found && beam;
  }
}
