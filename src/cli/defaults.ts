/** The token of a local service that was given none. */
export const developmentToken = "millrace-dev";

/** Addresses that only this machine can reach. */
export const isLoopback = (host: string): boolean => ["localhost", "127.0.0.1", "::1"].includes(host);
