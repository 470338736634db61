/** The token of a local service that was given none. */
export const developmentToken = "millrace-dev";

/** Why no header can carry a token as it is; undefined where one can. */
export const tokenProblem = (token: string): string | undefined =>
  /^[!-~]([ -~]*[!-~])?$/.test(token)
    ? undefined
    : "a token must be one line of visible ASCII, and have no spaces around it";

/** Addresses that only this machine can reach. */
export const isLoopback = (host: string): boolean => ["localhost", "127.0.0.1", "::1"].includes(host);
