import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { type Answer, jsonAnswer, readBody } from '../graph/answer.ts'
import { type EngineFaults, engineFaultSchema } from './faults.ts'
import type { EngineLedger } from './ledger.ts'

/** What can be done to a running simulator, in-process and (through `/_sim/`) over HTTP. */
export interface EngineControls {
  /** Live. */
  readonly ledger: EngineLedger
  readonly faults: EngineFaults
  setLatency(latencyMs: number): void
  /** Forgets all it was sent; faults stay. */
  clear(): void
}

const MAX_ADMIN_BYTES = 1024 * 1024
const latencyOrder = z.strictObject({ latencyMs: z.int().min(0) })
const faultRemoval = z.strictObject({ id: z.int().optional() })

/** The control surface under `/_sim/`, the same things the in-process object offers. */
export async function serveEngineAdmin(sim: EngineControls, request: IncomingMessage, path: string): Promise<Answer> {
  const what = `${request.method} ${path.slice('/_sim/'.length)}`
  try {
    return await answerTo(what, sim, request)
  } catch (error) {
    return jsonAnswer(400, { error: error instanceof z.ZodError ? z.prettifyError(error) : String(error) })
  }
}

async function answerTo(what: string, sim: EngineControls, request: IncomingMessage): Promise<Answer> {
  const text = (await readBody(request, MAX_ADMIN_BYTES)).toString()
  const body: unknown = text === '' ? {} : JSON.parse(text)
  switch (what) {
    case 'GET ledger':
      return jsonAnswer(200, sim.ledger)
    case 'GET stats':
      return jsonAnswer(200, sim.ledger.counters)
    case 'GET faults':
      return jsonAnswer(200, { faults: sim.faults.all, firedByKind: sim.faults.firedByKind() })
    case 'POST faults': {
      const orders = (Array.isArray(body) ? body : [body]).map(order => engineFaultSchema.parse(order))
      return jsonAnswer(200, { faults: orders.map(order => sim.faults.add(order)) })
    }
    case 'DELETE faults': {
      const { id } = faultRemoval.parse(body)
      if (id === undefined) sim.faults.clear()
      else sim.faults.remove(id)
      return jsonAnswer(200, { faults: sim.faults.all })
    }
    case 'POST latency':
      sim.setLatency(latencyOrder.parse(body).latencyMs)
      return jsonAnswer(200, {})
    case 'POST clear':
      sim.clear()
      return jsonAnswer(200, {})
    default:
      return jsonAnswer(404, { error: `the simulator has no ${what}` })
  }
}
