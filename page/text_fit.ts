/**
 * Text that fits: SVG does not cut text off by itself.
 *
 * @module
 */
const context = document.createElement("canvas").getContext("2d");

/** The text, or what of it fits into a width with an ellipsis. */
export function fit(text: string, width: number, font: string): string {
  if (context === null) return text;
  context.font = font;
  const fits = (part: string): boolean => context.measureText(part).width <= width;
  if (fits(text)) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const half = Math.ceil((low + high) / 2);
    if (fits(`${text.slice(0, half)}…`)) low = half;
    else high = half - 1;
  }
  return `${text.slice(0, low).trimEnd()}…`;
}
