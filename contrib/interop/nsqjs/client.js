// Publishes messages with nsqjs and consumes them again, through one nsqd:
//
//   node client.js HOST TCP-PORT HTTP-PORT '{"tls": true, "tlsVerification": false}'
//
// The last argument is given to nsqjs as its options; with lookupdHTTPAddresses
// among them, its reader finds nsqd by itself. One line on stdout says what
// arrived; the exit code is 0 if that is all, once, and unchanged, and if nsqd
// says that the connections are as the options ask.
'use strict'

const assert = require('node:assert')
const crypto = require('node:crypto')
const {once} = require('node:events')
const nsq = require('nsqjs')

const [host, port, httpPort, options] = process.argv.slice(2)
const config = JSON.parse(options)
const topic = 'interop'
const total = 2000
const timeLimit = 30_000

// Sizes from one byte to more than any buffer on the way.
function makeBody(i) {
  const size = i % 500 === 0 ? 300_000 : 1 + (i * 37) % 700
  return Buffer.concat([Buffer.from(`${i} `), crypto.randomBytes(size)])
}

const digest = (body) => crypto.createHash('sha256').update(body).digest('hex')
const number = (body) => parseInt(body.toString('latin1'), 10)

function publish(writer, command, ...args) {
  return new Promise((resolve, reject) => {
    writer[command](topic, ...args, (err) => (err ? reject(err) : resolve()))
  })
}

async function produce(writer, bodies) {
  const [one, many, deferred] = [bodies.slice(0, 700), bodies.slice(700, 1990), bodies.slice(1990)]
  await Promise.all(one.map((body) => publish(writer, 'publish', body)))
  for (let i = 0; i < many.length; i += 100) {
    await publish(writer, 'publish', many.slice(i, i + 100))
  }
  // nsqjs takes the one message of a DPUB as a list.
  await Promise.all(deferred.map((body) => publish(writer, 'deferPublish', [body], 300)))
}

// nsqjs goes on in clear where a server does not offer what it asks for.
async function checkConnections() {
  const answer = await fetch(`http://${host}:${httpPort}/stats?format=json&topic=${topic}`)
  const stats = await answer.json()
  const clients = [...stats.topics[0].channels[0].clients, ...stats.producers]
  assert.strictEqual(clients.length, 2)
  for (const client of clients) {
    for (const feature of ['tls', 'snappy', 'deflate']) {
      assert.strictEqual(client[feature], Boolean(config[feature]), `${feature} of ${client.user_agent}`)
    }
  }
}

async function main() {
  const bodies = Array.from({length: total}, (_, i) => makeBody(i))
  const wanted = new Map(bodies.map((body, i) => [i, digest(body)]))
  const requeued = new Set()

  const where = config.lookupdHTTPAddresses ? {} : {nsqdTCPAddresses: `${host}:${port}`}
  const reader = new nsq.Reader(topic, 'nsqjs', {...config, ...where, maxInFlight: 50})
  const consumed = new Promise((resolve, reject) => {
    reader.on('error', reject)
    reader.on('message', (msg) => {
      try {
        const i = number(msg.body)
        assert.strictEqual(digest(msg.body), wanted.get(i), `message ${i} came twice or changed`)
        if (i % 400 === 1 && !requeued.has(i)) {
          requeued.add(i)
          assert.strictEqual(msg.attempts, 1)
          msg.requeue(100, false)
          return
        }
        assert.strictEqual(msg.attempts, requeued.has(i) ? 2 : 1)
        msg.touch()
        msg.finish()
        wanted.delete(i)
        if (wanted.size === 0) resolve()
      } catch (err) {
        reject(err)
      }
    })
  })
  reader.connect()
  await once(reader, 'nsqd_connected')

  const writer = new nsq.Writer(host, port, config)
  writer.connect()
  await once(writer, 'ready') // rejects on 'error'
  await Promise.all([produce(writer, bodies), consumed])

  await checkConnections()
  writer.close()
  reader.close()
  console.log(`${total} messages published and consumed, ${requeued.size} of them requeued once`)
}

setTimeout(() => {
  console.error(`not done after ${timeLimit} ms`)
  process.exit(1)
}, timeLimit).unref()

main().then(
  () => process.exit(0),
  (err) => {
    console.error(err)
    process.exit(1)
  }
)
