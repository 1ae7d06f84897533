/** What an onboarding changes, one method per place: each registers its undo, then does its work. */
import { ActivityFailure, log } from '@temporalio/workflow';

import type { HostStep } from '../activities/host.ts';
import { changeCluster, changeHost, readCluster } from './activity-proxies.ts';
import type { Compensations } from './compensation.ts';
import type { Waits } from './messages.ts';
import { explainFailure } from './explain-failure.ts';
import { now } from './operation.ts';
import { drainValue } from './plan/drain-value.ts';
import type { OperationReport } from './operation.ts';
import type { Change } from './plan/bootstrap-plan.ts';
import type { Evidence } from './plan/evidence.ts';
import { ofOneMachine } from './plan/ownership.ts';
import type { DecidableInput } from './plan/plan-input.ts';

/** Steps that one restore of the machine takes back. */
const HOST_STEPS = ['installPackage', 'writeBootstrapFiles', 'startProxy', 'confirmCapture'];

interface HostChanged {
  readonly changed: readonly string[];
}
type OnHost = ReturnType<typeof changeHost>;
type Files = Extract<Change, { step: 'writeBootstrapFiles' }>;

/** Files that the proxy reads when it starts; the agent itself looks after certificate and token. */
const isReadAtStart = (path: string): boolean =>
  !path.startsWith('/etc/certs/') && !path.startsWith('/var/run/secrets/');

export class OnboardingChanges {
  private readonly report: OperationReport;
  private readonly input: DecidableInput;
  private readonly waits: Required<Waits>;
  private readonly undo: Compensations;
  private readonly machine: string;
  /** What every activity on the machine is told. */
  private readonly on: HostStep;
  private isRestoreRegistered = false;
  private tokenExpiresAt: string | undefined;
  private startedAt: string | undefined;
  private readonly written: string[] = [];
  /** As they were placed, the token among them. */
  private files: Files | undefined;

  constructor(
    report: OperationReport,
    input: DecidableInput,
    fence: number,
    waits: Required<Waits>,
    undo: Compensations,
  ) {
    this.report = report;
    this.input = input;
    this.waits = waits;
    this.undo = undo;
    this.machine = `${input.request.namespace}/${input.request.name}`;
    const { namespace, name, host } = input.request;
    this.on = { namespace, name, host, operation: report.current().id, fence };
  }

  learned(): Pick<Evidence, 'tokenExpiresAt' | 'awaitsRestart'> {
    return {
      awaitsRestart: this.startedAt === undefined ? this.written.filter(isReadAtStart) : [],
      ...(this.tokenExpiresAt === undefined ? {} : { tokenExpiresAt: this.tokenExpiresAt }),
    };
  }

  /** When this operation started the proxy; absent where it ran already. */
  proxyStartedAt(): string | undefined {
    return this.startedAt;
  }

  async make(change: Change): Promise<void> {
    const { on, machine, waits } = this;
    switch (change.step) {
      case 'applyClusterObjects':
        return this.applyObjects(change);
      case 'installPackage': {
        const { step, ...wanted } = change;
        return this.onHost(step, `istio-sidecar ${wanted.version} to be installed on ${machine}`, (host) =>
          host.installPackage({ ...on, ...wanted }),
        );
      }
      case 'writeBootstrapFiles':
        return this.writeFiles(change);
      case 'startProxy':
        this.undoStart();
        return this.onHost(change.step, `the proxy of ${machine} to start and capture its traffic`, async (host) => {
          const askedAt = now();
          const started = await this.withToken(host, () =>
            host.startProxy({ ...on, deadManSeconds: waits.deadManSeconds }),
          );
          if (started.changed.length > 0) this.startedAt = askedAt;
          return started;
        });
      case 'confirmCapture':
        return this.onHost(change.step, `${machine} to answer over a new connection`, (host) =>
          host.confirmCapture(on),
        );
    }
  }

  private async applyObjects({
    step,
    objects,
    created,
  }: Extract<Change, { step: 'applyClusterObjects' }>): Promise<void> {
    const { machine, waits, input } = this;
    const { namespace, name, workloadGroup } = input.request;
    if (created.length > 0) {
      this.undo.register([step], `objects of ${machine} in namespace ${namespace}`, async () => {
        const cluster = changeCluster(`Remove what was created for ${machine}`, waits.undoMs);
        await cluster.removeObjects({ objects: ofOneMachine(created) });
        await cluster.removeGroupIfUnused({
          namespace,
          workloadGroup,
          machine: name,
          serviceAccount: input.rendered.serviceAccount,
        });
      });
    }
    return this.report.step(step, `the Kubernetes API to take ${objects.length} objects of ${machine}`, async () => {
      const applied = await changeCluster(`Apply the objects of ${machine}`, waits.changeMs).applyObjects({ objects });
      const isChanged = applied.some(({ result }) => result !== 'unchanged');
      return { end: isChanged ? 'Succeeded' : 'Unchanged', value: undefined };
    });
  }

