/** A machine as lists and the Temporal UI show it. */
import type { Machine, MachineRow } from '../../api/schemas/machine.ts';
import { isMember } from './machine-state.ts';
import type { MachineState } from './machine-state.ts';

/** The row of the list, kept as memo. */
export function toRow({ namespace, name, workloadGroup, phase, proxy }: Machine): MachineRow {
  const { revision, runningVersion, desiredVersion } = proxy;
  return {
    namespace,
    name,
    workloadGroup,
    phase,
    ...(revision === undefined ? {} : { revision }),
    ...(runningVersion === undefined ? {} : { proxyVersion: runningVersion }),
    outdated: runningVersion !== undefined && desiredVersion !== undefined && runningVersion !== desiredVersion,
  };
}

/** Markdown for the Temporal UI: what the machine is, and what its entity waits for. */
export function describeMachine(view: Machine, { current, queue }: MachineState): string {
  const waiting = current
    ? `waiting for operation \`${current.operationId}\` to end`
    : isMember(view)
      ? 'waiting for a request'
      : 'nothing to wait for';
  const faults = view.conditions.filter(({ status }) => status !== 'True');
  return [
    `**${view.phase}**, ${waiting}`,
    '',
    `- host: ${view.host.user}@${view.host.address}`,
    `- WorkloadGroup: ${view.namespace}/${view.workloadGroup}`,
    `- isolation: ${view.enforcement}`,
    `- proxy: ${view.proxy.runningVersion ?? 'none'} on revision ${view.proxy.revision ?? 'none'}`,
    ...(queue.length > 0 ? [`- queued: ${queue.map(({ operationId }) => operationId).join(', ')}`] : []),
    ...faults.map(({ type, status, message }) => `- ${type} is ${status}: ${message}`),
  ].join('\n');
}
