/** The lane of a tenant: the partition that Kafka's default partitioner gives the key `tenantId`. */
export function laneOf(tenantId: string, lanes: number): number {
  return (murmur2(Buffer.from(tenantId)) & 0x7fffffff) % lanes
}

/** Kafka's hash of a key (org.apache.kafka.common.utils.Utils.murmur2), as a signed 32-bit number. */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995
  const length = data.length
  let h = 0x9747b28c ^ length
  const whole = length & ~3
  for (let i = 0; i < whole; i += 4) {
    let k = at(data, i) | (at(data, i + 1) << 8) | (at(data, i + 2) << 16) | (at(data, i + 3) << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    k = Math.imul(k, m)
    h = Math.imul(h, m) ^ k
  }
  const rest = length - whole
  if (rest === 3) h ^= at(data, whole + 2) << 16
  if (rest >= 2) h ^= at(data, whole + 1) << 8
  if (rest >= 1) h = Math.imul(h ^ at(data, whole), m)
  h ^= h >>> 13
  h = Math.imul(h, m)
  h ^= h >>> 15
  return h | 0
}

function at(data: Uint8Array, index: number): number {
  return data[index] ?? 0
}
