export { streamText } from "../packages.mjs";
