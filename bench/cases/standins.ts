import { Agent, request } from 'node:http'
import { freePorts } from '../../sandbox/kafka/ports.ts'
import { chanceFrom, makeAlert, tenantIdOf } from '../alerts.ts'
import type { BenchCase, Figures, Site } from '../case.ts'
import { TENANTS, engineCount, exactly } from '../case.ts'
import { startProgram } from '../process.ts'

export const STANDINS: BenchCase = {
  name: 'S',
  what: 'the stand-ins alone: everything that Graph has, and as much to the engine, by a client that does nothing else',
  subjects: () => [
    { name: 'graph-standin', run: drained },
    { name: 'engine-standin', run: flooded },
  ],
}

const AT_ONCE = 4
const ITEMS = 500

async function drained({ env, plan }: Site): Promise<Figures> {
  const perTenant = Math.ceil(plan.alerts / TENANTS)
  const [port = 0] = await freePorts(1)
  const args = ['bench/graph-standin.ts', `${port}`, `${TENANTS}`, `${perTenant}`]
  return measured(args, env, async send => {
    const { access_token: token } = JSON.parse(
      (await send(`http://127.0.0.1:${port}/${tenantIdOf(0)}/oauth2/v2.0/token`, {}, '')).toString(),
    ) as { access_token: string }
    const hour = (ago: number): string => new Date(Date.now() - ago * 3_600_000).toISOString()
    const filter = encodeURIComponent(`lastUpdateDateTime ge ${hour(24)} and lastUpdateDateTime lt ${hour(0)}`)
    const page = `http://127.0.0.1:${port}/v1.0/security/alerts_v2?$filter=${filter}&$top=${ITEMS}`
    return repeated(Math.ceil(plan.alerts / Math.min(ITEMS, perTenant)), async () => {
      return (await send(page, { authorization: `Bearer ${token}` }, null)).length
    })
  })
}

async function flooded({ env, plan }: Site): Promise<Figures> {
  const [port = 0] = await freePorts(1)
  const chance = chanceFrom(1)
  const alerts = Array.from({ length: ITEMS }, () => makeAlert(chance, tenantIdOf(0), Date.now()))
  const items = alerts.map(({ id, json }) => `{"id":"${id}","tenantName":"Customer","alert":${json}}`)
  const body = `{"items":[${items.join(',')}]}`
  const requests = Math.ceil(plan.alerts / ITEMS)
  return measured(['bench/engine-standin.ts', `${port}`], env, async send => {
    const taken = await repeated(requests, async () => {
      await send(`http://127.0.0.1:${port}/v1/alerts:batch`, {}, body)
      return body.length
    })
    exactly((await engineCount(port)).enriched, requests * ITEMS, 'items at the engine')
    return taken
  })
}

type Send = (url: string, headers: Readonly<Record<string, string>>, post: string | null) => Promise<Buffer>

/** `work` tells how many bytes went over the wire. By CPU time: whoever asks is slower than the stand-in. */
async function measured(
  args: readonly string[],
  env: Site['env'],
  work: (send: Send) => Promise<number>,
): Promise<Figures> {
  const standin = await startProgram(args, { env: { PATH: env['PATH'] }, measured: true, untilReady: true })
  const agent = new Agent({ keepAlive: true })
  try {
    const before = standin.cpuSeconds()
    const bytes = await work((url, headers, post) => exchange(agent, url, headers, post))
    const after = standin.cpuSeconds()
    return before === null || after === null ? {} : { mbPerCpuSecond: bytes / 1_000_000 / (after - before) }
  } finally {
    agent.destroy()
    await standin.stop()
  }
}

/** The sum of what `once` gives. */
async function repeated(times: number, once: () => Promise<number>): Promise<number> {
  let left = times
  let sum = 0
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      // not `+=` over an await: others add meanwhile
      const more = await once()
      sum += more
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return sum
}

function exchange(
  agent: Agent,
  url: string,
  headers: Readonly<Record<string, string>>,
  post: string | null,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent, headers: { ...headers }, method: post === null ? 'GET' : 'POST' }, answer => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(Buffer.concat(chunks))
        else reject(new Error(`${url} answered with ${answer.statusCode}`))
      })
    })
    asked.on('error', reject)
    asked.end(post ?? undefined)
  })
}
