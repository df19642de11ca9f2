/**
 * Where the CPU time of profiles went, over all of them: `node bench/profile-top.ts FILE...` prints the functions with the
 * most time of their own. `npm run bench -- --profile DIR` and `node --cpu-prof` write such files.
 */
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The part of V8's format that is read. */
interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[]
  /** What ran at each sample, as the id of a node. */
  readonly samples: readonly number[]
  /** Microseconds between a sample and the one before; the first one since the start. */
  readonly timeDeltas: readonly number[]
}

interface CallFrame {
  readonly functionName: string
  readonly url: string
  /** From 0 on. */
  readonly lineNumber: number
}

const SHOWN = 30
const IDLE = '(idle)'

const files = process.argv.slice(2)
const selfUs = new Map<string, number>()
for (const file of files) add(JSON.parse(readFileSync(file, 'utf8')) as Profile)
const idleUs = selfUs.get(IDLE) ?? 0
selfUs.delete(IDLE)
const busyUs = [...selfUs.values()].reduce((sum, us) => sum + us, 0)

if (files.length === 0) {
  console.error('usage: node bench/profile-top.ts FILE...')
  process.exitCode = 2
} else {
  console.log(`busy ${seconds(busyUs)} s, idle ${seconds(idleUs)} s; share of the busy time, seconds, function`)
  const top = [...selfUs].toSorted(([, a], [, b]) => b - a).slice(0, SHOWN)
  for (const [name, us] of top)
    console.log(`${((us * 100) / busyUs).toFixed(1).padStart(5)} %  ${seconds(us).padStart(8)}  ${name}`)
}

/** A sample holds until the next one; the last one has no length. */
function add({ nodes, samples, timeDeltas }: Profile): void {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  for (const [n, id] of samples.entries()) {
    const name = names.get(id) ?? '(unknown)'
    // samples of several threads may come out of order
    selfUs.set(name, (selfUs.get(name) ?? 0) + Math.max(0, timeDeltas[n + 1] ?? 0))
  }
}

function nameOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName || '(anonymous)'
  if (url === '') return name
  const file = url.startsWith('file:') ? relative('.', fileURLToPath(url)) : url
  return `${name} ${file}:${lineNumber + 1}`
}

function seconds(us: number): string {
  return (us / 1_000_000).toFixed(2)
}
