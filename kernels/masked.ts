/**
 * The score of what is absent. WGSL has no portable infinity, so absence is one finite number, far below every score.
 *
 * @module
 */

/** The score of an absent entry. */
export const MASKED = -1e30;

/** A score at or below this is taken for absent. */
export const ABSENT = MASKED / 2;

/** Whether a logit can be told from what is absent: finite, and smaller in size than ABSENT. */
export const isUsable = (z: number): boolean => Math.abs(z) < -ABSENT;

/** The bits of -ABSENT as float32. */
const LIMIT_BITS = new Int32Array(Float32Array.of(-ABSENT).buffer)[0];

/** WGSL for the same, `isUsable(z)`, by bits: a compiler may take it for granted that a float is finite. */
export const USABLE_WGSL =
  `fn isUsable(z: f32) -> bool { return (bitcast<i32>(z) & 0x7fffffff) < ${LIMIT_BITS}; }`;
