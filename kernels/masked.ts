/**
 * The score of what is absent. WGSL has no portable infinity, so absence is one finite number, far
 * below every score.
 *
 * @module
 */

/** The score of an absent entry. */
export const MASKED = -1e30;

/** A score at or below this counts as absent. */
export const ABSENT = MASKED / 2;

/** Whether a logit is finite and cannot be taken for an absent one: smaller in size than ABSENT. */
export const isUsable = (z: number): boolean => Math.abs(z) < -ABSENT;

/** The bits of -ABSENT as float32. */
const LIMIT_BITS = new Int32Array(Float32Array.of(-ABSENT).buffer)[0];

/** WGSL for `isUsable(z)`. It looks at bits: a compiler may assume that every float is finite. */
export const WGSL_USABLE =
  `fn isUsable(z: f32) -> bool { return (bitcast<i32>(z) & 0x7fffffff) < ${LIMIT_BITS}; }`;
