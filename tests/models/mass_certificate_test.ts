/** T4 at its bound. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { massCertificate } from "../../lab/analysis/certificates.ts";

test("massCertificate: a probability of 1 / (B + 1) is not more than that, however it was rounded", () => {
  for (let beam = 1; beam <= 50; beam++) {
    for (let first = 1; first <= beam + 1; first++) { // P = (1 / first) (first / (beam + 1))
      const logProb = -Math.log(first) + Math.log(first / (beam + 1));
      assert.ok(!massCertificate(logProb, beam), `${beam}, ${first}`);
    }
    assert.ok(massCertificate(-Math.log(beam + 0.99), beam));
  }
});
