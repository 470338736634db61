/** Imports: what becomes of files and pipes of known contents, over deaths, lost answers and everything else on the way. */
import type { Program } from "../frame/program.ts";
import { importPlan } from "./generate.ts";
import type { ImportPlan } from "./plan.ts";
import { runImports } from "./run.ts";
import { smaller } from "./smaller.ts";

export const imports: Program<ImportPlan> = {
  name: "import",
  summary: "files and pipes into streams, by a command that is killed and begun again",
  invariants: {
    "rows-once": "every row is there once",
    "rows-order": "rows of a key stand in their order; in a stream of one partition, all of them",
    "rows-unchanged": "a row is there as the guide says: data byte for byte, key, id, time and other fields",
    ids: "changes that are not the same have not the same id",
    resumes: "after any end the same command goes on",
    ends: "every import ends",
    exit: "an end has its exit code",
    told: "an end is told in words, with what to change",
    counts: "the counts are exact: of the run, and in all",
    "bad-rows": "a bad row, or the end of what is cut off, ends it behind what came before",
    refused: "what would be read wrongly is refused before anything is sent",
    changed:
      "input that is not the same any more, and a stream that was made anew, are refused; a dry run sends nothing",
    state: "a file of progress that is damaged ends in words",
  },
  features: {
    kills: "deaths of the importer",
    "service-kills": "deaths of the service",
    growth: "more partitions amid the import",
    records: "whole records",
    csv: "CSV",
    changes: "Debezium's changes of tables",
    outbox: "rows of an outbox",
    encodings: "other encodings than UTF-8",
    packed: "gzip",
    bad: "bad rows",
    cut: "compressed files that are cut off",
    twins: "two imports of one state at once",
    after: "what is done when the import is done",
    refusals: "what would be read wrongly",
  },
  plan: importPlan,
  run: runImports,
  smaller,
  size: ({ jobs }) =>
    jobs
      .map((job) =>
        job.kind === "refusal"
          ? job.name
          : `${job.source.form} of ${job.source.rows.length} rows, ${job.runs.length} runs`,
      )
      .join("; "),
};
