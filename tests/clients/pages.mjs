// A browser opens the pages of examples and does what a user would. A part of browser.mjs.

import { connect, createServer } from 'node:net';
import { checkIn, log, name, open, picture, pictures, ports, withContext, withPage } from './driver.mjs';
import { BOUND, equal, until } from './report.mjs';

// What is between a page and the server, and can be cut.
class Cable {
  constructor(to) {
    this.sockets = new Set();
    this.server = createServer((page) => {
      const server = connect(to, '127.0.0.1');
      for (const [one, other] of [[page, server], [server, page]]) {
        this.sockets.add(one);
        one.on('error', () => other.destroy()).on('close', () => other.destroy()).pipe(other);
      }
    });
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