  private async writeFiles(change: Files): Promise<void> {
    this.files = change;
    const what = change.token === undefined ? 'the bootstrap files' : 'the bootstrap files and the token';
    return this.onHost(change.step, `${what} of ${this.machine} to be written`, (host) => this.place(host, change));
  }

  private async place(host: OnHost, { files, hostsLines, token }: Files): Promise<HostChanged> {
    const lifetimeSeconds = this.waits.tokenLifetimeSeconds;
    const written = await host.writeBootstrapFiles({
      ...{ ...this.on, files, hostsLines },
      ...(token === undefined ? {} : { token: { serviceAccount: token.serviceAccount, lifetimeSeconds } }),
    });
    this.tokenExpiresAt = written.tokenExpiresAt;
    return written;
  }

  /** A machine that was rebooted since its files were written has lost the token of this operation: it is placed once more. */
  private async withToken<T>(host: OnHost, start: () => Promise<T>): Promise<T> {
    try {
      return await start();
    } catch (error) {
      const { files } = this;
      if (files?.token === undefined || explainFailure(error).type !== 'TokenMissing') throw error;
      await this.place(host, files);
      return await start();
    }
  }

  private async onHost(step: string, waitingFor: string, apply: (host: OnHost) => Promise<HostChanged>): Promise<void> {
    this.undoHost();
    return this.report.step(step, waitingFor, async () => {
      const { changed } = await apply(changeHost(`Wait for ${waitingFor}`, this.waits.changeMs));
      this.written.push(...changed.flatMap((change) => /^WriteFile (.+)$/.exec(change)?.[1] ?? []));
      return { end: changed.length > 0 ? 'Succeeded' : 'Unchanged', value: undefined };
    });
  }

  /** One restore takes back every change on the machine. A member is not taken out because a repair of it failed. */
  private undoHost(): void {
    if (this.isRestoreRegistered || this.input.isMember) return;
    this.isRestoreRegistered = true;
    this.undo.register(HOST_STEPS, `changes on ${this.machine}, which /var/lib/meshlift/undo.sh takes back`, () =>
      changeHost(`Restore ${this.machine}`, this.waits.undoMs).restoreMachine(this.on),
    );
  }

  /** Newest first: the machine leaves load balancing, the proxy stops, its entry goes (istiod would take it away after its grace), then the machine is restored. */
  private undoStart(): void {
    if (this.input.isMember) return;
    this.undoHost();
    const { machine, waits, input } = this;
    const { namespace, workloadGroup } = input.request;
    const { address } = input.rendered;
    this.undo.register(['startProxy'], `the WorkloadEntry of ${machine}`, () =>
      changeCluster(`Remove the WorkloadEntry of ${machine}`, waits.undoMs).removeWorkloadEntry({
        namespace,
        workloadGroup,
        address,
      }),
    );
    this.undo.register(['startProxy', 'confirmCapture'], `the proxy on ${machine}`, () =>
      changeHost(`Stop the proxy of ${machine}`, waits.undoMs).stopProxy(this.on),
    );
    this.undo.register([], `load balancing of ${machine}`, () => this.leaveLoadBalancing());
  }

  /**
   * Runs first, so that callers in the mesh are sent elsewhere before the proxy stops. An istiod that gives no proof in time does
   * not keep a machine captured whose onboarding failed.
   */
  private async leaveLoadBalancing(): Promise<void> {
    const { machine, waits, input } = this;
    const { namespace, name, workloadGroup } = input.request;
    const { address } = input.rendered;
    try {
      const isThere = await changeCluster(`Take ${machine} out of load balancing`, waits.undoMs).drainWorkloadEntry({
        namespace,
        workloadGroup,
        address,
        value: drainValue(this.on.operation),
      });
      if (!isThere) return;
      const istiods = readCluster(`Wait until no istiod gives out ${address}`, waits.notGivenOutMs);
      await istiods.verifyNotGivenOut({ namespace, address, machine: name });
    } catch (error) {
      if (!(error instanceof ActivityFailure)) throw error;
      log.warn(`${machine} is taken back without proof that it left load balancing: ${explainFailure(error).message}`);
    }
  }
}
