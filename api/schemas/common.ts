/** The bricks every schema is built from, with Kubernetes' own limits. Every object refuses unknown properties. */
import Type from 'typebox';

export const closed = { additionalProperties: false } as const;

/** RFC 1123 label, as Kubernetes demands of namespaces and Istio of host names that become proxy ids. */
export const DnsLabel = Type.String({ pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', minLength: 1, maxLength: 63 });

/** Name of a Kubernetes object that may hold dots (WorkloadGroup, ServiceAccount, Secret). */
export const DnsSubdomain = Type.String({
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
  minLength: 1,
  maxLength: 253,
});

/** An Istio revision or revision tag, e.g. `1-30-0` or `stable`; `default` is the mesh's default revision. */
export const Revision = Type.String({ pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$', minLength: 1, maxLength: 56 });

/** IPv4, IPv6 or DNS name of a host. */
export const HostAddress = Type.String({
  pattern: '^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$',
  minLength: 1,
  maxLength: 253,
});

export const PortNumber = Type.Integer({ minimum: 1, maximum: 65_535 });

/** A label value as Kubernetes limits it. */
const LabelValue = Type.String({ pattern: '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$', maxLength: 63 });

/** Keys as Kubernetes limits them: optional DNS prefix, slash, name of at most 63 characters. */
export const Labels = Type.Record(
  Type.String({ pattern: '^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$' }),
  LabelValue,
  closed,
);

export const Timestamp = Type.String({ format: 'date-time', description: 'RFC 3339, UTC' });

export const Condition = Type.Object(
  {
    type: Type.String({ description: 'The claim, e.g. HostnameMatches or ProxyReady' }),
    status: Type.Union([Type.Literal('True'), Type.Literal('False'), Type.Literal('Unknown')]),
    category: Type.Union([Type.Literal('Critical'), Type.Literal('Warning'), Type.Literal('Advisory')], {
      description: 'Critical and not True blocks an operation before its first write',
    }),
    reason: Type.String({ pattern: '^[A-Z][A-Za-z0-9]*$', description: 'One word for programs' }),
    message: Type.String({ description: 'What, on which object, and what to do' }),
    lastTransitionTime: Timestamp,
  },
  { ...closed, $id: 'Condition' },
);
export type Condition = Type.Static<typeof Condition>;

/** RFC 9457 problem; `type` is stable and listed in `api/problems.ts`. */
export const Problem = Type.Object(
  {
    type: Type.String({
      description: 'Stable URN of the kind of problem, e.g. urn:meshlift:problem:machine-not-found',
    }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({ description: 'What, on which object, and what to do' }),
    conditions: Type.Optional(Type.Array(Condition)),
    errors: Type.Optional(
      Type.Array(Type.Object({ path: Type.String(), message: Type.String() }, closed), {
        description: 'Faults of the request, one per field',
      }),
    ),
  },
  { ...closed, $id: 'Problem' },
);
export type Problem = Type.Static<typeof Problem>;
