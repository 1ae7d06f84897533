import { describe, expect, test } from '@jest/globals';

import { describeForced, describeMove, describeOffboarding } from '../../workflows/plan/describe-verb.ts';
import type { PlanInput } from '../../workflows/plan/plan-input.ts';
import { member, memberMachine } from './facts.ts';

const now = '2026-11-22T10:00:00.000Z';
const input: PlanInput = { ...member, machine: memberMachine };
const silent: PlanInput = {
  request: member.request,
  isMember: true,
  cluster: member.cluster,
  failures: { machine: { type: 'HostUnreachable', message: 'no answer' } },
};
const names = (plan: { readonly steps: readonly { readonly name: string }[] }): string[] =>
  plan.steps.map(({ name }) => name);

describe('the plan of an offboarding', () => {
  test('names what goes on both sides', () => {
    const plan = describeOffboarding(input, now);
    expect(names(plan)).toEqual([
      'drainWorkloadEntry',
      'stopProxy',
      'restoreMachine',
      'removeWorkloadEntry',
      'removeClusterObjects',
      'removeClusterObjects',
    ]);
    expect(plan.objects.map(({ kind, metadata }) => [kind, (metadata as { name: string }).name])).toEqual([
      ['Sidecar', 'meshlift-orders-1'],
    ]);
  });

  test('of a machine that does not answer does nothing, and says why', () => {
    const plan = describeOffboarding(silent, now);
    expect(plan.steps).toEqual([]);
    expect(plan.conditions).toContainEqual(
      expect.objectContaining({ type: 'Reachable', status: 'False', category: 'Critical' }),
    );
  });

  test('with force takes the side of the cluster alone, and says what stays on the machine', () => {
    const plan = describeForced(
      { request: member.request, isMember: true, cluster: member.cluster, failures: {} },
      now,
    );
    expect(names(plan)).toEqual([
      ...['drainWorkloadEntry', 'removeWorkloadEntry', 'removeClusterObjects', 'removeClusterObjects'],
    ]);
    expect(plan.conditions.map(({ type, category }) => `${type} ${category}`)).toEqual([
      'ClusterReadable Critical',
      'MachineRestored Warning',
    ]);
  });
});

describe('the plan of', () => {
  const serving = { isEnforced: false, isDrained: false };
  const drained = { isEnforced: true, isDrained: true };

  test.each([
    ['drain', serving, 'drainWorkloadEntry'],
    ['undrain', drained, 'undrainWorkloadEntry'],
    ['restart-proxy', serving, 'restartProxy'],
    ['restart-proxy', drained, 'restartProxy'],
  ] as const)('%s of %j says what it does', (verb, state, step) => {
    expect(names(describeMove(verb, state, input, now))).toContain(step);
  });

  test.each([
    ['drain', drained],
    ['undrain', serving],
  ] as const)('%s of %j is empty: it stands so already', (verb, state) => {
    expect(describeMove(verb, state, input, now).steps).toEqual([]);
  });

  test('a restart of a drained machine leaves it drained', () => {
    expect(names(describeMove('restart-proxy', drained, input, now))).toEqual(['restartProxy']);
  });

  test('a drain of a machine that does not answer is empty, and says why', () => {
    const plan = describeMove('drain', serving, silent, now);
    expect(plan.steps).toEqual([]);
    expect(plan.conditions.map(({ reason }) => reason)).toContain('HostUnreachable');
  });
});
