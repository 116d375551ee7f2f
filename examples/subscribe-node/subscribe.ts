// Follows a share topic: typed records, opened names, cases forgotten on request. docs/subscribe.md explains.
import { readFileSync } from 'node:fs'
import { env } from 'node:process'
import { Consumer, stringDeserializer, type Message } from '@platformatic/kafka'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { compactDecrypt, importJWK, type JWK } from 'jose'

// All that you may know of one case now. A field that is not listed here stays unread.
type Need = { need: string, band: string }
type Case = { case: string, revision: number, status: string, needs?: Need[], sealed?: { identity?: string } }
type Identity = { case: string, preferred_name: string, real_name?: string }

// The schemas without what a newer office may widen: writers are strict, readers tolerant.
const tolerant = (name: string, part: unknown) => /^(additionalProperties|enum)$/.test(name) ? undefined : part
const schema = <T>(name: string): ValidateFunction<T> => new Ajv2020({ strict: false, validateFormats: false })
  .compile<T>(JSON.parse(readFileSync(`${env.CONTRACT}/${name}`, 'utf8'), tolerant))
const isCase = schema<Case>('v1.schema.json')
const isIdentity = schema<Identity>('v1.sealed.identity.schema.json')
const key = await importJWK(JSON.parse(readFileSync(env.PARTNER_KEY!, 'utf8')) as JWK, 'ECDH-ES')
const sealedAs = { keyManagementAlgorithms: ['ECDH-ES'], contentEncryptionAlgorithms: ['A256GCM'] }
const held = new Map<string, { now: Case, who?: Identity }>() // in your program: two tables,
const seen = new Set<string>() // written in one transaction

async function read (name: string, value: Buffer): Promise<{ now: Case, who?: Identity } | string> {
  const parse = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  let wrong = 'unreadable'
  try {
    const now = parse(value)
    if (!isCase(now)) return wrong
    wrong = 'cannot_open'
    const opened = now.sealed?.identity && await compactDecrypt(now.sealed.identity, key, sealedAs)
    const who = opened ? parse(opened.plaintext) as Identity : undefined
    if (who !== undefined && !isIdentity(who)) return wrong
    if (now.case !== name || (who && who.case !== name)) return 'other_case' // somebody moved a record or a sealed name
    return who ? { now, who } : { now }
  } catch { return wrong } // an unreadable record must not stop those behind it
}

async function handle (message: Message<string, Buffer, string, string>): Promise<string> {
  const where = `${message.partition}/${message.offset}`, id = message.headers.get('ce_id') || where
  if (seen.has(id)) return 'duplicate'
  seen.add(id)
  if (message.value == null) {
    held.delete(message.key)
    const purge = `${env.SHARE_URL}/purges/${message.headers.get('ce_purgeid')}/acknowledgement`
    const headers = { Authorization: `Bearer ${env.SHARE_TOKEN}` }
    const { ok, status } = await fetch(purge, { method: 'POST', headers })
    if (status === 404) return 'forgotten, purge unknown to the office'
    // Ends the program: nothing is committed, so the record comes again.
    if (!ok) throw new Error(`The purge was not acknowledged: the office answered ${status}.`)
    return 'forgotten, purge acknowledged'
  }
  const found = await read(message.key, message.value)
  if (typeof found === 'string') return `set aside at ${where}: ${found}`
  held.set(message.key, found)
  const { now, who } = found
  const needs = (now.needs ?? []).map(({ need, band }) => `${need}/${band}`).join(', ')
  return `revision ${now.revision} ${now.status} [${needs}] ${who ? 'name opened' : 'no name'}`
}

const consumer = new Consumer({
  clientId: 'subscribe-node', groupId: env.KAFKA_GROUP!, bootstrapBrokers: env.KAFKA_BOOTSTRAP!.split(','),
  sasl: { mechanism: 'SCRAM-SHA-512', username: env.KAFKA_USERNAME, password: env.KAFKA_PASSWORD },
  ...(env.KAFKA_SECURITY === 'SASL_SSL' && { tls: {} }), autocommit: false,
  deserializers: { key: stringDeserializer, headerKey: stringDeserializer, headerValue: stringDeserializer }
})
const stream = await consumer.consume({ topics: [env.TOPIC!], mode: 'committed', fallbackMode: 'earliest' })
const idle = env.UNTIL_IDLE_SECONDS && setTimeout(() => stream.close(), Number(env.UNTIL_IDLE_SECONDS) * 1000)
try {
  for await (const message of stream) {
    console.log(message.key, await handle(message))
    await message.commit() // what was handled: at least once
    if (idle) idle.refresh()
  }
} finally { await consumer.close(true) }
console.log(`${held.size} cases held`)
