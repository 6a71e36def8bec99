// The client of `ws` talks to the echo example, and to one that compresses: node_ws.mjs PORT [PORT]

import { on, once } from 'node:events';
import { createRequire } from 'node:module';
import { BOUND, check, equal } from './report.mjs';

// Unlike an import, this looks into NODE_PATH.
const WebSocket = createRequire(import.meta.url)('ws');
// What a scheme ends with.
const s = process.env.OVER_TLS ? 's' : '';
const url = `ws${s}://127.0.0.1:${process.argv[2]}/websocket`;
const LIMIT = 1024 * 1024;

const bound = () => ({ signal: AbortSignal.timeout(BOUND) });

function connect(protocols = [], options = {}) {
  const ws = new WebSocket(url, protocols, { handshakeTimeout: BOUND, ...options });
  // `once` tells of an error while it waits; one that comes later must not end the process.
  return ws.on('error', () => {});
}

// Checks with an open connection, which is closed afterwards in any case.
function withOpen(name, run) {
  return check(`node ws: ${name}${s && ' (TLS)'}`, async () => {
    const ws = connect();
    try {
      await once(ws, 'open', bound());
      await run(ws);
    } finally {
      ws.terminate();
    }
  });
}

async function expectMessage(ws, wanted) {
  const [data, isBinary] = await once(ws, 'message', bound());
  equal(isBinary, typeof wanted !== 'string');
  if (!data.equals(Buffer.from(wanted))) {
    throw new Error(`${data.length} bytes came back, other than the ${wanted.length} sent`);
  }
}

// The wait starts before the frames go, since a refusal may come in the middle of them.
async function expectClose(ws, code, reason, send) {
  const closed = once(ws, 'close', bound());
  send();
  const [gotCode, gotReason] = await closed;
  equal(gotCode, code);
  // Why the server closes is in its own words.
  if (reason === undefined) equal(gotReason.length > 0, true);
  else equal(gotReason.toString(), reason);
}

const messages = [
  ['text', 'hello'],
  ['binary', Buffer.from([...Array(256).keys()])],
  ['empty text', ''],
  ['empty binary', Buffer.alloc(0)],
  ['non-ASCII text', 'žluťoučký kůň, 日本語, 🦀, \0, \u{10ffff}'],
];
for (const size of [125, 126, 65535, 65536, LIMIT]) {
  messages.push([`text of ${size} bytes`, 'x'.repeat(size)]);
  messages.push([`binary of ${size} bytes`, Buffer.from(Uint8Array.from({ length: size }, (_, i) => i % 251))]);
}
for (const [name, message] of messages) {
  await withOpen(name, async (ws) => {
    ws.send(message);
    await expectMessage(ws, message);
  });
}

for (const binary of [false, true]) {
  await withOpen(`fragmented ${binary ? 'binary' : 'text'} with a ping between`, async (ws) => {
    // "€" is torn between two frames; one frame is empty.
    const whole = Buffer.from(`${'x'.repeat(70_000)}€`);
    const answers = Promise.all([
      once(ws, 'pong', bound()),
      expectMessage(ws, binary ? whole : whole.toString()),
    ]);
    ws.send(whole.subarray(0, 70_001), { binary, fin: false });
    ws.ping('between');
    ws.send('', { binary, fin: false });
    ws.send(whole.subarray(70_001), { binary, fin: true });
    const [[payload]] = await answers;
    equal(payload.toString(), 'between');
  });
}

for (const payload of ['', 'payload', 'x'.repeat(125)]) {
  await withOpen(`ping of ${payload.length} bytes gets the same pong`, async (ws) => {
    ws.ping(payload);
    const [got] = await once(ws, 'pong', bound());
    equal(got.toString(), payload);
  });
}

for (const [code, reason] of [[1000, ''], [1000, 'done'], [4001, 'důvod']]) {
  await withOpen(`close ${code} '${reason}' comes back`, (ws) =>
    expectClose(ws, code, reason, () => ws.close(code, reason)));
}
await withOpen('close without a code comes back without one', (ws) =>
  expectClose(ws, 1005, '', () => ws.close()));

