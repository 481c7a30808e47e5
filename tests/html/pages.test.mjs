// Tests in Chromium of the pages that `tests/html.rs` makes.
//
// PAGES is their directory, CHROMIUM the browser, BROWSER_MODULES the directory of playwright-core and axe-core, HOSTILE
// the text that must stay text.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.env.BROWSER_MODULES, "index.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const NAMES = ["cold", "warm", "settled", "failed", "incomplete", "hostile", "large"];
const WIDTHS = [360, 768, 1280, 1920, 2560];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
});
after(() => browser.close());

// Opens a page, and closes it when `use` is done. The page may log nothing, and may request nothing but its own file.
async function open(name, use, options = {}) {
  const url = pathToFileURL(join(process.env.PAGES, `${name}.html`)).href;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const problems = [], requests = [];
  page.on("console", (message) => problems.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url);
  await use(page);
  assert.deepEqual(problems, []);
  assert.deepEqual([...new Set(requests.map((request) => request.split("#")[0]))], [url]);
  await context.close();
}

// The widest block: narrow ones may be covered by their neighbours.
async function widest(page, selector) {
  const blocks = page.locator(selector);
  const widths = await blocks.evaluateAll((blocks) => blocks.map((block) => block.clientWidth));
  return blocks.nth(widths.indexOf(Math.max(...widths)));
}

const shownRows = (page) => page.locator("#table tbody tr:visible");
const column = (page, index) => shownRows(page).evaluateAll((rows, index) => rows.map((row) => row.cells[index].dataset.value ?? row.cells[index].textContent.trim()), index);

for (const name of NAMES) {
  test(`${name}: nothing is wider than the window`, () => open(name, async (page) => {
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      const scrolls = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(scrolls <= 0, `${width} px: ${scrolls} too wide`);
    }
  }));

  // The large page has nothing that the others do not have.
  for (const colorScheme of name === "large" ? [] : ["light", "dark"]) {
    test(`${name}: the page is accessible in ${colorScheme} colours`, () => open(name, async (page) => {
      await page.evaluate(axe);
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
      const { violations } = await page.evaluate((tags) => axe.run(document, { runOnly: tags }), tags);
      const found = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.html}\n${node.failureSummary}`).join("\n")}`);
      assert.deepEqual(found, []);
    }, { colorScheme }));
  }
}

test("the filter narrows the table, by words and by outcome", () => open("cold", async (page) => {
  const all = await shownRows(page).count();
  assert.equal(await page.locator("#shown").textContent(), `${all} units`);
  await page.fill("#filter", "anyhow run");
  assert.equal(await shownRows(page).count(), 1);
  assert.equal(await page.locator("#shown").textContent(), `1 of ${all} units`);
  assert.ok((await page.locator(".block.faded").count()) > 0, "the timeline does not show the filter");
  await page.fill("#filter", "no such thing");
  assert.equal(await shownRows(page).count(), 0);
  await page.fill("#filter", "");
  assert.equal(await shownRows(page).count(), all);
  const misses = page.locator("[name=outcome][value=miss]");
  const others = await page.locator("tbody tr:not([data-outcome=miss])").count();
  await misses.uncheck();
  assert.equal(await shownRows(page).count(), others);
  assert.ok(others < all);
}));

test("columns sort numerically or by text, with empty cells last", () => open("large", async (page) => {
  const numbers = async () => (await column(page, 5)).map((value) => (value === "" ? undefined : Number(value)));
  const head = page.getByRole("button", { name: "Restoring" });
  await head.click();
  const falling = await numbers();
  assert.equal(falling.length, 1000);
  assert.deepEqual(falling, [...falling].sort((a, b) => b - a));
  assert.equal(falling.filter((value) => value === undefined).length, 500);
  await head.click();
  const rising = await numbers();
  assert.deepEqual(rising, [...rising].sort((a, b) => a - b));
  assert.equal(await page.locator("th[aria-sort=ascending]").textContent(), "Restoring");
  await page.locator("thead").getByRole("button", { name: "Package" }).click();
  const names = await column(page, 0);
  const lower = names.map((name) => name.toLowerCase());
  assert.deepEqual(lower, [...lower].sort());
  assert.equal(await page.locator("th[aria-sort=ascending]").textContent(), "Package");
}));

for (const name of ["cold", "warm"]) {
  test(`${name}: a block shows the same details when hovered and when focused`, () => open(name, async (page) => {
    const block = await widest(page, ".block[data-unit]");
    const tip = page.locator("#tip");
    assert.ok(await tip.isHidden());
    await block.hover();
    assert.ok(await tip.isVisible());
    const hovered = await tip.textContent();
    assert.match(hovered, /from \d+\.\d{3} s to \d+\.\d{3} s/);
    await page.mouse.move(1, 1);
    assert.ok(await tip.isHidden());
    // The timeline is one tab stop; the arrow keys move within it.
    await page.focus("#zoom-fit");
    await page.keyboard.press("Tab");
    const focused = () => page.evaluate(() => document.activeElement.dataset.details);
    const wanted = await block.getAttribute("data-details");
    for (let steps = 0; (await focused()) !== wanted && steps < 200; steps += 1) {
      const before = await focused();
      await page.keyboard.press("ArrowRight");
      if ((await focused()) !== before) continue;
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Home");
    }
    assert.equal(await focused(), wanted);
    assert.ok(await tip.isVisible());
    assert.equal(await tip.textContent(), hovered);
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-describedby")), "tip");
    await page.keyboard.press("Escape");
    assert.ok(await tip.isHidden());
    await page.keyboard.press("Enter");
    const row = await block.getAttribute("data-unit");
    assert.equal(await page.evaluate(() => document.activeElement.id), `unit-${row}`);
  }));
}

