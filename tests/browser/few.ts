/** The tests of a worker that is not cross-origin isolated, or must not start workers. */
import "./devices.ts";
import { runTests } from "./node.ts";

await runTests();
