// A browser against the server, directly and through nginx, and the pages of examples:
// browser.mjs BROWSER FOLDER_OF_PICTURES NAME=PORT...

import { once } from 'node:events';
import { createServer } from 'node:http';
import { browser, checkIn, log, name, open, pictures, ports, withContext, withPage } from './driver.mjs';
import { equal, until } from './report.mjs';

const socket = `ws://localhost:${ports.echo}/websocket`;
const LIMIT = 1024 * 1024;

// Runs in the page: opens a socket, sends what `text` or `binary` sizes ask for, one message after
// the other has come back, closes it with the arguments in `close`, and tells all that happened.
function converse({ url, messages = [], close = [] }) {
  return new Promise((resolve) => {
    const told = { opened: false, error: false, echoed: [] };
    const wanted = messages.map(({ text, size, binary }) => {
      if (binary) return Uint8Array.from({ length: size }, (_, i) => i % 251);
      return text ?? 'x'.repeat(size);
    });
    const ws = new WebSocket(url);
    ws.binaryType = 'arraybuffer';
    const next = () => {
      if (told.echoed.length < wanted.length) ws.send(wanted[told.echoed.length]);
      else ws.close(...close);
    };
    ws.onopen = () => {
      told.opened = true;
      told.chosen = [ws.protocol, ws.extensions];
      next();
    };
    ws.onmessage = ({ data }) => {
      const sent = wanted[told.echoed.length];
      const got = typeof data === 'string' ? data : new Uint8Array(data);
      told.echoed.push(typeof got === typeof sent && got.length === sent.length
        && (got === sent || got.every((byte, i) => byte === sent[i])));
      next();
    };
    ws.onerror = () => { told.error = true; };
    ws.onclose = ({ code, reason, wasClean }) => resolve({ ...told, code, reason, wasClean });
  });
}

await withPage('the echo page opens its socket and shows what comes back',
  `http://localhost:${ports.echo}/`, async (page) => {
    if (!/echo/i.test(await page.title())) throw new Error(`the title is ${await page.title()}`);
    await log(page, /open/i);
    for (const line of ['a typed line', 'žluť 🦀 <b>&amp;']) {
      await page.locator('input').first().fill(line);
      await page.locator('input').first().press('Enter');
      await log(page, line);
    }
    await page.locator('input').first().fill('by the button');
    await page.locator('button, input[type=submit]').first().click();
    await log(page, 'by the button');
    await pictures(page, 'echo');
    equal(page.complaints, []);
  });

for (const host of ['localhost', '127.0.0.1']) {
  await withPage(`a socket to localhost from the page at ${host} echoes`,
    `http://${host}:${ports.echo}/`, async (page) => {
      const messages = [{ text: 'hello' }];
      const told = await page.evaluate(converse, { url: socket, messages });
      equal([told.opened, told.echoed, told.chosen], [true, [true], ['', '']]);
      // 127.0.0.1 is another site, from which the cookie is refused, and Firefox says so.
      if (host === 'localhost') equal(page.complaints, []);
    });
}

await withPage('text and binary of every length form come back',
  `http://localhost:${ports.echo}/`, async (page) => {
    const messages = [{ text: 'žluťoučký kůň, 日本語, 🦀, \0' }];
    for (const size of [0, 1, 125, 126, 65535, 65536, LIMIT]) {
      messages.push({ size }, { size, binary: true });
    }
    const told = await page.evaluate(converse, { url: socket, messages });
    equal(told.echoed, messages.map(() => true));
  });

// Its page says that only WebSockets are there.
await withPage('compressed text and binary of every length form come back',
  `http://localhost:${ports.deflate}/`, async (page) => {
    const messages = [{ text: 'žluťoučký kůň, 日本語, 🦀, \0' }];
    for (const size of [0, 1, 125, 126, 65535, 65536, LIMIT]) {
      messages.push({ size }, { size, binary: true });
    }
    const url = `ws://localhost:${ports.deflate}/`;
    const told = await page.evaluate(converse, { url, messages });
    equal(told.echoed, messages.map(() => true));
    equal(told.chosen[1].split(';')[0], 'permessage-deflate');
  });

