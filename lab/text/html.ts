/**
 * HTML character references in catalogue texts.
 *
 * @module
 */

/** U+00A0 to U+00FF, in order. */
const LATIN_1 =
  ("nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 " +
    "sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml " +
    "Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml " +
    "times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil " +
    "egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave " +
    "uacute ucirc uuml yacute thorn yuml").split(" ");

/** What else catalogues write by name. */
const OTHERS: readonly (readonly [string, number])[] = [
  ["quot", 0x22],
  ["amp", 0x26],
  ["apos", 0x27],
  ["lt", 0x3c],
  ["gt", 0x3e],
  ["OElig", 0x152],
  ["oelig", 0x153],
  ["Scaron", 0x160],
  ["scaron", 0x161],
  ["Yuml", 0x178],
  ["fnof", 0x192],
  ["circ", 0x2c6],
  ["tilde", 0x2dc],
  ["ensp", 0x2002],
  ["emsp", 0x2003],
  ["thinsp", 0x2009],
  ["ndash", 0x2013],
  ["mdash", 0x2014],
  ["lsquo", 0x2018],
  ["rsquo", 0x2019],
  ["sbquo", 0x201a],
  ["ldquo", 0x201c],
  ["rdquo", 0x201d],
  ["bdquo", 0x201e],
  ["dagger", 0x2020],
  ["Dagger", 0x2021],
  ["bull", 0x2022],
  ["hellip", 0x2026],
  ["permil", 0x2030],
  ["prime", 0x2032],
  ["Prime", 0x2033],
  ["lsaquo", 0x2039],
  ["rsaquo", 0x203a],
  ["frasl", 0x2044],
  ["euro", 0x20ac],
  ["trade", 0x2122],
  ["larr", 0x2190],
  ["rarr", 0x2192],
  ["minus", 0x2212],
  ["infin", 0x221e],
  ["asymp", 0x2248],
  ["ne", 0x2260],
  ["le", 0x2264],
  ["ge", 0x2265],
];

const NAMED = new Map<string, number>([
  ...LATIN_1.map((name, i) => [name, 0xa0 + i] as const),
  ...OTHERS,
]);

/** What numbers 128 to 159 mean: windows-1252, as the HTML standard has it; 0 where it has no character. */
const WINDOWS_1252 = [
  [0x20ac, 0, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021],
  [0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0, 0x17d, 0],
  [0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014],
  [0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0, 0x17e, 0x178],
].flat();

/**
 * Decodes HTML character references, once: decimal and hexadecimal numbers, the names of XML and of Latin-1, and the
 * common typographic ones of HTML 4 (quotes, dashes, bullets, euro, trade mark). They must end in a semicolon; anything
 * else stays as it is.
 */
export function decodeHtml(text: string): string {
  return text.replace(
    /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([A-Za-z][A-Za-z0-9]{1,7}));/g,
    (reference, decimal?: string, hexadecimal?: string, name?: string) => {
      const code = name !== undefined
        ? NAMED.get(name)
        : numbered(decimal !== undefined ? Number(decimal) : parseInt(hexadecimal as string, 16));
      return code === undefined ? reference : String.fromCodePoint(code);
    },
  );
}

/** The code point that a number stands for; undefined for none. */
function numbered(n: number): number | undefined {
  const code = n >= 0x80 && n < 0xa0 ? WINDOWS_1252[n - 0x80] || n : n;
  const surrogate = code >= 0xd800 && code < 0xe000;
  return code === 0 || surrogate || code > 0x10ffff ? undefined : code;
}
