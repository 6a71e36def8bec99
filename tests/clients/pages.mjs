// A browser opens the pages of examples and does what a user would. A part of browser.mjs.

import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { Transform } from 'node:stream';
import {
  checkIn, folder, log, name, open, picture, pictures, ports, withContext, withPage,
} from './driver.mjs';
import { BOUND, equal, until } from './report.mjs';

// What is between a page and the server, and can be cut, or takes no more than `most` bytes of each
// connection of the page.
class Cable {
  constructor(to, most = Infinity) {
    this.sockets = new Set();
    this.server = createServer((page) => {
      const server = connect(to, '127.0.0.1');
      for (const [one, other] of [[page, server], [server, page]]) {
        this.sockets.add(one);
        one.on('error', () => other.destroy()).on('close', () => other.destroy());
      }
      let taken = 0;
      page.pipe(new Transform({
        transform(bytes, _, next) {
          taken += bytes.length;
          this.push(bytes);
          if (taken < most) next();
        },
      })).pipe(server);
      server.pipe(page);
    });
    // A check that fails leaves it behind.
    this.server.unref();
  }

  async plug(port = 0) {
    await new Promise((resolve) => { this.server.listen(port, '127.0.0.1', resolve); });
    return this.server.address().port;
  }

  async cut() {
    const closed = new Promise((resolve) => { this.server.close(resolve); });
    this.sockets.forEach((socket) => socket.destroy());
    this.sockets.clear();
    await closed;
  }
}

const say = async (page, text) => {
  await page.locator('#text').fill(text);
  await page.keyboard.press('Enter');
};
const people = (page) => page.locator('#people li').allTextContents();
const here = (page, names) => until(JSON.stringify(names), async () =>
  JSON.stringify(await people(page)));
const state = (page, text) => page.locator('#state').filter({ hasText: text }).waitFor();

await checkIn('chat has two tabs and a second user, of whom one is cut off and comes back', () =>
  withContext((adas) => withContext(async (bobs) => {
    const cable = new Cable(Number(ports.chat));
    const cablePort = await cable.plug();

    const ada = await open(adas, `http://localhost:${ports.chat}/tea`);
    equal(await ada.title(), '# tea');
    await say(ada, 'Ada');
    await state(ada, 'connected');
    await here(ada, ['Ada']);

    // A second tab is the same person.
    const tab = await open(adas, `http://localhost:${ports.chat}/tea`);
    await state(tab, 'connected');
    await here(tab, ['Ada']);

    const bob = await open(bobs, `http://localhost:${cablePort}/tea`);
    await say(bob, 'Bob');
    for (const page of [ada, tab, bob]) await here(page, ['Ada', 'Bob']);
    await log(ada, 'Bob came in');

    await say(bob, 'milk? <b>or</b> žluť');
    for (const page of [ada, tab, bob]) await log(page, 'milk? <b>or</b> žluť');
    await say(tab, 'milk, please');
    for (const page of [ada, bob]) await log(page, 'milk, please');
    const mine = (page) => page.locator('.mine').allTextContents();
    equal([await mine(ada), await mine(bob)], [['Adamilk, please'], ['Bobmilk? <b>or</b> žluť']]);

    const elsewhere = await open(bobs, `http://localhost:${ports.chat}/tv`);
    await elsewhere.locator('#text').waitFor();
    equal((await elsewhere.locator('#log').textContent()).includes('milk'), false);

    await cable.cut();
    await state(bob, 'offline');
    for (const page of [ada, tab]) await here(page, ['Ada']);
    await log(ada, 'Bob has left');
    await say(ada, 'Bob?');
    await say(bob, 'here again');
    equal(await bob.locator('#text').inputValue(), 'here again');

    await cable.plug(cablePort);
    await state(bob, 'connected');
    for (const page of [ada, tab, bob]) await here(page, ['Ada', 'Bob']);
    await log(bob, 'milk, please');
    await log(bob, 'Bob?');
    await bob.locator('#text').focus();
    await bob.keyboard.press('Enter');
    for (const page of [ada, tab, bob]) await log(page, 'here again');

    await say(bob, 'My tea was cold, and then my network was gone.');
    await say(ada, 'Welcome back. The kettle is on: your last lines are still here.');
    await log(ada, 'The kettle is on');
    await log(ada, 'My tea was cold');
    await pictures(ada, 'chat');
    await ada.setViewportSize({ width: 760, height: 430 });
    await picture(ada, 'chat-small');
    // Bob's tells of the cable.
    equal([ada.complaints, tab.complaints], [[], []]);
    await cable.cut();
  })));

