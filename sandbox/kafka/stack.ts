/** What the ladder hands out, and what a rung has to answer. */

/** One broker that can be hurt. `stop` and `start` keep its port and its data; every method may be called in any state. */
export interface BrokerNode {
  /** node.id in the cluster. */
  readonly id: number
  /** host:port that clients use. */
  readonly address: string
  /** SIGKILL: no flush, no goodbye. Resolves when the process is gone. */
  kill(): Promise<void>
  /** Graceful; hard after 30 s. Resolves when the process is gone. */
  stop(): Promise<void>
  /** Same port, same data. Resolves when the broker is in the cluster again. */
  start(): Promise<void>
  /** The process stops but its sockets stay open: the nastiest kind of absence. */
  pause(): Promise<void>
  resume(): Promise<void>
}

export type StackKind = 'given' | 'docker' | 'jvm'

export interface Stack {
  readonly kind: StackKind
  /** What runs, for people: an image name, or Kafka's and Java's versions. */
  readonly label: string
  /** host:port each; ready for clients. */
  readonly brokers: readonly string[]
  /** Base URL of the Confluent-compatible API; has a path. */
  readonly registryUrl: string
  /** Empty when the stack was given. */
  readonly nodes: readonly BrokerNode[]
  /** Ends and deletes everything this stack brought. A given stack is left alone. May be called twice. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface StackOptions {
  /** `auto` (default) climbs down the ladder; any other mode is that rung or an error. */
  readonly mode?: 'auto' | StackKind
  readonly brokers?: 1 | 3
  /** Progress for people, one line each. */
  readonly say: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** Ends a start that is under way; what was begun is taken back before the promise rejects. */
  readonly signal?: AbortSignal
}

export interface RungRequest {
  readonly brokers: 1 | 3
  readonly say: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
}

/** `why` and `remedy` are for the person who has to install something. */
export type Attempt =
  | { readonly kind: 'started'; readonly stack: Stack }
  | { readonly kind: 'unavailable'; readonly why: string; readonly remedy: string }

export type Rung = (request: RungRequest) => Promise<Attempt>
