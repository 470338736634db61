/** A process that tries for a folder when it is told to, and says whether it got it: for holding.test.ts. */
import { hold } from "../../src/cli/holding.ts";

let release = () => {};
process.on("message", async (order: "hold" | "release") => {
  if (order === "release") {
    release();
    process.send?.("released");
    return;
  }
  try {
    ({ release } = await hold(process.argv[2] as string));
    process.send?.("held");
  } catch (error) {
    process.send?.((error as Error).message);
  }
});
process.send?.("ready");
