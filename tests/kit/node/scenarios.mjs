// Scenarios of a script that is no test runner's: each says how it went, the last line counts them.
let passed = 0;
let failed = 0;

export async function scenario(name, act) {
  const began = performance.now();
  try {
    await act();
    passed++;
    console.log(`ok    ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
  } catch (e) {
    failed++;
    console.log(`not ok ${name}\n${e.stack ?? e}`);
  }
}

// The way out of the whole script.
export function scenarios(main) {
  main().then(
    () => verdict(),
    (e) => {
      failed++;
      console.log(`not ok ${e.stack ?? e}`);
      verdict();
    },
  );
}

function verdict() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed || !passed ? 1 : 0);
}
