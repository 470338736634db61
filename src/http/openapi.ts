import { json } from "./problem.ts";

export const openApi = (): Response => json({ openapi: "3.1.0" });
