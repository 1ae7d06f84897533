/** What the demo says at its end: the JSON object of `--json`, and the table a person reads. */

export interface DirectionTotal {
  readonly sent: number;
  readonly failed: number;
}

export interface Summary {
  readonly machines: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly phase: string;
    readonly revision: string;
    readonly proxyVersion: string;
    readonly spiffeId: string;
    readonly steps: readonly { readonly name: string; readonly seconds: number }[];
  }[];
  /** What has moved to pods: its machines have left. */
  readonly migrations: readonly (DirectionTotal & {
    readonly namespace: string;
    readonly name: string;
    readonly phase: string;
    /** Of all answers while it ran. */
    readonly p99Ms: number;
    /** Percent to pods, as it was written one after the other. */
    readonly weights: readonly number[];
    readonly steps: readonly { readonly name: string; readonly seconds: number }[];
  })[];
  readonly traffic: DirectionTotal & {
    readonly directions: { readonly podToMachine: DirectionTotal; readonly machineToPod: DirectionTotal };
  };
  readonly urls: { readonly api: string; readonly docs: string; readonly temporalUi: string };
  readonly seconds: number;
}

const columns = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
};

/** The summary as text: the machines, seconds per step, the traffic, and where to look. */
export function renderSummary({ machines, migrations, traffic, urls, seconds }: Summary): string {
  const stepNames = [...new Set(machines.flatMap(({ steps }) => steps.map(({ name }) => name)))];
  const { podToMachine, machineToPod } = traffic.directions;
  return [
    columns([
      ['MACHINE', 'PHASE', 'REVISION', 'PROXY', 'IDENTITY'],
      ...machines.map((machine) => [
        `${machine.namespace}/${machine.name}`,
        machine.phase,
        machine.revision,
        machine.proxyVersion,
        machine.spiffeId,
      ]),
    ]),
    columns([
      ['SECONDS PER STEP', ...machines.map(({ name }) => name)],
      ...stepNames.map((name) => [
        name,
        ...machines.map(({ steps }) => steps.find((step) => step.name === name)?.seconds.toFixed(1) ?? '-'),
      ]),
    ]),
    columns([
      ['REQUESTS', 'SENT', 'FAILED'],
      ['pod to machine', String(podToMachine.sent), String(podToMachine.failed)],
      ['machine to pod', String(machineToPod.sent), String(machineToPod.failed)],
    ]),
    columns([
      ['MIGRATION', 'PHASE', 'WEIGHTS', 'SENT', 'FAILED', 'P99'],
      ...migrations.map(({ namespace, name, phase, weights, sent, failed, p99Ms }) => [
        `${namespace}/${name}`,
        phase,
        weights.map((weight) => `${weight}%`).join(' '),
        String(sent),
        String(failed),
        `${p99Ms.toFixed(0)} ms`,
      ]),
    ]),
    `API docs     ${urls.docs}\nTemporal UI  ${urls.temporalUi}\nTook         ${seconds.toFixed(0)} s`,
  ].join('\n\n');
}
