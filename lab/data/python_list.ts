/**
 * Python lists in the cells of CSV files, as pandas writes them.
 *
 * @module
 */

const SPACE = /\s*/y;
const INTEGER = /(0|-?[1-9]\d*)(?![\w.])/y;
const STRING = /'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/sy;

/**
 * The integers and strings of a list such as `[3, 'a', "b's"]`, as texts. `fail` must throw. Its
 * argument is what stands where an integer, a string, a comma or a bracket must be.
 */
export function pythonList(text: string, fail: (found: string) => never): string[] {
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  const takeMark = (mark: string): boolean => {
    take(SPACE);
    const isHere = text[at] === mark;
    if (isHere) at++;
    return isHere;
  };
  const refuse = (): never => {
    const found = /^(?:[\p{L}\p{N}_.]+|.)/su.exec(text.slice(at))?.[0] ?? "the end";
    return fail(`${found} at character ${at + 1}`);
  };

  const values: string[] = [];
  if (!takeMark("[")) refuse();
  while (!takeMark("]")) {
    const quoted = take(STRING);
    values.push(quoted === undefined ? take(INTEGER) ?? refuse() : unescaped(quoted, fail));
    if (takeMark(",")) continue;
    if (!takeMark("]")) refuse();
    break;
  }
  take(SPACE);
  if (at < text.length) refuse();
  return values;
}

const LETTERS: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

/** The text of a string in quotes. Escapes are those that Python itself writes. */
function unescaped(quoted: string, fail: (found: string) => never): string {
  return quoted.slice(1, -1).replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(.))/gs,
    (escape, x, u, long, letter: string | undefined) => {
      if (letter !== undefined) {
        if (/[\\'"]/.test(letter)) return letter;
        return Object.hasOwn(LETTERS, letter) ? LETTERS[letter] : fail(`the escape ${escape}`);
      }
      const code = parseInt(x ?? u ?? long, 16);
      const isCharacter = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
      return isCharacter ? String.fromCodePoint(code) : fail(`the escape ${escape}`);
    },
  );
}
