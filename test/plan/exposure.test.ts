import { describe, expect, test } from '@jest/globals';

import type { MachineFacts } from '../../activities/ports/host-port.ts';
import type { Neighbours } from '../../activities/ports/mesh-port.ts';
import type { EnforceMachine } from '../../api/schemas/verbs.ts';
import { exposureConditions, isRefused } from '../../workflows/plan/exposure.ts';
import { fresh, memberMachine, now } from './facts.ts';

const neighbours: Neighbours = {
  proxies: [
    { proxy: 'frontend.shop', addresses: ['192.0.2.51'] },
    { proxy: 'teller.bank', addresses: ['192.0.2.52'] },
    { proxy: 'gateway.istio-system', addresses: ['192.0.2.53'] },
  ],
  policies: [],
  rootNamespace: 'istio-system',
};
const inbound = (local: string, remote: string) => ({ local, remote, direction: 'inbound' as const });

interface Given {
  readonly machine?: Partial<MachineFacts>;
  readonly neighbours?: Partial<Neighbours>;
  readonly asked?: EnforceMachine;
  readonly excludedPorts?: readonly number[];
}

const conditions = (given: Given) =>
  exposureConditions(
    {
      ...fresh,
      machine: { ...memberMachine, ...given.machine },
      rendered: { ...fresh.rendered, excludedPorts: given.excludedPorts ?? [] },
      asked: given.asked ?? { mode: 'enforce' },
      neighbours: { ...neighbours, ...given.neighbours },
    },
    now,
  );
const found = (type: string, given: Given) => conditions(given).find((condition) => condition.type === type);

describe('PlaintextCallers', () => {
  const stranger = inbound('192.0.2.11:8080', '192.0.2.99');
  const rows: readonly (readonly [string, Partial<MachineFacts>, string | undefined])[] = [
    ['names who is no proxy of the mesh, with the port', { flows: [stranger] }, '192.0.2.99 to port 8080'],
    ['leaves out who is', { flows: [inbound('192.0.2.11:8080', '192.0.2.51')] }, undefined],
    ['leaves out SSH', { flows: [inbound('192.0.2.11:22', '192.0.2.99')] }, undefined],
    ['leaves out the ports of the proxy', { flows: [inbound('192.0.2.11:15021', '192.0.2.99')] }, undefined],
    [
      'leaves out ports that are not captured',
      { flows: [inbound('192.0.2.11:25', '192.0.2.99')], excludedPorts: [25] },
      undefined,
    ],
    ['knows IPv6', { flows: [inbound('[2001:db8::11]:8080', '2001:db8::99')] }, '2001:db8::99 to port 8080'],
    [
      'falls back on who is connected, where the kernel does not show what was called',
      { flows: [], connections: [{ ...inbound('192.0.2.11:15006', '192.0.2.99'), process: 'envoy' }] },
      '192.0.2.99;',
    ],
  ];
  test.each(rows)('%s', (_, machine, expected) => {
    const message = found('PlaintextCallers', { machine })?.message;
    expect(message === undefined).toBe(expected === undefined);
    expect(message ?? '').toContain(expected ?? '');
  });

  test.each([
    ['believes the proxy, which counted none', 0, [stranger], undefined],
    ['tells what the proxy counted of callers that are not seen', 7, [], 'took 7 requests'],
    ['names callers all the same', 7, [stranger], '192.0.2.99 to port 8080'],
  ])('%s', (_, plaintextServed, flows, expected) => {
    const machine = { flows, proxy: { ...memberMachine.proxy, plaintextServed } };
    const message = found('PlaintextCallers', { machine })?.message;
    expect(message === undefined).toBe(expected === undefined);
    expect(message ?? '').toContain(expected ?? '');
    expect(conditions({ machine }).filter(isRefused)).toHaveLength(flows.length > 0 && plaintextServed > 0 ? 1 : 0);
  });

  test('refuses, unless told to cut them', () => {
    const given = { machine: { flows: [stranger] } };
    expect(conditions(given).filter(isRefused)).toHaveLength(1);
    const allowed = { ...given, asked: { mode: 'enforce' as const, allowPlaintextCallers: true } };
    expect(conditions(allowed).filter(isRefused)).toEqual([]);
    expect(found('PlaintextCallers', allowed)?.category).toBe('Warning');
    const enforced = { machine: { flows: [stranger], isEnforced: true } };
    expect(conditions(enforced).filter(isRefused)).toEqual([]);
    expect(found('PlaintextCallers', { ...given, asked: { mode: 'observe' } })).toBeUndefined();
  });
});

test('destinations that nobody declares are named, and refuse nothing', () => {
  const machine = { proxy: { ...memberMachine.proxy, passthrough: ['198.51.100.7:443'] } };
  expect(found('ExternalDestinations', { machine })?.message).toContain('198.51.100.7:443');
  expect(conditions({ machine }).filter(isRefused)).toEqual([]);
  expect(found('ExternalDestinations', {})).toBeUndefined();
});

test('a machine whose traffic is not captured is not enforced', () => {
  expect(
    conditions({ machine: { isCaptured: false } })
      .filter(isRefused)
      .map(({ type }) => type),
  ).toEqual(['Captured']);
});

describe('ServerFirstPorts', () => {
  const machine = { serverFirstPorts: [25, 2525] };
  const rows: readonly (readonly [string, Given, string, string])[] = [
    [
      'says what to declare of those that stay out',
      { machine, excludedPorts: [25] },
      'Warning',
      'on 25: not captured, and so open',
    ],
    ['is content where all are declared', { machine }, 'Advisory', 'declared as TCP and captured'],
    [
      'says why they stay out while observed',
      { machine, excludedPorts: [25, 2525], asked: { mode: 'observe' } },
      'Advisory',
      '25, 2525',
    ],
  ];
  test.each(rows)('%s', (_, given, category, message) => {
    expect(found('ServerFirstPorts', given)).toMatchObject({
      category,
      message: expect.stringContaining(message) as unknown,
    });
  });
});

describe('IsolationOneSided', () => {
  const guarded = (namespace: string, isOfAll = true) => ({ policies: [{ namespace, name: 'own', isOfAll }] });
  const rows: readonly (readonly [string, Partial<Neighbours>, string | undefined])[] = [
    ['names namespaces without a policy, and what their owner can apply', {}, 'namespaces: [bank]'],
    ['counts no policy of some workloads', guarded('bank', false), 'namespaces: [bank]'],
    ['is content with a policy of all workloads', guarded('bank'), undefined],
    ['is content with a policy of all namespaces', guarded('istio-system'), undefined],
  ];
  test.each(rows)('%s', (_, changes, expected) => {
    const message = found('IsolationOneSided', { neighbours: changes })?.message;
    expect(message === undefined).toBe(expected === undefined);
    expect(message ?? '').toContain(expected ?? '');
  });
});
