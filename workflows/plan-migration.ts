/** Answers `validateOnly` of a migration: reads, judges, and says what it would own, do and restore. Touches nothing. */
import { upsertSearchAttributes } from '@temporalio/workflow';

import type { MigrationPlan } from '../api/schemas/migration.ts';
import { migrationWaits, readCluster } from './activity-proxies.ts';
import { type MigrationInput, searchAttributes } from './messages.ts';
import { describeMigration } from './plan/describe-migration.ts';
import { readCutover } from './read-cutover.ts';

export async function planMigration({ request, waits: asked }: MigrationInput): Promise<MigrationPlan> {
  const { namespace, name, workloadGroup } = request;
  upsertSearchAttributes([
    { key: searchAttributes.namespace, value: namespace },
    { key: searchAttributes.workloadGroup, value: workloadGroup },
    { key: searchAttributes.operation, value: 'plan' },
  ]);
  const waits = { ...migrationWaits, ...asked };
  const { conditions, plan, facts } = await readCutover(request, waits);
  if (plan === undefined || facts === undefined) return { conditions, objects: [], steps: [], rollback: [] };
  const cluster = readCluster(`Write down the routes of migration ${namespace}/${name}`, waits.readableMs);
  const objects = await cluster.renderCutover({ target: plan.target });
  return { conditions, ...describeMigration(plan, [...objects, ...plan.manifests], facts) };
}
