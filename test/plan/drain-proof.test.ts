/** Proof that every client has let go of a drained machine, from what istiods say. */
import { describe, expect, test } from '@jest/globals';

import type { Traffic } from '../../activities/ports/host-port.ts';
import type { EndpointLook, ProxyConnection, WatcherLook } from '../../activities/ports/mesh-port.ts';
import {
  isGivenOutByAll,
  seenDraining,
  silentIstiods,
  stoodStill,
  askingFor,
  clientsNotAsking,
  unprovenClients,
} from '../../workflows/plan/drain-proof.ts';

const D = '2026-01-01T10:00:05.000Z';
const later = '2026-01-01T10:00:06.000Z';

const endpoint = (draining?: string): EndpointLook['endpoints'][number] => ({
  host: 'orders',
  ...(draining === undefined ? {} : { draining }),
  isOffered: draining === undefined,
});
const look = (istiodPod: string, ...endpoints: EndpointLook['endpoints']): EndpointLook => ({
  istiodPod,
  at: D,
  endpoints,
});

describe('the label is seen', () => {
  test('once every istiod holds this very value on every endpoint of the machine', () => {
    const both = [look('a', endpoint('X.a'), endpoint('X.a')), look('b', endpoint('X.a'))];
    expect(seenDraining(both, 'X.a')).toEqual([
      { istiodPod: 'a', at: D },
      { istiodPod: 'b', at: D },
    ]);
  });
  test.each([
    ['one istiod has not heard', [look('a', endpoint('X.a')), look('b', endpoint())]],
    ['one holds the value of another operation', [look('a', endpoint('X.a')), look('b', endpoint('Y.a'))]],
    ['one port of the machine is without it', [look('a', endpoint('X.a'), endpoint())]],
  ])('not while %s', (_, looks) => {
    expect(seenDraining(looks, 'X.a')).toBeUndefined();
  });
});

describe('the machine is given out again', () => {
  test.each<[string, EndpointLook[], boolean]>([
    ['every istiod offers it', [look('a', endpoint()), look('b', endpoint())], true],
    ['one still holds it back', [look('a', endpoint()), look('b', endpoint('X.b'))], false],
    ['one does not know it yet', [look('a', endpoint()), look('b')], false],
    ['no Service selects it', [look('a'), look('b')], true],
  ])('%s', (_, looks, isOut) => {
    expect(isGivenOutByAll(looks)).toBe(isOut);
  });
});

const client = (proxy: string, more: Partial<ProxyConnection> = {}): ProxyConnection => ({
  proxy,
  addresses: [`ip-${proxy}`],
  isWatching: true,
  clusters: [],
  hasListenersOfClusters: true,
  sentAt: later,
  acknowledgedAt: later,
  ...more,
});
const istiod = (istiodPod: string, ...connections: ProxyConnection[]): WatcherLook => ({
  istiodPod,
  version: '1.30.0',
  connections,
});
const seen = [
  { istiodPod: 'a', at: D },
  { istiodPod: 'b', at: D },
];
const expected = (...names: string[]) => names.map((proxy) => ({ proxy, addresses: [`ip-${proxy}`] }));
const unproven = (looks: WatcherLook[], names: string[] = []) =>
  unprovenClients({ machine: 'm1.shop', expected: expected(...names), looks, seen }).map(({ proxy }) => proxy);

describe('a client has let go', () => {
  test.each<[string, WatcherLook[], string[], string[]]>([
    ['that acknowledged endpoints of a later second', [istiod('a', client('p'))], ['p'], []],
    ['not in the same second', [istiod('a', client('p', { acknowledgedAt: D }))], ['p'], ['p']],
    [
      'not where it was only sent them',
      [istiod('a', client('p', { acknowledgedAt: '2026-01-01T10:00:01.000Z' }))],
      ['p'],
      ['p'],
    ],
    [
      'not where it never acknowledged any',
      [istiod('a', { ...client('p'), acknowledgedAt: undefined } as never)],
      ['p'],
      ['p'],
    ],
    ['not where it refuses them', [istiod('a', client('p', { error: 'bad' }))], ['p'], ['p']],
    ['that never held the machine', [istiod('a', client('p', { isWatching: false, acknowledgedAt: D }))], ['p'], []],
    ['not where it is connected to no istiod', [istiod('a', client('p'))], ['p', 'gone'], ['gone']],
    ['that is found by its address', [istiod('a', client('p', { addresses: ['ip-entry'] }))], ['entry'], []],
    ['whichever istiod it is connected to', [istiod('a', client('p')), istiod('b', client('q'))], ['p', 'q'], []],
    ['not by an istiod that came since', [istiod('new', client('p'))], ['p'], ['p']],
    ['the machine itself need not be connected', [istiod('a', client('p'))], ['p', 'm1.shop'], []],
  ])('%s', (_, looks, names, left) => {
    expect(unproven(looks, names)).toEqual(left);
  });
});

