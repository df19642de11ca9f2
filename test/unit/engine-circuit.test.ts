import { describe, expect, test } from 'vitest'
import { type Circuit, createCircuit, type Permit } from '../../consumers/engine/circuit.ts'
import { type HandClock, handClock } from './engine-kit.ts'

interface Bench {
  readonly clock: HandClock
  readonly circuit: Circuit
  readonly states: string[]
  readonly never: AbortSignal
  enter(): Promise<Permit>
}

/** With chance at its upper end, so that pauses are 1, 2, 4 … 30 s sharp. */
function bench(): Bench {
  const clock = handClock()
  const states: string[] = []
  const never = new AbortController().signal
  const circuit = createCircuit({
    clock,
    random: () => 1,
    limits: { failures: 3, probe: { firstMs: 1_000, maxMs: 30_000 } },
    observe: { circuit: (state, problem) => states.push(problem === null ? state : `${state}: ${problem}`) },
  })
  return { clock, circuit, states, never, enter: () => circuit.enter(never) }
}

/** Lanes that wait at the circuit; `in` are those that were let through. */
function waitingLanes(circuit: Circuit, signals: readonly AbortSignal[]) {
  const inside: { readonly lane: number; readonly permit: Permit }[] = []
  const refused: { readonly lane: number; readonly reason: unknown }[] = []
  for (const [lane, signal] of signals.entries()) {
    circuit.enter(signal).then(
      permit => inside.push({ lane, permit }),
      (reason: unknown) => refused.push({ lane, reason }),
    )
  }
  return { inside, refused }
}

async function opened(at: Bench): Promise<void> {
  const permit = await at.enter()
  permit.blocked('HTTP 401')
}

describe('closed', () => {
  test('lets everyone through and does not mind failures with a success between them', async () => {
    const at = bench()
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 2; i++) (await at.enter()).fails('HTTP 500', 0)
      ;(await at.enter()).works()
    }
    expect(at.circuit.state).toBe('closed')
    expect(at.circuit.problem).toBeNull()
    expect(at.states).toEqual([])
  })

  test('opens when as many whole requests as allowed have failed in a row, whichever lanes they were of', async () => {
    const at = bench()
    const permits = [await at.enter(), await at.enter(), await at.enter()]
    for (const permit of permits) permit.fails('HTTP 503', 0)
    expect(at.circuit.state).toBe('open')
    expect(at.circuit.problem).toBe('HTTP 503')
    expect(at.states).toEqual(['open: HTTP 503'])
  })

  test('opens at the first refusal that has nothing to do with the items', async () => {
    const at = bench()
    await opened(at)
    expect(at.circuit.state).toBe('open')
  })
})

