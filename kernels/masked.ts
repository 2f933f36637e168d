/**
 * The score of what is absent. WGSL has no portable infinity, so absence is one finite number, far below every score.
 *
 * @module
 */

/** The score of an absent entry. */
export const MASKED = -1e30;

/** A score at or below this is taken for absent. */
export const ABSENT = MASKED / 2;
