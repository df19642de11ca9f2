/**
 * Runs all tasks at once. When one fails the others are told through their signal, and only when every one has settled
 * does the first failure go on: whoever cleans up afterwards races with nobody.
 */
export async function together(
  signal: AbortSignal,
  tasks: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const failure = new AbortController()
  const either = AbortSignal.any([signal, failure.signal])
  await Promise.allSettled(
    tasks.map(async task => {
      try {
        await task(either)
      } catch (error) {
        failure.abort(error)
      }
    }),
  )
  either.throwIfAborted()
}

/** Disposes of everything on the first call; each call resolves when that is done. */
export function onceOnly(undo: AsyncDisposableStack): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => (done ??= undo.disposeAsync())
}
