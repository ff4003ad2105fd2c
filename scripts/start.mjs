// npm start: the set-up, then `esplane lab` with the arguments: two gateways on this machine.
import { main } from './run.mjs';
import { setUp } from './setup.mjs';

let ready = false;
await main(async () => {
  await setUp();
  ready = true;
});
if (ready) {
  // In this very process, so that Ctrl-C and kill reach the lab, which cleans up after itself.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(signal);
  const program = new URL('../dist/cli/main.js', import.meta.url);
  process.argv = [process.argv[0], program.pathname, 'lab', ...process.argv.slice(2)];
  await import(program.href);
}
