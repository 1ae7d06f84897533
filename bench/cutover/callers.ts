/** Who calls the Service that moves, and who answers. */
import type { LoadReport } from '../../demo/load.ts';
import { podAddress } from '../../demo/sandbox-client.ts';
import type { MigrationLab } from '../../test/support/migration-lab.ts';

/** Requests per second of one caller. */
export const RATE = 100;

export const hostOf = (lab: MigrationLab): string => `orders.${lab.namespace.name}.svc.cluster.local`;
export const urlOf = (lab: MigrationLab): string => `http://${hostOf(lab)}/`;
export const frontend = async (): Promise<string> => `http://${await podAddress('shop', 'app=frontend')}:8080`;

export const podAnswers = (lab: MigrationLab, { answeredBy }: Pick<LoadReport, 'answeredBy'>): number =>
  Object.entries(answeredBy)
    .filter(([name]) => !lab.machines.some((machine) => machine.name === name))
    .reduce((sum, [, count]) => sum + count, 0);
