/** What the daemon does for many ports at once, and what it says of the kernel's features. */
import t from "tap";
import { Turns } from "../../packages/control/dist/dataplane/turns.js";
import { featuresText, switchedOff } from "../../packages/control/dist/features.js";

t.test("members take turns, as many as there is time for", async (t) => {
  let now = 0;
  const turns = new Turns<string>(() => now);
  const served: string[] = [];
  /** Each costs a millisecond. */
  const serve = (member: string): void => {
    served.push(member);
    now++;
  };
  t.equal(turns.serve(10, serve), 0, "nobody there");
  for (const member of ["a", "b", "c", "d", "e"]) turns.add(member);
  t.equal(turns.serve(2, serve), 2);
  t.equal(turns.serve(2, serve), 2);
  t.equal(turns.serve(2, serve), 2);
  t.equal(served.splice(0).join(""), "abcdea", "all are served before one is served again");
  t.equal(turns.serve(0, serve), 1, "one at least");
  t.equal(turns.serve(100, serve), 5, "none twice, however much time there is");
  t.equal(served.splice(0).join(""), "bcdeab");
  turns.add("d");
  turns.delete("c");
  turns.serve(100, serve);
  t.equal(served.splice(0).join(""), "deab", "a member keeps its place; one that left is not served");
  turns.serve(100, (member) => {
    serve(member);
    turns.delete(member);
    turns.delete("a");
  });
  t.equal(served.splice(0).join(""), "deb", "members may leave while one is served");
  t.equal(turns.serve(100, serve), 0);
});

t.test("features are named, with the reason why some are not used", async (t) => {
  t.same(switchedOff(" gro, uso,,"), ["gro", "uso"]);
  t.same(switchedOff(""), []);
  const features = { kernel: "6.18.1", tso: true, uso: true, gro: true, gsoMax: 128 };
  t.equal(featuresText(features, []), "6.18.1: tso uso gro gsoMax 128");
  t.equal(featuresText({ ...features, uso: false }, []), "6.18.1: tso gro gsoMax 128; not in this kernel: uso");
  t.equal(
    featuresText({ ...features, uso: false, gro: false }, ["gro"]),
    "6.18.1: tso gsoMax 128; off by WEFT_DISABLE: gro; needs one of those, or is not in this kernel: uso",
  );
  t.equal(featuresText({ kernel: "4.1", tso: false }, ["tso"]), "4.1: no features; off by WEFT_DISABLE: tso");
});
