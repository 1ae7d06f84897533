/** Who calls the API, and what they may do: asked of the cluster, whose RBAC is the permission system. Plain data only. */

/** A caller as the API server knows them (TokenReview). */
export interface Caller {
  readonly username: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export type AccessVerb = 'get' | 'list' | 'create' | 'update' | 'patch' | 'delete';

/** What only names permissions: no such objects are in the cluster. */
export type MeshliftResource = 'machines' | 'upgrades' | 'migrations' | 'taps';

/** One question to RBAC. */
export interface AccessQuestion {
  readonly verb: AccessVerb;
  /** API group; absent: `meshlift.dev`. */
  readonly group?: string;
  /** A {@link MeshliftResource}, or one of the group. */
  readonly resource: string;
  /** Absent: in every namespace. */
  readonly namespace?: string;
  /** Absent: whichever it is. */
  readonly name?: string;
}

/** Answers may be up to 10 seconds old. Failure types: `ClusterUnreachable`, `ClusterForbidden`; a failure is never a yes. */
export interface AccessPort {
  /** Whom a bearer token speaks for; undefined where it is not good for the audience `meshlift`. */
  authenticate(token: string): Promise<Caller | undefined>;
  allows(caller: Caller, question: AccessQuestion): Promise<boolean>;
  /** Every namespace of the cluster, by name. */
  listNamespaces(): Promise<readonly string[]>;
}
