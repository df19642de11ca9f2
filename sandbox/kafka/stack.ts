/** What the ladder hands out, and what a rung has to answer. */
import type { Properties } from './settings.ts'

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
  /**
   * Its files can grow no more: it has but one folder and so gives up. Resolves when it is gone; `start` finds room again.
   * Only where brokers are processes of this machine.
   */
  fillDisk?(): Promise<void>
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
  /** host:port of each broker by the name of an extra listener. */
  readonly doors: Readonly<Record<string, readonly string[]>>
  /**
   * Runs one of Kafka's own command line tools (its main class) against the cluster, over the plain listener.
   * Gives what it printed; rejects with it when the tool fails.
   */
  tool(mainClass: string, args: readonly string[]): Promise<string>
  /** Ends and deletes everything this stack brought. A given stack is left alone. May be called twice. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface StackOptions {
  /** `auto` (default) climbs down the ladder; any other mode is that rung or an error. */
  readonly mode?: 'auto' | StackKind
  readonly brokers?: 1 | 3
  /** What the brokers have beyond the plain listener; a given cluster is as it is. */
  readonly extra?: Extra
  /** Progress for people, one line each. */
  readonly say: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** Ends a start that is under way; what was begun is taken back before the promise rejects. */
  readonly signal?: AbortSignal
}

/** More listeners, such as one with TLS, and the settings and files that they need. */
export interface Extra {
  /** Protocol by the listener's name, which is in capitals: `{ SECURED: 'SASL_SSL' }`. */
  readonly listeners: Readonly<Record<string, 'PLAINTEXT' | 'SSL' | 'SASL_SSL'>>
  /** host:port of each broker that clients are told instead of a listener's own: of a proxy in front of it. */
  readonly announce?: Readonly<Record<string, readonly string[]>>
  /** Broker settings; `FILES/` in a value is the folder of the files. */
  readonly properties: Properties
  /** Text by file name. */
  readonly files: Readonly<Record<string, string>>
}

export interface RungRequest {
  readonly brokers: 1 | 3
  readonly extra: Extra
  readonly say: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
}

/** `why` and `remedy` are for the person who has to install something. */
export type Attempt =
  | { readonly kind: 'started'; readonly stack: Stack }
  | { readonly kind: 'unavailable'; readonly why: string; readonly remedy: string }

export type Rung = (request: RungRequest) => Promise<Attempt>