describe('a client has the subsets', () => {
  const at = (port: number, ...subsets: string[]) =>
    subsets.map((subset) => ({ of: `outbound|${port}||orders`, subset }));
  const asking = (...clusters: ProxyConnection['clusters'][]) =>
    istiod('a', client('p', { clusters: clusters.flat() }));
  const other = istiod('b', client('q', { clusters: at(80, '') }));

  test.each<[string, WatcherLook[], string[]]>([
    ['whose endpoints it asks for, at each port', [asking(at(80, '', 'v1', 'v2'), at(70, '', 'v1', 'v2'))], []],
    ['not while it asks for one of them alone', [asking(at(80, '', 'v1'))], ['p']],
    ['not while it asks for them at one port alone', [asking(at(80, '', 'v1', 'v2'), at(70, ''))], ['p']],
    ['not where another does', [asking(at(80, '', 'v1', 'v2')), other], ['q']],
    ['not where nobody knows what it asks for', [asking([])], ['p']],
    [
      'not where it refuses endpoints',
      [istiod('a', client('p', { clusters: at(80, '', 'v1', 'v2'), error: 'bad' }))],
      ['p'],
    ],
    [
      'not before it has listeners of that push',
      [istiod('a', client('p', { clusters: at(80, '', 'v1', 'v2'), hasListenersOfClusters: false }))],
      ['p'],
    ],
    ['that never calls the host', [istiod('a', client('p', { isWatching: false }))], []],
    ['not where it is connected to no istiod', [istiod('a')], ['p']],
  ])('%s', (_, looks, left) => {
    const behind = clientsNotAsking({ expected: expected('p'), looks, subsets: ['v1', 'v2'], areNew: true });
    expect(behind.map(({ proxy }) => proxy)).toEqual(left);
  });

  test('that stand, also where clusters alone were pushed since', () => {
    const looks = [istiod('a', client('p', { clusters: at(80, '', 'v1', 'v2'), hasListenersOfClusters: false }))];
    expect(clientsNotAsking({ expected: expected('p'), looks, subsets: ['v1', 'v2'], areNew: false })).toEqual([]);
  });
});

test('endpoints of subsets matter to who asks for one of them, or may', () => {
  const asks = (...subsets: string[]) => ({
    clusters: subsets.map((subset) => ({ of: 'outbound|80||orders', subset })),
  });
  const looks = [
    istiod('a', client('ours', asks('', 'v1')), client('own-rule', asks('')), client('unknown')),
    istiod('b', client('other', asks('', 'v2')), client('nobody', { ...asks('', 'v1'), isWatching: false })),
  ];
  const asking = askingFor(looks, ['v1', 'v3']).flatMap(({ connections }) => connections);
  expect(asking.filter(({ isWatching }) => isWatching).map(({ proxy }) => proxy)).toEqual(['ours', 'unknown']);
});

test('an istiod that pushes nothing to any watcher proves nothing', () => {
  const silent = istiod('b', client('q', { sentAt: D, acknowledgedAt: D }));
  expect(silentIstiods({ looks: [istiod('a', client('p')), silent, istiod('a')], seen })).toEqual([silent]);
});

describe('requests stand still', () => {
  const quiet: Traffic = { isProxyUp: true, active: 0, came: 0, senders: [], outboundFailed: 0 };
  test.each<[string, Partial<Traffic>, boolean]>([
    ['nobody came', {}, true],
    ['somebody came, and none over mTLS', { came: 5, cameOverMtls: 0, senders: ['10.0.0.9'] }, true],
    ['somebody came over mTLS', { came: 5, cameOverMtls: 1 }, false],
    ['without such a metric: no sender is of the mesh', { came: 5, senders: ['10.0.0.9'] }, true],
    ['without such a metric: a sender is of the mesh', { came: 5, senders: ['10.0.0.1', '10.0.0.9'] }, false],
  ])('%s', (_, traffic, isStill) => {
    expect(stoodStill({ ...quiet, ...traffic }, ['10.0.0.1'])).toBe(isStill);
  });
});
