/**
 * What a customer has to do so that their alerts can be read, as data: `socos tenants invite` fills it in for one of them,
 * and docs/onboarding-guide.md is the same with nothing filled in. Longer than the rule: it is a text.
 */
import { adminCenter, type Cloud, consentUrl } from '../producers/graph/clouds.ts'
import { neededPermission } from '../producers/graph/problems.ts'

/** Texts may hold `code` and **bold**; what comes from outside is a Given, which stands for itself. */
export type Block =
  | { readonly kind: 'title' | 'heading' | 'text'; readonly text: Text }
  | { readonly kind: 'steps' | 'points' | 'checklist'; readonly items: readonly Text[] }
  | { readonly kind: 'drawing'; readonly lines: readonly string[] }

export type Text = string | readonly (string | Given)[]

interface Given {
  readonly given: string
}

export type Way = 'secret' | 'certificate' | 'federated' | 'shared-app'

export interface Invitation {
  /** Null: nothing is filled in. */
  readonly customer: string | null
  readonly cloud: Cloud
  readonly source: 'alerts_v2' | 'alerts'
  readonly way: Way
  /** Of the customer, where it is known; for the consent link. */
  readonly tenantId: string | null
  /** Of the one application of the SOC, for `shared-app`. */
  readonly clientId: string | null
  /** Where our application sends the administrator after the consent, and what it is told beside; for `shared-app`. */
  readonly redirectUri: string | null
  readonly state: string | null
  /** Of the workload identity, for `federated`. */
  readonly issuer: string | null
  readonly subject: string | null
  /** The ranges of addresses from which we ask; empty: not said. */
  readonly egress: readonly string[]
  /** Where the customer sends the checklist, and how. */
  readonly handOver: string | null
}

export function guide(invitation: Invitation): readonly Block[] {
  const shared = invitation.way === 'shared-app'
  return [
    ...opening(invitation),
    ...(shared
      ? consentToOurs(invitation)
      : [...register(invitation), ...permission(invitation), ...consent(invitation), ...credential(invitation)]),
    ...addresses(invitation),
    ...handOver(invitation),
    ...readOnly(),
    ...later(invitation),
  ]
}

const NOBODY: Invitation = {
  customer: null,
  cloud: 'global',
  source: 'alerts_v2',
  way: 'secret',
  tenantId: null,
  clientId: null,
  redirectUri: null,
  state: null,
  issuer: null,
  subject: null,
  egress: [],
  handOver: null,
}

/** For nobody in particular. */
export function plainGuide(): readonly Block[] {
  return guide(NOBODY)
}

/** What differs in the other ways; the rest is as in the plain guide. */
export function otherWays(): readonly Block[] {
  return [
    ...(['certificate', 'federated', 'shared-app'] as const).flatMap(way => {
      const mine = { ...NOBODY, way }
      const blocks = way === 'shared-app' ? consentToOurs(mine) : credential(mine)
      return [heading(OTHER_WAYS[way]), ...[...blocks, ...renewal(mine)].filter(({ kind }) => kind !== 'heading')]
    }),
    heading('Instead of step 2: a directory that is still read through the older list'),
    ...permission({ ...NOBODY, source: 'alerts' }).filter(({ kind }) => kind !== 'heading'),
  ]
}

const OTHER_WAYS = {
  certificate: 'Instead of step 4: a certificate',
  federated: 'Instead of step 4: no secret at all (workload identity)',
  'shared-app': 'Instead of steps 1 to 4: one application of ours for all customers',
} as const

function title(text: Text): Block {
  return { kind: 'title', text }
}
function heading(text: string): Block {
  return { kind: 'heading', text }
}
function text(words: Text): Block {
  return { kind: 'text', text: words }
}
function steps(...items: Text[]): Block {
  return { kind: 'steps', items }
}
function points(...items: Text[]): Block {
  return { kind: 'points', items }
}

