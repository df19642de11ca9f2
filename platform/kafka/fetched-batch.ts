/**
 * What one fetch brought of one partition, as KafkaJS's Batch, without a big integer for each record (K22). Nobody writes
 * transactions here, so none is filtered out.
 */
import { offsetOf } from './batch-decode.ts'

export interface FetchedRecord {
  readonly offset: string
  readonly isControlRecord: boolean
}

export class FetchedBatch {
  readonly topic: string
  readonly partition: number
  readonly highWatermark: string
  readonly fetchedOffset: string
  readonly rawMessages: readonly FetchedRecord[]
  readonly messagesWithinOffset: readonly FetchedRecord[]
  readonly messages: readonly FetchedRecord[]

  constructor(
    topic: string,
    fetchedOffset: string,
    part: { readonly partition: number; readonly highWatermark: string; readonly messages: readonly FetchedRecord[] },
  ) {
    this.topic = topic
    this.partition = part.partition
    this.highWatermark = part.highWatermark
    this.fetchedOffset = fetchedOffset
    this.rawMessages = part.messages
    const from = Number(fetchedOffset)
    const [first] = part.messages
    // a fetch from within a batch brings all of it
    const isWithin = first !== undefined && offsetOf(first) >= from
    this.messagesWithinOffset = isWithin ? part.messages : part.messages.filter(message => offsetOf(message) >= from)
    const hasControl = this.messagesWithinOffset.some(({ isControlRecord }) => isControlRecord)
    this.messages = hasControl
      ? this.messagesWithinOffset.filter(({ isControlRecord }) => !isControlRecord)
      : this.messagesWithinOffset
  }

  isEmpty(): boolean {
    return this.messages.length === 0
  }

  isEmptyIncludingFiltered(): boolean {
    return this.messagesWithinOffset.length === 0
  }

  isEmptyDueToFiltering(): boolean {
    return this.isEmpty() && this.rawMessages.length > 0
  }

  isEmptyControlRecord(): boolean {
    return this.isEmpty() && this.messagesWithinOffset.some(({ isControlRecord }) => isControlRecord)
  }

  isEmptyDueToLogCompactedMessages(): boolean {
    return this.rawMessages.length > 0 && this.isEmptyIncludingFiltered()
  }

  firstOffset(): string | null {
    return this.messagesWithinOffset[0]?.offset ?? null
  }

  lastOffset(): string {
    if (this.isEmptyDueToLogCompactedMessages()) return this.fetchedOffset
    return this.messagesWithinOffset.at(-1)?.offset ?? String(Number(this.highWatermark) - 1)
  }

  offsetLag(): string {
    return String(Number(this.highWatermark) - 1 - Number(this.lastOffset()))
  }

  offsetLagLow(): string {
    const first = this.firstOffset()
    return first === null ? '0' : String(Number(this.highWatermark) - 1 - Number(first))
  }
}
