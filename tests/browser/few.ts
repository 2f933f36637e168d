/** The tests of devices alone, for pages and workers with any headers. */
import "./devices.ts";
import { runTests } from "./node.ts";

await runTests();
