/** The token of a local service that was given none. */
export const developmentToken = "millrace-dev";
