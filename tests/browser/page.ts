/** The tests that run on the main thread of a page. */
import "./built.ts";
import "../kernels/threads_test.ts";
import { runTests } from "./node.ts";

await runTests();
