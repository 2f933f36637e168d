/**
 * Where worlds come from.
 *
 * @module
 */
import fc from "fast-check";

/** A generator of worlds. */
export interface Worlds<W> {
  /**
   * Visits `cases` worlds, the same for the same seed, until one is found that does not hold; then looks for a smaller one.
   * Returns the smallest with the path that leads to it, or undefined if all hold.
   */
  search(
    holds: (world: W) => boolean | Promise<boolean>,
    options: { readonly cases: number; readonly seed: number },
  ): Promise<{ readonly world: W; readonly path: string } | undefined>;
}

/** The worlds of an arbitrary of fast-check. */
export function worldsFrom<W>(arbitrary: fc.Arbitrary<W>): Worlds<W> {
  return {
    async search(holds, { cases, seed }): ReturnType<Worlds<W>["search"]> {
      let thrown: unknown;
      const property = fc.asyncProperty(arbitrary, async (world) => {
        try {
          return await holds(world);
        } catch (error) {
          thrown ??= error;
          return false;
        }
      });
      const details = await fc.check(property, { seed, numRuns: cases });
      if (thrown !== undefined) throw thrown;
      const { counterexample, counterexamplePath } = details;
      return counterexample === null
        ? undefined
        : { world: counterexample[0], path: counterexamplePath ?? "" };
    },
  };
}
