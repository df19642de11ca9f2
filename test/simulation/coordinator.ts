/** The coordinator of one consumer group, as Kafka's classic protocol has it: sessions, eager rebalances, generations. */
import type { Process, Reply } from './process.ts'
import type { Timeline, Timer } from './time.ts'

export interface Joined {
  readonly generationId: number
  readonly leaderId: string
  readonly memberId: string
  readonly groupProtocol: string
  readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[]
}

export interface JoinRequest {
  readonly memberId: string
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[]
}

export interface Coordinator {
  readonly generation: number
  readonly offsets: ReadonlyMap<number, number>
  has(memberId: string): boolean
  join(process: Process, request: JoinRequest, reply: Reply<Joined>): void
  sync(
    request: {
      readonly memberId: string
      readonly generationId: number
      readonly groupAssignment: readonly { readonly memberId: string; readonly memberAssignment: Buffer }[]
    },
    reply: Reply<{ readonly memberAssignment: Buffer }>,
  ): void
  heartbeat(memberId: string, generation: number, reply: Reply<void>): void
  leave(memberId: string, reply: Reply<void>): void
  commit(memberId: string, generation: number, offsets: ReadonlyMap<number, number>, reply: Reply<void>): void
}

export interface CoordinatorDeps {
  readonly time: Timeline
  /** A refusal in KafkaJS's form. */
  readonly refusal: (type: string) => Error
  /** Each member has its lanes now. */
  readonly assigned: (generation: number, assignment: ReadonlyMap<string, { process: Process; bytes: Buffer }>) => void
  readonly committed: (offsets: ReadonlyMap<number, number>) => void
  readonly left: (memberId: string, isExpired: boolean) => void
}

interface Member {
  readonly id: string
  readonly process: Process
  readonly sessionTimeoutMs: number
  metadata: Buffer
  expiresAtMs: number
  watch: Timer | null
  joining: Reply<Joined> | null
  syncing: Reply<{ readonly memberAssignment: Buffer }> | null
  assignment: Buffer
}

/** So that workers that start together need no rebalance each. */
const FIRST_JOIN_DELAY_MS = 300

