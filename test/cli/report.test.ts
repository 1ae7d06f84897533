import { expect, test } from '@jest/globals';

import { renderReport } from '../../cli/report.ts';
import { describePlan } from '../../workflows/plan/describe-plan.ts';
import { fresh, machine, now } from '../plan/facts.ts';

test('what stops comes first, then warnings and notes, and what would be written at the end', () => {
  const input = { ...fresh, machine: { ...machine, hostname: 'web-7', interfaces: ['lo', 'docker0'] } };
  const lines = renderReport(describePlan(input, now), 'shop/orders-1').split('\n');
  const marks = lines.map((line) => /^(STOP|warn|note|ok) /.exec(line)?.[1]).filter((mark) => mark !== undefined);
  expect([...new Set(marks)]).toEqual(['STOP', 'warn', 'note', 'ok']);
  expect(lines[0]).toMatch(/^STOP +HostnameMatches +The request names the machine orders-1/);
  expect(lines).toContain('  startProxy: start unit istio on shop/orders-1, with its traffic captured');
  expect(lines.at(-2)).toMatch(/^shop\/orders-1 cannot join: 1 of \d+ conditions stop it\. Nothing was changed\.$/);
  expect(Math.max(...lines.slice(0, marks.length).map(({ length }) => length))).toBeLessThanOrEqual(100);
});

test('a machine that nothing stops can join', () => {
  expect(renderReport(describePlan(fresh, now), 'shop/orders-1')).toContain(
    '\nshop/orders-1 can join. Nothing was changed.\n',
  );
});
