/**
 * Loaded into a worker before its own code: its clock jumps. `CHAOS_CLOCK_STEPS` is `afterMs:offsetMs,…`, counted from
 * the start; monotonic time goes on as it was, as it does when somebody sets the clock of a host.
 */
const steps = (process.env['CHAOS_CLOCK_STEPS'] ?? '').split(',').flatMap(step => {
  const [afterMs, offsetMs] = step.split(':').map(Number)
  return afterMs === undefined || offsetMs === undefined ? [] : [{ afterMs, offsetMs }]
})
const { Date: RealDate } = globalThis

function offsetMs(): number {
  const upMs = performance.now()
  return steps.findLast(({ afterMs }) => afterMs <= upMs)?.offsetMs ?? 0
}

const now = (): number => RealDate.now() + offsetMs()

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args) => new target(...((args.length === 0 ? [now()] : args) as [number])),
  apply: () => new RealDate(now()).toString(),
  get: (target, name) => (name === 'now' ? now : (Reflect.get(target, name) as unknown)),
})