await withPage('chat is used by keyboard alone', `http://localhost:${ports.chat}/keys`, async (page) => {
  await page.keyboard.type('Eve');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await state(page, 'connected');
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.type('by keyboard');
  await page.keyboard.press('Enter');
  await log(page, 'by keyboard');
  equal(page.complaints, []);
});

await withPage('dashboard draws its figures', `http://localhost:${ports.dashboard}/`, async (page) => {
  const figure = async (name) =>
    Number((await page.locator(`#${name} output`).textContent()).replaceAll(',', ''));
  await until(1, () => figure('connections'));
  await page.locator('button').click();
  await until(true, async () => await figure('in') > 100);
  await until(true, async () => await figure('out') > 0);
  const points = async (name) =>
    ((await page.locator(`#${name} path`).getAttribute('d')) ?? '').split('L').length;
  for (const name of ['connections', 'in', 'out', 'waiting']) {
    await until(true, async () => await points(name) > 8);
  }
  await pictures(page, 'dashboard');
  const second = await open(page.context(), page.url());
  await until(2, () => figure('connections'));
  equal([page.complaints, second.complaints], [[], []]);
});

await withPage('limits shows what each button meets', `http://localhost:${ports.limits}/`, async (page) => {
  for (const [button, told] of [['message', 'closed with 1009'], ['fail', 'closed with 1011'],
    ['tabs', 'closed with 1006'], ['line', ': 414'], ['body', ': 413']]) {
    await page.locator(`#${button}`).click();
    await log(page, told);
  }
  await pictures(page, 'limits');
});

await withPage('rooms hears its room', `http://localhost:${ports.rooms}/rooms/tea`, async (page) => {
  await log(page, 'opened');
  await page.locator('input').fill('anybody?');
  await page.keyboard.press('Enter');
  await log(page, ': anybody?');
  await pictures(page, 'rooms');
  equal(page.complaints, []);
});

// The question that the server waits with, when the form is open.
const question = (page, text) => page.locator('form:has(fieldset:enabled) #question')
  .filter({ hasText: text }).waitFor();

await withPage('ask asks the script and the user, by keyboard alone', `http://localhost:${ports.ask}/`, async (page) => {
  await question(page, 'What is your name?');
  const measured = (await page.locator('#log').textContent()).match(/answered in ([0-9.]+) ms/);
  if (!(Number(measured?.[1]) < BOUND)) throw new Error(`the script's answer took ${measured?.[1]} ms`);
  await page.keyboard.type('Ada');
  await page.keyboard.press('Enter');
  for (const [text, answer, said] of [['a ping', '9', 'That is right.'], ['a masking key', '5', 'No, 4.'],
    ['the normal one', '1000', '2 right answers of 3, Ada.']]) {
    await question(page, text);
    if (text === 'a ping') await pictures(page, 'ask');
    await page.keyboard.type(answer);
    await page.keyboard.press('Enter');
    await log(page, said);
  }
  await log(page, 'closed: 1000');
  // The button has the focus.
  await page.locator('#again:focus').waitFor();
  await page.keyboard.press('Enter');
  await question(page, 'What is your name?');
  equal(page.complaints, []);
});

await withPage('ask lets a question pass', `http://localhost:${ports.ask}/?seconds=1`, async (page) => {
  await log(page, 'closed: 4000 no answer in time');
  equal(page.complaints, []);
});

const poll = `http://localhost:${ports[`poll-${name}`]}`;
const logIn = async (context, who, password, to = '/') => {
  const page = await open(context, `${poll}/`);
  equal(new URL(page.url()).pathname, '/login');
  await page.keyboard.type(who);
  await page.keyboard.press('Tab');
  await page.keyboard.type(password);
  await page.keyboard.press('Enter');
  await page.waitForURL(poll + to);
  return page;
};
// What the buttons say, such as "tea1".
const votes = (page, wanted) => until(JSON.stringify(wanted), async () =>
  JSON.stringify(await page.locator('#choices button').allTextContents()));

