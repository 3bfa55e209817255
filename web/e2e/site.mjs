// What most files of tests need: the program and a browser, for as long as their tests run.
import { after, before } from 'node:test';
import { openPage, startBrowser } from './browser.mjs';
import { startProgram } from './program.mjs';

/** Starts both before the tests of a file, with some settings changed, then does `prepare`; ends them after. */
export function useSite(changes = {}, prepare = async () => {}) {
  const site = {
    program: undefined,
    browser: undefined,
    /** Where the program's pages are. */
    get url() {
      return site.program.url;
    },
    /** Opens a view as `openPage` does. */
    open: (options) => openPage(site.browser, site.url, options),
  };
  before(async () => {
    site.program = await startProgram(0, changes);
    site.browser = await startBrowser();
    // Here, as a file's hooks do not wait for one another.
    await prepare(site);
  });
  after(async () => {
    await site.browser?.close();
    await site.program?.stop();
  });
  return site;
}
