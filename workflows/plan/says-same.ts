/** Whether something found already says what is wanted; what the server or others added beside it does not count. */

/** True when every field of `desired` is in `found` with the same value; lists must be equal in length and order. */
export function saysSame(found: unknown, desired: unknown): boolean {
  if (Array.isArray(desired)) {
    return (
      Array.isArray(found) && found.length === desired.length && desired.every((item, i) => saysSame(found[i], item))
    );
  }
  if (isRecord(desired)) {
    return Object.entries(desired).every(
      ([key, value]) => value === undefined || (isRecord(found) ? saysSame(found[key], value) : isEmpty(value)),
    );
  }
  return found === desired;
}

/** The top-level fields of `desired` that `found` says otherwise or not at all. */
export function differences(found: object, desired: object): string[] {
  const fields = found as Readonly<Record<string, unknown>>;
  return Object.entries(desired).flatMap(([key, value]) => (saysSame(fields[key], value) ? [] : [key]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEmpty(value: unknown): boolean {
  return isRecord(value) && Object.keys(value).length === 0;
}