test("a tap shows the details and does not scroll to the row", () => open("cold", async (page) => {
  await (await widest(page, ".block[data-unit]")).tap();
  assert.ok(await page.locator("#tip").isVisible());
  assert.notEqual(await page.evaluate(() => document.activeElement.tagName), "TR");
}, { hasTouch: true }));

test("following a link to a row that the filter hides shows the row", () => open("cold", async (page) => {
  await page.fill("#filter", "no such thing");
  await page.locator("#critical a").first().click();
  const id = (await page.locator("#critical a").first().getAttribute("href")).slice(1);
  await page.waitForFunction((id) => document.activeElement.id === id, id);
  assert.ok(await page.locator(`#${id}`).isVisible());
}));

test("zooming stretches the timeline but not the page", () => open("large", async (page) => {
  const width = () => page.evaluate(() => document.querySelector("#canvas").clientWidth);
  const before = await width();
  await page.click("#zoom-in");
  const nearer = await width();
  assert.ok(nearer > before * 1.4, `${before} to ${nearer}`);
  const box = await page.locator("#scroll").boundingBox();
  await page.mouse.move(box.x + 300, box.y + 10);
  await page.keyboard.down("Control");
  await page.mouse.wheel(0, -300);
  await page.keyboard.up("Control");
  await page.waitForFunction((least) => document.querySelector("#canvas").clientWidth > least, nearer);
  await page.locator("#zoom").fill("100");
  assert.ok((await width()) > before * 20);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await page.click("#zoom-fit");
  assert.equal(await width(), before);
}));

test("colours follow the system until the reader switches them", () => open("cold", async (page) => {
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await background();
  await page.emulateMedia({ colorScheme: "dark" });
  const dark = await background();
  assert.notEqual(light, dark);
  await page.click("#theme");
  assert.equal(await background(), light);
  await page.click("#theme");
  assert.equal(await background(), dark);
}));

for (const name of ["cold", "hostile"]) {
  test(`${name}: text that looks like markup stays text`, () => open(name, async (page) => {
    const text = process.env.HOSTILE;
    assert.ok((await page.locator("h1").textContent()).includes(text));
    assert.ok((await page.title()).includes(text));
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.equal(await page.locator("img").count(), 0);
    assert.equal(await page.locator("script").count(), 1);
    if (name === "hostile") {
      assert.ok((await page.locator(".notes").first().textContent()).includes(text));
      assert.ok((await page.locator("tbody tr th").first().textContent()).includes(text));
      await (await widest(page, ".block:not(.phase)")).hover();
      assert.ok((await page.locator("#tip").textContent()).includes(text));
      await page.fill("#filter", text);
      assert.equal(await shownRows(page).count(), await page.locator("tbody tr").count());
    }
  }));
}

test("the timeline shows fetching, compiling, scripts and uploading", async () => {
  await open("cold", async (page) => {
    for (const kind of [".miss", ".upload", ".miss.script", ".miss.critical"]) assert.ok((await page.locator(`.block${kind}`).count()) > 0, kind);
    assert.equal(await page.locator(".block.fetch").count(), 0);
    assert.ok((await page.locator("#slowest li").count()) > 1);
  });
  await open("warm", async (page) => {
    for (const kind of [".fetch", ".hit", ".uncacheable"]) assert.ok((await page.locator(`.block${kind}`).count()) > 0, kind);
    assert.equal(await page.locator(".block.miss, tr[data-outcome=miss]").count(), 0);
  });
});

test("an incomplete or failed build is marked at the top", async () => {
  await open("incomplete", async (page) => assert.match(await page.locator(".notes").textContent(), /Incomplete: .* lower bound/));
  await open("failed", async (page) => {
    assert.match(await page.locator(".session").textContent(), /exit code 101/);
    assert.match(await page.locator(".notes").textContent(), /because of an error: app /);
    assert.ok((await page.locator(".block.failed").count()) > 0);
  });
  await open("cold", async (page) => assert.equal(await page.locator(".notes, .badge.failed").count(), 0));
});

test("a session with nothing to do has neither units nor a table", () => open("settled", async (page) => {
  assert.match(await page.locator(".empty").textContent(), /without a plan/);
  assert.equal(await page.locator("table, .figures, #reasons").count(), 0);
  assert.equal(await page.locator(".block.phase").count(), 1);
}));

test("the page is readable without JavaScript", () => open("cold", async (page) => {
  assert.equal(await page.locator(".control:visible").count(), 0);
  assert.ok((await page.locator(".block:visible").count()) > 10);
  assert.ok((await shownRows(page).count()) > 10);
}, { javaScriptEnabled: false }));

test("in print there are no controls, and nothing is cut off", () => open("large", async (page) => {
  await page.emulateMedia({ media: "print" });
  assert.equal(await page.locator(".control:visible").count(), 0);
  assert.equal(await shownRows(page).count(), 1000);
}));
