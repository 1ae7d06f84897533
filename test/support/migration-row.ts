/** One thing that goes wrong while a workload moves, and how it is run. */
import type { WeightChange } from '../../api/schemas/cutover.ts';
import type { CreateMigration } from '../../api/schemas/migration.ts';
import type { Operation } from '../../api/schemas/operation.ts';
import { eventually } from '../../demo/eventually.ts';
import type { LoadReport } from '../../demo/load.ts';
import type { Variant } from '../../demo/target.ts';
import type { MigrationLab } from './migration-lab.ts';
import { endOf } from './operations.ts';
import type { Platform } from './platform.ts';

export interface MigrationContext {
  readonly platform: Platform;
  readonly lab: MigrationLab;
}

export interface MigrationRow {
  readonly deployment?: Variant;
  readonly request?: Partial<CreateMigration>;
  /** Whether callers of every kind call meanwhile; none of them loses a request. */
  readonly isLoaded?: boolean;
  /** What callers may be answered all the same: what the pods do wrong by themselves, or a machine that is lost. */
  readonly mayLose?: RegExp;
  readonly during?: (id: string, context: MigrationContext) => Promise<void>;
  readonly phase: Operation['phase'];
  readonly message: RegExp;
  /** What the operation has to tell once it has ended. */
  readonly tells?: (changes: readonly WeightChange[]) => boolean;
}

/** How it ended; everything is at the machines again when it resolves. */
export async function runRow(
  context: MigrationContext,
  row: MigrationRow,
): Promise<Pick<Operation, 'phase' | 'message'>> {
  const { platform, lab } = context;
  await lab.deploy(row.deployment ?? {});
  const load = row.isLoaded === true ? await lab.load() : undefined;
  let reports: readonly LoadReport[] | undefined;
  let ended: Operation;
  try {
    const { id } = await lab.start(lab.request('again', row.request));
    await row.during?.(id, context);
    ended = await endOf(platform.api, id);
    await eventually('nothing is left', async () => (await lab.left()).length === 0, 120_000);
  } finally {
    reports = await load?.stop();
  }
  const reasons = reports?.flatMap((report) => Object.keys(report.reasons)) ?? [];
  const lost = reasons.filter((reason) => row.mayLose?.test(reason) !== true);
  if (lost.length > 0) throw new Error(`Callers lost requests: ${lost.join(', ')}`);
  const { phase, message, cutover } = ended;
  if (row.tells?.(cutover?.changes ?? []) === false) throw new Error(`It tells ${JSON.stringify(cutover)}`);
  return { phase, ...(message === undefined ? {} : { message }) };
}
