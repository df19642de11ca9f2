import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, realpath, stat, writeFile } from 'node:fs/promises'
import { Socket } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/**
 * Nothing outlives its owner: each stack has a minder (a waiting shell) that buries it when the owner dies in any way,
 * and each start buries what an older owner and its minder could not.
 */
const script = join(import.meta.dirname, 'bury.sh')
const prefix = 'socos-kafka-'
const ownerFile = 'owner'
/** A folder without an owner file belongs to somebody who is just making it, or died then. */
const unownedGraceMs = 600_000

/** Host, process and the process's start, so that a recycled pid is not taken for the owner. */
export function thisOwner(): string {
  return `${hostname()} ${process.pid} ${startOf(process.pid) ?? '-'}`
}

/** `elsewhere`: an owner on another host (or container) that shares our disk or engine; nothing can be said of it. */
export function ownerState(owner: string): 'alive' | 'dead' | 'elsewhere' {
  const [host, pidText, start] = owner.split(' ')
  if (host !== hostname()) return 'elsewhere'
  const pid = Number(pidText)
  if (!Number.isSafeInteger(pid) || pid <= 0) return 'dead'
  if (!exists(pid)) return 'dead'
  const startNow = startOf(pid)
  return start === '-' || startNow === undefined || startNow === start ? 'alive' : 'dead'
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Linux only: start in clock ticks since boot, the 22nd field; the second is in brackets and may hold anything. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

/** A new temp folder that belongs to this process. */
export async function claimFolder(parent = tmpdir()): Promise<string> {
  const folder = await mkdtemp(join(await realpath(parent), prefix))
  await writeFile(join(folder, ownerFile), thisOwner())
  return folder
}

/** Buries the folders of dead owners, with the processes that still work in them. Gives their paths. */
export async function sweepFolders(parent = tmpdir()): Promise<string[]> {
  const root = await realpath(parent)
  const buried: string[] = []
  for (const name of await readdir(root)) {
    if (!name.startsWith(prefix)) continue
    const folder = join(root, name)
    if (!(await isAbandoned(folder))) continue
    await promisify(execFile)('sh', [script, 'folder', folder], { timeout: 30_000 })
    buried.push(folder)
  }
  return buried
}

async function isAbandoned(folder: string): Promise<boolean> {
  try {
    return ownerState(await readFile(join(folder, ownerFile), 'utf8')) === 'dead'
  } catch {
    const made = await stat(folder).catch(() => undefined)
    return made !== undefined && made.isDirectory() && Date.now() - made.mtimeMs > unownedGraceMs
  }
}

export interface Minder {
  /** The stack ended properly: go, and bury nothing. */
  dismiss(): void
}

/** Starts the minder of a stack: a shell in a session of its own that reads a pipe nobody else holds. */
export function watchOver(kind: 'folder' | 'containers', name: string): Minder {
  const waiting = 'if read -r _; then exit 0; fi; exec sh "$0" "$@"'
  const minder = spawn('sh', ['-c', waiting, script, kind, name], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const { stdin } = minder
  minder.on('error', () => {}) // no shell: then the next start sweeps
  stdin.on('error', () => {}) // it went before us
  minder.unref()
  if (stdin instanceof Socket) stdin.unref()
  return { dismiss: () => void stdin.end('over\n') }
}
