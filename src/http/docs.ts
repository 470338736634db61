export const docsPage = (): Response => new Response("docs");
