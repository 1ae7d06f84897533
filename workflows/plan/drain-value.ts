/** istiod gives an endpoint whose WorkloadEntry carries it, with any value, to no client (istio-vm.md). */
export const drainingLabel = 'istio.io/draining';

/**
 * Value of the label {@link drainingLabel} on a WorkloadEntry: it names the operation, so that orphans are found. The last 26
 * characters of an operation's id are its ULID; a label value has at most 63 characters. Another stage is another push by every
 * istiod, which proves what the first one began.
 */
export const drainValue = (operationId: string, stage: 'a' | 'b' = 'a'): string => `${operationId.slice(-26)}.${stage}`;
