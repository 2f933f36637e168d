/**
 * Saves a figure as an SVG file that stands alone: styles are inlined, in the colours of the light
 * theme, on paper.
 *
 * @module
 */
import { download } from "./download.ts";

const STYLES = [
  "fill",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
  "font-style",
  "font-variant-numeric",
  "text-anchor",
];

/** Downloads a figure. */
export function saveSvg(figure: SVGSVGElement, name: string): void {
  download(name, standAlone(figure), "image/svg+xml");
}

/** The text of a figure with its styles. */
export function standAlone(figure: SVGSVGElement): string {
  const light = document.createElement("div");
  light.className = "light still";
  const copy = figure.cloneNode(true) as SVGSVGElement;
  light.append(copy);
  figure.parentElement!.append(light);
  for (const element of copy.querySelectorAll<SVGElement>("*")) inline(element);
  const paper = document.createElementNS(copy.namespaceURI, "rect");
  paper.setAttribute("width", "100%");
  paper.setAttribute("height", "100%");
  paper.setAttribute("fill", getComputedStyle(light).backgroundColor);
  copy.prepend(paper);
  light.remove();
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.removeAttribute("class");
  return new XMLSerializer().serializeToString(copy);
}

function inline(element: SVGElement): void {
  const style = getComputedStyle(element);
  const place = element.style.transform.match(/translate\((-?[\d.]+)px(?:, (-?[\d.]+)px)?\)/);
  const values = STYLES.map((name) => [name, style.getPropertyValue(name)]);
  for (const name of ["class", "style", "role", "tabindex", "aria-label", "data-key"]) {
    element.removeAttribute(name);
  }
  if (place !== null) element.setAttribute("transform", `translate(${place[1]} ${place[2] ?? 0})`);
  for (const [name, value] of values) element.setAttribute(name, value);
}