function opening({ customer, source, way }: Invitation): readonly Block[] {
  const needed = neededPermission(source)
  const whose = customer === null ? 'your organisation' : { given: customer }
  return [
    title(['Read access to the security alerts of ', whose]),
    text(
      `This takes an administrator of your directory about ten minutes. It gives SOC.OS **one** permission, \`${needed}\`: to read the security alerts that Microsoft's products raise for you. SOC.OS cannot change, close or delete anything with it, and sees no mail, file or user data beyond what stands in an alert.`,
    ),
    {
      kind: 'drawing',
      lines: [
        '   your directory (Entra ID)                     SOC.OS',
        '  ┌───────────────────────────┐             ┌──────────────┐',
        `  │ application               │ <─ proves ─ │              │   1. it proves who it is: ${PROOF[way]}`,
        '  │   one read permission     │ ── token ─> │              │   2. Entra gives it a token for an hour',
        '  └───────────────────────────┘             │    poller    │',
        '  ┌───────────────────────────┐             │              │',
        '  │ Microsoft Graph           │ <── GET ─── │              │   3. it asks for the list of alerts,',
        `  │   security/${source.padEnd(15)}│ ─ alerts ─> │              │      and for nothing else`,
        '  └───────────────────────────┘             └──────────────┘',
      ],
    },
    text(
      'You need one of the roles Global Administrator or Privileged Role Administrator to grant the consent; Application Administrator is enough for the rest.',
    ),
  ]
}

const PROOF: Readonly<Record<Way, string>> = {
  secret: 'a secret that you made',
  certificate: 'a certificate',
  federated: 'its own identity, no secret',
  'shared-app': 'its own credential',
}

function register({ cloud }: Invitation): readonly Block[] {
  return [
    heading('1. Register an application'),
    steps(
      `Open \`https://${adminCenter(cloud)}\`, and there **App registrations**, **New registration**.`,
      'Name: `SOC.OS alert reader`, or what you like. Supported account types: **accounts in this organizational directory only**. Redirect URI: leave it empty. **Register**.',
      'The page **Overview** now shows the two IDs that you send us:',
    ),
    {
      kind: 'drawing',
      lines: [
        '  SOC.OS alert reader                                    Overview',
        '  ┌──────────────────────────────────────────────────────────────┐',
        '  │ Display name             SOC.OS alert reader                 │',
        '  │ Application (client) ID  6666…            <── send this one  │',
        '  │ Object ID                aaaa…            <── not this one   │',
        '  │ Directory (tenant) ID    1111…            <── send this one  │',
        '  └──────────────────────────────────────────────────────────────┘',
      ],
    },
  ]
}

function permission({ source }: Invitation): readonly Block[] {
  const needed = neededPermission(source)
  const why =
    source === 'alerts_v2'
      ? 'An older guide asked for `SecurityEvents.Read.All` and `SecurityEvents.ReadWrite.All`. Those belong to a list of alerts that Microsoft retired on 2026-10-15, and reading never needed the second one: do not add them, and take them back where they are.'
      : 'This is the permission of the older list of alerts, which Microsoft retired on 2026-10-15. No write permission is needed, whatever older guides say. Plan to change to `SecurityAlert.Read.All`.'
  return [
    heading('2. Add the one permission'),
    steps(
      '**API permissions**, **Add a permission**, **Microsoft Graph**.',
      'Choose **Application permissions**. Delegated ones would need a user to sign in, and do not work here.',
      `Search for \`${needed}\`, tick it, **Add permissions**. Other permissions that the page shows, such as \`User.Read\`, may be removed.`,
    ),
    text(why),
  ]
}

function consent({ source }: Invitation): readonly Block[] {
  return [
    heading('3. Grant admin consent'),
    steps(
      'On the same page: **Grant admin consent for** your organisation, **Yes**.',
      'The row must now show a green tick and **Granted for** your organisation:',
    ),
    {
      kind: 'drawing',
      lines: [
        '  API permissions                     [ Grant admin consent for … ]',
        '  ┌──────────────────────────────────────────────────────────────┐',
        '  │ Microsoft Graph              Type           Status           │',
        `  │  ${neededPermission(source).padEnd(27)} Application    ✓ Granted for …  │`,
        '  └──────────────────────────────────────────────────────────────┘',
        '    "Not granted" here is the most frequent reason why nothing works',
      ],
    },
  ]
}

