import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { deliver, jsonAnswer } from '../graph/answer.ts'
import { seededRandom } from '../graph/chance.ts'
import { openFaultList } from '../graph/fault-list.ts'
import { type EngineControls, serveEngineAdmin } from './admin.ts'
import { engineFaultSchema } from './faults.ts'
import { openMemory } from './judge.ts'
import { clearLedger, emptyEngineLedger } from './ledger.ts'
import { type EngineState, refusal, type ServedBatch, serveBatch } from './serve.ts'

export interface EngineSimOptions {
  /** 0 (the default) takes any free port. */
  readonly port?: number
  readonly host?: string
  readonly seed?: number
  /** Bearer token or tokens that are good; absent = not looked at. */
  readonly token?: string | readonly string[]
  /** `whsec_…` keys, any of which may have signed; absent = not looked at. */
  readonly signingKeys?: readonly string[]
  /** Answer 409 to an id that is there already, and to an older version. Default: 200, and it shows as a repeat. */
  readonly dedupe?: boolean
  readonly maxItems?: number
  /** Uncompressed. */
  readonly maxBytes?: number
  readonly latencyMs?: number
  /** False keeps counters only, for long runs. */
  readonly keepItems?: boolean
  /** Host time, for tests that turn it by hand. */
  readonly now?: () => number
}

export interface EngineSim extends EngineControls {
  /** Value for ENGINE_URL. */
  readonly url: string
  stop(): Promise<void>
}

export const ENGINE_SIM_LIMITS = { maxItems: 1000, maxBytes: 16 * 1024 * 1024 } as const

/** Starts a simulated correlation engine that speaks schemas/engine.openapi.yaml over plain http. */
export async function startEngineSim(options: EngineSimOptions = {}): Promise<EngineSim> {
  const random = seededRandom(options.seed ?? 1)
  const ledger = emptyEngineLedger()
  const token = options.token ?? []
  const state: EngineState = {
    ledger,
    memory: openMemory(ledger, { dedupe: options.dedupe ?? false, keepItems: options.keepItems ?? true }),
    faults: openFaultList(engineFaultSchema, random),
    auth: { tokens: typeof token === 'string' ? [token] : token, signingKeys: options.signingKeys ?? [] },
    random,
    now: options.now ?? Date.now,
    maxItems: options.maxItems ?? ENGINE_SIM_LIMITS.maxItems,
    maxBytes: options.maxBytes ?? ENGINE_SIM_LIMITS.maxBytes,
    latencyMs: options.latencyMs ?? 0,
  }
  const controls: EngineControls = {
    ledger,
    faults: state.faults,
    setLatency: latencyMs => {
      state.latencyMs = latencyMs
    },
    clear: () => {
      clearLedger(ledger)
      state.memory.forget()
    },
  }
  const server = createServer((request, response) => {
    serve(state, controls, request, response).catch(() => request.destroy())
  })
  server.keepAliveTimeout = 60_000
  server.listen(options.port ?? 0, options.host ?? '127.0.0.1')
  await once(server, 'listening')
  return Object.assign(controls, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  })
}

async function serve(
  state: EngineState,
  controls: EngineControls,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '').split('?')[0] ?? ''
  if (path.startsWith('/_sim/')) {
    await deliver(await serveEngineAdmin(controls, request, path), request, response)
    return
  }
  const served = await route(state, request, path)
  response.once('close', () => {
    // the sender went away before the whole answer was handed over: it cannot know what it says
    if (!response.writableFinished) for (const item of served.settled) item.answered = false
  })
  await deliver(served.answer, request, response)
}

async function route(state: EngineState, request: IncomingMessage, path: string): Promise<ServedBatch> {
  const other = (status: number, error: string, headers: Record<string, string> = {}): ServedBatch => {
    request.resume()
    return { answer: refusal(status, error, headers), settled: [] }
  }
  if (path !== '/v1/alerts:batch') return other(404, `no such path: ${path}`)
  if (request.method !== 'POST') return other(405, 'only POST is allowed', { allow: 'POST' })
  try {
    return await serveBatch(state, request)
  } catch (error) {
    if (request.destroyed && !request.complete) throw error
    return { answer: jsonAnswer(500, { error: `the simulator failed: ${String(error)}` }), settled: [] }
  }
}
