/**
 * Guards the one address that Graph chooses for us: the nextLink. It is followed only to the very list it came from,
 * because the tenant's token goes with the request.
 */
export type CheckedLink =
  | { readonly kind: 'ok'; readonly url: URL }
  | { readonly kind: 'refused'; readonly why: string }

const MAX_LINK_CHARS = 16_384

// up to the question mark nothing that a parser would clean up: no spaces, controls, backslashes, unicode;
// after it spaces are let through, as Graph has been seen to send its own filter back unescaped
const PLAIN = /^[!-"$-[\]-~]+$/
const QUERY = /^[ -"$-~]*$/

/** `list` is the address of the alert list in the tenant's cloud (or in the sandbox, the only place where http passes). */
export function checkNextLink(link: string, list: URL): CheckedLink {
  if (link.length > MAX_LINK_CHARS) return refused(`longer than ${MAX_LINK_CHARS} characters`)
  const mark = link.indexOf('?')
  const head = mark === -1 ? link : link.slice(0, mark)
  if (!PLAIN.test(head)) return refused('characters that no address of Graph has')
  if (mark !== -1 && !QUERY.test(link.slice(mark + 1))) return refused('characters that no query of Graph has')
  if (!URL.canParse(link)) return refused('not an absolute address')
  const url = new URL(link)
  if (url.protocol !== list.protocol) return refused(`not ${list.protocol.slice(0, -1)}`)
  if (url.username !== '' || url.password !== '' || head.includes('@'))
    return refused('user information in the address')
  if (url.hostname !== list.hostname) return refused('another host')
  if (url.port !== list.port) return refused('another port')
  if (url.pathname !== list.pathname) return refused('another path')
  // what a parser makes equal, such as dot segments or a missing slash, was not written by Graph
  if (head !== list.origin + list.pathname) return refused('another spelling of the path')
  return { kind: 'ok', url }
}

function refused(why: string): CheckedLink {
  return { kind: 'refused', why }
}
