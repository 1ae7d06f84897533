/** The demo's main job: three machines join while a pod calls them, then traffic goes through the mesh both ways. */
import type { Api } from './api-client.ts';
import { eventually } from './eventually.ts';
import { type LoadReport, startLoad } from './load.ts';
import { onboardRequest, podAddress, type SandboxEnv, type SandboxMachine } from './sandbox-client.ts';
import type { DirectionTotal, Summary } from './summary.ts';

export interface DemoMachine extends SandboxMachine {
  readonly workloadGroup: string;
  readonly network: 'direct' | 'gateway';
}

type Say = (message: string) => void;

/** Onboards all machines at once through the REST API; tells each step as it ends. */
export async function onboardAll(
  api: Api,
  env: SandboxEnv,
  machines: readonly DemoMachine[],
  say: Say,
): Promise<Summary['machines']> {
  return await Promise.all(
    machines.map(async (machine) => {
      const sayOf = (message: string): void => {
        say(`${machine.namespace}/${machine.name}: ${message}`);
      };
      const accepted = await api.onboard(onboardRequest(env, machine, machine.workloadGroup, machine.network));
      sayOf(`operation ${accepted.id}`);
      const ended = await api.finished(accepted.id, sayOf);
      sayOf(`${ended.phase}${ended.message === undefined ? '' : `: ${ended.message}`}`);
      for (const { status, category, reason, message } of ended.conditions) {
        if (status !== 'True') sayOf(`${category} ${reason}: ${message}`);
      }
      const known = await api.machine(machine.namespace, machine.name);
      return {
        namespace: machine.namespace,
        name: machine.name,
        phase: known.phase,
        revision: known.proxy.revision ?? '',
        proxyVersion: known.proxy.runningVersion ?? '',
        spiffeId: known.identity.spiffeId ?? '',
        steps: ended.steps.map(({ name, startedAt, endedAt }) => ({
          name,
          seconds:
            startedAt === undefined || endedAt === undefined ? 0 : (Date.parse(endedAt) - Date.parse(startedAt)) / 1000,
        })),
      };
    }),
  );
}

const ratePerSecond = 50;
const requestsPerDirection = 500;

const sum = (reports: readonly LoadReport[]): DirectionTotal => ({
  sent: reports.reduce((total, { sent }) => total + sent, 0),
  failed: reports.reduce((total, { failed }) => total + failed, 0),
});

/** Starts calling the machines of `shop` from the pod `frontend`, straight to their addresses, as callers do before the mesh. */
export async function startTraffic(
  machines: readonly DemoMachine[],
): Promise<{ throughTheMesh: () => Promise<Summary['traffic']> }> {
  const inShop = machines.filter(({ namespace }) => namespace === 'shop');
  const frontend = `http://${await podAddress('shop', 'app=frontend')}:8080`;
  const plaintext = await startLoad(
    frontend,
    inShop.map(({ address }) => `http://${address}:8080/`),
    ratePerSecond,
  );
  return {
    throughTheMesh: async () => {
      const podToMachine = await startLoad(frontend, ['http://orders.shop.svc.cluster.local/'], ratePerSecond);
      const machineToPod = await Promise.all(
        inShop.map(
          async ({ address }) =>
            await startLoad(`http://${address}:8080`, ['http://catalog.shop.svc.cluster.local/'], ratePerSecond / 2),
        ),
      );
      const all = [podToMachine, ...machineToPod];
      await eventually(`${requestsPerDirection} requests went each way`, async () => {
        const [there, ...back] = await Promise.all(all.map(async ({ report }) => await report()));
        return (there?.sent ?? 0) >= requestsPerDirection && sum(back).sent >= requestsPerDirection;
      });
      const [before, there, ...back] = await Promise.all([plaintext, ...all].map(async ({ stop }) => await stop()));
      const directions = {
        podToMachine: sum([before, there].filter((report) => report !== undefined)),
        machineToPod: sum(back),
      };
      return {
        sent: directions.podToMachine.sent + directions.machineToPod.sent,
        failed: directions.podToMachine.failed + directions.machineToPod.failed,
        directions,
      };
    },
  };
}
