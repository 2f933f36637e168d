/** The memory plan of captured steps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { planSlots } from "../../core/recording.ts";
import type { Storage } from "../../core/tensor.ts";

interface Case {
  readonly launches: Storage[][];
  readonly transients: Set<Storage>;
}

/** Launches over a few storages of different sizes, some from outside. */
const cases: fc.Arbitrary<Case> = fc.record({
  bytes: fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 12 }),
  picks: fc.array(fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), { maxLength: 20 }),
  outside: fc.array(fc.nat(), { maxLength: 4 }),
}).map(({ bytes, picks, outside }) => {
  const storages = bytes.map((b, i): Storage => ({
    memory: undefined,
    bytes: b,
    label: `storage ${i}`,
    owner: undefined as never,
    state: "live",
    captured: false,
  }));
  const pick = (i: number): Storage => storages[i % storages.length];
  const transients = new Set(storages);
  for (const i of outside) transients.delete(pick(i));
  return {
    launches: picks.map((l) => l.map(pick)),
    transients,
  };
});

/** The launches between which a storage must keep its contents; null where nobody needs it. */
function life({ launches }: Case, storage: Storage): [number, number] | null {
  const first = launches.findIndex((l) => l.includes(storage));
  const last = launches.findLastIndex((l) => l.includes(storage));
  return first < 0 ? null : [first, last];
}

test("plan: storages whose lives overlap never share a slot, and every slot is large enough", () => {
  fc.assert(
    fc.property(cases, (given) => {
      const { bytes, slotOf } = planSlots(given.launches, given.transients);
      for (const storage of given.transients) {
        const mine = life(given, storage);
        assert.equal(slotOf.has(storage), mine !== null);
        if (mine === null) continue;
        const slot = slotOf.get(storage) as number;
        assert.ok(bytes[slot] >= storage.bytes);
        for (const other of given.transients) {
          const theirs = life(given, other);
          if (other === storage || theirs === null || slotOf.get(other) !== slot) continue;
          assert.ok(mine[1] < theirs[0] || theirs[1] < mine[0], `${storage.label}, ${other.label}`);
        }
      }
      for (const storage of slotOf.keys()) assert.ok(given.transients.has(storage));
    }),
    { numRuns: 500 },
  );
});

test("plan: a chain of equal intermediates needs two slots", () => {
  const chain = Array.from({ length: 10 }, (_, i): Storage => ({
    memory: undefined,
    bytes: 8,
    label: `${i}`,
    state: "live",
    captured: false,
    owner: undefined as never,
  }));
  const launches = chain.slice(1).map((storage, i) => [chain[i], storage]);
  assert.deepEqual(planSlots(launches, new Set(chain)).bytes, [8, 8]);
});

test("plan: a small intermediate that lives long does not take a large one's slot", () => {
  const make = (bytes: number, name: string): Storage => (
    {
      memory: undefined,
      bytes,
      label: name,
      state: "live",
      captured: false,
      owner: undefined as never,
    }
  );
  const large = [1, 2, 3].map((i) => make(100, `large ${i}`));
  const small = make(4, "small");
  const launches = [[large[0]], [small], [large[1], small], [large[2], small]];
  const { bytes } = planSlots(launches, new Set([...large, small]));
  assert.deepEqual(bytes, [100, 4]);
});
