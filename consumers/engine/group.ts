import { ENVELOPE_BYTES } from './body.ts'
import { type EngineItem, itemBytes } from './item.ts'

/** An item's share counts a comma, which the first one needs not. */
const EMPTY_BYTES = ENVELOPE_BYTES - 1

/** An item that has no fate yet. */
export interface Entry {
  readonly index: number
  readonly item: EngineItem
  /** Requests that carried it. */
  posts: number
  /** How often it alone failed while the engine took other items. */
  strikes: number
  /** Items that the engine had accepted, of all lanes, when the item was last sent or struck. */
  acceptedBefore: number
}

/** Items that travel in one request. */
export interface Group {
  readonly entries: readonly Entry[]
  /** How often some of its items were put off. */
  readonly tries: number
  /** Not to be sent before; 0 for at once. */
  dueMs: number
  readonly waitMs: number
  /** How often the whole request broke while the engine took items of others. */
  failures: number
  acceptedBefore: number
}

export function newGroup(entries: readonly Entry[], accepted: number): Group {
  return { entries, tries: 0, dueMs: 0, waitMs: 0, failures: 0, acceptedBefore: accepted }
}

/** In the given order, each as full as the limits allow; an item that is over the limit by itself goes alone. */
export function groupItems(
  items: readonly EngineItem[],
  limits: { readonly maxItems: number; readonly maxBytes: number },
  accepted: number,
): Group[] {
  const groups: Group[] = []
  let entries: Entry[] = []
  let bytes = EMPTY_BYTES
  let index = -1
  for (const item of items) {
    index++
    const size = itemBytes(item)
    if (entries.length > 0 && (entries.length >= limits.maxItems || bytes + size > limits.maxBytes)) {
      groups.push(newGroup(entries, accepted))
      entries = []
      bytes = EMPTY_BYTES
    }
    entries.push({ index, item, posts: 0, strikes: 0, acceptedBefore: accepted })
    bytes += size
  }
  if (entries.length > 0) groups.push(newGroup(entries, accepted))
  return groups
}

/** Two groups of half the items each; for two or more entries. */
export function halves(group: Group, accepted: number): readonly [Group, Group] {
  const middle = Math.ceil(group.entries.length / 2)
  return [newGroup(group.entries.slice(0, middle), accepted), newGroup(group.entries.slice(middle), accepted)]
}
