// Chromium: its start, its contexts (each a browser of its own, with its own cookies), and pages
// whose console is listened to.

import { createRequire } from 'node:module';
import { BOUND, check } from './report.mjs';

// Unlike an import, this looks into NODE_PATH.
const { chromium } = createRequire(import.meta.url)('playwright-core');

// Each launch makes a profile folder of its own and removes it in the end.
export const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

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

export function withPage(name, url, run) {
  return check(`chromium: ${name}`, () => withContext(async (context) => {
    await run(await open(context, url));
  }));
}

export const log = (page, text) => page.locator('#log').filter({ hasText: text }).waitFor();

// Takes pictures of a page for a desk and a phone, by day and by night, and sees to it that it fits.
export async function pictures(page, folder, name) {
  const before = page.viewportSize();
  for (const [device, width, height] of [['desktop', 1280, 800], ['390', 390, 844]]) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${folder}/${name}-${device}-${colorScheme}.png` });
    }
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (over > 0) throw new Error(`at ${width} px the page is ${over} px too wide`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize(before);
}
