/** A migration in words: what it owns, each step with its gate, and what a rollback restores. */
import type { KubernetesObject } from '../../activities/ports/cluster-port.ts';
import type { CreateMigration, MigrationPlan } from '../../api/schemas/migration.ts';
import type { CutoverPlan } from '../cutover.ts';
import { cutoverSteps, shiftStep } from './cutover-steps.ts';
import { deploymentOf, manifestsOf } from './migration-target.ts';

/** What each step waits for before the next one begins. */
const gates: Readonly<Record<string, string>> = {
  claimMachines: 'no other operation has them',
  applySubsets: 'every client has acknowledged the DestinationRule',
  guardService: 'every client sends to machines alone, and no proxy goes past the guard',
  applyManifests: 'the cluster has taken them, without a pod',
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

function deploymentRestored({ namespace, target }: CreateMigration, replicasBefore: number): readonly string[] {
  const place = `Deployment ${namespace}/${deploymentOf(target)}`;
  const made = manifestsOf(target).filter(({ kind }) => kind !== 'Deployment');
  if (manifestsOf(target).length === 0) return [`${place} at ${replicasBefore} replicas, its pods gone`];
  return [
    `${place} deleted, its pods gone`,
    ...made.map(({ kind, metadata }) => `${kind} ${namespace}/${metadata.name} deleted`),
  ];
}

export function describeMigration(
  { request, target, replicasBefore }: CutoverPlan,
  objects: readonly KubernetesObject[],
): Omit<MigrationPlan, 'conditions'> {
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
      ...deploymentRestored(request, replicasBefore),
      'no VirtualService and no DestinationRule of the migration',
    ],
  };
}
