/** The REST API as a caller uses it. */
import { setTimeout as delay } from 'node:timers/promises';

import type { Machine, OnboardMachine } from '../api/schemas/machine.ts';
import type { Operation } from '../api/schemas/operation.ts';
import { eventually, Unrecoverable } from './eventually.ts';

export interface Answer<T> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: T;
}

const ended: readonly string[] = ['Succeeded', 'Failed', 'RolledBack', 'Cancelled'] satisfies Operation['phase'][];

const PATIENCE_MS = 60_000;

/** Seconds after which a 503 is to be asked for again. */
function comeBack({ status, headers }: Answer<unknown>): number | undefined {
  const after = headers.get('retry-after');
  return status === 503 && after !== null ? Number(after) : undefined;
}

export class Api {
  readonly #base: string;
  constructor(base: string) {
    this.#base = base;
  }

  async call<T>(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer<T>> {
    const response = await fetch(`${this.#base}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? undefined : JSON.parse(text)) as T,
    };
  }

  async onboard(body: OnboardMachine): Promise<Operation> {
    return await this.#accepted('POST', '/v1/machines', body);
  }

  async offboard(namespace: string, name: string): Promise<Operation> {
    return await this.#accepted('DELETE', `/v1/machines/${namespace}/${name}`);
  }

  async operation(id: string): Promise<Operation> {
    return await this.#read(`/v1/operations/${id}`);
  }

  async machine(namespace: string, name: string): Promise<Machine> {
    return await this.#read(`/v1/machines/${namespace}/${name}`);
  }

  /** Waits for the operation's end, however it ends; tells each step that has ended once. */
  async finished(
    id: string,
    onStep: (step: string) => void = () => undefined,
    timeoutMs = 180_000,
  ): Promise<Operation> {
    const told = new Set<string>();
    let end: Operation | undefined;
    await eventually(
      `operation ${id} ends`,
      async () => {
        const seen = await this.operation(id);
        for (const { name, phase } of seen.steps) {
          if (phase === 'Pending' || phase === 'Running' || told.has(`${name} ${phase}`)) continue;
          told.add(`${name} ${phase}`);
          onStep(`${name} ${phase}`);
        }
        if (ended.includes(seen.phase)) end = seen;
        return end !== undefined;
      },
      timeoutMs,
    );
    if (end === undefined) throw new Error('unreachable');
    return end;
  }

  /** Waits until the operation waits for something that reads so; one that ends before is told of by the error. */
  async waitsFor(id: string, text: RegExp, timeoutMs = 180_000, everyMs = 100): Promise<void> {
    await eventually(
      `${id} waits for ${text.source}`,
      async () => {
        const { phase, message, waitingFor } = await this.operation(id);
        if (ended.includes(phase)) throw new Unrecoverable(`${id} ended as ${phase}: ${message ?? ''}`);
        return text.test(waitingFor ?? '');
      },
      timeoutMs,
      everyMs,
    );
  }

  /** Comes back where it is told to, as a worker that has just begun may not answer in time. */
  async #accepted(method: string, path: string, body?: unknown): Promise<Operation> {
    const until = Date.now() + PATIENCE_MS;
    let answer = await this.call<Operation>(method, path, body);
    for (let after = comeBack(answer); after !== undefined && Date.now() < until; after = comeBack(answer)) {
      await delay(after * 1_000);
      answer = await this.call<Operation>(method, path, body);
    }
    if (answer.status !== 202)
      throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  async #read<T>(path: string): Promise<T> {
    const answer = await this.call<T>('GET', path);
    if (answer.status !== 200) throw new Error(`GET ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer.body;
  }
}
