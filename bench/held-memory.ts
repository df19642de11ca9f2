import { once } from 'node:events'
import { scrape } from './case.ts'
import type { Program } from './process.ts'

/**
 * What a worker holds, its garbage collected first: without that, the least that is seen is when the collector last ran.
 * The worker must listen with `--inspect` on that port; nothing is attached to it while it is measured.
 */
export async function heldMemory(
  program: Program,
  ports: { readonly worker: number; readonly inspect: number },
): Promise<{ readonly rssMiB: number | null; readonly heapMiB: number }> {
  await collectGarbage(ports.inspect)
  const heapMiB = (await scrape(ports.worker)).value('socos_process_heap_used_bytes') / 1_048_576
  return { rssMiB: program.rssMiB(), heapMiB }
}

async function collectGarbage(port: number): Promise<void> {
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as readonly {
    readonly webSocketDebuggerUrl: string
  }[]
  const socket = new WebSocket(targets[0]?.webSocketDebuggerUrl ?? '')
  try {
    await once(socket, 'open')
    socket.send(JSON.stringify({ id: 1, method: 'HeapProfiler.collectGarbage' }))
    await once(socket, 'message') // its answer: it is done
  } finally {
    socket.close()
  }
}
