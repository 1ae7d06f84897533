import { describe, expect, test } from '@jest/globals';

import { enforceFlagPath, excludePortsPath } from '../../activities/render/enforcement.ts';
import { renderMachineFiles } from '../../activities/render/machine-files.ts';
import { describeChanges, isVersion, planBootstrap } from '../../workflows/plan/bootstrap-plan.ts';
import { describePlan } from '../../workflows/plan/describe-plan.ts';
import { inspectedPaths } from '../../workflows/plan/inspected-paths.ts';
import type { DecidableInput } from '../../workflows/plan/plan-input.ts';
import { cluster, fresh, machine, member, memberMachine, now, rendered, request, without } from './facts.ts';

const stepsOf = (input: DecidableInput) => planBootstrap(input).map(({ step }) => step);
const onMember = (facts: Partial<typeof memberMachine>): DecidableInput => ({
  ...member,
  machine: { ...memberMachine, ...facts },
});
const withoutFile = (path: string) => memberMachine.files.filter((file) => file.path !== path);
const changedFile = (path: string, change: { mode?: string; owner?: string; sha256?: string }) =>
  memberMachine.files.map((file) => (file.path === path ? { ...file, ...change } : file));
const withoutBlock = without(memberMachine, 'hostsBlock');

test('plans every step, in order, for a machine that was never touched', () => {
  expect(stepsOf(fresh)).toEqual([
    'applyClusterObjects',
    'installPackage',
    'writeBootstrapFiles',
    'startProxy',
    'confirmCapture',
  ]);
});

test('plans nothing when the machine is a member and everything is as wanted', () => {
  expect(planBootstrap(member)).toEqual([]);
});

const [group, sidecar] = rendered.objects;

describe('plans for a member', () => {
  const env = '/var/lib/istio/envoy/cluster.env';
  test.each<[string, DecidableInput, string[]]>([
    ['the package when another version is installed', onMember({ installedVersion: '1.29.2' }), ['installPackage']],
    ['the files when one is gone', onMember({ files: withoutFile(env) }), ['writeBootstrapFiles']],
    [
      'the files when one says something else',
      onMember({ files: changedFile(env, { sha256: 'other' }) }),
      ['writeBootstrapFiles'],
    ],
    ['the files when a mode differs', onMember({ files: changedFile(env, { mode: '0666' }) }), ['writeBootstrapFiles']],
    [
      'the files when an owner differs',
      onMember({ files: changedFile(env, { owner: 'ops:ops' }) }),
      ['writeBootstrapFiles'],
    ],
    ['the files when the block in /etc/hosts is gone', { ...member, machine: withoutBlock }, ['writeBootstrapFiles']],
    [
      'the files when the gateway has moved',
      onMember({ hostsBlock: ['192.0.2.9 istiod-1-30-0.istio-system.svc'] }),
      ['writeBootstrapFiles'],
    ],
    ['the token when it is gone', onMember({ files: withoutFile(rendered.token.path) }), ['writeBootstrapFiles']],
    [
      'the token when another may write it',
      onMember({ files: changedFile(rendered.token.path, { owner: 'root:root' }) }),
      ['writeBootstrapFiles'],
    ],
    [
      'the token when it is of an earlier life of the machine',
      onMember({ journal: { ...memberMachine.journal, entries: 0 } }),
      ['writeBootstrapFiles'],
    ],
    [
      'the token when others may read it',
      onMember({ files: changedFile(rendered.token.path, { mode: '0644' }) }),
      ['writeBootstrapFiles'],
    ],
    [
      'a start when the unit is down',
      onMember({ unit: { ...memberMachine.unit, activeState: 'failed' } }),
      ['startProxy', 'confirmCapture'],
    ],
    [
      'a start when the unit would not come back after a reboot',
      onMember({ unit: { ...memberMachine.unit, enabled: false } }),
      ['startProxy', 'confirmCapture'],
    ],
    ['a start when traffic is not captured', onMember({ isCaptured: false }), ['startProxy', 'confirmCapture']],
    [
      'a confirmation when the dead-man timer still waits for it',
      onMember({ journal: { ...memberMachine.journal, deadManArmed: true } }),
      ['confirmCapture'],
    ],
    [
      'the objects when one is gone',
      { ...member, cluster: { ...member.cluster, objects: [group] } },
      ['applyClusterObjects'],
    ],
    [
      'the objects when one says something else',
      { ...member, cluster: { ...member.cluster, objects: [group, { ...sidecar, spec: { egress: [] } }] } },
      ['applyClusterObjects'],
    ],
  ])('%s', (_title, input, steps) => {
    expect(stepsOf(input)).toEqual(steps);
  });
});

