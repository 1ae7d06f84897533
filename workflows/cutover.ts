/** The steps of a migration, one method each: what comes before the next, and what takes it back. */
import {
  ActivityFailure,
  ApplicationFailure,
  condition,
  getExternalWorkflowHandle,
  log,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';

import type { KubernetesObject } from '../activities/ports/cluster-port.ts';
import type { CutoverTarget } from '../activities/render/cutover-routes.ts';
import type { Machine } from '../api/schemas/machine.ts';
import type { CreateMigration } from '../api/schemas/migration.ts';
import { changeCluster, readCluster, readHost } from './activity-proxies.ts';
import type { Compensations } from './compensation.ts';
import { explainFailure } from './explain-failure.ts';
import { Judging } from './judging.ts';
import { LeadingRoutes, type Written } from './leading-routes.ts';
import { type MigrationWaits, releaseSignal } from './messages.ts';
import { noiseWithin } from './noise.ts';
import type { OperationReport } from './operation.ts';
import {
  CLAIM_STEPS,
  GUARD_STEPS,
  LEAVE_STEPS,
  MANIFEST_STEPS,
  POD_STEPS,
  shiftStep,
  sidesStep,
  smokePort,
} from './plan/cutover-steps.ts';
import { durationMs } from './plan/durations.ts';
import { deploymentOf, listManifests, manifestsOf } from './plan/migration-target.ts';

const DEFAULT_HOLD = '1m';
const DEFAULT_READY = '5m';
/** Temporal knows no activity without time. */
const LEAST_WAIT_MS = 1_000;
const DEFAULT_SOAK = '10m';
const DEFAULT_SILENCE = '1m';
const SMOKE_REQUESTS = 10;
/** What a person has to say, as the workflow hears it. */
export interface Gates {
  /** Resolves once the run is not paused; `toMend`: what a person is to see to before. */
  readonly untilResumed: (toMend?: string) => Promise<void>;
  readonly untilApproved: (weight: number) => Promise<Written>;
  readonly untilFinalized: () => Promise<Written>;
  /** Who has the traffic returned, and why. */
  readonly takenBackBy: () => Written;
  readonly pause: (why: string) => void;
  /** Of what cannot be taken back: a person mends it, and says so. */
  readonly untilMended: (why: string) => Promise<void>;
}

export interface CutoverPlan {
  readonly request: CreateMigration;
  readonly target: CutoverTarget;
  /** What the request brings along, as it is applied; none where the Deployment is there. */
  readonly manifests: readonly KubernetesObject[];
  readonly machines: readonly Machine[];
  readonly replicas: number;
  /** A run before has left routes of this one's name, and what they lead to. */
  readonly isLeftBehind: boolean;
  /** Of the Deployment, before anything was touched. */
  readonly replicasBefore: number;
  readonly smokePath: string;
  /** Whose objects hold for the whole mesh. */
  readonly rootNamespace?: string;
}

export class Cutover {
  private readonly id: string;
  private readonly report: OperationReport;
  private readonly routes: LeadingRoutes;
  private readonly judging: Judging;
  private readonly plan: CutoverPlan;
  private readonly waits: Required<MigrationWaits>;
  private readonly undo: Compensations;
  private readonly gates: Gates;

  constructor(
    report: OperationReport,
    plan: CutoverPlan,
    waits: Required<MigrationWaits>,
    undo: Compensations,
    gates: Gates,
  ) {
    this.report = report;
    this.plan = plan;
    this.waits = waits;
    this.undo = undo;
    this.gates = gates;
    this.routes = new LeadingRoutes(report, plan, waits, gates);
    this.judging = new Judging(report, plan, this.routes, waits, gates);
    this.id = `${plan.request.namespace}/${plan.request.name}`;
  }

  /** Nobody else lets a machine of the group leave, or moves it, from here on. */
  async claimMachines(): Promise<void> {
    const { machines } = this.plan;
    const { id } = this.report.current();
    this.undo.register(CLAIM_STEPS, `claims of ${id}`, () => this.releaseMachines());
    await this.report.step('claimMachines', `${machines.length} machines to be kept for this operation`, async () => {
      for (const { namespace, name } of machines) {
        await changeCluster(`Keep ${name}`, this.waits.changeMs).claimMachine({ namespace, name, by: id });
      }
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** Both sides get a name, which changes nothing for anybody yet. */
  async nameSides(): Promise<void> {
    const { target, isLeftBehind, request } = this.plan;
    this.undo.register(GUARD_STEPS, `routes of migration ${this.id}`, () => this.routes.takeAway());
    if (isLeftBehind) {
      // A run before has left pods behind its routes, and traffic may go to them: whatever fails, they go before the routes do.
      this.registerManifests();
      this.registerPods();
      this.registerReturn();
    }
    const step = sidesStep(request.guard);
    await this.report.step(step, `every client of ${target.host} to know its two sides`, async () => {
      await this.routes.nameSides();
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** From here on a pod gets nothing by being ready. */
  async guard(): Promise<void> {
    const { host } = this.plan.target;
    await this.report.step('guardService', `every client of ${host} to send to machines alone`, async () => {
      await this.routes.lead(0, { by: 'the run', why: 'guard' });
      await this.routes.guardHolds();
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** What the request brings along, without a pod. It is deleted where the run is taken back: nobody had it before. */
  async applyManifests(): Promise<void> {
    const { manifests } = this.plan;
    if (manifests.length === 0) return;
    const { named } = listManifests(manifests);
    this.registerManifests();
    await this.report.step('applyManifests', named, async () => {
      await changeCluster(`Apply ${named}`, this.waits.changeMs).applyManifests({ manifests });
      return { end: 'Succeeded', value: undefined };
    });
  }

  private areManifestsRegistered = false;
  private registerManifests(): void {
    const { manifests, request } = this.plan;
    if (this.areManifestsRegistered || manifests.length === 0) return;
    this.areManifestsRegistered = true;
    const { refs, named } = listManifests(manifests);
    this.undo.register(MANIFEST_STEPS, named, async () => {
      const cluster = changeCluster(`Delete ${named}`, this.waits.undoMs);
      await cluster.removeManifests({ refs: refs.toReversed(), migration: request.name });
    });
  }

  private arePodsRegistered = false;
  private registerPods(): void {
    if (this.arePodsRegistered) return;
    this.arePodsRegistered = true;
    const { request, replicasBefore: replicas, target } = this.plan;
    const { namespace } = request;
    const deployment = deploymentOf(request.target);
    const query = { namespace, labels: target.podSelector };
    this.undo.register(
      POD_STEPS,
      `pods of Deployment ${namespace}/${deployment}`,
      async () => {
        const cluster = changeCluster(`Scale ${deployment} back to ${replicas}`, this.waits.undoMs);
        await cluster.scaleDeployment({ namespace, deployment, replicas });
        await readCluster(`Wait until pods of ${deployment} are gone`, this.waits.podsGoneMs).verifyPodsGone(query);
      },
      { holdsOlder: true },
    );
  }

  async startPods(): Promise<void> {
    const { request, replicas, target } = this.plan;
    const { namespace } = request;
    const deployment = deploymentOf(request.target);
    const query = { namespace, labels: target.podSelector };
    const readyMs = Math.max(LEAST_WAIT_MS, durationMs(request.target.readyWithin ?? DEFAULT_READY));
    this.registerPods();
    await this.report.step('startPods', `${replicas} pods of ${deployment} to be ready`, async () => {
      const cluster = changeCluster(`Scale ${deployment} to ${replicas}`, this.waits.changeMs);
      await cluster.scaleDeployment({ namespace, deployment, replicas });
      const ready = await readCluster(`Wait until ${replicas} pods are ready`, readyMs).verifyPodsReady({
        ...query,
        replicas,
      });
      await this.routes.haveEndpoints(ready.addresses);
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** From a machine, as its applications would call: by the header that only pods are routed by. */
  async smokeTest(): Promise<void> {
    const { request, target, machines, smokePath } = this.plan;
    const port = smokePort(target);
    const [machine] = machines;
    if (port === undefined || machine === undefined) {
      this.report.unchanged('smokeTest', 'No port of the Service answers a plain GET');
      return;
    }
    const { namespace, name, host } = machine;
    await this.report.step('smokeTest', `pods to answer GET ${smokePath}`, async () => {
      await readHost(`Call pods of ${target.host} from ${name}`, this.waits.smokeMs).smokeTest({
        ...{ namespace, name, host },
        ...{ service: target.host, port, path: smokePath },
        requests: request.smoke?.requests ?? SMOKE_REQUESTS,
      });
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** Where the cutover has its time: everything is ready, and no request has moved yet. A time that has passed is no wait. */
  async awaitCutover(): Promise<void> {
    const { cutoverAt } = this.plan.request;
    if (cutoverAt === undefined) return;
    await this.report.step('awaitCutover', `${cutoverAt}; POST .../rollback until then and after`, async () => {
      const leftMs = Date.parse(cutoverAt) - Date.now();
      if (leftMs > 0) await this.routes.whileFollowed(() => sleep(leftMs, { summary: `Until ${cutoverAt}` }));
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** One step: approved where asked, written, seen everywhere, held, and judged. */
  async shift({ weight, hold = DEFAULT_HOLD }: CreateMigration['steps'][number]): Promise<void> {
    const name = shiftStep(weight);
    this.registerReturn();
    await this.report.step(name, `${weight}% of the traffic to move to pods`, async () => {
      const { by, why } = await this.routes.whileFollowed(async () => {
        await this.gates.untilResumed();
        const isApproved = this.plan.request.approvals?.includes(weight) === true;
        const approved = isApproved ? await this.gates.untilApproved(weight) : { by: 'the run', why: '' };
        // One that was paused while it waited for its approval stays paused.
        await this.gates.untilResumed();
        if (this.routes.isRoutedBeside()) await this.routes.untilAlone();
        return approved;
      });
      const before = await this.judging.count();
      await this.routes.lead(weight, { by, why: because(`step to ${weight}%`, why) });
      this.report.waitFor(`${hold} at ${weight}%`);
      await this.judging.hold(durationMs(hold), `Hold at ${weight}%`, before);
      await this.judging.judge(before);
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** Everything is with pods; machines stay warm and ready to take it back. */
  async soak(): Promise<void> {
    const length = this.plan.request.soak ?? DEFAULT_SOAK;
    await this.report.step('soak', `${length} at 100%, machines warm`, async () => {
      const before = await this.judging.count();
      const soakMs = durationMs(length);
      this.routes.soaksUntil(instant(Date.now() + soakMs));
      await this.judging.hold(soakMs, 'Soak', before);
      await this.judging.judge(before);
      return { end: 'Succeeded', value: undefined };
    });
  }

  async awaitFinalize(): Promise<void> {
    await this.report.step('awaitFinalize', 'POST .../finalize; until then POST .../rollback', async () => {
      this.routes.finalizedBy(await this.routes.whileFollowed(() => this.gates.untilFinalized()));
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** Nothing reaches a machine for as long as was asked, and nobody else is left who would serve. What keeps it waiting is named. */
  async proveSilence(): Promise<void> {
    const asked = this.plan.request.silence ?? DEFAULT_SILENCE;
    await this.report.step('proveSilence', `${asked} without a request to a machine`, async () => {
      const { plan, waits, judging, routes } = this;
      const noise = () => noiseWithin(asked, plan, waits, judging, routes);
      for (let why = await noise(); why !== undefined; why = await noise()) this.report.waitFor(`silence: ${why}`);
      await routes.asWritten();
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** One after the other, each as any machine that leaves: drained, and as found. One that cannot leave keeps the others waiting. */
  async retireMachines(): Promise<void> {
    const { machines } = this.plan;
    this.routes.needsNoWayBack();
    await this.report.step('retireMachines', `${machines.length} machines to leave`, async () => {
      await this.untilMended(() => this.routes.letMachinesGo());
      for (const machine of machines) await this.retire(machine);
      return { end: 'Succeeded', value: undefined };
    });
  }

  private async retire({ namespace, name }: Machine): Promise<void> {
    const { id } = this.report.current();
    for (let attempt = 1; ; attempt++) {
      try {
        const asked = changeCluster(`Let ${name} leave`, this.waits.changeMs);
        const updateId = `${id}.${workflowInfo().runId}.retire.${name}.${attempt}`;
        const { operationId } = await asked.retireMachine({ namespace, name, updateId, migration: id });
        if (operationId === undefined) return;
        this.report.waitFor(`${name} to leave: operation ${operationId}`);
        await readCluster(`Wait until ${name} has left`, this.waits.leaveMs).verifyLeft({ operationId });
        return;
      } catch (error) {
        if (!(error instanceof ActivityFailure)) throw error;
        await this.gates.untilMended(explainFailure(error).message);
      }
    }
  }

  /** What is left is what a user would have written. */
  async removeRoutesAtTheEnd(): Promise<void> {
    await this.report.step('removeRoutes', `routes of ${this.plan.target.host} to be as found`, async () => {
      await this.untilMended(() => this.routes.takeAway());
      await this.untilMended(() => this.handOver());
      await this.releaseMachines();
      return { end: 'Succeeded', value: undefined };
    });
  }

  /** What the request brought along is its owner's alone from here on. */
  private async handOver(): Promise<void> {
    const manifests = manifestsOf(this.plan.request.target);
    if (manifests.length === 0) return;
    const { namespace, name: migration } = this.plan.request;
    const cluster = changeCluster('Hand over what was applied', this.waits.changeMs);
    await cluster.handOverManifests({ namespace, migration, manifests });
  }

  /** There is no way back any more: what stands in its way is a person's to mend. */
  private async untilMended(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await work();
        return;
      } catch (error) {
        if (!(error instanceof ActivityFailure)) throw error;
        await this.gates.untilMended(explainFailure(error).message);
      }
    }
  }

  /** A run that was planned to stay at a split: its guard stays in force until somebody ends it. */
  async holdSplit(): Promise<never> {
    return await this.report.step(
      'holdSplit',
      `an end: ${this.share()}% stays with pods until POST .../rollback`,
      async () => {
        await this.routes.whileFollowed(() => condition(() => false));
        throw ApplicationFailure.nonRetryable('A split has no end of its own', 'SplitEnded');
      },
    );
  }

  /** A machine that is gone holds no claim. */
  private async releaseMachines(): Promise<void> {
    const { id } = this.report.current();
    for (const { namespace, name } of this.plan.machines) {
      try {
        await getExternalWorkflowHandle(`machine/${namespace}/${name}`).signal(releaseSignal, id);
      } catch (error) {
        log.warn('A machine no longer listens', {
          machine: `${namespace}/${name}`,
          error: explainFailure(error).message,
        });
      }
    }
  }

  /** How the traffic stands now. */
  share(): number {
    return this.routes.share();
  }

  private isReturnRegistered = false;
  private registerReturn(): void {
    if (this.isReturnRegistered) return;
    this.isReturnRegistered = true;
    const steps = this.plan.request.steps.map(({ weight }) => shiftStep(weight));
    this.undo.register(
      [...steps, ...LEAVE_STEPS],
      `traffic of ${this.plan.target.host}`,
      () => this.routes.giveBack(this.gates.takenBackBy()),
      { holdsOlder: true },
    );
  }
}

const instant = (ms: number): string => new Date(ms).toISOString();

/** What was done, and the reason that a person gave for it, if any. */
export const because = (what: string, why: string): string => (why === '' ? what : `${what}: ${why}`);
