import { describe, expect, test } from '@jest/globals';

import { type Authorization, type Caller, refusalsOf } from '../../workflows/plan/caller-refusals.ts';

const caller: Caller = { address: '198.51.100.7', port: 8080 };
const source = (fields: Readonly<Record<string, readonly string[]>>) => ({ rules: [{ from: [{ source: fields }] }] });
const operation = (fields: Readonly<Record<string, readonly string[]>>) => ({
  rules: [{ to: [{ operation: fields }] }],
});

describe('a plaintext caller with these policies alone', () => {
  const rows: readonly (readonly [title: string, specs: Authorization['spec'][], isRefused: boolean])[] = [
    ['passes without any', [], false],
    ['is refused by one that allows nothing', [{}], true],
    ['passes one that allows everything', [{ rules: [{}] }], false],
    ['is refused where an identity is wanted', [source({ principals: ['*'] })], true],
    ['is refused where its namespace is wanted', [source({ namespaces: ['shop'] })], true],
    ['passes by its address', [source({ ipBlocks: ['198.51.100.0/24'] })], false],
    ['passes by its very address', [source({ ipBlocks: ['198.51.100.7'] })], false],
    ['is refused by its address', [source({ ipBlocks: ['203.0.113.0/24'] })], true],
    ['is refused where its address is left out', [source({ notIpBlocks: ['198.51.100.7/32'] })], true],
    ['passes where one of two sources fits', [{ rules: [...source({ namespaces: ['a'] }).rules, {}] }], false],
    ['passes where one of two policies allows it', [source({ namespaces: ['shop'] }), { rules: [{}] }], false],
    ['passes by its port', [operation({ ports: ['8080'] })], false],
    ['is refused by its port', [operation({ ports: ['9090'] })], true],
    ['may be refused by its path', [operation({ paths: ['/healthz'] })], true],
    ['may be refused by a condition', [{ rules: [{ when: [{ key: 'request.headers[x]' }] }] }], true],
    ['is refused by a denial of everything', [{ action: 'DENY', rules: [{}] }], true],
    ['passes a denial that never matches', [{ action: 'DENY' }], false],
    ['passes a denial of an identity', [{ action: 'DENY', ...source({ principals: ['a'] }) }], false],
    ['is refused by a denial of all without one', [{ action: 'DENY', ...source({ notPrincipals: ['*'] }) }], true],
    ['passes a denial of another port', [{ action: 'DENY', ...operation({ ports: ['22'] }) }], false],
    ['may be refused by a denial of a method', [{ action: 'DENY', ...operation({ methods: ['POST'] }) }], true],
    ['may be refused by an authorizer of their own', [{ action: 'CUSTOM', rules: [{}] }], true],
    ['passes an audit', [{ action: 'AUDIT', rules: [{}] }], false],
  ];
  test.each(rows)('%s', (_title, specs, isRefused) => {
    const policies = specs.map((spec, index) => ({ name: `p${index}`, spec }));
    expect(refusalsOf(policies, caller).length > 0).toBe(isRefused);
  });
});

test('names the policies that refuse', () => {
  const policies = [
    { name: 'denies', spec: { action: 'DENY', rules: [{}] } },
    { name: 'allows', spec: { rules: [{}] } },
  ];
  expect(refusalsOf(policies, caller)).toEqual(['denies']);
});

test('of a caller that is not known, what hangs on its address or port counts as refused', () => {
  const allows = (spec: Authorization['spec']) => refusalsOf([{ name: 'p', spec }], {}).length === 0;
  expect(allows(source({ ipBlocks: ['198.51.100.0/24'] }))).toBe(false);
  expect(allows(operation({ ports: ['8080'] }))).toBe(false);
  expect(allows({ rules: [{}] })).toBe(true);
});
