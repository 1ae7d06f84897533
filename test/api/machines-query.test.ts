import { expect, test } from '@jest/globals';

import { machinesQuery } from '../../api/machines-query.ts';

test('asks for every machine where no filter is given', () => {
  expect(machinesQuery({})).toBe("WorkflowType = 'machine'");
});

test('selects as Failed what the rows show as Failed: also entities that were ended from outside', () => {
  expect(machinesQuery({ namespace: 'shop', phase: 'Failed' })).toBe(
    "WorkflowType = 'machine' AND MeshliftNamespace = 'shop' AND " +
      "(MeshliftPhase = 'Failed' OR ExecutionStatus IN ('Terminated', 'Failed', 'TimedOut', 'Canceled'))",
  );
});

test.each(['Onboarding', 'InMesh', 'Offboarding', 'Offboarded'] as const)(
  'selects as %s only entities that were not ended from outside',
  (phase) => {
    expect(machinesQuery({ phase })).toContain(
      `MeshliftPhase = '${phase}' AND ExecutionStatus IN ('Running', 'Completed')`,
    );
  },
);