test("leaves a root certificate alone in mode and owner, which are its agent's", () => {
  expect(
    planBootstrap(onMember({ files: changedFile('/etc/certs/root-cert.pem', { mode: '0600', owner: 'root:root' }) })),
  ).toEqual([]);
});

test.each([
  ['nothing when the agent has written the same certificate otherwise', ['AAAA', 'BBBB'], []],
  ['the files when the root certificate is not among those there', ['BBBB'], ['writeBootstrapFiles']],
])('plans %s', (_title, certificates, steps) => {
  const path = '/etc/certs/root-cert.pem';
  const files = memberMachine.files.map((file) =>
    file.path === path ? { ...file, sha256: 'other', certificates } : file,
  );
  expect(stepsOf(onMember({ files }))).toEqual(steps);
});

test('applies all objects where one differs, and undoes only those it creates', () => {
  const [change] = planBootstrap({ ...member, cluster: { ...member.cluster, objects: [group] } });
  expect(change).toMatchObject({
    objects: [{ kind: 'WorkloadGroup' }, { kind: 'Sidecar' }],
    created: [{ kind: 'Sidecar', namespace: 'shop', name: 'meshlift-orders-1' }],
  });
});

test('does not mind what the server added to an object', () => {
  const objects = rendered.objects.map((object) => ({
    ...object,
    metadata: { ...object.metadata, annotations: { a: 'b' } },
    status: {},
  }));
  expect(planBootstrap({ ...member, cluster: { ...member.cluster, objects } })).toEqual([]);
});

test.each([
  ['1.30.0', '1.30.0', true],
  ['1.30.0-1', '1.30.0', true],
  ['1.30.0-alpha.1', '1.30.0', false],
  ['1.30.01', '1.30.0', false],
  [undefined, '1.30.0', false],
])('an installed %s is version %s: %s', (installed, version, is) => {
  expect(isVersion(installed, version)).toBe(is);
});

test('says what it would do, one line per object and file, and masks the token', () => {
  const plan = describePlan(fresh, now);
  expect(plan.steps).toEqual([
    { name: 'applyClusterObjects', change: 'create', object: 'WorkloadGroup shop/orders' },
    { name: 'applyClusterObjects', change: 'create', object: 'Sidecar shop/meshlift-orders-1' },
    { name: 'installPackage', change: 'install', object: 'istio-sidecar 1.30.0 on shop/orders-1' },
    { name: 'writeBootstrapFiles', change: 'write', object: '/var/lib/istio/envoy/cluster.env on shop/orders-1' },
    { name: 'writeBootstrapFiles', change: 'write', object: '/etc/certs/root-cert.pem on shop/orders-1' },
    { name: 'writeBootstrapFiles', change: 'write', object: '/etc/hosts on shop/orders-1' },
    {
      name: 'writeBootstrapFiles',
      change: 'write',
      object: '/var/run/secrets/tokens/istio-token on shop/orders-1, a token of ServiceAccount orders',
    },
    { name: 'startProxy', change: 'start', object: 'unit istio on shop/orders-1, with its traffic captured' },
    { name: 'confirmCapture', change: 'confirm', object: 'capture on shop/orders-1 over a new connection' },
  ]);
  const token = plan.files.find(({ path }) => path === rendered.token.path);
  expect(token).toEqual({ path: rendered.token.path, mode: '0600', content: '(a token made when it is written)' });
  expect(plan.conditions.length).toBeGreaterThan(10);
});

test('plans no change that it could not read the facts for', () => {
  expect(describePlan(without(fresh, 'rendered'), now)).toMatchObject({ files: [], objects: [], steps: [] });
});

test('describes nothing when there is nothing to do', () => {
  expect(describeChanges(planBootstrap(member), 'shop/orders-1')).toEqual([]);
});

test('inspects every path that a machine is rendered with, and those of its enforcement', () => {
  const { files, token } = renderMachineFiles({ request, cluster, machine });
  const written = [...files.map(({ path }) => path), token.path, enforceFlagPath, excludePortsPath];
  expect([...inspectedPaths].sort()).toEqual([...new Set(written)].sort());
});
