/**
 * Text that fits: SVG does not cut text off by itself.
 *
 * @module
 */
const context = document.createElement("canvas").getContext("2d");
const known = new Map<string, string>();

/** The text, or what of it fits into a width with an ellipsis. */
export function fit(text: string, width: number, font: string): string {
  const key = `${font}|${Math.floor(width)}|${text}`;
  let fitting = known.get(key);
  if (fitting === undefined) {
    if (known.size > 5000) known.clear();
    known.set(key, fitting = cut(text, width, font));
  }
  return fitting;
}

function cut(text: string, width: number, font: string): string {
  if (context === null) return text;
  context.font = font;
  if (context.measureText(text).width <= width) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const half = Math.ceil((low + high) / 2);
    if (context.measureText(`${text.slice(0, half)}…`).width <= width) low = half;
    else high = half - 1;
  }
  return `${text.slice(0, low).trimEnd()}…`;
}
