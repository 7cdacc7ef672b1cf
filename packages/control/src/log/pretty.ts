/** Lines made for reading. Apart from log.ts, as a daemon whose log is JSON does not load it. */
import { prettyFactory } from "pino-pretty";

export const prettyLine: (line: string) => string = prettyFactory({
  colorize: process.stdout.isTTY === true,
  ignore: "name,pid,hostname",
  translateTime: "SYS:HH:MM:ss.l",
  singleLine: true,
  errorLikeObjectKeys: [],
});
