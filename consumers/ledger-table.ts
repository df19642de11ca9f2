/**
 * What the engine has of each alert of a lane, in 40 bytes a slot: open addressing on one typed array, because a map of
 * objects takes several times that for the millions of alerts that 35 days bring, and an array for each member as many
 * misses of the cache. Keys are 128 bits of a SHA-256: two alerts that fell together would mean a lost one.
 */
export interface Digest {
  /** Each of 32 bits, signed. */
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
}

/** A version as two numbers of 31 bits that compare as the instants do. */
export interface PackedVersion {
  readonly hi: number
  readonly lo: number
}

export interface TableMark {
  readonly version: PackedVersion
  /** 32 bits, signed. */
  readonly hashHi: number
  readonly hashLo: number
  readonly offset: number
  /** Days since the epoch, for expiry. */
  readonly day: number
}

const INITIAL_SLOTS = 64
const FULL_SHARE = 0.8
/** Small steps keep the share of empty slots, and so the bytes of an entry, low. */
const GROWTH = 1.2

// words of a slot: four of the key, two of the version, two of the hash, then
const OFFSET_LOW = 8
/** Upper half: bits 32 to 47 of the offset. Lower half: the day; 0: the slot is free. */
const OFFSET_HIGH_AND_DAY = 9
const WORDS = 10
const TWO_32 = 4_294_967_296
const DAY_MASK = 0xffff

export class LedgerTable {
  #slots = INITIAL_SLOTS
  #count = 0
  /** Signed, for V8 makes an object of each larger number that is read. */
  #words = new Int32Array(INITIAL_SLOTS * WORDS)

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#words.byteLength
  }

  get(key: Digest): TableMark | null {
    const at = this.#find(key)
    return this.#dayAt(at) === 0 ? null : this.#markAt(at)
  }

  set(key: Digest, mark: TableMark): void {
    this.#put(this.#find(key), key, mark)
  }

  /** False: what is there is newer, and stays. */
  setUnlessOlder(key: Digest, mark: TableMark): boolean {
    const at = this.#find(key)
    if (this.#dayAt(at) !== 0) {
      const hi = this.#words[at + 4] ?? 0
      if (mark.version.hi < hi) return false
      if (mark.version.hi === hi && mark.version.lo < (this.#words[at + 5] ?? 0)) return false
    }
    this.#put(at, key, mark)
    return true
  }

  delete(key: Digest): void {
    let hole = this.#find(key)
    if (this.#dayAt(hole) === 0) return
    const words = this.#words
    // open addressing has no holes: what was pushed past this slot moves back into it
    for (let at = this.#after(hole); this.#dayAt(at) !== 0; at = this.#after(at)) {
      const home = this.#homeOf(words[at] ?? 0)
      const mayMove = hole <= at ? home <= hole || home > at : home <= hole && home > at
      if (!mayMove) continue
      words.copyWithin(hole, at, at + WORDS)
      hole = at
    }
    words[hole + OFFSET_HIGH_AND_DAY] = 0
    this.#count--
  }

  /** Forgets what is older than `day`; returns how many went. */
  expire(day: number): number {
    const before = this.#count
    const words = this.#words
    let any = false
    for (let at = 0; at < words.length && !any; at += WORDS) {
      const its = this.#dayAt(at)
      any = its !== 0 && its < day
    }
    if (any) this.#rebuild(day, 0)
    return before - this.#count
  }

  #dayAt(at: number): number {
    return (this.#words[at + OFFSET_HIGH_AND_DAY] ?? 0) & DAY_MASK
  }

  #markAt(at: number): TableMark {
    const words = this.#words
    const last = words[at + OFFSET_HIGH_AND_DAY] ?? 0
    return {
      version: { hi: words[at + 4] ?? 0, lo: words[at + 5] ?? 0 },
      hashHi: words[at + 6] ?? 0,
      hashLo: words[at + 7] ?? 0,
      offset: (last >>> 16) * TWO_32 + ((words[at + OFFSET_LOW] ?? 0) >>> 0),
      day: last & DAY_MASK,
    }
  }

  #after(at: number): number {
    return at + WORDS === this.#words.length ? 0 : at + WORDS
  }

  /** In the order of the keys, so that a larger table is filled from one end to the other as the smaller one is read. */
  #homeOf(a: number): number {
    return Math.floor(((a >>> 0) * this.#slots) / TWO_32) * WORDS
  }

  /** Where the key stands, or the free slot where it would. */
  #find({ a, b, c, d }: Digest): number {
    const words = this.#words
    for (let at = this.#homeOf(a); ; at = at + WORDS === words.length ? 0 : at + WORDS) {
      if (((words[at + OFFSET_HIGH_AND_DAY] ?? 0) & DAY_MASK) === 0) return at
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) return at
    }
  }

  /** `at` is where `#find` found the key to be, or to belong. */
  #put(at: number, key: Digest, mark: TableMark): void {
    let slot = at
    if (this.#dayAt(at) === 0) {
      if (this.#count + 1 > this.#slots * FULL_SHARE) {
        this.#rebuild(0, Math.ceil(this.#slots * GROWTH))
        slot = this.#find(key)
      }
      this.#count++
    }
    const words = this.#words
    words[slot] = key.a
    words[slot + 1] = key.b
    words[slot + 2] = key.c
    words[slot + 3] = key.d
    words[slot + 4] = mark.version.hi
    words[slot + 5] = mark.version.lo
    words[slot + 6] = mark.hashHi
    words[slot + 7] = mark.hashLo
    words[slot + OFFSET_LOW] = mark.offset % TWO_32
    words[slot + OFFSET_HIGH_AND_DAY] =
      Math.floor(mark.offset / TWO_32) * 0x10000 + Math.min(DAY_MASK, Math.max(1, mark.day))
  }

  /** Keeps what is not older than `day`. */
  #rebuild(day: number, slotsMin: number): void {
    const before = this.#words
    const isKept = (at: number): boolean => {
      const its = (before[at + OFFSET_HIGH_AND_DAY] ?? 0) & DAY_MASK
      return its !== 0 && its >= day
    }
    let kept = 0
    for (let at = 0; at < before.length; at += WORDS) if (isKept(at)) kept++
    this.#slots = Math.max(INITIAL_SLOTS, slotsMin, Math.ceil((kept + 1) / FULL_SHARE))
    this.#count = kept
    const words = new Int32Array(this.#slots * WORDS)
    this.#words = words
    for (let from = 0; from < before.length; from += WORDS) {
      if (!isKept(from)) continue
      let at = this.#homeOf(before[from] ?? 0)
      while (this.#dayAt(at) !== 0) at = this.#after(at)
      for (let word = 0; word < WORDS; word++) words[at + word] = before[from + word] ?? 0
    }
  }
}
