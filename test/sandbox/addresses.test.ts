import { describe, expect, test } from '@jest/globals';

import { freeAddress } from '../../sandbox/machines/records.ts';
import type { MachineRecord } from '../../sandbox/state.ts';

const taken = (...addresses: readonly string[]): MachineRecord[] =>
  addresses.map((address) => ({ name: address, namespace: 'shop', network: 'direct', apps: [], address }));

describe('the address of a new machine', () => {
  const rows: readonly (readonly [string, readonly string[], string | undefined, string])[] = [
    ['is the first where none was given yet', [], undefined, '10.245.0.11'],
    ['is the one after the last, though an earlier one is free', ['10.245.0.12'], '10.245.0.12', '10.245.0.13'],
    ['begins anew after the last of all', ['10.245.0.249', '10.245.0.11'], '10.245.0.249', '10.245.0.12'],
    ['leaves out what is taken', ['10.245.0.12', '10.245.0.13'], '10.245.0.11', '10.245.0.14'],
  ];
  test.each(rows)('%s', (_title, addresses, direct, expected) => {
    const lastAddresses = direct === undefined ? {} : { direct };
    expect(freeAddress('direct', { machines: taken(...addresses), lastAddresses })).toBe(expected);
    expect(freeAddress('gateway', { machines: taken(...addresses), lastAddresses })).toBe('10.246.0.11');
  });

  test('is refused where all are taken', () => {
    const all = Array.from({ length: 239 }, (_, index) => `10.245.0.${11 + index}`);
    expect(() => freeAddress('direct', { machines: taken(...all) })).toThrow('No address is free in 10.245.0.0/24');
  });
});
