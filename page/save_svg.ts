/**
 * Saves a figure as an SVG file that stands alone: styles are inlined, in the colours of the light
 * theme, on paper.
 *
 * @module
 */
import { download } from "./files.ts";

/** The styles that a file needs, by element. */
const SHAPE = ["fill", "stroke", "stroke-width", "stroke-dasharray"];
const TEXT = ["fill", "font-family", "font-size", "font-weight", "font-style", "text-anchor"];

/** The space of the caption and around the figure. */
const TOP = 34;
const MARGIN = 16;

/** Downloads a figure with a line above it that says what it shows. */
export function saveSvg(figure: SVGSVGElement, name: string, caption: string): void {
  download(name, new Blob([standAlone(figure, caption)], { type: "image/svg+xml" }));
}

function standAlone(figure: SVGSVGElement, caption: string): string {
  const light = document.createElement("div");
  light.style.cssText =
    "color-scheme: light; position: absolute; visibility: hidden; background: var(--paper)";
  const copy = figure.cloneNode(true) as SVGSVGElement;
  copy.prepend(made("text", { class: "title", x: 0, y: -14 }, caption));
  light.append(copy);
  figure.parentElement!.append(light);
  const elements = [...copy.querySelectorAll<SVGElement>("*")];
  const styles = elements.map(stylesOf);
  elements.forEach((element, i) => inline(element, styles[i]));
  const paper = getComputedStyle(light).backgroundColor;
  light.remove();

  const [width, height] = [figure.clientWidth + 2 * MARGIN, figure.clientHeight + TOP];
  copy.prepend(made("rect", { x: -MARGIN, y: -TOP, width, height, fill: paper }));
  for (const { name } of [...copy.attributes]) copy.removeAttribute(name);
  copy.setAttribute("viewBox", `${-MARGIN} ${-TOP} ${width} ${height}`);
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  return new XMLSerializer().serializeToString(copy);
}

function made(name: string, attributes: Record<string, string | number>, text = ""): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name) as SVGElement;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.textContent = text;
  return element;
}

function stylesOf(element: SVGElement): (readonly [string, string])[] {
  if (element instanceof SVGGElement) return [];
  const style = getComputedStyle(element);
  return (element instanceof SVGTextContentElement ? TEXT : SHAPE)
    .map((name) => [name, style.getPropertyValue(name)] as const);
}

/** Replaces what only the page understands by attributes. */
function inline(element: SVGElement, styles: readonly (readonly [string, string])[]): void {
  const place = element.style.transform.match(/translate\((-?[\d.]+)px(?:, (-?[\d.]+)px)?\)/);
  for (const name of ["class", "style", "role", "tabindex", "aria-label", "data-key"]) {
    element.removeAttribute(name);
  }
  if (place !== null) element.setAttribute("transform", `translate(${place[1]} ${place[2] ?? 0})`);
  for (const [name, value] of styles) element.setAttribute(name, value);
}