function credential({ way, issuer, subject }: Invitation): readonly Block[] {
  switch (way) {
    case 'secret':
      return [
        heading('4. Make a secret'),
        steps(
          '**Certificates & secrets**, **Client secrets**, **New client secret**. Take the longest time that your rules allow, and note when it ends.',
          'Copy the **Value** at once: it is shown only now. The **Secret ID** beside it is of no use to us:',
        ),
        {
          kind: 'drawing',
          lines: [
            '  ┌──────────────────────────────────────────────────────────────┐',
            '  │ Description  Expires      Value              Secret ID       │',
            '  │ SOC.OS       2027-05-31   abc8Q~…            3f2b…           │',
            '  └───────────────────────────────┬──────────────────┬──────────┘',
            '                          send this one      not this one',
          ],
        },
        text('Treat the value as a password: never by e-mail, chat or ticket. See below how to hand it over.'),
      ]
    case 'certificate':
      return [
        heading('4. Upload our certificate'),
        text(
          'You make nothing: we make the key and a certificate that is valid for a year, and send you the certificate (`.cer`). It is public: the private key never leaves us, so please do not make a pair for us.',
        ),
        steps(
          '**Certificates & secrets**, **Certificates**, **Upload certificate**: choose the file that we sent.',
          'Compare the **Thumbprint** that the page shows (40 hexadecimal digits, SHA-1) with the one that we told you by another way. If they differ, delete the certificate again, and call us.',
        ),
      ]
    case 'federated':
      return [
        heading('4. Trust our identity'),
        text('No secret changes hands: your application trusts the identity under which our program runs.'),
        steps(
          '**Certificates & secrets**, **Federated credentials**, **Add credential**, **Other issuer**.',
          [
            'Issuer: ',
            issuer === null ? 'as we tell you' : { given: issuer },
            '. Subject: ',
            subject === null ? 'as we tell you' : { given: subject },
            '. Both exactly as written, no slash added or left out.',
          ],
          'Audience: leave `api://AzureADTokenExchange`. **Add**.',
        ),
      ]
    case 'shared-app':
      return []
  }
}

function consentToOurs(invitation: Invitation): readonly Block[] {
  const needed = neededPermission(invitation.source)
  return [
    heading('1. Consent to our application'),
    text('You register nothing and make no secret. You only allow our application to read your alerts.'),
    steps(
      ['Open this link and sign in as an administrator: ', { given: consentLink(invitation) }],
      `The page must name **SOC.OS** and one permission, \`${needed}\` ("Read all security alerts"). If it shows any other, do not accept, and tell us.`,
      '**Accept**. Entra keeps the consent at that moment, whatever the browser shows next.',
    ),
    text(
      invitation.redirectUri === null
        ? 'What the browser shows then says nothing: an empty page, a page of ours, or the error `AADSTS500113` (no reply address is registered for the application). All of these are all right.'
        : [
            'The browser then goes to ',
            { given: invitation.redirectUri },
            '. With `admin_consent=True` in the address there it is done; with `error=` instead, nothing was granted.',
          ],
    ),
    text(
      `To be sure, look at **Enterprise apps**, **SOC.OS**, **Permissions**: \`${needed}\` stands there under **Admin consent**.`,
    ),
  ]
}

/** Where an administrator consents to a multi-tenant application; placeholders for what is not known. */
function consentLink({ cloud, tenantId, clientId, redirectUri, state }: Invitation): string {
  const link = consentUrl({ cloud, tenantId: tenantId ?? 'organizations', clientId: clientId ?? 'CLIENT-ID' })
  const redirect = redirectUri === null ? '' : `&redirect_uri=${encodeURIComponent(redirectUri)}`
  return `${link}${redirect}${state === null ? '' : `&state=${encodeURIComponent(state)}`}`
}

