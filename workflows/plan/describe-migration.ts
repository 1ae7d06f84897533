/** A migration in words: what it owns, each step with its gate, and what a rollback restores. */
import type { KubernetesObject } from '../../activities/ports/cluster-port.ts';
import type { MigrationPlan } from '../../api/schemas/migration.ts';
import type { CutoverPlan } from '../cutover.ts';
import { cutoverSteps, shiftStep } from './cutover-steps.ts';

/** What each step waits for before the next one begins. */
const gates: Readonly<Record<string, string>> = {
  claimMachines: 'no other operation has them',
  applySubsets: 'every client has acknowledged the DestinationRule',
  guardService: 'every client sends to machines alone, and no proxy goes past the guard',
  startPods: 'the pods are ready, their proxies connected and up to date',
  smokeTest: 'pods answer requests that only they are routed',
  awaitCutover: 'its time has come',
  soak: 'everything is served by pods, and passes the analysis',
  awaitFinalize: 'POST .../finalize',
  proveSilence: 'no request reaches a machine any more',
  retireMachines: 'each machine has left the mesh, as found',
  removeRoutes: "what is left is what a user would have written: the migration's own routes are gone",
  holdSplit: 'POST .../rollback',
};

export function describeMigration(
  { request, target, replicasBefore }: CutoverPlan,
  objects: readonly KubernetesObject[],
): Omit<MigrationPlan, 'conditions'> {
  const { namespace } = request;
  const shifts = Object.fromEntries(
    request.steps.map(({ weight, hold = '1m' }) => {
      const approval = request.approvals?.includes(weight) === true ? 'POST .../approve; ' : '';
      return [
        shiftStep(weight),
        `${approval}every client has acknowledged the weight; held for ${hold}; the analysis passes`,
      ];
    }),
  );
  return {
    objects: objects.map((object) => ({
      ref: `${object.kind} ${object.metadata.namespace}/${object.metadata.name}`,
      change: 'create',
      object,
    })),
    steps: cutoverSteps(request).map((name) => ({ name, gate: shifts[name] ?? gates[name] ?? '' })),
    rollback: [
      `all traffic of ${target.host} to machines, in one write, acknowledged by every client`,
      `Deployment ${namespace}/${request.target.deployment} at ${replicasBefore} replicas, its pods gone`,
      'no VirtualService and no DestinationRule of the migration',
    ],
  };
}
