/** Who calls the Service that moves, and who answers. */
import { type LoadReport, type RunningLoad, startLoad } from '../../demo/load.ts';
import type { MigrationLab } from '../../test/support/migration-lab.ts';

/** Requests per second of one caller. */
export const RATE = 100;

export const hostOf = (lab: MigrationLab): string => `orders.${lab.namespace.name}.svc.cluster.local`;

/** Calls of a pod in the mesh; `slowSeconds`: what one in fifty is asked to take. */
export async function podCalls(lab: MigrationLab, rate: number, slowSeconds?: number): Promise<RunningLoad> {
  const { app, url } = (await lab.callers()).pod;
  return await startLoad(app, [url], rate, undefined, slowSeconds);
}

export const podAnswers = (lab: MigrationLab, { answeredBy }: Pick<LoadReport, 'answeredBy'>): number =>
  Object.entries(answeredBy)
    .filter(([name]) => !lab.machines.some((machine) => machine.name === name))
    .reduce((sum, [, count]) => sum + count, 0);