await checkIn('poll shows all tabs how all vote and who is here, until the admin closes it', () =>
  withContext((adas) => withContext(async (admins) => {
    const ada = await logIn(adas, 'Ada', 'engin', '/login?wrong');
    await state(ada, 'That is not the password.');
    await pictures(ada, 'poll-login');
    await ada.close();
    const first = await logIn(adas, 'Ada', 'engine');
    await votes(first, ['tea0', 'coffee0', 'water0']);
    const tab = await open(adas, `${poll}/`);
    const admin = await logIn(admins, 'admin', 'sesame');
    const all = [first, tab, admin];
    for (const page of all) await until('admin, Ada', () => page.locator('#here').textContent());

    // By keyboard: the second choice.
    await first.bringToFront();
    await first.locator('button[name=tea]').focus();
    await first.keyboard.press('Tab');
    await first.keyboard.press('Enter');
    for (const page of all) await votes(page, ['tea0', 'coffee1', 'water0']);
    await tab.locator('button[name=tea]').click();
    await admin.locator('button[name=water]').click();
    for (const page of all) await votes(page, ['tea1', 'coffee0', 'water1']);
    const width = (choice) => first.locator(`button[name=${choice}]`)
      .evaluate((button) => button.style.getPropertyValue('--part'));
    equal([await width('tea'), await width('coffee')], ['50%', '0%']);
    await pictures(admin, 'poll');

    await tab.close();
    equal(await first.locator('#close').isVisible(), false);
    await admin.locator('#close').click();
    for (const page of [first, admin]) {
      await state(page, 'The poll is closed.');
      equal(await page.locator('#choices button:enabled').count(), 0);
    }
    await admin.close();
    await until('Ada', () => first.locator('#here').textContent());
    equal([first.complaints, admin.complaints], [[], []]);
  })));

const lines = (page, way) => page.locator(`#${way} li`).allTextContents();
const shown = (page, way, wanted) => until(JSON.stringify(wanted), async () =>
  JSON.stringify((await lines(page, way)).slice(-wanted.length)));
const told = (page, way, text) => page.locator(`#${way} p`).filter({ hasText: text }).waitFor();
const ways = ['events', 'socket'];

await checkIn('events come by both ways, and again what was missed', () =>
  withContext((ours) => withContext(async (theirs) => {
    const cable = new Cable(Number(ports.events));
    const cablePort = await cable.plug();
    const far = await open(ours, `http://localhost:${cablePort}/`);
    const near = await open(theirs, `http://localhost:${ports.events}/`);
    for (const page of [far, near]) for (const way of ways) await told(page, way, 'open');
    const before = await lines(near, 'events');

    // By keyboard: two lines, and the button behind them.
    await near.locator('textarea').focus();
    await near.keyboard.type('first');
    await near.keyboard.press('Enter');
    await near.keyboard.type('žluť 🦀 <b>');
    await near.keyboard.press('Tab');
    await near.keyboard.press('Enter');
    for (const page of [far, near]) {
      for (const way of ways) await shown(page, way, [...before, 'first\nžluť 🦀 <b>']);
    }
    await far.locator('textarea').fill('mine');
    await far.locator('button[value=me]').click();
    for (const way of ways) await shown(far, way, ['first\nžluť 🦀 <b>', 'mine']);

    const send = async (text) => {
      await near.locator('textarea').fill(text);
      await near.locator('button[value=all]').click();
      for (const way of ways) await shown(near, way, [text]);
    };
    await cable.cut();
    await told(far, 'events', 'lost');
    await told(far, 'socket', 'trying again');
    await send('second');
    await send('third');
    await cable.plug(cablePort);
    for (const way of ways) {
      await told(far, way, 'open');
      await shown(far, way, ['mine', 'second', 'third']);
    }
    // What was for the others did not come here.
    for (const way of ways) {
      await shown(near, way, [...before, 'first\nžluť 🦀 <b>', 'second', 'third']);
    }
    equal(near.complaints, []);
    await pictures(far, 'events');

    await cable.cut();
  })));

await checkIn('events begins anew after a 503, where the source gives up, and ends with a 204', () =>
  withContext(async (context) => {
    const cable = new Cable(Number(ports.events));
    const cablePort = await cable.plug();
    const page = await open(context, `http://localhost:${cablePort}/`);
    const near = await open(context, `http://localhost:${ports.events}/`);
    for (const way of ways) await told(page, way, 'open');
    const before = await lines(page, 'events');
    let status = 503;
    await page.route('**/events*', (route) => (status ? route.fulfill({ status }) : route.continue()));
    await cable.cut();
    await cable.plug(cablePort);
    await told(page, 'events', 'closed, trying again');
    await near.locator('textarea').fill('meanwhile');
    await near.locator('button[value=all]').click();
    status = 0;
    await told(page, 'events', 'open');
    for (const way of ways) await shown(page, way, [...before, 'meanwhile']);
    status = 204;
    await cable.cut();
    await cable.plug(cablePort);
    await told(page, 'events', 'ended by the server');
    await cable.cut();
  }));

