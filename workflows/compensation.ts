/** What takes an operation back: each undo is registered before its step, and the list runs newest first. */
import { CancellationScope } from '@temporalio/workflow';

interface Compensation {
  /** The steps it takes back. */
  readonly steps: readonly string[];
  /** What is left where it fails, with its cure: `changes on shop/orders-1; run undo.sh there`. */
  readonly leaves: string;
  readonly undo: () => Promise<unknown>;
}

interface Undone {
  /** Steps that were taken back whole. */
  readonly steps: readonly string[];
  /** What could not be taken back, and why. */
  readonly left: readonly string[];
}

export class Compensations {
  private readonly registered: Compensation[] = [];

  /** Registers an idempotent undo; call it before the step, which may do its work and still fail. */
  register(steps: readonly string[], leaves: string, undo: () => Promise<unknown>): void {
    this.registered.push({ steps, leaves, undo });
  }

  get isEmpty(): boolean {
    return this.registered.length === 0;
  }

  /** Runs every undo, also when the workflow is cancelled; one that fails does not stop the older ones. */
  async run(explain: (error: unknown) => string): Promise<Undone> {
    return CancellationScope.nonCancellable(async () => {
      const left: string[] = [];
      const standing = new Set<string>();
      for (const { steps, leaves, undo } of this.registered.toReversed()) {
        try {
          await undo();
        } catch (error) {
          left.push(`${leaves} (${explain(error)})`);
          for (const step of steps) standing.add(step);
        }
      }
      const steps = this.registered.flatMap((compensation) => compensation.steps);
      return { steps: steps.filter((step) => !standing.has(step)), left };
    });
  }
}
