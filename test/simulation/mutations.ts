/** Guards of the production code, each with a text that takes it away. Longer than the rule: it is one table. */
export interface Mutation {
  readonly name: string
  /** What holds as long as it is there. */
  readonly guard: string
  readonly file: string
  /** What stands there, exactly once, and what stands there instead. */
  readonly edits: readonly (readonly [find: string, replace: string])[]
  /** Why nothing fails without it: another guard covers the same. Such a one is never counted as caught. */
  readonly covered?: string
  /** What these worlds do not have, so that nothing can fail without it here: a gap of the simulation. */
  readonly notReached?: string
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'coverage',
    guard: 'an answer that does not name the partition counts as a failure',
    file: 'platform/kafka/producer.ts',
    edits: [
      [
        "if (!part) throw new Error('the answer does not cover the partition, so the records are not known to be written')",
        'if (!part) return -1',
      ],
    ],
  },
  {
    name: 'checkpoint-before-acks',
    guard: 'a turn waits for the acks of what it published',
    file: 'producers/turn.ts',
    edits: [
      [
        'const done = await publish(state, alerts, origin, seen, span)',
        'publish(state, alerts, origin, seen, span).catch(() => {}); const done = { listed: alerts.length, published: alerts.length, quarantined: 0 }',
      ],
    ],
  },
  {
    name: 'checkpoint-after-failure',
    guard: 'a turn whose append failed does not get on',
    file: 'producers/turn.ts',
    edits: [
      [
        'const done = await publish(state, alerts, origin, seen, span)',
        'const done = await publish(state, alerts, origin, seen, span).catch(() => ({ listed: alerts.length, published: 0, quarantined: 0 }))',
      ],
    ],
  },
  {
    name: 'ledger-before-answer',
    guard: 'the ledger learns of a delivery from the answer of the engine',
    file: 'consumers/lane.ts',
    edits: [
      [
        'const ended = await deps.forward(',
        "for (const at of round.items.keys()) note(window, round, at, { kind: 'delivered', known: false }); const ended = await deps.forward(",
      ],
    ],
  },
  {
    name: 'live-before-restore',
    guard: 'a lane goes live when its tables are read to their end',
    file: 'platform/kafka/lanes.ts',
    edits: [['for (const [topic, end] of held.ends) if ((held.positions.get(topic) ?? 0) < end) return', '']],
  },
  {
    name: 'stale',
    guard: 'an older revision than the delivered one is dropped',
    file: 'consumers/dedupe.ts',
    edits: [["return { kind: 'drop', why: 'stale' }", "return { kind: 'forward' }"]],
  },
  {
    name: 'duplicate',
    guard: 'a revision that is delivered is dropped',
    file: 'consumers/dedupe.ts',
    edits: [["case 'same':\n      return DUPLICATE", "case 'same':\n      return FORWARD"]],
  },
  {
    name: 'this-record',
    guard: 'a record that was delivered before a crash, and only not counted, is not sent again',
    file: 'consumers/dedupe.ts',
    edits: [["return { kind: 'settled', as: 'delivered' }", "return { kind: 'forward' }"]],
  },
  {
    name: 'lost-lane-kept',
    guard: 'a lane that went to another worker is given up',
    file: 'platform/kafka/lanes.ts',
    edits: [['if (ours.has(lane) && unbroken) continue', 'if (unbroken) continue']],
  },
  {
    name: 'broken-generation',
    guard: 'a lane is opened anew when a generation was missed in between',
    file: 'platform/kafka/lanes.ts',
    edits: [['if (ours.has(lane) && unbroken) continue', 'if (ours.has(lane)) continue']],
  },
  {
    name: 'abort-on-loss',
    guard: 'the signal of a lane that is lost aborts',
    covered: 'who lost a lane has no lease of it either, and every effect asks for that',
    file: 'platform/kafka/lanes.ts',
    edits: [['held.abort.abort(new Error(`lane ${lane} was given to another worker`))', '']],
  },
  {
    name: 'leased-publish',
    guard: 'a poller publishes nothing when another worker may have the lane',
    file: 'producers/turn.ts',
    edits: [
      [
        'if (!context.leased()) throw notOurs()\n        return deps.publisher.append(topic, partition, records, effect)',
        'return deps.publisher.append(topic, partition, records, effect)',
      ],
    ],
  },
  {
    name: 'leased-page',
    guard: 'a poller asks Graph nothing when another worker may have the lane',
    file: 'producers/turn.ts',
    edits: [
      [
        'if (!context.leased()) throw notOurs()\n      return state.budget.take(nowMs)',
        'return state.budget.take(nowMs)',
      ],
    ],
  },
  {
    name: 'leased-checkpoint',
    guard: 'a poller writes no checkpoint when another worker may have the lane',
    file: 'producers/turn.ts',
    edits: [
      [
        'if (!context.leased()) return\n    const value = codecs.checkpoints.encode(next)',
        'const value = codecs.checkpoints.encode(next)',
      ],
    ],
  },
  {
    name: 'leased-forward',
    guard: 'a forwarder sends nothing when another worker may have the lane',
    file: 'consumers/lane.ts',
    edits: [['leased: () => context.leased(),', 'leased: () => true,']],
  },
  {
    name: 'lease-of-old-answer',
    guard: 'a lease counts from when the broker was asked, not from when its answer was read',
    file: 'platform/kafka/lanes.ts',
    edits: [
      [
        'consumer.on(HEARTBEAT, () => {\n    contactMs = spokeMs',
        'consumer.on(HEARTBEAT, () => {\n    contactMs = uptimeMs()',
      ],
    ],
  },
  {
    name: 'successor-untold',
    guard: 'before a revision is sent, the log knows of the one before it',
    file: 'consumers/lane.ts',
    edits: [['if (followsUntold(window, round)) {', 'if (round.items.length < 0) {']],
  },
  {
    name: 'older-ledger-record',
    guard: 'of two ledger records the one of the newer revision counts, whichever came last',
    file: 'consumers/ledger.ts',
    edits: [
      [
        'const isNews = delivered ? this.#delivered.setUnlessOlder(digest, delivered) : this.#delivered.get(digest) === null',
        'const isNews = delivered === null || (this.#delivered.set(digest, delivered), true)',
      ],
    ],
  },
  {
    name: 'older-totals',
    guard: 'of two totals those that count further are right, whichever came last',
    file: 'consumers/ledger.ts',
    edits: [['const isNews = !known || delivery.totals.upTo >= known.upTo', 'const isNews = true']],
  },
  {
    name: 'dirty-after-restore',
    guard: 'a newer ledger record that an older one follows is written again',
    file: 'consumers/lane.ts',
    edits: [['else dirty.alerts.set(key, alertName(tenantId, alertId))', '']],
  },
  {
    name: 'dirty-totals',
    guard: 'totals that older ones follow are written again',
    file: 'consumers/lane.ts',
    edits: [['if (totals !== null) dirty.tenants.add(tenantId)\n', 'if (totals !== null) return\n']],
  },
  {
    name: 'overlap',
    guard: 'a poll begins some time before the last one ended',
    file: 'producers/poll.ts',
    edits: [
      [
        'const from = before ? addMs(before.watermark, -overlapOf(deps.limits)) : start.watermark',
        'const from = before ? before.watermark : start.watermark',
      ],
    ],
  },
  {
    name: 'seen-before-ack',
    guard: 'a revision counts as published when its append is acked',
    file: 'producers/publish.ts',
    edits: [
      [
        'const records = batch.map(({ record }) => record)\n',
        'const records = batch.map(({ record }) => record)\n      for (const { noted } of batch) noted()\n',
      ],
    ],
  },
  {
    name: 'quiesce-before-rejoin',
    guard: 'work in flight is finished before the group is joined again',
    file: 'platform/kafka/lanes.ts',
    edits: [['await quiesceAll(sessionTimeoutMs * QUIESCE_SHARE)', '']],
  },
  {
    name: 'quiesce-before-stop',
    guard: 'work in flight is finished before a worker stops',
    file: 'platform/kafka/lanes.ts',
    edits: [['await quiesceAll(options.shutdownMs - LEAVING_MS)', '']],
  },
  {
    name: 'told-when-halted',
    guard: 'what the engine has is written down before a lane stands still',
    file: 'consumers/lane.ts',
    edits: [
      [
        'if (context.leased()) await patiently(() => writeDown(window, settling, clock.now()))\n        return false',
        'return false',
      ],
    ],
  },
  {
    name: 'settled-before-commit',
    guard: 'offsets are committed after the ledger is acked',
    file: 'consumers/lane.ts',
    edits: [
      [
        'const upTo = await patiently(() => settle(',
        'settledUpTo = (window.records.at(-1)?.offset ?? -1) + 1\n          const upTo = await patiently(() => settle(',
      ],
    ],
  },
  {
    name: 'totals-once',
    guard: 'a record that is counted is not counted again',
    file: 'consumers/settle.ts',
    edits: [['|| record.offset < ledger.countedUpTo(tenantId)) continue', ') continue']],
  },
  {
    name: 'totals-with-ledger',
    guard: 'totals are counted up to what the ledger is told of',
    file: 'consumers/settle.ts',
    edits: [['waiting.add(tenantId)\n      continue', 'continue']],
  },
  {
    name: 'alert-once-a-round',
    guard: 'of one alert there is one revision in a round',
    file: 'consumers/window.ts',
    edits: [['\n        busy.add(key)\n', '\n']],
  },
  {
    name: 'joined-anew-after-failure',
    guard: 'a join that failed is not taken for the old assignment',
    file: 'platform/kafka/kafkajs.ts',
    edits: [['this.generationId = NO_GENERATION\n', '']],
  },
  {
    name: 'named-after-failure',
    guard: 'a member that was put out and failed to join has a name to be told so again',
    file: 'platform/kafka/kafkajs.ts',
    edits: [['this.memberId ??= NO_MEMBER\n', '']],
  },
  {
    name: 'answer-of-a-lost-lane',
    guard: 'an answer that comes after the lane was lost tells nothing',
    covered: 'the port of the engine rejects by itself when the lane is lost',
    file: 'consumers/forward.ts',
    edits: [
      [
        'const answer = await deps.engine.post(items, abort, span?.traceparent)\n      abort.throwIfAborted()',
        'const answer = await deps.engine.post(items, abort, span?.traceparent)',
      ],
    ],
  },
  {
    name: 'table-batch-twice',
    guard: 'records before the position are passed over',
    notReached:
      'a lane that is opened anew while a fetch is handled (a topic made anew, a restore that stands still) is not in these worlds',
    file: 'platform/kafka/lanes.ts',
    edits: [['if (offset < from) continue // a seek landed inside a batch', '']],
  },
  {
    name: 'stale-batch',
    guard: 'a batch that was fetched before the position was set is void',
    notReached:
      'a lane that is opened anew while a fetch is handled (a topic made anew, a restore that stands still) is not in these worlds',
    file: 'platform/kafka/lanes.ts',
    edits: [
      ["if (!held || held.phase === 'opening' || isStale()) return", "if (!held || held.phase === 'opening') return"],
    ],
  },
  {
    name: 'own-table-read',
    guard: 'the table of which this worker is the only writer is not read while the lane lives',
    covered: 'what would be read is never newer than what is known (`older-ledger-record`); it saves the reading',
    file: 'platform/kafka/lanes.ts',
    edits: [
      [
        "const read = held.phase === 'restoring' || (held.phase === 'live' && afterRestore === 'follow')",
        "const read = held.phase === 'restoring' || held.phase === 'live'",
      ],
    ],
  },
  {
    name: 'stream-before-live',
    guard: 'the stream does not flow before the lane lives',
    covered: 'records only queue up until the lane lives; it bounds memory while tables are restored',
    file: 'platform/kafka/lanes.ts',
    edits: [
      ["setPaused(stream, held.lane, held.phase !== 'live' || held.full)", 'setPaused(stream, held.lane, held.full)'],
    ],
  },
  {
    name: 'positions-kept',
    guard: 'a lane that stays goes on from where it was read to',
    file: 'platform/kafka/lanes.ts',
    edits: [
      [
        'for (const [topic, position] of held.positions) seek(topic, held.lane, position)\n    applyPauses(held)\n    held.app.resume()',
        'applyPauses(held)\n    held.app.resume()',
      ],
    ],
  },
  {
    name: 'resume',
    guard: 'a lane that stays works on after the rejoin',
    file: 'platform/kafka/lanes.ts',
    edits: [['    held.app.resume()\n', '']],
  },
  {
    name: 'positions-and-filter',
    guard: 'a lane that stays goes on from where it was read to, and passes over what comes twice',
    file: 'platform/kafka/lanes.ts',
    edits: [
      [
        'for (const [topic, position] of held.positions) seek(topic, held.lane, position)\n    applyPauses(held)\n    held.app.resume()',
        'applyPauses(held)\n    held.app.resume()',
      ],
      ['if (offset < from) continue // a seek landed inside a batch', ''],
    ],
  },
  {
    name: 'committed-asked-first',
    guard: 'the committed offset of a new lane is asked for before the ends of its topics',
    file: 'platform/kafka/lanes.ts',
    edits: [
      [
        'const committed = stream === null ? new Map<number, number>() : await committedOffsets(admin, groupId, stream)\n',
        '',
      ],
      [
        '  return {\n    of(topic, lane) {',
        '  const committed = stream === null ? new Map<number, number>() : await committedOffsets(admin, groupId, stream)\n  return {\n    of(topic, lane) {',
      ],
    ],
  },
  {
    name: 'lease-ends-with-leaving',
    guard: 'a lease ends when the group is left, not when that is answered',
    file: 'platform/kafka/lanes.ts',
    edits: [["if (next === 'leave') contactMs = Number.NEGATIVE_INFINITY", '']],
  },
]
