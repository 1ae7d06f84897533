/** Whether an address lies in a network, for IPv4 and IPv6. What cannot be read lies in none. */

interface Parsed {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

export function isInCidr(address: string, cidr: string): boolean {
  const [network = '', length = '', ...rest] = cidr.split('/');
  const found = parseAddress(address);
  const base = parseAddress(network);
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if (found === undefined || base?.bits !== found.bits || rest.length > 0) return false;
  if (prefix < 0 || prefix > base.bits) return false;
  const shift = BigInt(base.bits - prefix);
  return found.value >> shift === base.value >> shift;
}

/** An IPv4 address inside of IPv6 (`::ffff:192.0.2.1`) is that IPv4 address. */
function parseAddress(text: string): Parsed | undefined {
  const four = parseFour(text);
  if (four !== undefined) return { bits: 32, value: four };
  const six = parseSix(text);
  if (six === undefined) return undefined;
  return six >> 32n === 0xffffn ? { bits: 32, value: six & 0xffffffffn } : { bits: 128, value: six };
}

function parseFour(text: string): bigint | undefined {
  const parts = text.split('.');
  const isValid = parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
  return isValid ? parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n) : undefined;
}

function parseSix(text: string): bigint | undefined {
  const halves = withoutFour(text).split('::');
  const groupsOf = (half: string | undefined): string[] => (half === undefined || half === '' ? [] : half.split(':'));
  const [left, right] = [groupsOf(halves[0]), groupsOf(halves[1])];
  const missing = 8 - left.length - right.length;
  if (halves.length > 2 || (halves.length === 2 ? missing < 1 : missing !== 0)) return undefined;
  const groups = [...left, ...Array.from({ length: missing }, () => '0'), ...right];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** The last 32 bits may be written as an IPv4 address. */
function withoutFour(text: string): string {
  const cut = text.lastIndexOf(':') + 1;
  const four = cut === 0 ? undefined : parseFour(text.slice(cut));
  if (four === undefined) return text;
  return `${text.slice(0, cut)}${(four >> 16n).toString(16)}:${(four & 0xffffn).toString(16)}`;
}
