/**
 * A member is killed at any instant while containers come and go: nothing that it has acknowledged is lost, no address is given twice, and
 * each container has inside what the daemon says that it has.
 */
import { request } from "node:http";
import t from "tap";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import { allReach, type ContainerRow, meshOf, type Station, station } from "../lab/mesh.js";
import type { Namespace } from "../lab/namespace.js";
import type { Weft } from "../lab/weft.js";

const KILLS = process.env.WEFT_TEST_LONG === "1" ? 100 : 10;

const bare = (cidrs: readonly string[]): string[] => cidrs.map((cidr) => cidr.replace(/\/.*/, ""));
const rows = async (weft: Weft): Promise<ContainerRow[]> => (await weft.get("/v1/containers")) as ContainerRow[];

/** Addresses that the kernel has inside. */
const inside = async (container: Namespace): Promise<string[]> =>
  bare((await container.devices()).flatMap(({ addresses }) => addresses)).sort();

/** One call of the API, quicker than the command line. Rejects when the daemon dies before it has answered. */
async function call(
  weft: Weft,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; text: string }> {
  return await new Promise((resolve, reject) => {
    const asked = request({ socketPath: weft.socket, path, method, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text })).on("error", reject);
    });
    asked.setHeader("content-type", "application/json");
    asked.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** What is known of the attachments under test. */
interface Book {
  /** Those that the daemon has acknowledged, and not ended since. */
  readonly attached: Set<string>;
  /** Those that it was asked about and has not answered: nobody knows. */
  readonly asked: Set<string>;
  acknowledged: number;
}

/** Attaches and detaches in turns until the daemon is gone. */
async function churn(weft: Weft, place: Namespace, book: Book): Promise<void> {
  const id = place.label;
  try {
    for (;;) {
      book.asked.add(id);
      const isAttached = book.attached.has(id);
      const { status, text } = isAttached
        ? await call(weft, "DELETE", `/v1/ports/${id}`)
        : await call(weft, "POST", "/v1/ports", { netns: place.path, id, name: id });
      if (status >= 300) throw new Error(`${id}: ${status} ${text}`);
      book.asked.delete(id);
      book.acknowledged++;
      if (isAttached) book.attached.delete(id);
      else book.attached.add(id);
    }
  } catch (error) {
    // Any other answer than none is a failure.
    if (!["ECONNRESET", "ECONNREFUSED", "ENOENT", "EPIPE"].includes((error as NodeJS.ErrnoException).code ?? ""))
      throw error;
  }
}

/** What is wrong after a restart; the book is as the daemon is then. */
async function audit(
  weft: Weft,
  places: readonly Namespace[],
  others: readonly string[],
  book: Book,
): Promise<string[]> {
  const problems: string[] = [];
  const { ports } = await weft.status();
  for (const place of places) {
    const id = place.label;
    const port = ports.find((one) => one.id === id);
    if (!book.asked.has(id) && book.attached.has(id) !== (port !== undefined))
      problems.push(`${id} was ${port ? "detached and is there" : "attached and is gone"}`);
    const has = await inside(place);
    const should = bare(port?.ip ?? []).sort();
    if (has.join() !== should.join()) problems.push(`${id} has [${has.join()}], its port says [${should.join()}]`);
    if (port) book.attached.add(id);
    else book.attached.delete(id);
  }
  book.asked.clear();
  const ips = [...bare(ports.flatMap(({ ip }) => ip)), ...others];
  if (new Set(ips).size < ips.length) problems.push(`an address is given twice: ${ips.join(" ")}`);
  return problems;
}

t.test(`killed ${KILLS} times while containers come and go`, { timeout: KILLS * 20_000 + 120_000 }, async (t) => {
  const lab = await Lab.open(t);
  const hosts = await lab.hosts("h1", "h2");
  const [w1, w2] = (await meshOf(lab, hosts, { keep: true })) as [Weft, Weft];
  const stays = (await Promise.all([station(lab, w1, "c1"), station(lab, w2, "c2")])) as [Station, Station];
  await allReach(stays, 30_000);
  const places = await Promise.all(["k1", "k2", "k3"].map((label) => lab.container(label)));
  const elsewhere = [stays[0].v4, stays[0].v6];
  const book: Book = { attached: new Set(), asked: new Set(), acknowledged: 0 };
  for (let i = 0; i < KILLS; i++) {
    const running = places.map((place) => churn(w2, place, book));
    await new Promise((resolve) => setTimeout(resolve, 100 + ((61 * i) % 700)));
    await w2.kill("SIGKILL");
    await Promise.all(running);
    await w2.again();
    t.same(await audit(w2, places, elsewhere, book), [], `after kill ${i + 1}`);
  }
  t.ok(book.acknowledged > KILLS, `${book.acknowledged} attachments and detachments were acknowledged`);
  for (const id of book.attached) await w2.detach(id);
  await until(
    "the other sees what is there",
    async () =>
      (await rows(w1))
        .map(({ id }) => id)
        .sort()
        .join() === "c1,c2",
    10_000,
  );
  await allReach(stays, 5000);
  t.pass("who was there from the beginning is reached as before");
});
