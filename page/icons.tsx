/**
 * The few signs of the page.
 *
 * @module
 */
import type { JSX } from "preact";

/** A triangle, or two bars. */
export function PlayIcon({ isPlaying }: { isPlaying: boolean }): JSX.Element {
  return (
    <svg width="10" height="10" viewBox="0 0 10 10" aria-hidden="true" class="icon">
      <path d={isPlaying ? "M1 0h3v10H1zM6 0h3v10H6z" : "M1 0l8.5 5L1 10z"} />
    </svg>
  );
}

/** A disc, half of it filled. */
export function ThemeIcon(): JSX.Element {
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" class="icon">
      <circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="1.5" />
      <path d="M8 1.5a6.5 6.5 0 0 1 0 13z" />
    </svg>
  );
}
