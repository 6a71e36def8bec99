// A browser over TLS: the echo, the chat, and the way to it from plain HTTP. Chromium trusts our authority,
// as a user has it do. Firefox cannot be given a profile over WebDriver BiDi, and takes any certificate:
// wss.mjs BROWSER AUTHORITY ECHO_PORT CHAT_PORT PLAIN_PORT

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BOUND, check, equal } from './report.mjs';

// Unlike an import, this looks into NODE_PATH.
const playwright = createRequire(import.meta.url)('playwright-core');
const [name, authority, echo, chat, plain] = process.argv.slice(2);

// What the user imports, Chromium keeps in the home folder.
const home = mkdtempSync(join(tmpdir(), 'sockling-wss-'));
const store = join(home, '.pki/nssdb');
mkdirSync(store, { recursive: true });
const certutil = (...options) => execFileSync('certutil', ['-d', `sql:${store}`, ...options]);
certutil('-N', '--empty-password');
certutil('-A', '-t', 'C,,', '-n', 'ours', '-i', authority);

const launches = {
  chromium: {
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  },
  firefox: { executablePath: '/usr/bin/firefox-esr', channel: 'moz-firefox' },
};
const env = { ...process.env, HOME: home };
const browser = await playwright[name].launch({ ...launches[name], env, timeout: BOUND });
const context = await browser.newContext({ ignoreHTTPSErrors: name === 'firefox' });
context.setDefaultTimeout(BOUND);
const checkIn = (what, run) => check(`${name} (TLS): ${what}`, run);

async function open(url) {
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (line) => line.type() === 'error' && page.complaints.push(line.text()));
  await page.goto(url);
  return page;
}

// Runs in the page: sends messages of these sizes, and returns the lengths of what comes back.
function converse(sizes) {
  return new Promise((resolve) => {
    const echoed = [];
    const ws = new WebSocket(`wss://${location.host}/websocket`);
    const next = () => (echoed.length < sizes.length
      ? ws.send('x'.repeat(sizes[echoed.length])) : ws.close(1000));
    ws.onopen = next;
    ws.onmessage = ({ data }) => { echoed.push(data.length); next(); };
    ws.onclose = ({ code, wasClean }) => resolve({ echoed, code, wasClean, isSecureContext });
  });
}

await checkIn('the echo page opens its socket, and messages of every length come back', async () => {
  const page = await open(`https://localhost:${echo}/`);
  const sizes = [0, 1, 125, 126, 65535, 65536, 1024 * 1024];
  const told = await page.evaluate(converse, sizes);
  equal(told, { echoed: sizes, code: 1000, wasClean: true, isSecureContext: true });
  equal(page.complaints, []);
  const cookies = await context.cookies(`https://localhost:${echo}/`);
  equal(cookies.filter((one) => one.name.endsWith('session')).map((one) => one.secure), [true]);
});

await checkIn('two tabs of the chat talk', async () => {
  const [one, other] = [await open(`https://localhost:${chat}/tea`), await open(`https://localhost:${chat}/tea`)];
  const said = other.evaluate(() => new Promise((resolve) => {
    const ws = new WebSocket(`wss://${location.host}/tea?name=Grace`);
    ws.onmessage = ({ data }) => data.endsWith('hello') && resolve(data);
    ws.onopen = () => { window.ready = true; };
  }));
  await other.waitForFunction(() => window.ready);
  await one.evaluate(() => new Promise((resolve) => {
    const ws = new WebSocket(`wss://${location.host}/tea?name=Ada`);
    ws.onopen = () => { ws.send('hello'); resolve(); };
  }));
  equal((await said).endsWith('\tAda\thello'), true);
});

await checkIn('plain HTTP leads to the chat', async () => {
  const page = await open(`http://localhost:${plain}/tea`);
  equal(page.url(), `https://localhost:${chat}/tea`);
});

await browser.close();
rmSync(home, { recursive: true, force: true });