describe('open', () => {
  test('lets nobody through before the pause is over, then one lane alone, then all when its request worked', async () => {
    const at = bench()
    await opened(at)
    const lanes = waitingLanes(at.circuit, Array(40).fill(at.never))
    await at.clock.advance(999)
    expect(lanes.inside).toHaveLength(0)
    await at.clock.advance(1)
    expect(lanes.inside).toHaveLength(1)
    await at.clock.advance(60_000)
    expect(lanes.inside).toHaveLength(1)
    expect(at.circuit.state).toBe('half-open')
    lanes.inside[0]?.permit.works()
    await at.clock.advance(0)
    expect(lanes.inside).toHaveLength(40)
    expect(at.states).toEqual(['open: HTTP 401', 'half-open: HTTP 401', 'closed'])
  })

  test('a failed probe doubles the pause, up to the limit', async () => {
    const at = bench()
    await opened(at)
    const pauses: number[] = []
    for (let probe = 0; probe < 8; probe++) {
      const before = at.clock.now()
      const permit = await at.clock.until(at.enter())
      pauses.push(at.clock.now() - before)
      if (probe % 2 === 0) permit.fails('HTTP 500', 0)
      else permit.blocked('HTTP 401')
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 30, 30, 30].map(seconds => seconds * 1_000))
  })

  test('waits as long as the engine asked for', async () => {
    const at = bench()
    await opened(at)
    const before = at.clock.now()
    const probe = await at.clock.until(at.enter())
    probe.fails('HTTP 429', 120_000)
    await at.clock.until(at.enter())
    expect(at.clock.now() - before).toBe(121_000)
  })

  test('an engine that fails again as soon as all are back gets the longer pause, one that kept working the first', async () => {
    const at = bench()
    await opened(at)
    ;(await at.clock.until(at.enter())).works()
    await opened(at)
    let before = at.clock.now()
    ;(await at.clock.until(at.enter())).works()
    expect(at.clock.now() - before).toBe(2_000)
    ;(await at.enter()).works()
    ;(await at.enter()).fails('HTTP 500', 0)
    ;(await at.enter()).works()
    ;(await at.enter()).works()
    await opened(at)
    before = at.clock.now()
    ;(await at.clock.until(at.enter())).works()
    expect(at.clock.now() - before).toBe(4_000)
    for (let i = 0; i < 3; i++) (await at.enter()).works()
    await opened(at)
    before = at.clock.now()
    await at.clock.until(at.enter())
    expect(at.clock.now() - before).toBe(1_000)
  })

  test('requests from before the opening neither close it nor open it again; what they were asked to wait counts', async () => {
    const at = bench()
    const [late, later, last] = [await at.enter(), await at.enter(), await at.enter()]
    await opened(at)
    late.works()
    expect(at.circuit.state).toBe('open')
    later.blocked('HTTP 403')
    expect(at.circuit.problem).toBe('HTTP 401')
    const before = at.clock.now()
    const lanes = waitingLanes(at.circuit, [at.never])
    await at.clock.advance(500)
    last.fails('HTTP 429', 10_000)
    await at.clock.advance(9_999)
    expect(lanes.inside).toHaveLength(0)
    await at.clock.advance(1)
    expect(lanes.inside).toHaveLength(1)
    expect(at.clock.now() - before).toBe(10_500)
  })

  test('a success from before the opening does not close it while a lane probes', async () => {
    const at = bench()
    const late = await at.enter()
    await opened(at)
    await at.clock.until(at.enter())
    late.works()
    expect(at.circuit.state).toBe('half-open')
  })

  test('requests from before the opening do not make the pause shorter', async () => {
    const at = bench()
    const late = await at.enter()
    await opened(at)
    late.fails('HTTP 429', 10)
    const lanes = waitingLanes(at.circuit, [at.never])
    await at.clock.advance(999)
    expect(lanes.inside).toHaveLength(0)
    await at.clock.advance(1)
    expect(lanes.inside).toHaveLength(1)
  })

  test('a straggler that failed does not touch a circuit that has closed meanwhile', async () => {
    const at = bench()
    const late = [await at.enter(), await at.enter(), await at.enter()]
    await opened(at)
    ;(await at.clock.until(at.enter())).works()
    for (const permit of late) permit.fails('reset', 300_000)
    for (const permit of late) permit.blocked('HTTP 401')
    expect(at.circuit.state).toBe('closed')
  })

  test('a probe that learnt nothing hands over to the next lane at once', async () => {
    const at = bench()
    await opened(at)
    const lanes = waitingLanes(at.circuit, [at.never, at.never])
    await at.clock.advance(1_000)
    expect(lanes.inside).toHaveLength(1)
    lanes.inside[0]?.permit.release()
    await at.clock.advance(0)
    expect(lanes.inside).toHaveLength(2)
    expect(at.circuit.state).toBe('half-open')
  })

  test('a lane that is woken leaves at once with its reason, whether it sleeps or waits for a probe of another', async () => {
    const at = bench()
    await opened(at)
    const first = new AbortController()
    const second = new AbortController()
    const lanes = waitingLanes(at.circuit, [first.signal, at.never, second.signal])
    await at.clock.advance(10)
    first.abort(new Error('lane lost'))
    await at.clock.advance(0)
    expect(lanes.refused).toEqual([{ lane: 0, reason: new Error('lane lost') }])
    await at.clock.advance(1_000)
    expect(lanes.inside.map(each => each.lane)).toEqual([1])
    second.abort(new Error('stopping'))
    await at.clock.advance(0)
    expect(lanes.refused.map(each => each.reason)).toEqual([new Error('lane lost'), new Error('stopping')])
    await expect(at.circuit.enter(first.signal)).rejects.toThrow('lane lost')
  })

  test('a clock that is set back an hour does not make the pause longer', async () => {
    const at = bench()
    await opened(at)
    const lanes = waitingLanes(at.circuit, [at.never])
    await at.clock.advance(400)
    at.clock.set(at.clock.now() - 3_600_000)
    await at.clock.advance(600)
    expect(lanes.inside).toHaveLength(1)
    lanes.inside[0]?.permit.blocked('HTTP 401')
    at.clock.set(at.clock.now() - 3_600_000)
    const next = waitingLanes(at.circuit, [at.never])
    await at.clock.advance(2_000)
    expect(next.inside).toHaveLength(1)
  })

  test('ten minutes with the engine away cost a handful of probes, and leave no timer behind', async () => {
    const at = bench()
    await opened(at)
    const stop = new AbortController()
    let probes = 0
    const lane = async () => {
      for (;;) {
        const permit = await at.circuit.enter(stop.signal)
        probes++
        permit.fails('ECONNREFUSED', 0)
      }
    }
    const lanes = Promise.allSettled(Array.from({ length: 48 }, lane))
    await at.clock.advance(600_000)
    expect(probes).toBeGreaterThanOrEqual(20)
    expect(probes).toBeLessThanOrEqual(25)
    expect(at.clock.slept.length).toBeLessThanOrEqual(49 * 25)
    stop.abort(new Error('stop'))
    await lanes
    expect(at.clock.sleeping).toBe(0)
  })
})
