export { createOpenAI } from "../../packages.mjs";
