import { assignLanes } from './assign.ts'
import type { Assigner, PartitionAssigner } from './kafkajs.ts'
import { AssignerProtocol } from './kafkajs.ts'

const NAME = 'socos-lanes-v1'

export interface Ownership {
  readonly lanes: readonly number[]
  readonly generation: number
}

/** KafkaJS's form of `assignLanes`: each member's claim travels in the subscription's user data. */
export function laneAssigner(owned: () => Ownership, onCreate: (cluster: object) => void): PartitionAssigner {
  return ({ cluster }): Assigner => {
    onCreate(cluster)
    return {
      name: NAME,
      version: 1,
      protocol: ({ topics }) => ({
        name: NAME,
        metadata: AssignerProtocol.MemberMetadata.encode({
          version: 1,
          topics,
          userData: Buffer.from(JSON.stringify(owned())),
        }),
      }),
      assign: async ({ members, topics }) => {
        const counts = topics.map(topic => cluster.findTopicPartitionMetadata(topic).length)
        const laneCount = counts[0] ?? 0
        if (counts.some(count => count !== laneCount)) {
          throw new Error(`The topics ${topics.join(', ')} have ${counts.join(', ')} partitions; lanes need them equal`)
        }
        const claims = members.map(({ memberId, memberMetadata }) => ({ memberId, ...readClaim(memberMetadata) }))
        return [...assignLanes(laneCount, claims)].map(([memberId, lanes]) => ({
          memberId,
          memberAssignment: AssignerProtocol.MemberAssignment.encode({
            version: 1,
            assignment: Object.fromEntries(topics.map(topic => [topic, lanes])),
            userData: Buffer.alloc(0),
          }),
        }))
      },
    }
  }
}

/** A member of another version may send what we cannot read: it then claims nothing. */
function readClaim(metadata: Buffer): Ownership {
  try {
    const decoded = AssignerProtocol.MemberMetadata.decode(metadata)
    const claim = JSON.parse(decoded?.userData.toString() ?? '') as { lanes?: unknown; generation?: unknown }
    const lanes = Array.isArray(claim.lanes) ? claim.lanes.filter(lane => Number.isInteger(lane)) : []
    return { lanes: lanes as number[], generation: Number.isInteger(claim.generation) ? Number(claim.generation) : -1 }
  } catch {
    return { lanes: [], generation: -1 }
  }
}