const refused = [
  ['binary over 1 MiB', 1009, (ws) => ws.send(Buffer.alloc(LIMIT + 1))],
  // The client is still sending when the answer comes, and must get it all the same.
  ['binary of 20 MiB', 1009, (ws) => ws.send(Buffer.alloc(20 * LIMIT))],
  ['text over 1 MiB', 1009, (ws) => ws.send('x'.repeat(LIMIT + 1))],
  ['fragments over 1 MiB together', 1009, (ws) => {
    ws.send(Buffer.alloc(LIMIT), { fin: false });
    ws.send(Buffer.alloc(1), { fin: true });
  }],
  ['text that is not UTF-8', 1007, (ws) => ws.send(Buffer.from([0x6f, 0x6b, 0xff]), { binary: false })],
  ['fragments that are not UTF-8 together', 1007, (ws) => {
    ws.send(Buffer.from([0xe2, 0x82]), { binary: false, fin: false });
    ws.send('x', { fin: true });
  }],
];
for (const [name, code, send] of refused) {
  await withOpen(`${name} closes with ${code}`, (ws) =>
    expectClose(ws, code, undefined, () => send(ws)));
}

const COUNT = 10_000;
await withOpen(`${COUNT} messages in flight`, async (ws) => {
  // Kinds alternate and lengths vary, so that a mix-up shows.
  const text = (i) => `${i} ${'.'.repeat(i % 200)}`;
  const incoming = on(ws, 'message', { signal: AbortSignal.timeout(2 * BOUND) });
  for (let i = 0; i < COUNT; i++) ws.send(text(i), { binary: i % 2 === 0 });
  for (let i = 0; i < COUNT; i++) {
    const [data, isBinary] = (await incoming.next()).value;
    equal([isBinary, data.toString()], [i % 2 === 0, text(i)]);
  }
});

const CLIENTS = 50;
await check(`node ws: ${CLIENTS} connections at once`, async () => {
  const clients = Array.from({ length: CLIENTS }, () => connect());
  try {
    await Promise.all(clients.map((ws) => once(ws, 'open', bound())));
    await Promise.all(clients.map(async (ws, i) => {
      ws.send(`from ${i}`);
      await expectMessage(ws, `from ${i}`);
    }));
  } finally {
    for (const ws of clients) ws.terminate();
  }
});

await check('node ws: permessage-deflate is offered and not negotiated', async () => {
  const ws = connect([], { perMessageDeflate: true });
  let answer;
  ws.on('upgrade', ({ headers }) => { answer = headers; });
  await once(ws, 'open', bound());
  equal([answer['sec-websocket-extensions'], ws.extensions], [undefined, '']);
  ws.terminate();
});

const compressing = process.argv[3];
for (const [name, options] of compressing ? [
  ['by default', {}],
  ['with a server window of 9', { serverMaxWindowBits: 9 }],
  ['with a client window of 9', { clientMaxWindowBits: 9 }],
  ['without takeover', { serverNoContextTakeover: true, clientNoContextTakeover: true }],
] : []) {
  await check(`node ws: what is compressed ${name} comes back`, async () => {
    const perMessageDeflate = { threshold: 0, ...options };
    const ws = new WebSocket(`ws://127.0.0.1:${compressing}/`, [], { perMessageDeflate });
    await once(ws, 'open', bound());
    equal(ws.extensions, 'permessage-deflate');
    for (const [, message] of messages) {
      ws.send(message);
      await expectMessage(ws, message);
    }
    ws.terminate();
  });
}

await check('node ws: no offered subprotocol is selected', async () => {
  const ws = connect(['chat', 'superchat']);
  // This client takes that for a failure, and says so in these words.
  const [error] = await once(ws, 'error', bound());
  equal(error.message, 'Server sent no subprotocol');
});
