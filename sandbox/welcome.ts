/**
 * The last service of docker-compose.yml: `node sandbox/welcome.ts ENGINE_URL LINE...` waits until the simulated engine
 * has taken an alert, prints the lines, and stays, because `docker compose up --wait` takes a service that ends for a
 * failed one.
 */
import { setTimeout as delay } from 'node:timers/promises'

const [engineUrl = '', ...lines] = process.argv.slice(2)

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0))

while (!(await hasAlerts())) await delay(500)
process.stdout.write(`${lines.join('\n')}\n`)
setInterval(() => {}, 2 ** 30)

async function hasAlerts(): Promise<boolean> {
  try {
    const answer = await fetch(`${engineUrl}/_sim/stats`, { signal: AbortSignal.timeout(2_000) })
    return ((await answer.json()) as { accepted: number }).accepted > 0
  } catch {
    return false // it is not up yet
  }
}
