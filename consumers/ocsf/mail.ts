import { type Attributes, attributes, type Members } from './members.ts'
import { url } from './objects.ts'
import { email, ip, text } from './reads.ts'

/** OCSF has no mail without a sender or a receiver. */
export function mail(from: Members): Attributes | undefined {
  return from.part(m => {
    const to = m.take('recipientEmailAddress', email)
    return attributes(
      {
        from: sender(m, 'p2Sender'),
        return_path: sender(m, 'p1Sender'),
        to: to === undefined ? undefined : [to],
        subject: m.take('subject', text),
        uid: m.take('networkMessageId', text),
        message_uid: m.take('internetMessageId', text),
        x_originating_ip: origin(m),
        urls: m.list('urls', url),
      },
      'from',
      'to',
    )
  })
}

export function submission(from: Members): Attributes | undefined {
  return from.part(m => {
    const to = m.take('recipient', email)
    return attributes(
      {
        from: m.take('sender', email),
        to: to === undefined ? undefined : [to],
        subject: m.take('subject', text),
        uid: m.take('networkMessageId', text),
        x_originating_ip: origin(m),
      },
      'from',
      'to',
    )
  })
}

function sender(m: Members, member: string): string | undefined {
  return m.within(member, inner => inner.take('emailAddress', email))
}

function origin(m: Members): readonly string[] | undefined {
  const address = m.take('senderIp', ip)
  return address === undefined ? undefined : [address]
}
