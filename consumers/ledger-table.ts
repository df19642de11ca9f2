/**
 * What the engine has of each alert of a lane, in 42 bytes a slot: open addressing on typed arrays, because a map of
 * objects takes several times that for the millions of alerts that 35 days bring. Keys are 128 bits of a SHA-256: two
 * alerts that fell together would mean a lost one.
 */
export interface Digest {
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number
}

/** A version as two 32-bit numbers that compare as the instants do. */
export interface PackedVersion {
  readonly hi: number
  readonly lo: number
}

export interface TableMark {
  readonly version: PackedVersion
  readonly hashHi: number
  readonly hashLo: number
  readonly offset: number
  /** Days since the epoch, for expiry. */
  readonly day: number
}

const INITIAL_SLOTS = 64
const FULL_SHARE = 0.8
/** Small steps keep the share of empty slots, and so the bytes of an entry, low. */
const GROWTH = 1.3

export class LedgerTable {
  #slots = INITIAL_SLOTS
  #count = 0
  #keys = new Uint32Array(INITIAL_SLOTS * 4)
  #marks = new Uint32Array(INITIAL_SLOTS * 4)
  #offsets = new Float64Array(INITIAL_SLOTS)
  /** 0: the slot is free. */
  #days = new Uint16Array(INITIAL_SLOTS)

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#keys.byteLength + this.#marks.byteLength + this.#offsets.byteLength + this.#days.byteLength
  }

  get(key: Digest): TableMark | null {
    const slot = this.#find(key)
    if (this.#days[slot] === 0) return null
    const m = this.#marks
    return {
      version: { hi: m[slot * 4] ?? 0, lo: m[slot * 4 + 1] ?? 0 },
      hashHi: m[slot * 4 + 2] ?? 0,
      hashLo: m[slot * 4 + 3] ?? 0,
      offset: this.#offsets[slot] ?? 0,
      day: this.#days[slot] ?? 0,
    }
  }

  set(key: Digest, mark: TableMark): void {
    let slot = this.#find(key)
    if (this.#days[slot] === 0) {
      if (this.#count + 1 > this.#slots * FULL_SHARE) {
        this.#rebuild(() => true, Math.ceil(this.#slots * GROWTH))
        slot = this.#find(key)
      }
      this.#count++
    }
    this.#write(slot, key, mark)
  }

  delete(key: Digest): void {
    let hole = this.#find(key)
    if (this.#days[hole] === 0) return
    // open addressing has no holes: what was pushed past this slot moves back into it
    for (let slot = this.#after(hole); this.#days[slot] !== 0; slot = this.#after(slot)) {
      const home = (this.#keys[slot * 4] ?? 0) % this.#slots
      const mayMove = hole <= slot ? home <= hole || home > slot : home <= hole && home > slot
      if (!mayMove) continue
      this.#keys.copyWithin(hole * 4, slot * 4, slot * 4 + 4)
      this.#marks.copyWithin(hole * 4, slot * 4, slot * 4 + 4)
      this.#offsets[hole] = this.#offsets[slot] ?? 0
      this.#days[hole] = this.#days[slot] ?? 0
      hole = slot
    }
    this.#days[hole] = 0
    this.#count--
  }

  #after(slot: number): number {
    return slot + 1 === this.#slots ? 0 : slot + 1
  }

  /** Forgets what is older than `day`; returns how many went. */
  expire(day: number): number {
    const before = this.#count
    let any = false
    for (let slot = 0; slot < this.#slots && !any; slot++) {
      const at = this.#days[slot] ?? 0
      any = at !== 0 && at < day
    }
    if (any) this.#rebuild((_, at) => at >= day, 0)
    return before - this.#count
  }

  #find(key: Digest): number {
    const keys = this.#keys
    const days = this.#days
    const slots = this.#slots
    for (let slot = key.a % slots; ; slot = slot + 1 === slots ? 0 : slot + 1) {
      if (days[slot] === 0) return slot
      const at = slot * 4
      if (keys[at] === key.a && keys[at + 1] === key.b && keys[at + 2] === key.c && keys[at + 3] === key.d) return slot
    }
  }

  #write(slot: number, key: Digest, mark: TableMark): void {
    const at = slot * 4
    this.#keys[at] = key.a
    this.#keys[at + 1] = key.b
    this.#keys[at + 2] = key.c
    this.#keys[at + 3] = key.d
    this.#marks[at] = mark.version.hi
    this.#marks[at + 1] = mark.version.lo
    this.#marks[at + 2] = mark.hashHi
    this.#marks[at + 3] = mark.hashLo
    this.#offsets[slot] = mark.offset
    this.#days[slot] = Math.max(1, mark.day)
  }

  #rebuild(keep: (slot: number, day: number) => boolean, slotsMin: number): void {
    const [keys, marks, offsets, days, before] = [this.#keys, this.#marks, this.#offsets, this.#days, this.#slots]
    let kept = 0
    for (let slot = 0; slot < before; slot++) if (days[slot] !== 0 && keep(slot, days[slot] ?? 0)) kept++
    const slots = Math.max(INITIAL_SLOTS, slotsMin, Math.ceil((kept + 1) / FULL_SHARE))
    this.#slots = slots
    this.#count = kept
    this.#keys = new Uint32Array(slots * 4)
    this.#marks = new Uint32Array(slots * 4)
    this.#offsets = new Float64Array(slots)
    this.#days = new Uint16Array(slots)
    for (let slot = 0; slot < before; slot++) {
      if (days[slot] === 0 || !keep(slot, days[slot] ?? 0)) continue
      const at = slot * 4
      const key = { a: keys[at] ?? 0, b: keys[at + 1] ?? 0, c: keys[at + 2] ?? 0, d: keys[at + 3] ?? 0 }
      this.#write(this.#find(key), key, {
        version: { hi: marks[at] ?? 0, lo: marks[at + 1] ?? 0 },
        hashHi: marks[at + 2] ?? 0,
        hashLo: marks[at + 3] ?? 0,
        offset: offsets[slot] ?? 0,
        day: days[slot] ?? 0,
      })
    }
  }
}
