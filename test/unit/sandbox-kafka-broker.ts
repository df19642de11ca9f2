import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { onTestFinished } from 'vitest'

/** A Metadata v4 answer to the request with this correlation id. */
export function metadataAnswer(correlationId: number, brokers: { id: number; host: string; port: number }[]): Buffer {
  const int = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(value)
    return bytes
  }
  const text = (value: string) => {
    const bytes = Buffer.from(value)
    const length = Buffer.alloc(2)
    length.writeInt16BE(bytes.length)
    return Buffer.concat([length, bytes])
  }
  const noText = Buffer.from([0xff, 0xff])
  const each = brokers.map(({ id, host, port }) => Buffer.concat([int(id), text(host), int(port), noText]))
  return Buffer.concat([int(correlationId), int(0), int(brokers.length), ...each, text('cluster'), int(1), int(0)])
}

/** Answers every request as one broker that is alone in its cluster, or with the bytes that `answer` makes. */
export async function fakeBroker(
  answer?: (socket: Socket, correlationId: number) => void,
): Promise<{ address: string }> {
  const server = createServer(socket => {
    socket.on('error', () => {})
    socket.once('data', (frame: Buffer) => {
      const correlationId = frame.readInt32BE(8)
      if (answer) return answer(socket, correlationId)
      const body = metadataAnswer(correlationId, [{ id: 1, host: '127.0.0.1', port: 9092 }])
      const size = Buffer.alloc(4)
      size.writeInt32BE(body.length)
      // in two pieces, as a network may
      socket.write(Buffer.concat([size, body.subarray(0, 7)]))
      socket.write(body.subarray(7))
    })
  })
  await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => void server.close())
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server's address is always an AddressInfo
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}` }
}
