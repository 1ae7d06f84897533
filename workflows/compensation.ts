/** What takes an operation back: each undo is registered before its step, and the list runs newest first. */
import { CancellationScope } from '@temporalio/workflow';

interface Compensation {
  /** The steps it takes back. */
  readonly steps: readonly string[];
  /** What is left where it fails, with its cure: `changes on shop/orders-1; run undo.sh there`. */
  readonly leaves: string;
  readonly undo: () => Promise<unknown>;
  /** Whether older ones rest on it: where it fails they are left as they are. */
  readonly holdsOlder: boolean;
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
  register(
    steps: readonly string[],
    leaves: string,
    undo: () => Promise<unknown>,
    { holdsOlder = false }: { readonly holdsOlder?: boolean } = {},
  ): void {
    this.registered.push({ steps, leaves, undo, holdsOlder });
  }

  get isEmpty(): boolean {
    return this.registered.length === 0;
  }

  /** Runs every undo, also when the workflow is cancelled; one that fails stops only older ones that rest on it. */
  async run(explain: (error: unknown) => string): Promise<Undone> {
    return CancellationScope.nonCancellable(async () => {
      const left: string[] = [];
      const standing = new Set<string>();
      let isHeld = false;
      for (const { steps, leaves, undo, holdsOlder } of this.registered.toReversed()) {
        let why = 'kept until that is undone';
        if (!isHeld) {
          try {
            await undo();
            continue;
          } catch (error) {
            why = explain(error);
            isHeld = holdsOlder;
          }
        }
        left.push(`${leaves} (${why})`);
        for (const step of steps) standing.add(step);
      }
      const steps = this.registered.flatMap((compensation) => compensation.steps);
      return { steps: steps.filter((step) => !standing.has(step)), left };
    });
  }
}
