// What the Node clients share: how a check is told, and the bound of every wait.

export const BOUND = 30_000; // milliseconds: far more than a slow machine needs

export async function check(name, run) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done in ${3 * BOUND} ms`)), 3 * BOUND);
  });
  try {
    await Promise.race([run(), late]);
    console.log(`ok - ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`not ok - ${name}: ${String(error.cause ?? error).split('\n')[0].slice(0, 300)}`);
  }
  clearTimeout(timer);
}

export function equal(got, wanted) {
  // As JSON, cut: a message of 1 MiB in a log helps nobody.
  const [a, b] = [got, wanted].map((value) => JSON.stringify(value) ?? 'undefined');
  if (a !== b) throw new Error(`got ${a.slice(0, 120)}, wanted ${b.slice(0, 120)}`);
}

// Asks again and again until the answer is `wanted`.
export async function until(wanted, ask) {
  const end = Date.now() + BOUND;
  let got;
  do got = await ask();
  while (got !== wanted && Date.now() < end);
  equal(got, wanted);
}
