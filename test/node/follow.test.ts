/** Following, over node:sqlite. */
import { test } from "vitest";
import { followingAgainstLog } from "../cases/follow.ts";
import { nodeSql } from "./sqlite.ts";

test("a follower gets the log from where it began", () => followingAgainstLog(() => nodeSql(), 500));