const files = (page, wanted) => until(JSON.stringify(wanted), async () =>
  JSON.stringify(await page.locator('#files a').allTextContents()));
const image = `${folder}/image of ${name}`;
const content = randomBytes(32 * 1024 * 1024);
writeFileSync(image, content);
const enter = async (page) => {
  await page.locator('#token').focus();
  await page.keyboard.type('sesame');
  await page.keyboard.press('Enter');
  await page.locator('#chosen:focus').waitFor();
};

await withPage('files uploads with a bar, lists, downloads, and deletes', `http://localhost:${ports.files}/`, async (page) => {
  await state(page, 'Please log in.');
  await page.keyboard.type('open');
  await page.keyboard.press('Enter');
  await state(page, 'That is not the token.');
  await pictures(page, 'files-login');
  await enter(page);
  await files(page, []);
  page.complaints.length = 0; // of the 401

  await page.evaluate(() => {
    window.values = [];
    const bar = document.querySelector('progress');
    new MutationObserver(() => window.values.push(bar.value)).observe(bar, { attributes: true });
  });
  await page.locator('#chosen').setInputFiles(image);
  await page.locator('#upload button').click();
  await state(page, `image of ${name} is there.`);
  const values = await page.evaluate(() => window.values);
  const rising = values.slice(1).every((value, i) => value >= values[i] || value === 0);
  equal([rising, values.at(-1)], [true, 1]);
  await files(page, [`image of ${name}`]);
  equal(await page.locator('#files span').textContent(), '32.0 MiB');

  // Over WebDriver BiDi, Playwright does not know where a download goes.
  if (name === 'chromium') {
    const waiting = page.waitForEvent('download');
    await page.locator('#files a').click();
    const download = await waiting;
    equal(download.suggestedFilename(), `image of ${name}`);
    await download.saveAs(`${image} again`);
    equal(readFileSync(`${image} again`).equals(content), true);
  }
  const digest = await page.evaluate(async () => {
    const answer = await fetch(document.querySelector('#files a').href);
    const bytes = await crypto.subtle.digest('SHA-256', await answer.arrayBuffer());
    return Array.from(new Uint8Array(bytes));
  });
  equal(digest, [...createHash('sha256').update(content).digest()]);

  // What looks like a page does not become one.
  const script = { name: '<b>ž #?%.html', mimeType: 'text/html', buffer: Buffer.from('<script>alert(1)</script>') };
  await page.locator('#chosen').setInputFiles([script, { ...script, name: '.hidden' }]);
  await page.locator('#upload button').click();
  await state(page, '.hidden: The server does not take this name.');
  await files(page, ['<b>ž #?%.html', `image of ${name}`]);
  const fields = await page.evaluate(async () => {
    const answer = await fetch(document.querySelector('#files a').href);
    return ['content-disposition', 'x-content-type-options'].map((field) => answer.headers.get(field));
  });
  equal(fields, ['attachment', 'nosniff']);
  await pictures(page, 'files');

  // By keyboard.
  for (let left = 2; left > 0; left--) {
    await page.locator('#files a').first().focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await state(page, 'is deleted.');
    await until(left - 1, () => page.locator('#files a').count());
  }
});

await checkIn('files keeps nothing of an upload that is canceled or cut off', () =>
  withContext(async (context) => {
    const cable = new Cable(Number(ports.files), 1024 * 1024);
    const cablePort = await cable.plug();
    const page = await open(context, `http://localhost:${cablePort}/`);
    await enter(page);
    const before = await page.locator('#files a').allTextContents();
    for (const [stop, text] of [[() => page.locator('#cancel').click(), 'is canceled.'],
      [() => cable.cut(), 'There is no answer.']]) {
      await page.locator('#chosen').setInputFiles(image);
      await page.locator('#upload button').click();
      await page.locator('output').filter({ hasText: '% of 32.0 MiB' }).waitFor();
      const value = await page.locator('progress').evaluate((bar) => bar.value);
      equal(value > 0 && value < 1, true);
      if (text === 'is canceled.') await pictures(page, 'files-progress');
      await stop();
      await state(page, text);
    }
    await cable.plug(cablePort);
    await page.reload();
    await page.locator('#upload').waitFor();
    await files(page, before);
    await cable.cut();
  }));
