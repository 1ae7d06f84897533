import { expect, test } from '@jest/globals';

import { operationRequest } from '../../api/operation-request.ts';

const asked = { verb: 'onboard', namespace: 'shop', name: 'orders-1', idempotencyKey: 'k' } as const;

test('gives each attempt an id of its own that names verb, machine and time', () => {
  const ids = [1, 2].map(() => operationRequest({ ...asked, body: {} }).operationId);
  expect(new Set(ids).size).toBe(2);
  expect(ids[0]).toMatch(/^onboard-shop-orders-1-[0-9A-HJKMNP-TV-Z]{26}$/);
});

test('digests what a body says, not the order it says it in', () => {
  const digest = (body: unknown): string => operationRequest({ ...asked, body }).bodyDigest;
  expect(digest({ a: 1, b: { c: [1, 2], d: 2 } })).toBe(digest({ b: { d: 2, c: [1, 2] }, a: 1 }));
  expect(digest({ a: [1, 2] })).not.toBe(digest({ a: [2, 1] }));
});

test('tells an offboarding from an onboarding with the same key', () => {
  const digest = (verb: 'onboard' | 'offboard'): string => operationRequest({ ...asked, verb, body: null }).bodyDigest;
  expect(digest('onboard')).not.toBe(digest('offboard'));
});