function addresses({ egress, cloud }: Invitation): readonly Block[] {
  return [
    heading('If Conditional Access policies for workload identities exist'),
    text(
      'Most directories have none: then go on. A policy that blocks applications by location must let us in, or Entra refuses us with `AADSTS53003`.',
    ),
    steps(
      [
        `\`https://${adminCenter(cloud)}\`, **Conditional Access**, **Named locations**, **IP ranges location**: add `,
        ...(egress.length === 0 ? ['our addresses. Ask us for them'] : ['these, and no others: ', ...listed(egress)]),
        '.',
      ],
      'In each policy that is assigned to workload identities and covers the application: **Conditions**, **Locations**, **Exclude**, this location.',
    ),
  ]
}

function listed(texts: readonly string[]): readonly (string | Given)[] {
  return texts.flatMap((given, at) => (at === 0 ? [{ given }] : [', ', { given }]))
}

function handOver({ way, handOver: how }: Invitation): readonly Block[] {
  const shared = way === 'shared-app'
  const item = (...parts: (string | Given)[]): Text => parts
  return [
    heading(shared ? '2. Tell us' : '5. Hand it over'),
    text([
      'Send the answers to this list ',
      how === null ? 'by the way that we agreed on' : { given: how },
      way === 'secret'
        ? '. The secret goes another way than the rest: as a one-time link of your password manager, or by telephone.'
        : '.',
    ]),
    {
      kind: 'checklist',
      items: [
        item('Name of your organisation'),
        item('Directory (tenant) ID'),
        ...(shared ? [] : [item('Application (client) ID')]),
        ...(way === 'secret' ? [item('The secret’s **Value** (the other way), and the day on which it ends')] : []),
        ...(way === 'certificate' ? [item('The thumbprint that the page showed')] : []),
        item('Which cloud your directory is in: global (also GCC), GCC High, or DoD'),
        item(shared ? 'Consent was accepted on …, by …' : 'The permission shows “Granted for …”'),
        item('Which Defender products are licensed: without one there are no alerts to read'),
        item('Whether Conditional Access policies for workload identities exist, and that they let our addresses in'),
        item('Whom we may call when the access stops working'),
      ],
    },
    text(
      'We then ask Entra and Graph once, and tell you the outcome in words: whether it works and, if not, which page shows what is missing.',
    ),
  ]
}

function readOnly(): readonly Block[] {
  return [
    heading('Seeing that we only read'),
    points(
      '**Enterprise apps**, the application, **Permissions**: the one read permission, and no other.',
      '**Enterprise apps**, the application, **Sign-in logs**, **Service principal sign-ins**: each token that we asked for, about one an hour, with our address.',
      'With **Microsoft Graph activity logs** in your Log Analytics: each request. All are `GET`, to one path, by the user agent `socos-graph-pipeline`.',
    ),
  ]
}

function later(invitation: Invitation): readonly Block[] {
  return [
    heading('Later'),
    ...renewal(invitation),
    points(
      'To end it, delete the application (**App registrations**) or, for an application of ours, **Enterprise apps**, **Properties**, **Delete**. Reading stops within the hour that the last token lives; tell us, so that we do not ask you what is wrong.',
    ),
    text('China (21Vianet) has no such list of alerts: directories there cannot be read.'),
  ]
}

function renewal({ way }: Invitation): readonly Block[] {
  switch (way) {
    case 'secret':
      return [
        points(
          'Before the secret ends, make a second one and send it as you sent the first. Both may be valid at once: nothing is interrupted. Delete the old one when we say that the new one is used.',
        ),
      ]
    case 'certificate':
      return [
        points(
          'A month before the certificate ends we send you the next one. Upload it beside the old one, compare its thumbprint, and tell us; both are valid at once, so nothing is interrupted. We then change over, and say so: delete the old one only then.',
        ),
      ]
    case 'federated':
    case 'shared-app':
      return []
  }
}
