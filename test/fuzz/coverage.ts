/** Which blocks of the project's code ran, told by V8 itself: no dependency, no build step. */
import { Session } from 'node:inspector'
import { fileURLToPath } from 'node:url'

interface Taken {
  /** Something ran that never ran before. */
  readonly isNew: boolean
  /** Blocks that ran, each as often as it did: the same on every machine, as seconds are not. */
  readonly work: number
}

export interface Coverage {
  /** What ran since the last call. With `remember` it counts as known from now on. */
  take(remember: boolean): Taken
  readonly blocks: number
  close(): void
}

interface Script {
  readonly url: string
  readonly functions: readonly {
    readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[]
  }[]
}

const HERE = new URL('./', import.meta.url)
const ROOT = new URL('../../', HERE)
/** Node names its modules by address, vitest by path. */
const startsIn = (folder: URL, url: string): boolean =>
  url.startsWith(folder.href) || url.startsWith(fileURLToPath(folder))

/** `followed`: whose blocks are worth a new input; work is counted everywhere but in Node and in the fuzzer. */
export function openCoverage(followed: readonly string[] = ['producers', 'consumers', 'platform', 'cli']): Coverage {
  const session = new Session()
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  const folders = followed.map(folder => new URL(`${folder}/`, ROOT))
  const known = new Map<string, Uint8Array>()
  let blocks = 0

  function look({ url, functions }: Script, remember: boolean): boolean {
    const size = Math.max(0, ...functions.map(({ ranges }) => ranges[0]?.endOffset ?? 0))
    const before = known.get(url)
    const ran = new Uint8Array(Math.max(size, before?.length ?? 0))
    // outer ranges come first, inner ones correct them
    for (const { ranges } of functions) {
      for (const { startOffset, endOffset, count } of ranges) ran.fill(count > 0 ? 1 : 0, startOffset, endOffset)
    }
    let isNew = false
    for (let at = 0; at < ran.length; at++) {
      if (ran[at] === 1 && before?.[at] !== 1) {
        isNew = true
        if (!remember) return true
        if (at === 0 || ran[at - 1] !== 1 || before?.[at - 1] === 1) blocks++
      } else if (before?.[at] === 1) ran[at] = 1
    }
    if (remember && isNew) known.set(url, ran)
    return isNew
  }

  return {
    get blocks() {
      return blocks
    },
    take(remember) {
      let scripts: readonly Script[] = []
      // the answer comes before `post` returns
      session.post('Profiler.takePreciseCoverage', (error, answer) => {
        if (error === null) scripts = answer.result
      })
      let isNew = false
      let work = 0
      for (const script of scripts) {
        if (script.url === '' || script.url.startsWith('node:') || startsIn(HERE, script.url)) continue
        for (const { ranges } of script.functions) for (const { count } of ranges) work += count
        if (folders.some(folder => startsIn(folder, script.url)) && look(script, remember)) isNew = true
      }
      return { isNew, work }
    },
    close() {
      session.post('Profiler.stopPreciseCoverage')
      session.disconnect()
    },
  }
}

export const FOUND = fileURLToPath(new URL('./found/', import.meta.url))
