// The browser that the first argument names: its start, its contexts (each a browser of its own, with
// its own cookies), and pages whose console is listened to. The second argument is the folder for
// pictures; the others are the servers, as NAME=PORT.

import { createRequire } from 'node:module';
import { BOUND, check } from './report.mjs';

// Unlike an import, this looks into NODE_PATH.
const playwright = createRequire(import.meta.url)('playwright-core');

const launches = {
  chromium: {
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  },
  // Of this channel, Playwright asks for WebDriver BiDi, which Mozilla's own builds speak.
  firefox: { executablePath: '/usr/bin/firefox-esr', channel: 'moz-firefox' },
};

export const [name, folder, ...servers] = process.argv.slice(2);
export const ports = Object.fromEntries(servers.map((server) => server.split('=')));

// Each launch makes a profile folder of its own and removes it in the end.
export const browser = await playwright[name].launch(launches[name]);

export const checkIn = (what, run) => check(`${name}: ${what}`, run);

export async function withContext(run) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  context.setDefaultTimeout(BOUND);
  try {
    await run(context);
  } finally {
    await context.close();
  }
}

// Opens a page; what its console complains of is in `complaints`.
export async function open(context, url) {
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (line) => line.type() === 'error' && page.complaints.push(line.text()));
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  await page.goto(url);
  return page;
}

export function withPage(what, url, run) {
  return checkIn(what, () => withContext(async (context) => {
    await run(await open(context, url));
  }));
}

export const log = (page, text) => page.locator('#log').filter({ hasText: text }).waitFor();

export const picture = (page, what) => page.screenshot({ path: `${folder}/${what}.png` });

// Takes pictures of a page for a desk and a phone, by day and, in Chromium, by night, and sees to it
// that it fits. (Over WebDriver BiDi, Playwright cannot change the colors.)
export async function pictures(page, what) {
  const colors = name === 'chromium' ? ['light', 'dark'] : ['light'];
  const before = page.viewportSize();
  for (const [device, width, height] of [['desktop', 1280, 800], ['390', 390, 844]]) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of colors) {
      await page.emulateMedia({ colorScheme });
      await picture(page, `${what}-${device}-${colorScheme}`);
    }
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (over > 0) throw new Error(`at ${width} px the page is ${over} px too wide`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(before);
}