export function simCoordinator(deps: CoordinatorDeps): Coordinator {
  const { time, refusal } = deps
  const members = new Map<string, Member>()
  const offsets = new Map<number, number>()
  let state: 'empty' | 'preparing' | 'completing' | 'stable' = 'empty'
  let generation = 0
  let leaderId = ''
  let ids = 0
  let protocol = ''
  let patience: Timer | null = null

  function touch(member: Member): void {
    member.expiresAtMs = time.nowMs + member.sessionTimeoutMs
    if (member.watch === null) watch(member)
  }

  function watch(member: Member): void {
    member.watch = time.after(
      member.expiresAtMs - time.nowMs,
      () => {
        member.watch = null
        if (members.get(member.id) !== member || member.joining !== null) return
        if (member.expiresAtMs > time.nowMs) watch(member)
        else remove(member, true)
      },
      true,
    )
  }

  function remove(member: Member, isExpired: boolean): void {
    members.delete(member.id)
    member.watch?.cancel()
    member.joining?.fail(refusal('UNKNOWN_MEMBER_ID'))
    member.syncing?.fail(refusal('UNKNOWN_MEMBER_ID'))
    deps.left(member.id, isExpired)
    if (members.size === 0) state = 'empty'
    else if (state === 'preparing') completeIfAll()
    else prepare(member.sessionTimeoutMs)
  }

  function prepare(rebalanceTimeoutMs: number): void {
    const wasEmpty = state === 'empty'
    state = 'preparing'
    for (const member of members.values()) {
      member.syncing?.fail(refusal('REBALANCE_IN_PROGRESS'))
      member.syncing = null
    }
    patience?.cancel()
    patience = time.after(
      wasEmpty ? FIRST_JOIN_DELAY_MS : rebalanceTimeoutMs,
      () => {
        for (const member of members.values()) if (member.joining === null) remove(member, true)
        if (state === 'preparing') complete()
      },
      true,
    )
    if (!wasEmpty) completeIfAll()
  }

  function completeIfAll(): void {
    if ([...members.values()].every(({ joining }) => joining !== null)) complete()
  }

  function complete(): void {
    patience?.cancel()
    if (members.size === 0) return
    generation++
    state = 'completing'
    if (!members.has(leaderId)) leaderId = [...members.keys()][0] ?? ''
    const all = [...members.values()].map(({ id, metadata }) => ({ memberId: id, memberMetadata: metadata }))
    for (const member of members.values()) {
      const { joining, id } = member
      member.joining = null
      member.assignment = Buffer.alloc(0)
      touch(member)
      joining?.ok({
        generationId: generation,
        leaderId,
        memberId: id,
        groupProtocol: protocol,
        members: id === leaderId ? all : [],
      })
    }
  }

  /** Null: it said why not. */
  function memberOf(memberId: string, claimed: number, reply: Reply<never>): Member | null {
    const member = members.get(memberId)
    if (!member) reply.fail(refusal('UNKNOWN_MEMBER_ID'))
    else if (claimed !== generation) reply.fail(refusal('ILLEGAL_GENERATION'))
    else return member
    return null
  }

  return {
    get generation() {
      return generation
    },
    offsets,
    has: memberId => members.has(memberId),
    join(process, { memberId, sessionTimeout, rebalanceTimeout, groupProtocols }, reply) {
      if (memberId !== '' && !members.has(memberId)) return reply.fail(refusal('UNKNOWN_MEMBER_ID'))
      const [offered] = groupProtocols
      const metadata = offered?.metadata ?? Buffer.alloc(0)
      protocol = offered?.name ?? protocol
      const id = memberId === '' ? `${process.name}-${++ids}` : memberId
      const member: Member = members.get(id) ?? {
        id,
        process,
        sessionTimeoutMs: sessionTimeout,
        metadata,
        expiresAtMs: Infinity,
        watch: null,
        joining: null,
        syncing: null,
        assignment: Buffer.alloc(0),
      }
      members.set(id, member)
      member.metadata = metadata
      member.joining = reply
      if (state === 'preparing') {
        if (generation > 0) completeIfAll()
      } else prepare(rebalanceTimeout)
    },
    sync({ memberId, generationId, groupAssignment }, reply) {
      const member = memberOf(memberId, generationId, reply)
      if (!member) return
      touch(member)
      if (state === 'preparing') return reply.fail(refusal('REBALANCE_IN_PROGRESS'))
      if (state === 'stable') return reply.ok({ memberAssignment: member.assignment })
      member.syncing = reply
      if (memberId !== leaderId) return
      state = 'stable'
      for (const part of groupAssignment) {
        const found = members.get(part.memberId)
        if (found) found.assignment = part.memberAssignment
      }
      deps.assigned(
        generation,
        new Map([...members.values()].map(({ id, process, assignment }) => [id, { process, bytes: assignment }])),
      )
      for (const each of members.values()) {
        each.syncing?.ok({ memberAssignment: each.assignment })
        each.syncing = null
      }
    },
    heartbeat(memberId, claimed, reply) {
      const member = memberOf(memberId, claimed, reply)
      if (!member) return
      touch(member)
      if (state === 'preparing') reply.fail(refusal('REBALANCE_IN_PROGRESS'))
      else reply.ok(undefined)
    },
    leave(memberId, reply) {
      const member = members.get(memberId)
      if (member) remove(member, false)
      reply.ok(undefined)
    },
    commit(memberId, claimed, wanted, reply) {
      const member = memberOf(memberId, claimed, reply)
      if (!member) return
      if (state === 'completing') return reply.fail(refusal('REBALANCE_IN_PROGRESS'))
      touch(member)
      for (const [lane, offset] of wanted) offsets.set(lane, offset)
      deps.committed(wanted)
      reply.ok(undefined)
    },
  }
}
