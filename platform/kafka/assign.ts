/**
 * Who owns which lanes. Whole lanes only, as even as possible, and a member keeps what it has unless another would go
 * short: a join or a leave moves no more than ceil(lanes / members) lanes.
 */
export interface Claim {
  readonly memberId: string
  readonly lanes: readonly number[]
  /** Group generation in which the member held them; of two claims on a lane the younger wins. */
  readonly generation: number
}

export function assignLanes(laneCount: number, claims: readonly Claim[]): Map<string, number[]> {
  const members = claims.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1))
  const owners = new Array<string | undefined>(laneCount)
  for (const claim of claims.toSorted((a, b) => a.generation - b.generation || (a.memberId < b.memberId ? -1 : 1))) {
    for (const lane of claim.lanes) if (lane >= 0 && lane < laneCount) owners[lane] = claim.memberId
  }
  const held = new Map<string, number[]>(members.map(member => [member.memberId, []]))
  for (let lane = 0; lane < laneCount; lane++) {
    const owner = owners[lane]
    if (owner !== undefined) held.get(owner)?.push(lane)
  }

  // those who hold most may keep the larger shares, so that as few lanes as possible move
  const smaller = Math.floor(laneCount / members.length)
  let larger = laneCount % members.length
  const shares = new Map<string, number>()
  for (const { memberId } of members.toSorted((a, b) => count(held, b.memberId) - count(held, a.memberId))) {
    shares.set(memberId, larger-- > 0 ? smaller + 1 : smaller)
  }

  const free: number[] = []
  const kept = new Set<number>()
  for (const [memberId, lanes] of held) {
    for (const lane of lanes.splice(shares.get(memberId) ?? 0)) free.push(lane)
    for (const lane of lanes) kept.add(lane)
  }
  for (let lane = 0; lane < laneCount; lane++) if (!kept.has(lane) && !free.includes(lane)) free.push(lane)
  free.sort((a, b) => b - a)
  for (const [memberId, lanes] of held) {
    while (lanes.length < (shares.get(memberId) ?? 0)) lanes.push(free.pop() ?? -1)
    lanes.sort((a, b) => a - b)
  }
  return held
}

function count(held: ReadonlyMap<string, readonly number[]>, memberId: string): number {
  return held.get(memberId)?.length ?? 0
}
