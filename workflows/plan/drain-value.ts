/**
 * Value of the label `istio.io/draining` on a WorkloadEntry: it names the operation, so that orphans are found. The last 26
 * characters of an operation's id are its ULID; a label value has at most 63 characters.
 */
export const drainValue = (operationId: string): string => `${operationId.slice(-26)}.a`;
