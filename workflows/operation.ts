/** One operation as its workflow reports it: the query's answer, what the Temporal UI shows, and how a step is told. */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import {
  CancellationScope,
  getExternalWorkflowHandle,
  log,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';

import type { Condition } from '../api/schemas/common.ts';
import type { CutoverReport } from '../api/schemas/cutover.ts';
import type { DrainReport, Operation, OperationPhase, OperationStep } from '../api/schemas/operation.ts';
import { explainFailure } from './explain-failure.ts';
import { operationFinishedSignal, operationQuery, searchAttributes } from './messages.ts';
import type { OperationOutcome } from './messages.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** `Unchanged` when the step found everything as wanted. */
export type StepEnd = 'Succeeded' | 'Unchanged';

interface StepResult<T> {
  readonly end: StepEnd;
  readonly value: T;
}

/** How an operation ends, to be told to its machine before anybody else. */
export interface Ending {
  readonly operation: Operation;
  readonly publish: () => void;
}

export class OperationReport {
  private state: Mutable<Operation>;
  private readonly machine: string;
  private isEnded = false;
  private isCancellable = true;

  /** Registers the query, so construct it before the first await. */
  constructor(verb: Operation['verb'], target: Operation['target'], steps: readonly string[]) {
    this.machine = `${target.namespace}/${target.name}`;
    this.state = {
      id: workflowInfo().workflowId,
      verb,
      target,
      phase: 'Running',
      revision: 0,
      steps: steps.map((name) => ({ name, phase: 'Pending', attempts: 0 })),
      conditions: [],
    };
    setHandler(operationQuery, () => this.current(), { description: 'The operation with its steps and conditions' });
    this.publish();
  }

  current(): Operation {
    return snapshotOf(this.state);
  }

  setConditions(conditions: Condition[]): void {
    this.state.conditions = conditions;
    this.changed();
  }

  /** Runs one step: its times, its end and its failure are told; the failure is thrown on. */
  async step<T>(name: string, waitingFor: string, run: () => Promise<StepResult<T>>): Promise<T> {
    const step = this.find(name);
    Object.assign(step, { phase: 'Running', startedAt: now(), attempts: step.attempts + 1 });
    this.waitFor(waitingFor);
    try {
      const { end, value } = await run();
      // A cancel that came with the last answer found nothing to interrupt; it was accepted, and is honoured.
      if (this.isCancellable && CancellationScope.current().consideredCancelled)
        throw new CancelledFailure('Cancelled on request');
      step.phase = end;
      return value;
    } catch (error) {
      const { type, message } = explainFailure(error);
      Object.assign(step, { phase: 'Failed', reason: type, message });
      throw error;
    } finally {
      step.endedAt = now();
      this.waitFor(undefined);
    }
  }

  /** Another try of the step that runs, e.g. a look that found the proxy not ready yet. */
  tryAgain(name: string): void {
    this.find(name).attempts += 1;
    this.changed();
  }

  /** A step the plan found true already. */
  unchanged(name: string, message: string): void {
    Object.assign(this.find(name), { phase: 'Unchanged', message });
    this.changed();
  }

  /** Whether every one of these steps found things as wanted. */
  areUnchanged(names: readonly string[]): boolean {
    return names.every((name) => this.find(name).phase === 'Unchanged');
  }

  undone(names: readonly string[]): void {
    for (const step of this.state.steps) {
      if (names.includes(step.name) && step.phase !== 'Pending' && step.phase !== 'Unchanged') step.phase = 'Undone';
    }
    this.changed();
  }

  waitFor(waitingFor: string | undefined): void {
    if (waitingFor === undefined) delete this.state.waitingFor;
    else this.state.waitingFor = waitingFor;
    const next = this.state.steps.find(({ phase }) => phase === 'Pending');
    if (next) this.state.next = next.name;
    else delete this.state.next;
    this.changed();
    this.describe();
  }

  /** The operation waits for others, e.g. for a lease that one of them holds; undefined: it goes on. */
  waitForOthers(waitingFor: string | undefined): void {
    this.state.phase = waitingFor === undefined ? 'Running' : 'Waiting';
    this.listPhase();
    this.waitFor(waitingFor);
  }

  /** What the drain saw and cost, beside what was told before. */
  tellDrain(drain: DrainReport): void {
    this.state.drain = { ...this.state.drain, ...drain };
    this.changed();
  }

  /** How far the traffic has moved. */
  tellCutover(cutover: CutoverReport): void {
    this.state.cutover = cutover;
    this.changed();
  }

  /** The steps of these that did, or may have done, something that stands. */
  standing(names: readonly string[]): string[] {
    const isStanding = ({ name, phase }: OperationStep) =>
      names.includes(name) && (phase === 'Succeeded' || phase === 'Failed');
    return this.state.steps.filter(isStanding).map(({ name }) => name);
  }

  /** From here on the operation ends what it began; a cancel request is refused by the API, which reads the memo. */
  goForwardOnly(): void {
    this.isCancellable = false;
    upsertMemo({ isCancellable: false });
  }

  /**
   * Decides how the operation ends. It still reads as running until `endOperation` has told its machine: whoever sees the end finds
   * the machine in the state that it left.
   */
  finish(phase: OperationPhase, message: string, next?: string): Ending {
    this.isEnded = true;
    this.goForwardOnly();
    const operation: Mutable<Operation> = { ...this.current(), phase, message };
    delete operation.waitingFor;
    delete operation.next;
    if (next !== undefined) operation.next = next;
    return {
      operation,
      publish: () => {
        this.publishEnd(operation);
      },
    };
  }

  isFinished(): boolean {
    return this.isEnded;
  }

  /** Phase and message are final, and readable without a worker from now on. */
  private publishEnd(operation: Operation): void {
    this.state = { ...operation, revision: this.state.revision ?? 0 };
    this.publish();
    log.info(`Operation ended: ${operation.phase}`, { machine: this.machine, message: operation.message });
  }

  private publish(): void {
    this.changed();
    this.listPhase();
    upsertMemo({ operation: this.current(), isCancellable: this.isCancellable });
    this.describe();
  }

  /** Each write is one more for the server and its index: what was given at the start is not written again. */
  private listPhase(): void {
    const { phase } = this.state;
    if (workflowInfo().typedSearchAttributes.get(searchAttributes.phase) === phase) return;
    upsertSearchAttributes([{ key: searchAttributes.phase, value: phase }]);
  }

  /** Whoever follows the operation learns by the revision what they have seen already. */
  private changed(): void {
    this.state.revision = (this.state.revision ?? 0) + 1;
  }

  private describe(): void {
    const { phase, steps, waitingFor, message } = this.state;
    const lines = steps.map((step) => `- ${step.name}: ${step.phase}${step.message ? ` (${step.message})` : ''}`);
    const headline = waitingFor ? `${phase}, waiting for ${waitingFor}` : (message ?? phase);
    setCurrentDetails(`**${headline}**\n\n${lines.join('\n')}`);
  }

  private find(name: string): Mutable<OperationStep> {
    const step = this.state.steps.find((candidate) => candidate.name === name);
    if (!step) throw ApplicationFailure.nonRetryable(`Operation ${this.state.id} has no step ${name}`, 'StepUnknown');
    return step;
  }
}

/**
 * Tells the machine's entity how its operation ended, then ends the workflow the same way, so that Temporal's own status agrees:
 * completed, failed or cancelled.
 */
export async function endOperation(
  { operation, publish }: Ending,
  learned: Omit<OperationOutcome, 'operationId' | 'operation'>,
): Promise<OperationOutcome> {
  const outcome = { operationId: operation.id, operation, ...learned };
  await CancellationScope.nonCancellable(() => tellMachine(outcome));
  publish();
  closeAs(operation);
  return outcome;
}

/** Throws unless the operation succeeded, so that Temporal's own status says how it ended. */
export function closeAs({ phase, message = phase }: Operation): void {
  if (phase === 'Cancelled') throw new CancelledFailure(message);
  if (phase !== 'Succeeded') throw ApplicationFailure.nonRetryable(message, `Operation${phase}`);
}

/** An entity that is gone (ended by hand) does not fail the operation. */
async function tellMachine(outcome: OperationOutcome): Promise<void> {
  const { parent } = workflowInfo();
  if (!parent) return;
  try {
    await getExternalWorkflowHandle(parent.workflowId).signal(operationFinishedSignal, outcome);
  } catch (error) {
    log.warn('The machine no longer listens', { machine: parent.workflowId, error: explainFailure(error).message });
  }
}

/** The workflow's clock: deterministic, it stands still between events. */
export function now(): string {
  return new Date().toISOString();
}

/** A snapshot: what was answered or kept must not change with the next step. */
function snapshotOf<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