for (const close of [[1000, ''], [4001, 'důvod']]) {
  await withPage(`close ${close[0]} '${close[1]}' from the page is clean`,
    `http://localhost:${ports.echo}/`, async (page) => {
      const told = await page.evaluate(converse, { url: socket, close });
      equal([told.wasClean, told.code, told.reason, told.error], [true, ...close, false]);
    });
}

await withPage(`a message of ${LIMIT + 1} bytes is a clean end with 1009`,
  `http://localhost:${ports.echo}/`, async (page) => {
    const messages = [{ size: LIMIT + 1, binary: true }];
    const told = await page.evaluate(converse, { url: socket, messages });
    equal([told.opened, told.code, told.wasClean], [true, 1009, true]);
  });

// A long message is still being sent when the answer comes, and must get it all the same. Chromium
// calls an end unclean if it had to throw a part of the message away.
const ends = [
  [4, 'a handler that fails', { text: 'fail' }, 1011],
  [4, 'a message of 101 bytes', { size: 101 }, 1009],
  [4, 'a message of 3 MiB', { size: 3 * LIMIT, binary: true }, 1009],
  [1, 'a message of 20 MiB', { size: 20 * LIMIT, binary: true }, 1009],
];
for (const [way, port] of [['directly', ports.limits], ['through nginx', ports.nginx]]) {
  // There is no port where nginx is not installed.
  for (const [times, what, message, code] of port ? ends : []) {
    const clean = name === 'firefox' || !(message.size > 101);
    await withPage(`${what} ${clean ? 'is a clean end' : 'ends'} with ${code}, ${way}`,
      `http://localhost:${port}/`, async (page) => {
        const url = `ws://localhost:${port}/websocket`;
        for (let i = 0; i < times; i++) {
          const told = await page.evaluate(converse, { url, messages: [message] });
          equal([told.opened, told.code, told.wasClean || !clean], [true, code, true]);
        }
      });
  }
}

// Stays empty: only its origin counts.
const other = createServer((_, answer) => answer.end('<title>other</title>')).listen(0);
await once(other, 'listening');
for (const host of ['localhost', '127.0.0.1']) {
  await withPage(`a page of another origin at ${host} is refused`,
    `http://${host}:${other.address().port}/`, async (page) => {
      const told = await page.evaluate(converse, { url: socket });
      equal([told.opened, told.error, told.code, told.wasClean], [false, true, 1006, false]);
    });
}
other.close();

await checkIn('a push reaches both tabs of one context and no other context', () =>
  withContext((ours) => withContext(async (theirs) => {
    const push = (page, body) => page.evaluate(async (text) =>
      (await (await fetch('/push', { method: 'POST', body: text })).text()).trim(), body);
    const enter = async (context, count) => {
      const page = await open(context, `http://localhost:${ports.push}/`);
      // A push before the cookie is there would be one of a session of its own.
      await until(true, async () =>
        (await context.cookies()).some(({ name }) => name === 'sockling_session'));
      await until(count, () => push(page, `up to ${count}`));
      return page;
    };
    const one = await enter(ours, '1');
    const two = await enter(ours, '2');
    const stranger = await enter(theirs, '1');
    equal(await push(one, 'to both tabs'), '2');
    await log(one, 'to both tabs');
    await log(two, 'to both tabs');
    // Had the stranger got the text, it would stand before its own.
    equal(await push(stranger, 'to the stranger'), '1');
    await log(stranger, 'to the stranger');
    const shown = await stranger.locator('#log').textContent();
    equal(shown.includes('to both tabs'), false);
    await one.locator('input').fill('typed');
    await one.locator('input').press('Enter');
    for (const text of ['pushed to 2 tabs', 'received: typed']) await log(one, text);
    await log(two, 'received: typed');
    await one.locator('#remember').click();
    for (const page of [one, two]) await log(page, 'received: tick');
    await pictures(one, 'push');
    equal([one, two, stranger].map((page) => page.complaints), [[], [], []]);
  })));

await import('./pages.mjs');
await browser.close();
