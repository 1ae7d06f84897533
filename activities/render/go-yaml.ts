/**
 * YAML as Go's yaml.v2 writes it (block style, sequences not indented, lines folded after column 80), because the bootstrap
 * files are compared byte for byte with those of istioctl.
 */

export type YamlValue = string | number | boolean | readonly YamlValue[] | YamlMap;
export interface YamlMap {
  readonly [key: string]: YamlValue;
}

const bestWidth = 80;
const isList = (value: YamlValue): value is readonly YamlValue[] => Array.isArray(value);

/** One document, ending in a newline; map keys in the order of yaml.v2. */
export function goYaml(document: YamlMap): string {
  return mapLines(document, 0).join('\n') + '\n';
}

function mapLines(map: YamlMap, indent: number): string[] {
  const pad = ' '.repeat(indent);
  return Object.entries(map)
    .sort(([a], [b]) => compareKeys(a, b))
    .flatMap(([key, value]) => {
      const name = `${pad}${scalar(key, 0, 0, true)}:`;
      if (typeof value !== 'object') return [`${name} ${scalar(value, name.length + 1, indent + 2)}`];
      if (isList(value)) return value.length === 0 ? [`${name} []`] : [name, ...listLines(value, indent)];
      return Object.keys(value).length === 0 ? [`${name} {}`] : [name, ...mapLines(value, indent + 2)];
    });
}

function listLines(list: readonly YamlValue[], indent: number): string[] {
  const pad = ' '.repeat(indent);
  return list.flatMap((item) => {
    if (typeof item !== 'object') return [`${pad}- ${scalar(item, indent + 2, indent + 2)}`];
    const lines = isList(item) ? listLines(item, indent + 2) : mapLines(item, indent + 2);
    const [first, ...rest] = lines;
    return first === undefined
      ? [`${pad}- ${isList(item) ? '[]' : '{}'}`]
      : [`${pad}- ${first.slice(indent + 2)}`, ...rest];
  });
}

/** Letters sort behind everything else, runs of digits by their number. */
function compareKeys(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [x = '', y = ''] = [left[i], right[i]];
    if (x === y) continue;
    const [xIsLetter, yIsLetter] = [/\p{L}/u.test(x), /\p{L}/u.test(y)];
    if (xIsLetter !== yIsLetter) return xIsLetter ? 1 : -1;
    const digits = (from: readonly string[]): number => Number(/^[0-9]*/.exec(from.slice(i).join(''))?.[0] ?? 0);
    if (!xIsLetter && digits(left) !== digits(right)) return digits(left) - digits(right);
    return x < y ? -1 : 1;
  }
  return left.length - right.length;
}

function scalar(value: string | number | boolean, column: number, indent: number, isKey = false): string {
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return goNumber(value);
  if (value.includes('\n') && !isKey && mayBeLiteral(value)) return literal(value, indent);
  if (value.includes('\n') || resolvesToOtherType(value) || hasSpecial(value)) {
    return fold(`"${escape(value)}"`, column, indent, isKey);
  }
  return isPlain(value)
    ? fold(value, column, indent, isKey)
    : fold(`'${value.replaceAll("'", "''")}'`, column, indent, isKey);
}

const hasSpecial = (text: string): boolean => /[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]/u.test(text);
const mayBeLiteral = (text: string): boolean => !hasSpecial(text.replaceAll('\n', '')) && !/ \n| $/.test(text);

function isPlain(text: string): boolean {
  return !(
    /^[#,[\]{}&*!|>'"%@`\s]/.test(text) ||
    /^(---|\.\.\.)/.test(text) ||
    /^[-?:](\s|$)/.test(text) ||
    /:(\s|$)/.test(text) ||
    /\s#/.test(text) ||
    /\s$/.test(text)
  );
}

/** Whether an unquoted reader of YAML 1.1 would take the text for something else than a string. */
function resolvesToOtherType(text: string): boolean {
  const digits = /^[-+.0-9]/.test(text) ? text.replaceAll('_', '') : text;
  return (
    /^(|~|null|Null|NULL|y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/.test(
      text,
    ) ||
    /^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$/.test(text) ||
    (/^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/.test(digits) && Number.isFinite(Number(digits))) ||
    /^[-+]?0([xX][0-9a-fA-F]+|[oO]?[0-7]+|[bB][01]+)$/.test(digits) ||
    /^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$/.test(text) ||
    /^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]*)?(Z|[-+][0-9]{2}:[0-9]{2})?)?$/.test(
      text,
    )
  );
}

const named = new Map([
  ['\0', '0'],
  ['\x07', 'a'],
  ['\b', 'b'],
  ['\t', 't'],
  ['\n', 'n'],
  ['\v', 'v'],
  ['\f', 'f'],
  ['\r', 'r'],
  ['\x1b', 'e'],
  ['"', '"'],
  ['\\', '\\'],
]);

const escape = (text: string): string =>
  text.replace(/["\\]|[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]/gu, (char) => {
    const code = (char.codePointAt(0) ?? 0).toString(16).toUpperCase();
    return `\\${named.get(char) ?? (code.length > 4 ? `U${code.padStart(8, '0')}` : code.length > 2 ? `u${code.padStart(4, '0')}` : `x${code.padStart(2, '0')}`)}`;
  });

/** Breaks at a single space once the line is past column 80, as the emitter does. */
function fold(text: string, column: number, indent: number, isKey: boolean): string {
  if (isKey) return text;
  const chars = Array.from(text);
  const isQuoted = /^["']/.test(text);
  let at = column;
  let folded = '';
  for (const [index, char] of chars.entries()) {
    const inside = !isQuoted || (index > 1 && index < chars.length - 2);
    if (char === ' ' && at > bestWidth && inside && chars[index - 1] !== ' ' && chars[index + 1] !== ' ') {
      folded += `\n${' '.repeat(indent)}`;
      at = indent;
      continue;
    }
    folded += char;
    at++;
  }
  return folded;
}

function literal(text: string, indent: number): string {
  const chomp = text.endsWith('\n') ? (/(^|\n)\n$/.test(text) ? '+' : '') : '-';
  const hint = /^[ \n]/.test(text) ? '2' : '';
  const body = text.replace(/\n$/, '').split('\n');
  return `|${hint}${chomp}\n${body.map((line) => (line === '' ? '' : ' '.repeat(indent) + line)).join('\n')}`;
}

/** As strconv's %g: small fractions get an exponent of two digits. */
function goNumber(value: number): string {
  const [mantissa = '', exponent = '0'] = value.toExponential().split('e');
  return Number.isInteger(value) || Number(exponent) >= -4
    ? String(value)
    : `${mantissa}e-${exponent.slice(1).padStart(2, '0')}`;
}
