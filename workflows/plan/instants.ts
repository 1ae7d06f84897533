/** RFC 3339 to milliseconds and back: conversions alone, no clock is read. */

/** Milliseconds since the epoch; NaN where it is no time. */
// eslint-disable-next-line no-restricted-globals -- Date.parse converts its argument and reads no clock
export const msOf = (time: string): number => Date.parse(time);

/** RFC 3339 in UTC. */
// eslint-disable-next-line no-restricted-globals -- a Date of a given instant reads no clock
export const timeOf = (ms: number): string => new Date(ms).toISOString();
